// SPDX-License-Identifier: MIT

/// The header of a WebSocket frame as a server sends it (RFC 6455 §5.2): never masked, here never
/// fragmented, and compressed only where permessage-deflate was agreed on.
struct ServerFrame: Hashable, Sendable {
    enum Failure: Error, Hashable {
        /// A mask, a reserved bit, a fragment or a length past `maxBytes`.
        case unexpected
    }

    /// Larger than any answer to a load client.
    static let maxBytes = 64 << 20

    var opcode: UInt8
    /// RSV1 (RFC 7692 §6): the payload is deflated.
    var isCompressed = false
    /// Bytes of the header.
    var headerBytes: Int
    /// Bytes of the payload behind it.
    var payloadBytes: Int

    var count: Int { headerBytes + payloadBytes }

    /// Reads the header at the front of `bytes`; nil when more bytes are needed to know it.
    @inline(__always)
    static func read(
        _ bytes: UnsafeRawBufferPointer, allowsCompression: Bool = false
    ) throws(Failure) -> ServerFrame? {
        guard bytes.count >= 2 else { return nil }
        let isCompressed = bytes[0] & 0xF0 == 0xC0
        guard isCompressed ? allowsCompression : bytes[0] & 0xF0 == 0x80, bytes[1] & 0x80 == 0
        else { throw .unexpected }
        let opcode = bytes[0] & 0x0F
        switch bytes[1] {
        case 126:
            guard bytes.count >= 4 else { return nil }
            return ServerFrame(
                opcode: opcode, isCompressed: isCompressed, headerBytes: 4,
                payloadBytes: Int(bytes[2]) << 8 | Int(bytes[3]))
        case 127:
            guard bytes.count >= 10 else { return nil }
            var length: UInt64 = 0
            for index in 2..<10 { length = length << 8 | UInt64(bytes[index]) }
            guard length <= UInt64(maxBytes) else { throw .unexpected }
            return ServerFrame(
                opcode: opcode, isCompressed: isCompressed, headerBytes: 10,
                payloadBytes: Int(length))
        case let length:
            return ServerFrame(
                opcode: opcode, isCompressed: isCompressed, headerBytes: 2,
                payloadBytes: Int(length))
        }
    }
}
