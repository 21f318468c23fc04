// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import HTTP1
internal import JSON
internal import SocketIO
internal import WebSocket

extension Bench {
    /// Every case, in the order of the layers.
    static var cases: [BenchCase] {
        http + frameDecoding + frameEncoding + engine + socketDecoding + socketEncoding + json + [
            wholeWay
        ]
    }

    // MARK: HTTP

    private static var http: [BenchCase] {
        let request = Array(Vectors.request.utf8)
        var parser = RequestParser()
        var output: [UInt8] = []
        let fields: HTTPFields = [
            "content-type": "text/plain; charset=UTF-8", "cache-control": "no-store",
        ]
        return [
            BenchCase(name: "HTTP decode request, 9 fields", bytes: request.count) {
                guard let head = try? parser.next(in: request.span),
                    let end = try? parser.next(
                        in: request.span.extracting(droppingFirst: head.consumed))
                else { preconditionFailure("a sound request") }
                return head.consumed + end.consumed
            },
            BenchCase(name: "HTTP encode response head", bytes: 0) {
                output.removeAll(keepingCapacity: true)
                ResponseWriter.write(
                    status: 200, reason: "OK", fields: fields, bodyCount: 97, keepAlive: true,
                    isHead: false, date: "Sun, 06 Nov 1994 08:49:37 GMT", into: &output)
                return output.count
            },
        ]
    }

    // MARK: WebSocket

    private static var frameDecoding: [BenchCase] {
        let packed = Vectors.frame(.text, Vectors.deflated(Vectors.chat(1024)), rsv1: true)
        let binary = Vectors.frame(.binary, [UInt8](repeating: 200, count: 16_384))
        return [("125 B", 125), ("1 KiB", 1024), ("16 KiB", 16_384)].map { name, size in
            receive("text \(name)", Vectors.frame(.text, Vectors.chat(size)))
        } + [
            receive("binary 16 KiB", binary),
            receive("text, 4 fragments of 256 B", Vectors.fragments(4, of: 256)),
            receive("text, 1,000 fragments of 64 B", Vectors.fragments(1000, of: 64)),
            receive("text 1 KiB deflated", packed, deflate: DeflateParameters()),
        ]
    }

    private static func receive(
        _ name: String, _ frame: [UInt8], deflate: DeflateParameters? = nil
    ) -> BenchCase {
        var receiver = MessageReceiver(role: .server, deflate: deflate)
        var buffer = frame
        return BenchCase(name: "WebSocket decode \(name)", bytes: frame.count) {
            // Unmasking changes the buffer, so each round begins with a copy: about 1 ns for 50 bytes.
            buffer.withUnsafeMutableBytes { to in frame.withUnsafeBytes { to.copyMemory(from: $0) }
            }
            var used = 0
            while used < frame.count {
                let step = buffer.withUnsafeMutableBytes { bytes in
                    var rest = MutableSpan<UInt8>(_unsafeBytes: .init(rebasing: bytes[used...]))
                    return try? receiver.next(in: &rest)
                }
                guard let step, step.event != .needMore else {
                    preconditionFailure("a sound frame")
                }
                used += step.consumed
            }
            return used
        }
    }

    private static var frameEncoding: [BenchCase] {
        var output: [UInt8] = []
        let plain = [("125 B", 125), ("1 KiB", 1024)].map { name, size in
            let text = Vectors.chat(size)
            return BenchCase(name: "WebSocket encode text \(name)", bytes: size) {
                output.removeAll(keepingCapacity: true)
                FrameWriter.write(opcode: .text, payload: text.span, into: &output)
                return output.count
            }
        }
        let text = Vectors.chat(1024)
        let deflater = MessageDeflater(windowBits: 15, takesContext: false)
        return plain + [
            BenchCase(name: "WebSocket deflate 1 KiB, no context", bytes: 1024) {
                output.removeAll(keepingCapacity: true)
                deflater.compress(text.span, into: &output)
                return output.count
            }
        ]
    }

    // MARK: Engine.IO

    private static var engine: [BenchCase] {
        let packet = Array(("4" + Vectors.event).utf8)
        let poll = Vectors.poll(packets: 10)
        let payload = Array(Vectors.event.utf8)
        let query = "EIO=4&transport=polling&t=Oabc123&sid=Zm9vYmFyYmF6cXV4Zm9vYmFy"
        var output: [UInt8] = []
        return [
            BenchCase(name: "Engine.IO decode packet", bytes: packet.count) {
                guard let (_, range) = try? EngineCodec.decodeText(packet.span) else {
                    preconditionFailure("a sound packet")
                }
                return range.count
            },
            BenchCase(name: "Engine.IO encode packet", bytes: payload.count) {
                output.removeAll(keepingCapacity: true)
                EngineCodec.encodeText(.message, payload.span, into: &output)
                return output.count
            },
            BenchCase(name: "Engine.IO decode poll, 10 packets", bytes: poll.count) {
                var reader = PollPayloadReader()
                var total = 0
                while case .packet(_, let range)? = try? reader.next(in: poll.span) {
                    total += range.count
                }
                return total
            },
            BenchCase(name: "Engine.IO encode poll, 10 packets", bytes: poll.count) {
                output.removeAll(keepingCapacity: true)
                var writer = PollPayloadWriter()
                for _ in 0..<10 { writer.text(.message, payload.span, into: &output) }
                return output.count
            },
            BenchCase(name: "Engine.IO read query", bytes: query.utf8.count) {
                EngineQuery.parse(query).sid?.utf8.count ?? 0
            },
        ]
    }

    // MARK: Socket.IO

    private static var socketDecoding: [BenchCase] {
        let plain = [
            ("event", Vectors.event), ("event with ack id", Vectors.ackEvent), ("ack", Vectors.ack),
        ].map { name, text in
            let bytes = Array(text.utf8)
            var decoder = SocketDecoder()
            return BenchCase(name: "Socket.IO decode \(name)", bytes: bytes.count) {
                var parts = EventArguments.Parts()
                guard case .packet? = try? decoder.text(bytes.span, parts: &parts) else {
                    preconditionFailure("a sound packet")
                }
                return parts.arguments.count
            }
        }
        let binary = Array(Vectors.binaryEvent.utf8)
        let attachment = Vectors.attachment
        var decoder = SocketDecoder()
        let event = Array(Vectors.event.utf8)
        return plain + [
            BenchCase(
                name: "Socket.IO decode binary event", bytes: binary.count + attachment.count
            ) {
                guard (try? decoder.text(binary.span)) != nil,
                    case .binaryPacket(_, let text, let all)? = try? decoder.binary(attachment)
                else { preconditionFailure("a sound packet") }
                let count = all.count
                decoder.takeBack(text: consume text, attachments: consume all)
                return count
            },
            BenchCase(name: "Socket.IO split event", bytes: event.count) {
                guard let parts = try? EventArguments.split(event.span, in: 1..<event.count) else {
                    preconditionFailure("a sound event")
                }
                return parts.arguments.count + parts.name.count
            },
        ]
    }

    private static var socketEncoding: [BenchCase] {
        var output: [UInt8] = []
        let array = Array(Vectors.event.utf8.dropFirst())
        let arguments = [Array(Vectors.object.utf8)]
        let answer = [Array(#"{"ok":true,"id":"m1042","seq":1042,"roomSeq":17}"#.utf8)]
        return [
            BenchCase(name: "Socket.IO encode event, array at hand", bytes: array.count + 1) {
                output.removeAll(keepingCapacity: true)
                SocketEncoder.header(.event, into: &output)
                output.append(array.span)
                return output.count
            },
            BenchCase(name: "Socket.IO encode event by name", bytes: array.count + 1) {
                output.removeAll(keepingCapacity: true)
                SocketEncoder.event(name: "message:send", arguments: arguments, into: &output)
                return output.count
            },
            BenchCase(name: "Socket.IO encode ack", bytes: Vectors.ack.utf8.count) {
                output.removeAll(keepingCapacity: true)
                SocketEncoder.ack(id: 17, arguments: answer, into: &output)
                return output.count
            },
        ]
    }

    // MARK: JSON

    private static var json: [BenchCase] {
        let object = Array(Vectors.object.utf8)
        return [
            BenchCase(name: "JSON slice object", bytes: object.count) {
                guard let slices = try? JSONObjectSlices(object.span, in: 0..<object.count) else {
                    preconditionFailure("a sound object")
                }
                return slices.range("text", in: object.span)?.count ?? 0
            },
            BenchCase(name: "JSON read object", bytes: object.count) {
                guard let value = try? JSONValue(parsing: object.span) else {
                    preconditionFailure("a sound object")
                }
                return value.object?.members.count ?? 0
            },
        ]
    }

    // MARK: All together

    /// Masked frame to the fields of the event's argument: all that stands between the socket and the
    /// domain.
    private static var wholeWay: BenchCase {
        let frame = Vectors.frame(.text, Array(("4" + Vectors.event).utf8))
        var receiver = MessageReceiver(role: .server)
        var decoder = SocketDecoder()
        var buffer = frame
        return BenchCase(name: "frame to fields, all layers", bytes: frame.count) {
            buffer.withUnsafeMutableBytes { to in frame.withUnsafeBytes { to.copyMemory(from: $0) }
            }
            var span = buffer.mutableSpan
            guard let step = try? receiver.next(in: &span),
                case .text(.range(let text)) = step.event,
                let (_, payload) = try? EngineCodec.decodeText(buffer.span.extracting(text))
            else { preconditionFailure("a sound frame") }
            let message = buffer.span.extracting(text).extracting(payload)
            var parts = EventArguments.Parts()
            guard case .packet? = try? decoder.text(message, parts: &parts),
                let argument = parts.arguments.first,
                let fields = try? JSONObjectSlices(message, in: argument),
                let room = fields.range("room", in: message),
                let body = fields.range("text", in: message)
            else { preconditionFailure("a sound packet") }
            return room.count + body.count
        }
    }
}
