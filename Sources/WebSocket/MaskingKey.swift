// SPDX-License-Identifier: MIT

/// The four bytes a client's payload is masked with (RFC 6455 §5.3). They keep scripts from choosing the
/// bytes on the wire, so a client must take them from a strong random source.
package struct MaskingKey: Hashable, Sendable {
    /// The bytes in the order of the wire, as memory holds them.
    let word: UInt32

    /// A key from four random bytes, or from a random word.
    package init(_ word: UInt32) { self.word = word }

    /// The key at an offset, where four bytes are.
    init(_ bytes: Span<UInt8>, at offset: Int) {
        word = bytes.withUnsafeBytes {
            $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        }
    }

    /// Masks or unmasks (the same) `bytes` in place, eight at a time.
    /// - Parameter position: where in the payload `bytes` begins.
    func apply(to bytes: UnsafeMutableRawBufferPointer, position: Int) {
        let turn = UInt32(truncatingIfNeeded: position & 3) * 8
        // The first byte in memory is the lowest of a little-endian word, so turning right by whole
        // bytes makes the key begin at `position`.
        let little = word.littleEndian
        let turned = turn == 0 ? little : little >> turn | little << (32 - turn)
        let pair = (UInt64(turned) << 32 | UInt64(turned)).littleEndian
        var index = 0
        while bytes.count - index >= 8 {
            let masked = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ pair
            bytes.storeBytes(of: masked, toByteOffset: index, as: UInt64.self)
            index += 8
        }
        var rest = UInt64(littleEndian: pair)
        while index < bytes.count {
            bytes[index] ^= UInt8(truncatingIfNeeded: rest)
            rest >>= 8
            index += 1
        }
    }
}
