// SPDX-License-Identifier: MIT

/// The header of one frame (RFC 6455 §5.2), checked as far as it can be alone: 2 to 14 bytes.
struct FrameHeader: Hashable, Sendable {
    var opcode: Opcode
    var isFinal: Bool
    /// RSV1: the message is compressed (RFC 7692 §6).
    var isCompressed: Bool
    /// Bytes of payload; never more than `Int.max`.
    var length: Int
    /// What the payload is masked with; nil in frames of a server.
    var mask: MaskingKey?

    enum Step {
        case needMore
        /// The header, and the offset of the payload.
        case header(FrameHeader, payload: Int)
    }

    /// Reads the header at `start`.
    /// - Parameters:
    ///   - role: which end we are.
    ///   - allowsCompression: whether RSV1 has a meaning here.
    /// - Throws: at the first byte that cannot stand there.
    static func parse(
        _ bytes: Span<UInt8>, at start: Int, role: Role, allowsCompression: Bool
    ) throws(WebSocketError) -> Step {
        guard bytes.count > start else { return .needMore }
        let first = bytes[start]
        guard first & 0x30 == 0 else { throw .reservedBits }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { throw .reservedOpcode }
        let isFinal = first & 0x80 != 0
        let isCompressed = first & 0x40 != 0
        if isCompressed {
            guard allowsCompression, opcode == .text || opcode == .binary else {
                throw .reservedBits
            }
        }
        if opcode.isControl, !isFinal { throw .fragmentedControl }

        guard bytes.count > start + 1 else { return .needMore }
        let second = bytes[start + 1]
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else {
            throw role == .server ? .unmaskedFrame : .maskedFrame
        }
        var length = Int(second & 0x7F)
        if opcode.isControl, length > 125 { throw .controlTooLong }
        var offset = start + 2
        if length > 125 {
            let width = length == 126 ? 2 : 8
            guard bytes.count - offset >= width else { return .needMore }
            var wide: UInt64 = 0
            for index in offset..<offset + width { wide = wide << 8 | UInt64(bytes[index]) }
            // §5.2: the least number of bytes, and the most significant bit must be 0.
            guard wide > (width == 2 ? 125 : 0xFFFF), let exact = Int(exactly: wide) else {
                throw .malformedLength
            }
            length = exact
            offset += width
        }
        var mask: MaskingKey?
        if isMasked {
            guard bytes.count - offset >= 4 else { return .needMore }
            mask = MaskingKey(bytes, at: offset)
            offset += 4
        }
        let header = FrameHeader(
            opcode: opcode, isFinal: isFinal, isCompressed: isCompressed, length: length,
            mask: mask)
        return .header(header, payload: offset)
    }
}
