// SPDX-License-Identifier: MIT
internal import COpenSSL
internal import Glibc

/// A self-signed certificate and its key, made by the `openssl` command in a test's own folder.
package struct TestCertificate: Sendable {
    package enum Key: Sendable { case rsa, ecdsa }

    /// Paths of the PEM files.
    package let certificate: String
    package let key: String

    /// Makes a pair of files `NAME.crt` and `NAME.key` in the folder, replacing what is there.
    /// - Parameters:
    ///   - hosts: what it is for, as subject alternative names.
    ///   - hasEnded: whether its time is over.
    package init(
        in folder: TemporaryDirectory, name: String = "server", hosts: [String] = ["localhost"],
        key kind: Key = .ecdsa, hasEnded: Bool = false
    ) throws {
        certificate = folder.file("\(name).crt")
        key = folder.file("\(name).key")
        let algorithm =
            kind == .rsa ? ["rsa:2048"] : ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        let names = hosts.map { "DNS:\($0)" }.joined(separator: ",")
        var arguments = ["openssl", "req", "-x509", "-nodes", "-newkey"]
        arguments += algorithm
        arguments += ["-keyout", key, "-out", certificate, "-subj", "/CN=\(hosts[0])"]
        arguments += ["-addext", "subjectAltName=\(names),IP:127.0.0.1", "-days", "30"]
        try TestProgram.run(arguments)
        if hasEnded { try end() }
    }

    /// Signs the certificate again with an end in the past, which the command does not do.
    private func end() throws {
        guard let input = fopen(certificate, "r"), let keyInput = fopen(key, "r") else {
            throw TestSupportError("cannot read \(certificate)")
        }
        let signed = PEM_read_X509(input, nil, nil, nil)
        let signer = PEM_read_PrivateKey(keyInput, nil, nil, nil)
        fclose(input)
        fclose(keyInput)
        X509_gmtime_adj(X509_getm_notBefore(signed), -7200)
        X509_gmtime_adj(X509_getm_notAfter(signed), -3600)
        X509_sign(signed, signer, EVP_sha256())
        guard let output = fopen(certificate, "w") else {
            throw TestSupportError("cannot write \(certificate)")
        }
        PEM_write_X509(output, signed)
        fclose(output)
        X509_free(signed)
        EVP_PKEY_free(signer)
    }
}

/// Programs that a test runs for what they leave behind.
package enum TestProgram {
    /// Runs a program of the search path to its end, without input and output.
    /// - Throws: `TestSupportError` when it is not there or ends with another code than 0.
    package static func run(_ arguments: [String]) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in 0...2 as ClosedRange<Int32> {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, "/dev/null", descriptor == 0 ? O_RDONLY : O_WRONLY, 0)
        }
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        guard posix_spawnp(&process, arguments[0], &actions, nil, &words, environ) == 0 else {
            throw TestSupportError("cannot run \(arguments[0])")
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            throw TestSupportError("\(arguments.joined(separator: " ")) ended with \(status)")
        }
    }
}
