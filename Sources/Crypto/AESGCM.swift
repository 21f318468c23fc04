// SPDX-License-Identifier: MIT
internal import COpenSSL

/// AES-256-GCM (NIST SP 800-38D): encrypts and authenticates.
package enum AESGCM: Sendable {
    /// Bytes in a key.
    package static let keyByteCount = 32
    /// Bytes in a nonce. Drawn at random, so one key may seal at most 2³² texts (SP 800-38D §8.3).
    package static let nonceByteCount = 12
    /// Bytes in a tag.
    package static let tagByteCount = 16

    /// Encrypts under a fresh random nonce.
    /// - Parameters:
    ///   - key: 32 bytes; any other length is our own bug and traps.
    ///   - additional: authenticated but not encrypted: bind the row or purpose here.
    /// - Returns: nonce (12) ‖ ciphertext (as long as the text) ‖ tag (16).
    package static func seal(
        _ plaintext: [UInt8], key: [UInt8], additional: [UInt8] = []
    ) -> [UInt8] {
        seal(
            plaintext, key: key, nonce: SecureRandom.bytes(nonceByteCount), additional: additional)
    }

    static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], additional: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keyByteCount && nonce.count == nonceByteCount)
        let context = newContext()
        defer { EVP_CIPHER_CTX_free(context) }
        var count: Int32 = 0
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: tagByteCount)
        var done = EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, nil) == 1
        if !additional.isEmpty {
            done =
                done
                && EVP_EncryptUpdate(context, nil, &count, additional, Int32(additional.count)) == 1
        }
        if !plaintext.isEmpty {
            done =
                done
                && EVP_EncryptUpdate(
                    context, &ciphertext, &count, plaintext, Int32(plaintext.count)) == 1
        }
        // GCM is a stream mode: the final call writes nothing, but computes the tag.
        var rest = [UInt8](repeating: 0, count: tagByteCount)
        done = done && EVP_EncryptFinal_ex(context, &rest, &count) == 1
        done =
            done
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagByteCount), &tag) == 1
        // Only want of memory makes encryption fail.
        precondition(done, "AES-GCM failed")
        return nonce + ciphertext + tag
    }

    /// Decrypts what `seal` gave, or nil when key, additional data or any byte is another.
    package static func open(
        _ sealed: [UInt8], key: [UInt8], additional: [UInt8] = []
    ) -> [UInt8]? {
        precondition(key.count == keyByteCount)
        guard sealed.count >= nonceByteCount + tagByteCount, sealed.count <= Int(Int32.max) else {
            return nil
        }
        let nonce = Array(sealed.prefix(nonceByteCount))
        var tag = Array(sealed.suffix(tagByteCount))
        let ciphertext = Array(sealed.dropFirst(nonceByteCount).dropLast(tagByteCount))
        let context = newContext()
        defer { EVP_CIPHER_CTX_free(context) }
        var count: Int32 = 0
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count)
        guard EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, nil) == 1 else {
            return nil
        }
        if !additional.isEmpty {
            guard
                EVP_DecryptUpdate(context, nil, &count, additional, Int32(additional.count)) == 1
            else { return nil }
        }
        if !ciphertext.isEmpty {
            guard
                EVP_DecryptUpdate(context, &plaintext, &count, ciphertext, Int32(ciphertext.count))
                    == 1
            else { return nil }
        }
        var rest = [UInt8](repeating: 0, count: tagByteCount)
        guard
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagByteCount), &tag) == 1,
            EVP_DecryptFinal_ex(context, &rest, &count) == 1
        else { return nil }
        return plaintext
    }

    private static func newContext() -> OpaquePointer {
        guard let context = EVP_CIPHER_CTX_new() else { fatalError("EVP_CIPHER_CTX_new failed") }
        return context
    }
}
