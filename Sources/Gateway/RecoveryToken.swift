// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto

/// The private session id (`pid`) of connection state recovery. It proves that a public id was given
/// to this user and carries that id, so that any instance recovers a session without having kept it:
/// what was missed comes from the log.
///
/// Shape: base64url of 11 bytes of public id and 16 bytes of HMAC-SHA256 over id and user.
/// Source: Socket.IO, connection state recovery.
package struct RecoveryToken: Sendable {
    private let key: [UInt8]

    /// - Parameter key: shared by the instances of one store; at least 32 random bytes.
    package init(key: [UInt8]) {
        precondition(key.count >= 32)
        self.key = key
    }

    /// Bytes of a public id: 88 bits that nobody has to guess, since it is no secret, and 15 characters,
    /// the most that a string holds in place.
    private static let idBytes = 11

    /// A fresh public socket id: 15 characters.
    package static func makeSocketID() -> String {
        Base64.string(SecureRandom.bytes(idBytes), alphabet: .url)
    }

    /// The private id that goes with a public one.
    package func issue(socketID: String, user: String) -> String {
        guard let id = Base64.decode(Array(socketID.utf8), alphabet: .url),
            id.count == RecoveryToken.idBytes
        else {
            preconditionFailure("socket ids are made here")
        }
        return Base64.string(id + mac(id, user), alphabet: .url)
    }

    /// The public id that a private one was issued for, if it was, and to this user.
    package func socketID(of token: String, user: String) -> String? {
        guard token.utf8.count == 36, let bytes = Base64.decode(Array(token.utf8), alphabet: .url)
        else { return nil }
        let id = Array(bytes[..<RecoveryToken.idBytes])
        guard constantTimeEquals(Array(bytes[RecoveryToken.idBytes...]), mac(id, user)) else {
            return nil
        }
        return Base64.string(id, alphabet: .url)
    }

    private func mac(_ id: [UInt8], _ user: String) -> [UInt8] {
        Array(HMACSHA256.sign(id + Array(user.utf8), key: key)[..<16])
    }
}
