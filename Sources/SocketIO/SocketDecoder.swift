// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// What one Engine.IO message made.
package enum SocketStep: Hashable, Sendable {
    /// A packet; `data` is a range of the bytes just given.
    case packet(SocketPacket)
    /// A part of a binary packet; more attachments are due.
    case awaitingAttachments
    /// A binary packet with all its attachments, in the order of their placeholders' numbers; `data` is a
    /// range of `text`.
    case binaryPacket(SocketPacket, text: [UInt8], attachments: [[UInt8]])
}

/// Reads the packets of one connection (Socket.IO protocol 5) from the messages of Engine.IO.
///
/// ```
/// idle ──text──► (packet)
///   └──text that announces n attachments──► awaiting ──binary, n-th──► (binary packet) ──► idle
/// ```
/// `text` and `binary` make the moves. While attachments are due a text is refused, and a binary message when
/// none is due: parts of a packet are contiguous. Whether a namespace exists or is joined is the caller's to
/// know; all that a packet shows by itself is checked here.
///
/// A plain event is decoded without an allocation while its namespace has at most 15 bytes.
package struct SocketDecoder: Sendable {
    private struct Pending: Sendable {
        var packet: SocketPacket
        var text: [UInt8]
        var attachments: [[UInt8]] = []
        var byteCount = 0
    }

    private let limits: SocketLimits
    /// The packet whose attachments are due: at most one. A list, since it takes no room while empty.
    private var pending: [Pending] = []

    /// A decoder for a connection just open.
    package init(limits: SocketLimits = SocketLimits()) { self.limits = limits }

    /// Whether attachments are due: the end of the connection would cut a packet.
    package var isAwaitingAttachments: Bool { !pending.isEmpty }

    /// Takes the payload of a text message (without Engine.IO's `4`), which must be well-formed UTF-8.
    /// - Throws: `SocketError`; the decoder is spent then.
    package mutating func text(_ bytes: Span<UInt8>) throws(SocketError) -> SocketStep {
        guard pending.isEmpty else { throw .unexpectedText }
        let packet = try header(bytes)
        guard packet.type.isBinary else { return .packet(packet) }
        pending = [Pending(packet: packet, text: bytes.array())]
        return .awaitingAttachments
    }

    /// Takes a binary message: the next attachment.
    /// - Throws: `SocketError`; the decoder is spent then.
    package mutating func binary(_ bytes: [UInt8]) throws(SocketError) -> SocketStep {
        guard var due = pending.popLast() else { throw .unexpectedBinary }
        guard bytes.count <= limits.maxAttachmentBytes - due.byteCount else {
            throw .attachmentsTooLarge
        }
        due.byteCount += bytes.count
        due.attachments.append(bytes)
        guard due.attachments.count == due.packet.attachmentCount else {
            pending = [due]
            return .awaitingAttachments
        }
        return .binaryPacket(due.packet, text: due.text, attachments: due.attachments)
    }

    /// `<type>[<n>-][<namespace>,][<ack id>][JSON]`
    private func header(_ bytes: Span<UInt8>) throws(SocketError) -> SocketPacket {
        guard bytes.count > 0, let type = SocketPacketType(rawValue: bytes[0]) else {
            throw .unknownPacketType
        }
        var packet = SocketPacket(type: type)
        var offset = 1
        if type.isBinary {
            let digits = run(of: isDigit, in: bytes, from: offset)
            guard digits.upperBound < bytes.count, bytes[digits.upperBound] == UInt8(ascii: "-"),
                !digits.isEmpty
            else { throw .malformedAttachmentCount }
            // More digits than an `Int` has are too many whatever they say.
            let count = bytes.extracting(digits).decimal() ?? .max
            guard count > 0 else { throw .malformedAttachmentCount }
            guard count <= limits.maxAttachments else { throw .tooManyAttachments }
            packet.attachmentCount = count
            offset = digits.upperBound + 1
        }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "/") {
            let name = run(of: { $0 != UInt8(ascii: ",") }, in: bytes, from: offset)
            guard name.count <= limits.maxNamespaceBytes else { throw .namespaceTooLong }
            packet.namespace = bytes.extracting(name).string()
            // The comma may be left out where nothing follows.
            offset = min(name.upperBound + 1, bytes.count)
        }
        let digits = run(of: isDigit, in: bytes, from: offset)
        if !digits.isEmpty {
            guard let id = bytes.extracting(digits).decimal() else { throw .malformedAckID }
            packet.ackID = id
            offset = digits.upperBound
        }
        if offset < bytes.count { packet.data = offset..<bytes.count }
        try check(packet, bytes)
        return packet
    }

    /// What each type of packet must and must not hold.
    private func check(_ packet: SocketPacket, _ bytes: Span<UInt8>) throws(SocketError) {
        switch packet.type {
        case .connect:
            if let data = packet.data { try check(bytes, data, isOneOf: [.object]) }
        case .connectError:
            guard let data = packet.data else { throw .invalidPayload }
            try check(bytes, data, isOneOf: [.object, .string])
        case .disconnect:
            guard packet.data == nil else { throw .invalidPayload }
        case .event, .binaryEvent:
            guard let data = packet.data else { throw .invalidPayload }
            try EventArguments.check(bytes, in: data, maxDepth: limits.maxDepth)
        case .ack, .binaryAck:
            guard packet.ackID != nil else { throw .malformedAckID }
            guard let data = packet.data else { throw .invalidPayload }
            try EventArguments.walk(bytes, in: data, maxDepth: limits.maxDepth) { _ in }
        }
        if packet.type.isBinary, let data = packet.data {
            try Placeholders.check(
                bytes, in: data, count: packet.attachmentCount, maxDepth: limits.maxDepth)
        }
    }

    private func check(
        _ bytes: Span<UInt8>, _ range: Range<Int>, isOneOf kinds: [JSONScanner.Kind]
    ) throws(SocketError) {
        var scanner = JSONScanner(at: range.lowerBound, maxDepth: limits.maxDepth)
        do throws(JSONError) {
            guard kinds.contains(try scanner.peekKind(in: bytes)) else {
                throw .syntax(offset: range.lowerBound)
            }
            _ = try scanner.value(in: bytes)
            try scanner.end(in: bytes)
        } catch {
            throw .invalidPayload
        }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    private func run(
        of isIncluded: (UInt8) -> Bool, in bytes: Span<UInt8>, from start: Int
    ) -> Range<Int> {
        var end = start
        while end < bytes.count, isIncluded(bytes[end]) { end += 1 }
        return start..<end
    }
}
