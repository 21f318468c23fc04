// SPDX-License-Identifier: MIT
internal import COpenSSL

/// The server's side of one TLS connection (RFC 8446, RFC 5246): ciphertext in, plaintext out, and the
/// other way round. Knows no descriptor.
///
///     handshake ──client's Finished──► established ──close_notify of ours──► finished
///         └──────────────┬──────────────────┘                (may still receive)
///                        ▼ alert, or bytes that are no TLS
///                      failed
///
/// Lives on one loop at a time; `move` takes it to another. Ciphertext to be sent is left in the
/// wire's `output` by every call. Peers cannot renegotiate.
package final class TLSSession {
    /// What came of ciphertext that was fed in.
    package enum Status: Hashable, Sendable {
        case open
        /// The peer has said that it sends no more (close_notify).
        case peerClosed
        /// Beyond use. An alert may be in the output. The reason is OpenSSL's own word for it.
        case failed(reason: String)
    }

    private let ssl: OpaquePointer
    private let certificates: CertificateSet
    private var wire: TLSWire
    private var hasFailed = false
    private var hasClosed = false

    /// Nil when memory is short.
    init?(_ certificates: CertificateSet, on wire: TLSWire) {
        ErrorQueue.clear()
        guard let ssl = certificates.makeSession() else { return nil }
        guard let bio = BIO_new(TLSWire.method) else {
            SSL_free(ssl)
            return nil
        }
        self.ssl = ssl
        self.certificates = certificates
        self.wire = wire
        BIO_set_data(bio, Unmanaged.passUnretained(wire).toOpaque())
        SSL_set_bio(ssl, bio, bio)  // owns it from here
        SSL_set_accept_state(ssl)
    }

    deinit { SSL_free(ssl) }

    /// Whether the handshake is over, so that plaintext may be sent.
    package var isEstablished: Bool { !hasFailed && SSL_is_init_finished(ssl) == 1 }

    /// Whether the handshake was short, as it went on from an earlier one (RFC 8446 §2.2).
    package var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// `TLSv1.2` or `TLSv1.3` once established.
    package var version: String { String(cString: SSL_get_version(ssl)) }

    /// The server that the client asked for (SNI), in force once the handshake has begun.
    package var serverName: String? { copenssl_host_name(ssl).map { String(cString: $0) } }

    /// Takes ciphertext in, all of it, and gives the plaintext it holds.
    /// - Parameter plaintext: at least `maxPlaintext(of: ciphertext.count)` bytes.
    /// - Returns: bytes of plaintext, and how the session stands after them.
    package func receive(
        _ ciphertext: UnsafeRawBufferPointer, into plaintext: UnsafeMutableRawBufferPointer
    ) -> (count: Int, status: Status) {
        precondition(plaintext.count >= TLSSession.maxPlaintext(of: ciphertext.count))
        guard !hasFailed else { return (0, .failed(reason: "failed before")) }
        ErrorQueue.clear()
        wire.source = ciphertext
        defer { wire.source = UnsafeRawBufferPointer(start: nil, count: 0) }
        var filled = 0
        while true {
            var count = 0
            let result = SSL_read_ex(
                ssl, plaintext.baseAddress! + filled, plaintext.count - filled, &count)
            if result == 1 {
                filled += count
                continue
            }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return (filled, .open)
            case SSL_ERROR_ZERO_RETURN: return (filled, .peerClosed)
            default:
                hasFailed = true
                return (filled, .failed(reason: ErrorQueue.take()))
            }
        }
    }

    /// Bytes of plaintext that ciphertext of a length can give: as many, and one record more whose
    /// first part came before.
    package static func maxPlaintext(of ciphertextCount: Int) -> Int {
        ciphertextCount + 16_384 + 256
    }

    /// Encrypts into the wire's output. Only once established.
    /// - Returns: false when the session is beyond use.
    package func send(_ plaintext: UnsafeRawBufferPointer) -> Bool {
        precondition(isEstablished || hasFailed, "nothing can be said before the handshake is over")
        guard !hasFailed, !hasClosed else { return false }
        guard !plaintext.isEmpty else { return true }
        ErrorQueue.clear()
        var count = 0
        // The sink takes everything, so this is never half done.
        guard SSL_write_ex(ssl, plaintext.baseAddress, plaintext.count, &count) == 1 else {
            hasFailed = true
            ErrorQueue.clear()
            return false
        }
        return true
    }

    /// Says that nothing more will be sent (RFC 8446 §6.1). Once; nothing before the handshake is over,
    /// and after a failure the alert was the last word.
    package func close() {
        guard isEstablished, !hasClosed else { return }
        hasClosed = true
        ErrorQueue.clear()
        _ = SSL_shutdown(ssl)
        ErrorQueue.clear()
    }

    /// Goes over to another loop's wire, on that loop's thread.
    package func move(to wire: TLSWire) {
        self.wire = wire
        BIO_set_data(SSL_get_rbio(ssl), Unmanaged.passUnretained(wire).toOpaque())
    }
}
