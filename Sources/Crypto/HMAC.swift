// SPDX-License-Identifier: MIT
internal import COpenSSL

/// HMAC with SHA-256 (RFC 2104, RFC 4231).
package enum HMACSHA256: Sendable {
    /// Bytes in a tag; tags are never truncated.
    package static let byteCount = 32

    /// A key made ready: the two padded key blocks are hashed once, so a tag costs only its message.
    /// Immutable, so any number of threads may use one.
    package final class Key: Sendable {
        // SAFETY: set up in `init`, afterwards only read, by EVP_MAC_CTX_dup, which takes it const.
        private nonisolated(unsafe) let prepared: OpaquePointer

        /// - Parameter secret: any length; RFC 2104 §3 advises 32 bytes and more.
        package init(_ secret: [UInt8]) {
            guard let context = EVP_MAC_CTX_new(HMACAlgorithm.pointer) else {
                fatalError("EVP_MAC_CTX_new failed")
            }
            // Parameters hold pointers to both strings: a literal passed to a C function lives only as
            // long as that call.
            let parameter = Array(OSSL_MAC_PARAM_DIGEST.utf8CString)
            var digest = Array("SHA256".utf8CString)
            // A zero-length key must still be a key: OpenSSL reads a nil pointer as "keep the last".
            let bytes = secret.isEmpty ? [0] : secret
            let done = parameter.withUnsafeBufferPointer { parameter in
                digest.withUnsafeMutableBufferPointer { name in
                    var parameters = [
                        OSSL_PARAM_construct_utf8_string(
                            parameter.baseAddress, name.baseAddress, 0),
                        OSSL_PARAM_construct_end(),
                    ]
                    return EVP_MAC_init(context, bytes, bytes.count, &parameters)
                }
            }
            precondition(done == 1, "EVP_MAC_init failed")
            prepared = context
        }

        deinit { EVP_MAC_CTX_free(prepared) }

        /// The 32-byte tag of `message`.
        package func sign(_ message: Span<UInt8>) -> [UInt8] {
            guard let context = EVP_MAC_CTX_dup(prepared) else {
                fatalError("EVP_MAC_CTX_dup failed")
            }
            defer { EVP_MAC_CTX_free(context) }
            return [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
                let updated = message.withUnsafeBufferPointer {
                    EVP_MAC_update(context, $0.baseAddress, $0.count)
                }
                let done = EVP_MAC_final(context, output.baseAddress, &count, byteCount)
                // Only want of memory makes a MAC fail.
                precondition(updated == 1 && done == 1 && count == byteCount, "HMAC failed")
            }
        }

        /// The 32-byte tag of an array.
        package func sign(_ message: [UInt8]) -> [UInt8] { sign(message.span) }

        /// Whether `tag` is the whole tag of `message`, in time that depends on lengths alone.
        package func verify(_ tag: [UInt8], of message: Span<UInt8>) -> Bool {
            constantTimeEquals(tag, sign(message))
        }
    }

    /// The 32-byte tag of `message`. Prefer a `Key` where one secret signs often.
    package static func sign(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        Key(key).sign(message.span)
    }

    /// Whether `tag` is the whole tag of `message`, in time that depends on lengths alone.
    package static func verify(_ tag: [UInt8], of message: [UInt8], key: [UInt8]) -> Bool {
        Key(key).verify(tag, of: message.span)
    }
}

private enum HMACAlgorithm {
    // SAFETY: an EVP_MAC is immutable and reference-counted once fetched; this one is never freed.
    nonisolated(unsafe) static let pointer: OpaquePointer = {
        guard let pointer = EVP_MAC_fetch(nil, "HMAC", nil) else {
            fatalError("libcrypto offers no HMAC")
        }
        return pointer
    }()
}

/// Whether two secrets are equal. Lengths are compared openly, contents in constant time.
package func constantTimeEquals(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}

/// Whether two secret strings have the same UTF-8 bytes, in time that depends on lengths alone.
package func constantTimeEquals(_ a: String, _ b: String) -> Bool {
    constantTimeEquals(Array(a.utf8), Array(b.utf8))
}
