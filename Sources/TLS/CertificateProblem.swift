// SPDX-License-Identifier: MIT
internal import COpenSSL

/// Files that are asked for by name: a chain and the key of its first certificate, both PEM.
package struct CertificateFiles: Hashable, Sendable {
    /// The server's certificate, then those that lead to a root, without the root.
    package let certificate: String
    /// The private key, not encrypted: nobody is there to type a passphrase.
    package let key: String

    package init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

/// Why certificates cannot be used. The description is one line that names the file.
package enum CertificateProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The chain cannot be read, or holds no certificate.
    case certificate(path: String, reason: String)
    /// The key cannot be read, or is encrypted.
    case key(path: String, reason: String)
    /// The key is of another certificate.
    case mismatch(CertificateFiles)
    /// The certificate has ended, or not begun: refused when it would replace one in force.
    case notValidNow(path: String)
    /// OpenSSL cannot be set up: out of memory, or a build without what is needed.
    case library(reason: String)

    package var description: String {
        switch self {
        case .certificate(let path, let reason): "certificate \(path): \(reason)"
        case .key(let path, let reason): "key \(path): \(reason)"
        case .mismatch(let files):
            "key \(files.key) does not belong to certificate \(files.certificate)"
        case .notValidNow(let path): "certificate \(path): not valid today"
        case .library(let reason): "OpenSSL: \(reason)"
        }
    }
}

/// OpenSSL's queue of errors of the calling thread.
enum ErrorQueue {
    /// Forgets what earlier calls left: what is read after a call must be that call's.
    static func clear() { ERR_clear_error() }

    /// Empties the queue. The reason of the innermost failure, which names the cause.
    static func take() -> String {
        let code = ERR_get_error()
        defer { ERR_clear_error() }
        guard code != 0 else { return "no reason given" }
        if let reason = ERR_reason_error_string(code) { return String(cString: reason) }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(code, &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
