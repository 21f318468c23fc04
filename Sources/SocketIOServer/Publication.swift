// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
internal import HTTPServer
internal import SocketIO
internal import Locks
internal import WebSocket

/// One event for many clients, encoded once: complete WebSocket frames around the Engine.IO and
/// Socket.IO packets, for each class of receiver, when the first of that class is to get it.
///
/// Receivers differ in two things: whether they keep a recovery offset, and whether they take
/// compressed frames. Those that keep one get it as the event's last argument (Socket.IO, connection
/// state recovery); the others would hand it to the application as an argument too many. What is
/// compressed is compressed once, by the first loop that has a receiver for it, on its own (RFC 7692
/// §7.1.1.1), so that it suits them all.
package final class Publication: Sendable {
    /// What is to be encoded.
    private enum Source: Sendable {
        /// An event of the main namespace with one JSON argument.
        case event(name: String, argument: [UInt8], offsetSuffix: [UInt8])
        case any(namespace: String, name: String, arguments: SocketArguments, ackID: Int?)

        var attachments: [[UInt8]] {
            if case .any(_, _, let arguments, _) = self { arguments.attachments } else { [] }
        }

        var byteCount: Int {
            switch self {
            case .event(let name, let argument, _): name.utf8.count + argument.count
            case .any(_, let name, let arguments, _):
                arguments.items.reduce(name.utf8.count) { $0 + $1.count }
                    + arguments.attachments.reduce(0) { $0 + $1.count }
            }
        }
    }

    private struct Encodings {
        var plain: FrameBatch?
        var offset: FrameBatch?
        var deflatedPlain: FrameBatch?
        var deflatedOffset: FrameBatch?
    }

    /// Where it stands among the publications of its namespace; 0 for what has no place in the order.
    package let order: Int64
    private let source: Source
    private let encodings = Locked(Encodings())

    /// An event of the main namespace with one JSON argument.
    ///
    /// - Parameters:
    ///   - event: one of our own names: nothing in it needs escaping.
    ///   - argument: one JSON text. Not a string, which clients would take for an offset.
    ///   - order: its place, which is the recovery offset too; 0 leaves the offset out.
    ///   - offsetSuffix: what follows the number in the offset: ASCII that JSON need not escape.
    package init(
        event: String, argument: [UInt8], order: Int64 = 0, offsetSuffix: [UInt8] = []
    ) {
        self.order = order
        source = .event(name: event, argument: argument, offsetSuffix: offsetSuffix)
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
        source = .any(namespace: namespace, name: event, arguments: arguments, ackID: ackID)
    }

    /// Bytes of what it says; each encoding of it has a little more.
    package var byteCount: Int { source.byteCount }

    /// Bytes it may come to hold, roughly: what it says, two encodings of that, and compressed ones.
    package var heldBytes: Int { 4 * source.byteCount + 600 }

    /// The encoding for a class of receiver.
    /// - Parameter deflate: compresses a message, or says by nil that it would not shrink; asked at most
    ///   once for each way to keep offsets.
    func encoded(
        for receiver: ReceiverClass, deflate: (Span<UInt8>) -> [UInt8]?
    ) -> FrameBatch {
        let keepsOffset = receiver.keepsOffset && order != 0
        return encodings.withLock { known in
            let whole: FrameBatch
            if let made = keepsOffset ? known.offset : known.plain {
                whole = made
            } else {
                whole = encode(withOffset: keepsOffset)
                if keepsOffset { known.offset = whole } else { known.plain = whole }
            }
            guard receiver.takesDeflated else { return whole }
            if let made = keepsOffset ? known.deflatedOffset : known.deflatedPlain { return made }
            let made = Publication.deflated(whole, by: deflate)
            if keepsOffset { known.deflatedOffset = made } else { known.deflatedPlain = made }
            return made
        }
    }

    private func encode(withOffset: Bool) -> FrameBatch {
        var packet: [UInt8] = []
        packet.reserveCapacity(512)
        packet.append(EnginePacketType.message.rawValue)
        switch source {
        case .event(let name, let argument, let suffix):
            Publication.write(
                event: name, argument: argument.span, offset: withOffset ? order : nil,
                offsetSuffix: suffix, into: &packet)
        case .any(let namespace, let name, let arguments, let ackID):
            let items = arguments.items + (withOffset ? [Array("\"\(order)\"".utf8)] : [])
            SocketEncoder.event(
                namespace: namespace, name: name, arguments: items, ackID: ackID,
                attachmentCount: arguments.attachments.count, into: &packet)
        }
        var frames: [UInt8] = []
        let attachments = source.attachments
        frames.reserveCapacity(packet.count + 10 + attachments.reduce(0) { $0 + $1.count + 10 })
        FrameWriter.writeHeader(opcode: .text, length: packet.count, into: &frames)
        let text = FramedPacket(
            payload: frames.count..<frames.count + packet.count, isBinary: false)
        frames.append(contentsOf: packet)
        let rest = attachments.map { attachment in
            FrameWriter.writeHeader(opcode: .binary, length: attachment.count, into: &frames)
            defer { frames.append(contentsOf: attachment) }
            return FramedPacket(
                payload: frames.count..<frames.count + attachment.count, isBinary: true)
        }
        return FrameBatch(frames: frames, text: text, attachments: rest)
    }

    /// The same message with its text compressed. Attachments stay as they are: what is sent as binary
    /// is mostly compressed already.
    private static func deflated(
        _ whole: FrameBatch, by deflate: (Span<UInt8>) -> [UInt8]?
    ) -> FrameBatch {
        let text = whole.text.payload
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
        let attachments = whole.attachments.map { packet in
            FramedPacket(
                payload: packet.payload.lowerBound + moved..<packet.payload.upperBound + moved,
                isBinary: true)
        }
        return FrameBatch(
            frames: bytes, text: FramedPacket(payload: payload, isBinary: false),
            attachments: attachments)
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
