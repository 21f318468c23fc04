// SPDX-License-Identifier: MIT
internal import Bytes

/// Writes frames (RFC 6455 §5.2). Appends to a buffer given to it; allocates nothing of its own. A server
/// passes no mask, a client a fresh one for each frame.
package enum FrameWriter {
    /// Appends a whole frame.
    package static func write(
        opcode: Opcode, payload: Span<UInt8>, isFinal: Bool = true, rsv1: Bool = false,
        mask: MaskingKey? = nil, into output: inout [UInt8]
    ) {
        output.makeRoom(for: payload.count + 14)
        writeHeader(
            opcode: opcode, length: payload.count, isFinal: isFinal, rsv1: rsv1, mask: mask,
            into: &output)
        let start = output.count
        output.append(payload)
        guard let mask else { return }
        output.withUnsafeMutableBytes {
            mask.apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]), position: 0)
        }
    }

    /// Appends a header alone: 2 to 10 bytes, 14 with a mask. The payload is the caller's to append,
    /// masked already where there is a mask.
    /// - Parameters:
    ///   - length: bytes of the payload; at most 125 for control frames, which is asserted.
    ///   - isFinal: false for all fragments but the last.
    ///   - rsv1: whether the message is compressed; set on its first frame only (RFC 7692 §6.1).
    package static func writeHeader(
        opcode: Opcode, length: Int, isFinal: Bool = true, rsv1: Bool = false,
        mask: MaskingKey? = nil, into output: inout [UInt8]
    ) {
        precondition(!opcode.isControl || length <= 125 && isFinal && !rsv1, "RFC 6455 §5.5")
        output.append((isFinal ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch length {
        case ...125: output.append(maskBit | UInt8(length))
        case ...0xFFFF:
            output.append(maskBit | 126)
            output.append(UInt8(truncatingIfNeeded: length >> 8))
            output.append(UInt8(truncatingIfNeeded: length))
        default:
            output.append(maskBit | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                output.append(UInt8(truncatingIfNeeded: length >> shift))
            }
        }
        if let mask { withUnsafeBytes(of: mask.word) { output.append(contentsOf: $0) } }
    }

    /// Where the frame ends that begins at `start` among frames this server has written.
    /// - Returns: nil when no whole frame begins there.
    package static func endOfFrame(at start: Int, in bytes: Span<UInt8>) -> Int? {
        guard
            case .header(let header, let payload)? = try? FrameHeader.parse(
                bytes, at: start, role: .client, allowsCompression: true),
            header.length <= bytes.count - payload
        else { return nil }
        return payload + header.length
    }

    /// Appends a close frame.
    /// - Parameters:
    ///   - code: nil for an empty payload. One that must not be sent (1005, 1006, 1015 and the like) is
    ///     left out too, so a code received can be echoed as it is (§5.5.1).
    ///   - reason: cut at a character's end to the 123 bytes there are; none without a code.
    package static func close(
        code: UInt16?, reason: String = "", mask: MaskingKey? = nil, into output: inout [UInt8]
    ) {
        guard let code, CloseCode(rawValue: code).mayBeSent else {
            return writeHeader(opcode: .close, length: 0, mask: mask, into: &output)
        }
        var payload: [UInt8] = [UInt8(code >> 8), UInt8(code & 0xFF)]
        for character in reason.unicodeScalars {
            let scalar = UTF8.encode(character)
            guard let scalar, payload.count + scalar.count <= 125 else { break }
            payload.append(contentsOf: scalar)
        }
        write(opcode: .close, payload: payload.span, mask: mask, into: &output)
    }
}
