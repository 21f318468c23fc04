// SPDX-License-Identifier: MIT
import Glibc
import HTTPClient
import JSON
import TestSupport
import Testing

/// ChatService as a process that speaks HTTPS itself.
@Suite struct SecureServiceTests {
    private let folder: TemporaryDirectory
    private let certificate: TestCertificate
    private let port: UInt16
    private let program: Program

    /// Alone, since nothing here signs in: whoever looks for AuthService finds a closed port.
    init() throws {
        folder = try TemporaryDirectory()
        certificate = try TestCertificate(in: folder)
        port = try LoopbackPort.reserve()
        program = try Program(
            "ChatService",
            environment: [
                "CHAT_PORT": "\(port)", "CHAT_DATA_DIR": folder.file("chat"), "CHAT_LOOPS": "1",
                "CHAT_SERVICE_SECRET": CommandLineTests.secret, "LOG_LEVEL": "notice",
                "AUTH_URL": "http://127.0.0.1:1", "TLS_CERT_FILE": certificate.certificate,
                "TLS_KEY_FILE": certificate.key,
            ], output: folder.file("log"))
    }

    /// The status of `/healthz` for a client that trusts nothing but the certificate in a file.
    private func status(trusting file: String) throws(HTTPClientError) -> Int {
        try perform(
            Request(
                url: "https://localhost:\(port)/healthz", authoritiesFile: file,
                keepsConnection: false)
        ).status
    }

    private func answers(trusting file: String) -> Bool { (try? status(trusting: file)) == 200 }

    private var log: String { TextFile.read(folder.file("log")) }

    @Test func answersHTTPSOnly() throws {
        #expect(
            eventually { answers(trusting: certificate.certificate) }, "\(program.lastLines)")
        let stranger = try TestCertificate(in: folder, name: "stranger")
        #expect(throws: HTTPClientError.self) { try status(trusting: stranger.certificate) }
        let plain = try HTTP.call("GET", "http://127.0.0.1:\(port)/healthz")
        #expect(plain.status == 400)
        #expect(try plain.json()["code"]?.string == "tls_required")
        program.send(signal: SIGTERM)
        #expect(program.wait() == .exited(0))
    }

    @Test func readsItsCertificateAgainOnHangUp() throws {
        let first = folder.file("first.crt")
        try TextFile.write(TextFile.read(certificate.certificate), to: first)
        #expect(eventually { answers(trusting: first) }, "\(program.lastLines)")
        // Unchanged files are read for nobody but the signal.
        program.send(signal: SIGHUP)
        #expect(eventually { log.contains("certificates read again") }, "\(log)")
        #expect(answers(trusting: first))

        let second = try TestCertificate(in: folder)
        program.send(signal: SIGHUP)
        #expect(eventually { answers(trusting: second.certificate) }, "\(log)")
        #expect(throws: HTTPClientError.self) { try status(trusting: first) }

        let kept = folder.file("second.crt")
        try TextFile.write(TextFile.read(second.certificate), to: kept)
        try TextFile.write("not a certificate\n", to: second.certificate)
        program.send(signal: SIGHUP)
        #expect(
            eventually {
                log.contains("certificates kept as they were") && log.contains(second.certificate)
            }, "\(log)")
        #expect(answers(trusting: kept))
    }
}
