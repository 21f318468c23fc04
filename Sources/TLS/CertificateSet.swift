// SPDX-License-Identifier: MIT
internal import COpenSSL
internal import Glibc

/// The certificates in force at one moment, as OpenSSL holds them: one `SSL_CTX` for each set of names.
/// Never changed once loaded: a reload makes another, and sessions keep the one they began with.
// SAFETY: an SSL_CTX whose set-up is over is only read, and its reference count is atomic; nothing
// here is changed after `init`.
final class CertificateSet: @unchecked Sendable {
    private struct Entry {
        let context: OpaquePointer
        /// The first certificate loaded; the context owns it.
        let certificate: OpaquePointer
        /// The subject alternative names as encoded, to see that two certificates are for the same.
        let names: [UInt8]
        var keyTypes: Set<Int32>
    }

    private var entries: [Entry] = []
    private let tickets: TicketKeys
    /// Seconds since 1970 of the first of the ends of all certificates.
    private(set) var notAfter = Int64.max
    /// Paths of certificates whose time is over or has not come.
    private(set) var notValidNow: [String] = []

    /// Reads all files. The first pair serves clients that name no server or an unknown one. A pair
    /// for the same names as an earlier one but with another kind of key (ECDSA beside RSA) joins it,
    /// and each client gets what it can verify.
    init(_ files: [CertificateFiles], tickets: TicketKeys) throws(CertificateProblem) {
        precondition(!files.isEmpty, "a server needs a certificate")
        self.tickets = tickets
        for pair in files { try add(pair) }
        // What decides for others: the context that every session begins with.
        copenssl_on_server_name(
            entries[0].context, Callbacks.serverName, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        for entry in entries { SSL_CTX_free(entry.context) }
    }

    /// A new session's `SSL`, to be freed by the caller. It must not outlive this set.
    func makeSession() -> OpaquePointer? { SSL_new(entries[0].context) }

    private func add(_ files: CertificateFiles) throws(CertificateProblem) {
        ErrorQueue.clear()
        let context = try CertificateSet.makeContext(tickets)
        var owned: OpaquePointer? = context
        defer { if let owned { SSL_CTX_free(owned) } }
        try CertificateSet.load(files, into: context)
        guard let certificate = SSL_CTX_get0_certificate(context) else {
            throw .certificate(path: files.certificate, reason: "holds none")
        }
        let end = CertificateSet.seconds(X509_get0_notAfter(certificate)) ?? .max
        let begin = CertificateSet.seconds(X509_get0_notBefore(certificate)) ?? .min
        notAfter = min(notAfter, end)
        let now = Int64(time(nil))
        if end <= now || begin > now { notValidNow.append(files.certificate) }

        let names = CertificateSet.names(certificate)
        let keyType = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate))
        if let index = entries.firstIndex(where: {
            $0.names == names && !$0.names.isEmpty && !$0.keyTypes.contains(keyType)
        }) {
            try CertificateSet.load(files, into: entries[index].context)
            entries[index].keyTypes.insert(keyType)
            return
        }
        entries.append(
            Entry(context: context, certificate: certificate, names: names, keyTypes: [keyType]))
        owned = nil
    }

    /// A context with everything but its certificate.
    private static func makeContext(_ tickets: TicketKeys) throws(CertificateProblem)
        -> OpaquePointer
    {
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw .library(reason: ErrorQueue.take())
        }
        // What the ciphers of TLS 1.2 have in common: forward secrecy and authenticated encryption.
        // Those of TLS 1.3 all have it, and OpenSSL's own list of them stands.
        let ciphers =
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
            + "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
            + "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
        // Without the finite-field groups of the default list: a client that picks the largest makes
        // the server calculate for milliseconds (CVE-2002-20001). The hybrid needs OpenSSL 3.5.
        let hasGroups =
            copenssl_set_groups(context, "X25519MLKEM768:X25519:P-256:P-384") == 1
            || copenssl_set_groups(context, "X25519:P-256:P-384") == 1
        guard hasGroups, copenssl_set_protocols(context, TLS1_2_VERSION, TLS1_3_VERSION) == 1,
            SSL_CTX_set_cipher_list(context, ciphers) == 1
        else {
            let reason = ErrorQueue.take()
            SSL_CTX_free(context)
            throw .library(reason: reason)
        }
        copenssl_set_options(context)
        copenssl_set_modes(context)
        copenssl_keep_no_sessions(context)
        SSL_CTX_set_timeout(context, TicketKeys.ticketLifetime)
        // One name for all: a ticket of one certificate set is good for the next.
        let name = Array("chat".utf8)
        SSL_CTX_set_session_id_context(context, name, UInt32(name.count))
        SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
        SSL_CTX_set_alpn_select_cb(context, Callbacks.protocolChoice, nil)
        SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(tickets).toOpaque())
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, Callbacks.ticketKey)
        return context
    }

    private static func load(
        _ files: CertificateFiles, into context: OpaquePointer
    ) throws(CertificateProblem) {
        // OpenSSL's own words for a file that is not there are about its tables.
        for (path, isKey) in [(files.certificate, false), (files.key, true)]
        where access(path, R_OK) != 0 {
            let reason = String(cString: strerror(errno))
            throw isKey
                ? .key(path: path, reason: reason) : .certificate(path: path, reason: reason)
        }
        guard SSL_CTX_use_certificate_chain_file(context, files.certificate) == 1 else {
            throw .certificate(path: files.certificate, reason: ErrorQueue.take())
        }
        guard SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM) == 1 else {
            let code = ERR_peek_error()
            let isOther = code >> 23 == UInt(ERR_LIB_X509)
            let reason = ErrorQueue.take()
            throw isOther ? .mismatch(files) : .key(path: files.key, reason: reason)
        }
        guard SSL_CTX_check_private_key(context) == 1 else {
            ErrorQueue.clear()
            throw .mismatch(files)
        }
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return Int64(timegm(&parts))
    }

    private static func names(_ certificate: OpaquePointer) -> [UInt8] {
        let index = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1)
        guard index >= 0, let field = X509_get_ext(certificate, index),
            let data = X509_EXTENSION_get_data(field)
        else { return [] }
        return Array(
            UnsafeBufferPointer(
                start: ASN1_STRING_get0_data(data), count: Int(ASN1_STRING_length(data))))
    }

    /// Gives a session the certificate of the server that its client named (RFC 6066 §3).
    fileprivate func choose(for session: OpaquePointer) -> Int32 {
        guard entries.count > 1, let name = copenssl_host_name(session) else {
            return SSL_TLSEXT_ERR_OK
        }
        for entry in entries where X509_check_host(entry.certificate, name, 0, 0, nil) == 1 {
            SSL_set_SSL_CTX(session, entry.context)
            return SSL_TLSEXT_ERR_OK
        }
        // An unknown name gets the first certificate rather than an alert: the client judges.
        return SSL_TLSEXT_ERR_NOACK
    }
}

/// What OpenSSL calls in the midst of a handshake, on the thread of the session's loop.
private enum Callbacks {
    static let serverName:
        @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?) ->
            Int32 = { session, _, set in
                guard let session, let set else { return SSL_TLSEXT_ERR_NOACK }
                // SAFETY: a session holds its set for as long as it lives.
                return Unmanaged<CertificateSet>.fromOpaque(set).takeUnretainedValue()
                    .choose(for: session)
            }

    /// ALPN (RFC 7301 §3.2): HTTP/1.1 where it is offered, else the handshake fails. Not called for a
    /// client that offers nothing.
    static let protocolChoice:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
            UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { _, chosen, chosenCount, offered, offeredCount, _ in
            guard let chosen, let chosenCount, let offered else {
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            let wanted = Array("http/1.1".utf8)
            let names = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
            var index = 0
            while index < names.count {
                let count = Int(names[index])
                let end = index + 1 + count
                guard end <= names.count else { break }
                if names[index + 1..<end].elementsEqual(wanted) {
                    // Points into the client's list, which OpenSSL allows and copies from.
                    chosen.pointee = offered + index + 1
                    chosenCount.pointee = UInt8(count)
                    return SSL_TLSEXT_ERR_OK
                }
                index = end
            }
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }

    static let ticketKey:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?,
            OpaquePointer?, OpaquePointer?, Int32
        ) -> Int32 = { session, name, initialization, cipher, mac, seals in
            guard let session, let name, let initialization, let cipher, let mac,
                let context = SSL_get_SSL_CTX(session), let data = SSL_CTX_get_ex_data(context, 0)
            else { return TicketKeys.Answer.failed.rawValue }
            // SAFETY: the certificate set of the session holds the keys.
            let keys = Unmanaged<TicketKeys>.fromOpaque(data).takeUnretainedValue()
            let answer =
                seals == 1
                ? keys.seal(name, initialization, cipher, mac)
                : keys.open(name, initialization, cipher, mac)
            return answer.rawValue
        }
}
