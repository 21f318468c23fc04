// SPDX-License-Identifier: MIT
internal import Bytes
internal import CMeasure
internal import EngineIO
internal import HTTP1
internal import JSON
internal import SocketIO
internal import Timing
internal import WebSocket

/// Measures what the layers cost: time, instructions and heap allocations of one frame or packet, in steady
/// state. Of seven runs the fastest counts, since whatever else the machine does only adds.
final class Bench {
    private let counter = cmeasure_open_instructions()
    private var sink = 0

    func run() {
        decodeHTTP()
        decodeFrames()
        encodeFrames()
        engine()
        socketDecoding()
        socketEncoding()
        json()
        wholeWay()
        precondition(sink != 0, "nothing was measured")
    }

    /// - Parameter body: does it once and gives a number that depends on what was done.
    private func measure(_ name: String, _ bytes: Int, _ body: () -> Int) {
        for _ in 0..<200 { sink &+= body() }
        var rounds = 64
        while time(rounds, body).nanoseconds < 5_000_000 { rounds *= 2 }
        var best = Int64.max
        for _ in 0..<7 { best = min(best, time(rounds, body).nanoseconds) }
        let (allocations, instructions) = (cmeasure_allocations(), read())
        for _ in 0..<rounds { sink &+= body() }
        let (after, executed) = (cmeasure_allocations(), read())
        print(
            name, bytes, tenths(best, rounds),
            counter < 0 ? "-" : tenths(Int64(executed &- instructions), rounds),
            tenths(Int64(after - allocations), rounds), separator: "\t")
    }

    private func time(_ rounds: Int, _ body: () -> Int) -> Duration {
        let start = SystemClock.now()
        for _ in 0..<rounds { sink &+= body() }
        return SystemClock.now() - start
    }

    private func read() -> UInt64 { counter < 0 ? 0 : cmeasure_read(counter) }

    private func tenths(_ total: Int64, _ rounds: Int) -> String {
        let value = (total * 10 + Int64(rounds) / 2) / Int64(rounds)
        return "\(value / 10).\(value % 10)"
    }

    // MARK: HTTP

    private func decodeHTTP() {
        let request = Array(Vectors.request.utf8)
        var parser = RequestParser()
        measure("HTTP decode request, 9 fields", request.count) {
            guard let head = try? parser.next(in: request.span),
                let end = try? parser.next(
                    in: request.span.extracting(droppingFirst: head.consumed))
            else { preconditionFailure("a sound request") }
            return head.consumed + end.consumed
        }
        var output: [UInt8] = []
        let fields: HTTPFields = [
            "content-type": "text/plain; charset=UTF-8", "cache-control": "no-store",
        ]
        measure("HTTP encode response head", 0) {
            output.removeAll(keepingCapacity: true)
            ResponseWriter.write(
                status: 200, reason: "OK", fields: fields, bodyCount: 97, keepAlive: true,
                isHead: false, date: "Sun, 06 Nov 1994 08:49:37 GMT", into: &output)
            return output.count
        }
    }

    // MARK: WebSocket

    private func decodeFrames() {
        for (name, size) in [("125 B", 125), ("1 KiB", 1024), ("16 KiB", 16_384)] {
            receive("WebSocket decode text \(name)", Vectors.frame(.text, Vectors.chat(size)))
        }
        receive(
            "WebSocket decode binary 16 KiB",
            Vectors.frame(.binary, [UInt8](repeating: 200, count: 16_384)))
        receive("WebSocket decode text, 4 fragments of 256 B", Vectors.fragments(4, of: 256))
        receive("WebSocket decode text, 1,000 fragments of 64 B", Vectors.fragments(1000, of: 64))
        let packed = Vectors.frame(.text, Vectors.deflated(Vectors.chat(1024)), rsv1: true)
        receive("WebSocket decode text 1 KiB deflated", packed, deflate: DeflateParameters())
    }

    private func receive(_ name: String, _ frame: [UInt8], deflate: DeflateParameters? = nil) {
        var receiver = MessageReceiver(role: .server, deflate: deflate)
        var buffer = frame
        measure(name, frame.count) {
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

    private func encodeFrames() {
        var output: [UInt8] = []
        for (name, size) in [("125 B", 125), ("1 KiB", 1024)] {
            let text = Vectors.chat(size)
            measure("WebSocket encode text \(name)", size) {
                output.removeAll(keepingCapacity: true)
                FrameWriter.write(opcode: .text, payload: text.span, into: &output)
                return output.count
            }
        }
        let text = Vectors.chat(1024)
        let deflater = MessageDeflater(windowBits: 15, takesContext: false)
        measure("WebSocket deflate 1 KiB, no context", 1024) {
            output.removeAll(keepingCapacity: true)
            deflater.compress(text.span, into: &output)
            return output.count
        }
    }

    // MARK: Engine.IO

    private func engine() {
        let packet = Array(("4" + Vectors.event).utf8)
        measure("Engine.IO decode packet", packet.count) {
            guard let (_, range) = try? EngineCodec.decodeText(packet.span) else {
                preconditionFailure("a sound packet")
            }
            return range.count
        }
        let poll = Vectors.poll(packets: 10)
        measure("Engine.IO decode poll, 10 packets", poll.count) {
            var reader = PollPayloadReader()
            var total = 0
            while case .packet(_, let range)? = try? reader.next(in: poll.span) {
                total += range.count
            }
            return total
        }
        var output: [UInt8] = []
        let payload = Array(Vectors.event.utf8)
        measure("Engine.IO encode poll, 10 packets", poll.count) {
            output.removeAll(keepingCapacity: true)
            var writer = PollPayloadWriter()
            for _ in 0..<10 { writer.text(.message, payload.span, into: &output) }
            return output.count
        }
        let query = "EIO=4&transport=polling&t=Oabc123&sid=Zm9vYmFyYmF6cXV4"
        measure("Engine.IO read query", query.utf8.count) {
            EngineQuery.parse(query).sid?.utf8.count ?? 0
        }
    }

    // MARK: Socket.IO

    private func socketDecoding() {
        for (name, text) in [
            ("event", Vectors.event), ("event with ack id", Vectors.ackEvent), ("ack", Vectors.ack),
        ] {
            let bytes = Array(text.utf8)
            var decoder = SocketDecoder()
            measure("Socket.IO decode \(name)", bytes.count) {
                guard case .packet(let packet)? = try? decoder.text(bytes.span) else {
                    preconditionFailure("a sound packet")
                }
                return packet.data?.count ?? 0
            }
        }
        let binary = Array(Vectors.binaryEvent.utf8)
        let attachment = Vectors.attachment
        var decoder = SocketDecoder()
        measure("Socket.IO decode binary event", binary.count + attachment.count) {
            guard (try? decoder.text(binary.span)) != nil,
                case .binaryPacket(_, _, let all)? = try? decoder.binary(attachment)
            else { preconditionFailure("a sound packet") }
            return all.count
        }
        let event = Array(Vectors.event.utf8)
        measure("Socket.IO split event", event.count) {
            guard let parts = try? EventArguments.split(event.span, in: 1..<event.count) else {
                preconditionFailure("a sound event")
            }
            return parts.arguments.count + parts.name.count
        }
    }

    private func socketEncoding() {
        var output: [UInt8] = []
        let array = Array(Vectors.event.utf8.dropFirst())
        measure("Socket.IO encode event, array at hand", array.count + 1) {
            output.removeAll(keepingCapacity: true)
            SocketEncoder.header(.event, into: &output)
            output.append(array.span)
            return output.count
        }
        let answer = [Array(#"{"ok":true,"id":"m1042","seq":1042,"roomSeq":17}"#.utf8)]
        measure("Socket.IO encode ack", Vectors.ack.utf8.count) {
            output.removeAll(keepingCapacity: true)
            SocketEncoder.ack(id: 17, arguments: answer, into: &output)
            return output.count
        }
    }

    // MARK: JSON

    private func json() {
        let object = Array(Vectors.object.utf8)
        measure("JSON slice object", object.count) {
            guard let slices = try? JSONObjectSlices(object.span, in: 0..<object.count) else {
                preconditionFailure("a sound object")
            }
            return slices.range("text", in: object.span)?.count ?? 0
        }
        measure("JSON read object", object.count) {
            guard let value = try? JSONValue(parsing: object.span) else {
                preconditionFailure("a sound object")
            }
            return value.object?.members.count ?? 0
        }
    }

    // MARK: All together

    /// Masked frame to the event's arguments: all that stands between the socket and the domain.
    private func wholeWay() {
        let frame = Vectors.frame(.text, Array(("4" + Vectors.event).utf8))
        var receiver = MessageReceiver(role: .server)
        var decoder = SocketDecoder()
        var buffer = frame
        measure("frame to event, all layers", frame.count) {
            buffer.withUnsafeMutableBytes { to in frame.withUnsafeBytes { to.copyMemory(from: $0) }
            }
            var span = buffer.mutableSpan
            guard let step = try? receiver.next(in: &span),
                case .text(.range(let text)) = step.event,
                let (_, payload) = try? EngineCodec.decodeText(buffer.span.extracting(text))
            else { preconditionFailure("a sound frame") }
            let message = buffer.span.extracting(text).extracting(payload)
            guard case .packet(let packet)? = try? decoder.text(message), let data = packet.data
            else { preconditionFailure("a sound packet") }
            return data.count
        }
    }
}
