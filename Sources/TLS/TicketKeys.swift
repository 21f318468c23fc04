// SPDX-License-Identifier: MIT
internal import COpenSSL
internal import Locks

/// The keys that seal session tickets (RFC 5077 §4, RFC 8446 §4.6.1): the server keeps no sessions, so
/// a resumed one lives in the client's ticket alone, and these outlive every change of certificates.
///
///     rotate ─► new key seals ─► seals no more, opens still ─► … ─► forgotten
///
/// Who steals a key reads what was resumed under it without a fresh key exchange (TLS 1.2), so keys
/// change hourly, never touch a disk and open nothing older than a ticket lives.
final class TicketKeys: Sendable {
    /// Seconds a ticket can be used: two rotations, so that the `kept` keys open every one of them.
    static let ticketLifetime = 2 * 3600
    /// Keys that open tickets: the one that seals, and those of the three hours before it.
    static let kept = 4

    private struct Key {
        let name: [UInt8]
        let cipher: [UInt8]
        let mac: [UInt8]

        static func random() -> Key {
            Key(name: bytes(16), cipher: bytes(32), mac: bytes(32))
        }

        private static func bytes(_ count: Int) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            precondition(RAND_bytes(&bytes, Int32(count)) == 1, "no random bytes from OpenSSL")
            return bytes
        }
    }

    /// Newest first.
    private let keys = Locked([Key.random()])

    /// Seals with a new key from now on.
    func rotate() {
        keys.withLock { keys in
            keys.insert(.random(), at: 0)
            if keys.count > TicketKeys.kept { keys.removeLast() }
        }
    }

    /// What OpenSSL's ticket callback answers.
    enum Answer: Int32 {
        case failed = -1
        /// No key of that name: the handshake goes on as a full one.
        case unknown = 0
        case ready = 1
        /// Opened; the client is to get a new ticket under the newest key.
        case renew = 2
    }

    /// Sets up cipher and MAC to seal a ticket, and writes the key's name and an IV.
    /// - Parameters:
    ///   - name: 16 bytes, written.
    ///   - initialization: 16 bytes, written.
    func seal(
        _ name: UnsafeMutablePointer<UInt8>, _ initialization: UnsafeMutablePointer<UInt8>,
        _ cipher: OpaquePointer, _ mac: OpaquePointer
    ) -> Answer {
        let key = keys.withLock { $0[0] }
        guard RAND_bytes(initialization, 16) == 1 else { return .failed }
        for (index, byte) in key.name.enumerated() { name[index] = byte }
        guard EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, initialization, nil) == 1,
            prepare(mac, key)
        else { return .failed }
        return .ready
    }

    /// Sets up cipher and MAC to open a ticket that names its key.
    func open(
        _ name: UnsafePointer<UInt8>, _ initialization: UnsafePointer<UInt8>,
        _ cipher: OpaquePointer, _ mac: OpaquePointer
    ) -> Answer {
        let wanted = UnsafeBufferPointer(start: name, count: 16)
        let found = keys.withLock { keys in
            keys.firstIndex { $0.name.elementsEqual(wanted) }.map { ($0, keys[$0]) }
        }
        guard let (age, key) = found else { return .unknown }
        guard EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, initialization, nil) == 1,
            prepare(mac, key)
        else { return .failed }
        return age == 0 ? .ready : .renew
    }

    private func prepare(_ mac: OpaquePointer, _ key: Key) -> Bool {
        copenssl_set_mac_key(mac, key.mac, key.mac.count) == 1
    }
}
