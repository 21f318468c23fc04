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
/// A plain event is decoded without an allocation while its namespace has at most 15 bytes, and a binary
/// one where the caller gives its buffers back (`takeBack`).
package struct SocketDecoder: Sendable {
    private struct Pending: Sendable {
        /// Bytes of a packet's text whose buffer is kept for the next.
        static let keptBytes = 4096

        var packet: SocketPacket
        var parts = EventArguments.Parts()
        var isDue = false
        var text: [UInt8] = []
        var attachments: [[UInt8]] = []
        var byteCount = 0

        mutating func begin(
            _ packet: SocketPacket, _ parts: EventArguments.Parts, _ bytes: Span<UInt8>
        ) {
            self.packet = packet
            self.parts = parts
            isDue = true
            byteCount = 0
            text.removeAll(keepingCapacity: true)
            text.append(bytes)
        }

        mutating func finish() -> SocketStep {
            isDue = false
            let (whole, all) = (text, attachments)
            text = []
            attachments = []
            return .binaryPacket(packet, text: whole, attachments: all)
        }
    }

    private let limits: SocketLimits
    /// The packet whose attachments are due, or what is left of the last: at most one. A list, since it
    /// takes no room for those who send no binary.
    private var pending: [Pending] = []

    /// A decoder for a connection just open.
    package init(limits: SocketLimits = SocketLimits()) { self.limits = limits }

    /// Whether attachments are due: the end of the connection would cut a packet.
    package var isAwaitingAttachments: Bool { pending.first?.isDue ?? false }

    /// Bytes kept of a packet whose attachments are not all there yet.
    package var heldBytes: Int {
        isAwaitingAttachments ? pending[0].text.count + pending[0].byteCount : 0
    }

    /// Takes the payload of a text message (without Engine.IO's `4`), which must be well-formed UTF-8.
    /// - Throws: `SocketError`; the decoder is spent then.
    package mutating func text(_ bytes: Span<UInt8>) throws(SocketError) -> SocketStep {
        var parts = EventArguments.Parts()
        return try text(bytes, parts: &parts)
    }

    /// Takes the payload of a text message, and gives the parts of an event's or ack's data, which are
    /// found while it is checked.
    /// - Parameter parts: empty; ranges of `bytes` where the step is a packet.
    /// - Throws: `SocketError`; the decoder is spent then.
    package mutating func text(
        _ bytes: Span<UInt8>, parts: inout EventArguments.Parts
    ) throws(SocketError) -> SocketStep {
        guard !isAwaitingAttachments else { throw .unexpectedText }
        let packet = try header(bytes, &parts)
        guard packet.type.isBinary else { return .packet(packet) }
        if pending.isEmpty { pending.append(Pending(packet: packet)) }
        pending[0].begin(packet, parts, bytes)
        return .awaitingAttachments
    }

    /// Takes a binary message: the next attachment.
    /// - Throws: `SocketError`; the decoder is spent then.
    package mutating func binary(_ bytes: [UInt8]) throws(SocketError) -> SocketStep {
        var parts = EventArguments.Parts()
        return try binary(bytes, parts: &parts)
    }

    /// Takes a binary message, and gives the parts of the packet's data with the last one.
    /// - Parameter parts: ranges of the packet's text where the step is a binary packet.
    /// - Throws: `SocketError`; the decoder is spent then.
    package mutating func binary(
        _ bytes: [UInt8], parts: inout EventArguments.Parts
    ) throws(SocketError) -> SocketStep {
        guard isAwaitingAttachments else { throw .unexpectedBinary }
        guard bytes.count <= limits.maxAttachmentBytes - pending[0].byteCount else {
            throw .attachmentsTooLarge
        }
        pending[0].byteCount += bytes.count
        pending[0].attachments.append(bytes)
        guard pending[0].attachments.count == pending[0].packet.attachmentCount else {
            return .awaitingAttachments
        }
        parts = pending[0].parts
        return pending[0].finish()
    }

    /// Takes the buffers of a binary packet back, when the caller has done with it: the next one is then
    /// put together in them. Optional; a connection that holds much lets it go.
    package mutating func takeBack(
        text: consuming [UInt8], attachments: consuming [[UInt8]]
    ) {
        guard !pending.isEmpty, !isAwaitingAttachments, text.capacity <= Pending.keptBytes else {
            return
        }
        attachments.removeAll(keepingCapacity: true)
        pending[0].text = text
        pending[0].attachments = attachments
    }

    /// `<type>[<n>-][<namespace>,][<ack id>][JSON]`
    private func header(
        _ bytes: Span<UInt8>, _ parts: inout EventArguments.Parts
    ) throws(SocketError) -> SocketPacket {
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
        try check(packet, bytes, &parts)
        return packet
    }

    /// What each type of packet must and must not hold.
    private func check(
        _ packet: SocketPacket, _ bytes: Span<UInt8>, _ parts: inout EventArguments.Parts
    ) throws(SocketError) {
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
            try EventArguments.event(
                bytes, in: data, maxDepth: limits.maxDepth, into: &parts)
        case .ack, .binaryAck:
            guard packet.ackID != nil else { throw .malformedAckID }
            guard let data = packet.data else { throw .invalidPayload }
            try EventArguments.ack(
                bytes, in: data, maxDepth: limits.maxDepth, into: &parts)
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
