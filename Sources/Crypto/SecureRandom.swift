// SPDX-License-Identifier: MIT
internal import Bytes
internal import COpenSSL

/// Bytes from the system's random source by way of libcrypto's generator.
package enum SecureRandom: Sendable {
    /// `count` unpredictable bytes. Traps when the system has no randomness to give: going on
    /// would hand out guessable secrets.
    package static func bytes(_ count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        precondition(count <= Int(Int32.max), "too many random bytes at once")
        return [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            precondition(RAND_bytes(output.baseAddress, Int32(count)) == 1, "no randomness")
            initialized = count
        }
    }

    /// `count` random bytes as unpadded base64url: 43 characters for the default 32 bytes (256 bits),
    /// 16 for 12 bytes. Safe in URLs, cookies and file names.
    package static func token(bytes count: Int = 32) -> String {
        Base64.string(bytes(count), alphabet: .url)
    }
}
