// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
internal import HTTPServer
internal import SocketIO
internal import Locks
internal import WebSocket

/// One event for many clients, encoded once: complete WebSocket frames around the Engine.IO and
/// Socket.IO packets, for each class of receiver.
///
/// Receivers differ in two things: whether they keep a recovery offset, and whether they take
/// compressed frames. Those that keep one get it as the event's last argument (Socket.IO, connection
/// state recovery); the others would hand it to the application as an argument too many. What is
/// compressed is compressed once, by the first loop that has a receiver for it, on its own (RFC 7692
/// §7.1.1.1), so that it suits them all.
package final class Publication: Sendable {
    /// Where it stands among the publications of its namespace; 0 for what has no place in the order.
    package let order: Int64
    private let plain: FrameBatch
    private let offset: FrameBatch?
    /// Made when somebody takes them: without the offset, and with it.
    private let deflated = Locked<(plain: FrameBatch?, offset: FrameBatch?)>((nil, nil))

    /// An event of the main namespace with one JSON argument.
    ///
    /// - Parameters:
    ///   - event: one of our own names: nothing in it needs escaping.
    ///   - argument: one JSON text. Not a string, which clients would take for an offset.
    ///   - order: its place, which is the recovery offset too; 0 leaves the offset out.
    ///   - offsetSuffix: what follows the number in the offset: ASCII that JSON need not escape.
    package init(
        event: String, argument: Span<UInt8>, order: Int64 = 0, offsetSuffix: [UInt8] = []
    ) {
        self.order = order
        plain = Publication.encode { packet in
            Publication.write(event: event, argument: argument, offset: nil, into: &packet)
        }
        offset =
            order == 0
            ? nil
            : Publication.encode { packet in
                Publication.write(
                    event: event, argument: argument, offset: order, offsetSuffix: offsetSuffix,
                    into: &packet)
            }
    }

    /// Any event.
    /// - Parameters:
    ///   - ackID: set when every receiver is to answer.
    ///   - order: its place; an offset goes with it where it is not 0.
    package init(
        namespace: String, event: String, arguments: SocketArguments, ackID: Int? = nil,
        order: Int64 = 0
    ) {
        self.order = order
        plain = Publication.encode(attachments: arguments.attachments) { packet in
            SocketEncoder.event(
                namespace: namespace, name: event, arguments: arguments.items, ackID: ackID,
                attachmentCount: arguments.attachments.count, into: &packet)
        }
        offset =
            order == 0
            ? nil
            : Publication.encode(attachments: arguments.attachments) { packet in
                SocketEncoder.event(
                    namespace: namespace, name: event,
                    arguments: arguments.items + [Array("\"\(order)\"".utf8)],
                    attachmentCount: arguments.attachments.count, into: &packet)
            }
    }

    /// Bytes it holds, but for what is compressed later.
    var byteCount: Int { plain.frames.count + (offset?.frames.count ?? 0) }

    /// The encoding for a class of receiver.
    /// - Parameter deflate: compresses a message, or says by nil that it would not shrink; asked at most
    ///   once for each way to keep offsets.
    func encoded(
        for receiver: ReceiverClass, deflate: (Span<UInt8>) -> [UInt8]?
    ) -> FrameBatch {
        let keepsOffset = receiver.keepsOffset && offset != nil
        let whole = keepsOffset ? offset ?? plain : plain
        guard receiver.takesDeflated else { return whole }
        return deflated.withLock { known in
            if let made = keepsOffset ? known.offset : known.plain { return made }
            let made = Publication.deflated(whole, by: deflate)
            if keepsOffset { known.offset = made } else { known.plain = made }
            return made
        }
    }

    private static func encode(
        attachments: [[UInt8]] = [], _ write: (inout [UInt8]) -> Void
    ) -> FrameBatch {
        var packet: [UInt8] = []
        packet.reserveCapacity(512)
        packet.append(EnginePacketType.message.rawValue)
        write(&packet)
        var frames: [UInt8] = []
        frames.reserveCapacity(packet.count + 10 + attachments.reduce(0) { $0 + $1.count + 10 })
        FrameWriter.writeHeader(opcode: .text, length: packet.count, into: &frames)
        var packets = [
            FramedPacket(
                payload: frames.count..<frames.count + packet.count, isBinary: false)
        ]
        frames.append(contentsOf: packet)
        for attachment in attachments {
            FrameWriter.writeHeader(opcode: .binary, length: attachment.count, into: &frames)
            let payload = frames.count..<frames.count + attachment.count
            packets.append(FramedPacket(payload: payload, isBinary: true))
            frames.append(contentsOf: attachment)
        }
        return FrameBatch(frames: frames, packets: packets)
    }

    /// The same message with its text compressed. Attachments stay as they are: what is sent as binary
    /// is mostly compressed already.
    private static func deflated(
        _ whole: FrameBatch, by deflate: (Span<UInt8>) -> [UInt8]?
    ) -> FrameBatch {
        let text = whole.packets[0].payload
        guard let compressed = whole.frames.withBytes({ deflate($0.extracting(text)) }) else {
            return whole
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(compressed.count + 10 + whole.frames.count - text.upperBound)
        FrameWriter.writeHeader(opcode: .text, length: compressed.count, rsv1: true, into: &bytes)
        let payload = bytes.count..<bytes.count + compressed.count
        bytes.append(contentsOf: compressed)
        let moved = bytes.count - text.upperBound
        whole.frames.withBytes { bytes.append($0.extracting(text.upperBound...)) }
        let attachments = whole.packets.dropFirst().map { packet in
            FramedPacket(
                payload: packet.payload.lowerBound + moved..<packet.payload.upperBound + moved,
                isBinary: true)
        }
        return FrameBatch(
            frames: bytes, packets: [FramedPacket(payload: payload, isBinary: false)] + attachments)
    }

    /// Appends an EVENT of the main namespace with one JSON argument, and the offset behind it where
    /// there is one.
    package static func write(
        event: String, argument: Span<UInt8>, offset: Int64?, offsetSuffix: [UInt8] = [],
        into output: inout [UInt8]
    ) {
        output.append("2[\"")
        output.append(event)
        output.append("\",")
        output.append(argument)
        if let offset {
            output.append(",\"")
            output.append(decimal: offset)
            output.append(contentsOf: offsetSuffix)
            output.append("\"")
        }
        output.append("]")
    }
}

/// What one client's way of receiving asks of a publication.
struct ReceiverClass: Hashable, Sendable {
    let keepsOffset: Bool
    let takesDeflated: Bool
}
