// SPDX-License-Identifier: MIT
internal import COpenSSL

/// The client's side of a TLS connection on memory alone, for tests of ours: another implementation
/// of the protocol than the one under test in so far as OpenSSL's client is another than its server.
package final class TLSPeer {
    package enum Version: Int32, Sendable { case tls12 = 0x0303, tls13 = 0x0304 }

    /// What resumes a session: taken from one peer, given to the next.
    package final class Session {
        fileprivate let pointer: OpaquePointer
        fileprivate init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { SSL_SESSION_free(pointer) }
    }

    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    /// Plaintext received and not yet taken by `read`.
    private var received: [UInt8] = []
    /// Whether the server has said close_notify.
    package private(set) var sawClose = false
    /// OpenSSL's word for what broke the connection: the alert's name, when the server sent one.
    package private(set) var failure: String?

    package init(
        serverName: String? = nil, protocols: [String] = [], version: Version? = nil,
        ciphers: String? = nil, resuming session: Session? = nil
    ) {
        context = SSL_CTX_new(TLS_client_method())
        if let version {
            _ = copenssl_set_protocols(context, version.rawValue, version.rawValue)
        }
        if let ciphers { SSL_CTX_set_cipher_list(context, ciphers) }
        ssl = SSL_new(context)
        incoming = BIO_new(BIO_s_mem())
        outgoing = BIO_new(BIO_s_mem())
        SSL_set_bio(ssl, incoming, outgoing)
        SSL_set_connect_state(ssl)
        if let serverName { _ = copenssl_set_server_name(ssl, serverName) }
        if !protocols.isEmpty {
            let list = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
            SSL_set_alpn_protos(ssl, list, UInt32(list.count))
        }
        if let session { SSL_set_session(ssl, session.pointer) }
        advance()
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    package var isEstablished: Bool { SSL_is_init_finished(ssl) == 1 }
    package var isResumed: Bool { SSL_session_reused(ssl) == 1 }
    package var version: String { String(cString: SSL_get_version(ssl)) }
    /// The protocol chosen by ALPN; empty when none was.
    package var chosenProtocol: String {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        return String(
            decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// The session to resume: complete once something was received behind the handshake.
    package var session: Session? { SSL_get1_session(ssl).map(Session.init) }

    /// Whether the server's certificate is for that name.
    package func certificateCovers(_ name: String) -> Bool {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return false }
        defer { X509_free(certificate) }
        return X509_check_host(certificate, name, 0, 0, nil) == 1
    }

    /// SHA-256 of the server's certificate: tells one from the next.
    package var certificateDigest: [UInt8] {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return [] }
        defer { X509_free(certificate) }
        var digest = [UInt8](repeating: 0, count: 32)
        X509_digest(certificate, EVP_sha256(), &digest, nil)
        return digest
    }

    /// Takes ciphertext from the server.
    package func feed(_ bytes: [UInt8]) {
        if !bytes.isEmpty { BIO_write(incoming, bytes, Int32(bytes.count)) }
        advance()
    }

    /// Ciphertext for the server.
    package func take() -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = BIO_read(outgoing, &buffer, Int32(buffer.count))
            guard count > 0 else { return all }
            all += buffer[..<Int(count)]
        }
    }

    /// Encrypts for the server; once established.
    package func write(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        SSL_write(ssl, bytes, Int32(bytes.count))
    }

    /// Plaintext received since the last call.
    package func read() -> [UInt8] {
        defer { received = [] }
        return received
    }

    /// Says close_notify.
    package func close() { SSL_shutdown(ssl) }

    /// Asks for new keys in TLS 1.3 and for the server's in answer.
    package func updateKeys() {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
        SSL_do_handshake(ssl)
    }

    /// Begins a second handshake over the first, as TLS 1.2 allows clients to ask for.
    package func renegotiate() {
        SSL_renegotiate(ssl)
        SSL_do_handshake(ssl)
    }

    private func advance() {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            ERR_clear_error()
            let count = SSL_read(ssl, &buffer, Int32(buffer.count))
            if count > 0 {
                received += buffer[..<Int(count)]
                continue
            }
            switch SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
            case SSL_ERROR_ZERO_RETURN:
                sawClose = true
                return
            default:
                let code = ERR_get_error()
                failure = ERR_reason_error_string(code).map { String(cString: $0) } ?? "unknown"
                return
            }
        }
    }
}

/// A blocking client that speaks TLS over TCP to a server of ours.
package final class SecureClient {
    package let peer: TLSPeer
    package let raw: RawClient

    /// - Parameter receiveBuffer: bytes of SO_RCVBUF: a small one makes a slow reader.
    package init(
        port: Int, _ peer: TLSPeer = TLSPeer(serverName: "localhost"), receiveBuffer: Int32? = nil
    ) {
        self.peer = peer
        raw = RawClient(port: port, receiveBuffer: receiveBuffer)
        raw.send(peer.take())
        while !peer.isEstablished, peer.failure == nil, receive() {}
    }

    /// Sends plaintext.
    package func send(_ text: String) { send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) {
        peer.write(bytes)
        raw.send(peer.take())
    }

    /// Takes what comes next from the server. False at its end, and after two seconds of silence.
    package func receive() -> Bool {
        let bytes = raw.read()
        peer.feed(bytes)
        raw.send(peer.take())
        return !bytes.isEmpty
    }

    /// Everything up to `end`, and what has come behind it.
    package func read(until end: String) -> String {
        var text = ""
        repeat {
            text += String(decoding: peer.read(), as: UTF8.self)
        } while !text.contains(end) && receive()
        return text
    }

    /// Everything up to the server's end.
    package func readToEnd() -> [UInt8] {
        var all: [UInt8] = []
        repeat { all += peer.read() } while receive()
        return all + peer.read()
    }
}
