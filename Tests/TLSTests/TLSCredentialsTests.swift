// SPDX-License-Identifier: MIT
import Glibc
import TestSupport
import Testing

@testable import TLS

@Suite struct TLSCredentialsTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    private func files(
        _ name: String, _ hosts: [String], key: TestCertificate.Key = .ecdsa,
        hasEnded: Bool = false
    ) throws -> CertificateFiles {
        let made = try TestCertificate(
            in: folder, name: name, hosts: hosts, key: key, hasEnded: hasEnded)
        return CertificateFiles(certificate: made.certificate, key: made.key)
    }

    /// A client that has shaken hands.
    private func client(
        _ credentials: TLSCredentials, name: String?, ciphers: String? = nil
    ) throws -> TLSPeer {
        let peer = TLSPeer(
            serverName: name, version: ciphers == nil ? nil : .tls12, ciphers: ciphers)
        let wire = TLSWire()
        let session = try #require(credentials.makeSession(on: wire))
        let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: TLSSession.maxPlaintext(of: 65_536), alignment: 16)
        defer { room.deallocate() }
        while true {
            let bytes = peer.take()
            if bytes.isEmpty { break }
            _ = bytes.withUnsafeBytes { session.receive($0, into: room) }
            let output = wire.output
            wire.clearOutput()
            peer.feed(output)
        }
        #expect(peer.isEstablished)
        return peer
    }

    @Test func theCertificateOfTheServerNamedIsShown() throws {
        let credentials = try TLSCredentials([
            files("first", ["chat.example", "www.chat.example"]),
            files("second", ["other.example"]), files("third", ["*.wild.example"]),
        ])
        for (name, covered) in [
            ("chat.example", "chat.example"), ("www.chat.example", "chat.example"),
            ("other.example", "other.example"), ("OTHER.example", "other.example"),
            ("a.wild.example", "a.wild.example"),
            // The first for those it does not know: two labels are not one wildcard.
            ("a.b.wild.example", "chat.example"), ("unknown.example", "chat.example"),
            (nil, "chat.example"),
        ] as [(String?, String)] {
            #expect(try client(credentials, name: name).certificateCovers(covered), "\(name ?? "")")
        }
    }

    @Test func twoKindsOfKeyForOneNameServeBoth() throws {
        let credentials = try TLSCredentials([
            files("rsa", ["chat.example"], key: .rsa), files("ec", ["chat.example"]),
        ])
        let rsa = try client(
            credentials, name: "chat.example", ciphers: "ECDHE-RSA-AES128-GCM-SHA256")
        let ec = try client(
            credentials, name: "chat.example", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(rsa.certificateDigest != ec.certificateDigest)
    }

    @Test func aReloadIsForThoseWhoComeAfterIt() throws {
        let pair = try files("server", ["chat.example"])
        let credentials = try TLSCredentials([pair])
        let before = try client(credentials, name: nil).certificateDigest
        #expect(!credentials.filesHaveChanged)
        _ = try files("server", ["chat.example"])
        #expect(credentials.filesHaveChanged)
        #expect(try client(credentials, name: nil).certificateDigest == before)
        try credentials.reload()
        #expect(!credentials.filesHaveChanged)
        #expect(try client(credentials, name: nil).certificateDigest != before)
    }

    @Test func abadReloadKeepsWhatWasThere() throws {
        let pair = try files("server", ["chat.example"])
        let credentials = try TLSCredentials([pair])
        let before = try client(credentials, name: nil).certificateDigest

        let other = try files("other", ["chat.example"])
        try TestProgram.run(["cp", other.key, pair.key])
        #expect(throws: CertificateProblem.mismatch(pair)) { try credentials.reload() }
        // Told once: the files have not changed since.
        #expect(!credentials.filesHaveChanged)
        #expect(try client(credentials, name: nil).certificateDigest == before)

        try TestProgram.run(["cp", "/dev/null", pair.certificate])
        #expect(throws: CertificateProblem.self) { try credentials.reload() }
        try TestProgram.run(["rm", pair.certificate])
        #expect(
            throws: CertificateProblem.certificate(
                path: pair.certificate, reason: "No such file or directory")
        ) { try credentials.reload() }
        #expect(try client(credentials, name: nil).certificateDigest == before)

        // The second half of a replacement in two steps.
        try TestProgram.run(["cp", other.certificate, pair.certificate])
        #expect(credentials.filesHaveChanged)
        try credentials.reload()
        #expect(try client(credentials, name: nil).certificateDigest != before)
    }

    @Test func anEndedCertificateStartsButDoesNotReplaceOneInForce() throws {
        let ended = try files("ended", ["chat.example"], hasEnded: true)
        #expect(try TLSCredentials([ended]).notValidNow == [ended.certificate])

        let pair = try files("server", ["chat.example"])
        let credentials = try TLSCredentials([pair])
        #expect(credentials.notValidNow == [])
        let left = credentials.notAfter - Int64(time(nil))
        #expect((29 * 86_400...30 * 86_400).contains(left))
        try TestProgram.run(["cp", ended.certificate, pair.certificate])
        try TestProgram.run(["cp", ended.key, pair.key])
        #expect(throws: CertificateProblem.notValidNow(path: pair.certificate)) {
            try credentials.reload()
        }
        #expect(credentials.notValidNow == [])
    }

    @Test func wrongFilesAreNamed() throws {
        let pair = try files("server", ["chat.example"])
        let missing = CertificateFiles(certificate: pair.certificate, key: "/nowhere/key.pem")
        #expect(
            throws: CertificateProblem.key(
                path: "/nowhere/key.pem", reason: "No such file or directory")
        ) { try TLSCredentials([missing]) }
        let swapped = CertificateFiles(certificate: pair.key, key: pair.certificate)
        do throws(CertificateProblem) {
            _ = try TLSCredentials([swapped])
            Issue.record("taken")
        } catch {
            #expect("\(error)".hasPrefix("certificate \(pair.key): "))
            #expect(!"\(error)".contains("\n"))
        }
        let locked = folder.file("locked.key")
        try TestProgram.run([
            "openssl", "pkey", "-in", pair.key, "-aes256", "-passout", "pass:x", "-out", locked,
        ])
        #expect(throws: CertificateProblem.self) {
            try TLSCredentials([CertificateFiles(certificate: pair.certificate, key: locked)])
        }
    }
}
