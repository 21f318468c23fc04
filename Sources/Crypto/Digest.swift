// SPDX-License-Identifier: MIT
internal import COpenSSL

/// SHA-256 (FIPS 180-4).
package enum SHA256: Sendable {
    /// Bytes in a digest.
    package static let byteCount = 32

    /// The 32-byte digest of `bytes`.
    package static func digest(_ bytes: Span<UInt8>) -> [UInt8] {
        DigestAlgorithm.sha256.digest(bytes)
    }

    /// The 32-byte digest of an array.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] { digest(bytes.span) }

    /// The 32-byte digest of a string's UTF-8 bytes.
    package static func digest(_ text: String) -> [UInt8] { digest(Array(text.utf8).span) }
}

/// SHA-1 (FIPS 180-4). Broken against collisions; here for the one place a standard demands it and
/// nothing secret rests on it: `Sec-WebSocket-Accept` (RFC 6455 §4.2.2).
package enum SHA1: Sendable {
    /// Bytes in a digest.
    package static let byteCount = 20

    /// The 20-byte digest of `bytes`.
    package static func digest(_ bytes: Span<UInt8>) -> [UInt8] {
        DigestAlgorithm.sha1.digest(bytes)
    }

    /// The 20-byte digest of an array.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] { digest(bytes.span) }
}

/// A digest fetched once: OpenSSL 3 looks providers up by name on each implicit fetch, which costs
/// more than hashing a short text.
struct DigestAlgorithm: Sendable {
    // SAFETY: an EVP_MD is immutable and reference-counted once fetched; these are never freed.
    private nonisolated(unsafe) let pointer: OpaquePointer
    private let byteCount: Int

    private init(name: String, byteCount: Int) {
        guard let pointer = EVP_MD_fetch(nil, name, nil) else {
            fatalError("libcrypto offers no \(name)")
        }
        self.pointer = pointer
        self.byteCount = byteCount
    }

    static let sha1 = DigestAlgorithm(name: "SHA1", byteCount: SHA1.byteCount)
    static let sha256 = DigestAlgorithm(name: "SHA256", byteCount: SHA256.byteCount)

    func digest(_ bytes: Span<UInt8>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            let done = bytes.withUnsafeBufferPointer {
                EVP_Digest($0.baseAddress, $0.count, output.baseAddress, nil, pointer, nil)
            }
            // Only want of memory makes a digest fail.
            precondition(done == 1, "EVP_Digest failed")
            count = byteCount
        }
    }
}
