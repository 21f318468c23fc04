// SPDX-License-Identifier: MIT

/// HKDF with SHA-256 (RFC 5869): many independent keys from one.
package enum HKDF: Sendable {
    /// The longest output: 255 blocks of 32 bytes (RFC 5869 §2.3).
    package static let maxByteCount = 255 * HMACSHA256.byteCount

    /// Extract and expand.
    /// - Parameters:
    ///   - secret: the input keying material.
    ///   - salt: public; empty means 32 zero bytes (§2.2).
    ///   - info: binds the output to its use; two uses must never share one.
    ///   - count: output bytes, 1...8160; more is our own bug and traps.
    package static func derive(
        from secret: [UInt8], salt: [UInt8] = [], info: [UInt8], count: Int
    ) -> [UInt8] {
        expand(extract(secret, salt: salt), info: info, count: count)
    }

    /// RFC 5869 §2.2.
    static func extract(_ secret: [UInt8], salt: [UInt8]) -> [UInt8] {
        let zeros = [UInt8](repeating: 0, count: HMACSHA256.byteCount)
        return HMACSHA256.sign(secret, key: salt.isEmpty ? zeros : salt)
    }

    /// RFC 5869 §2.3: T(n) = HMAC(key, T(n-1) | info | n).
    static func expand(_ key: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        precondition(count > 0 && count <= maxByteCount, "HKDF output length out of range")
        let mac = HMACSHA256.Key(key)
        var output: [UInt8] = []
        output.reserveCapacity(count + HMACSHA256.byteCount)
        var block: [UInt8] = []
        var number: UInt8 = 1
        while output.count < count {
            block = mac.sign(block + info + [number])
            output += block
            number &+= 1
        }
        output.removeLast(output.count - count)
        return output
    }
}
