// SPDX-License-Identifier: MIT
import Glibc
import TestSupport
import Testing

@testable import TLS

/// Both sides of one connection on memory.
private final class Pair {
    let wire = TLSWire()
    let server: TLSSession
    let client: TLSPeer
    var received: [UInt8] = []
    var status = TLSSession.Status.open
    private let plaintext = UnsafeMutableRawBufferPointer.allocate(
        byteCount: TLSSession.maxPlaintext(of: 65_536), alignment: 16)

    init(_ credentials: TLSCredentials, _ client: TLSPeer) throws {
        self.client = client
        server = try #require(credentials.makeSession(on: wire))
    }

    deinit { plaintext.deallocate() }

    /// Gives the server ciphertext and the client what the server says to it.
    func feed(_ ciphertext: [UInt8]) {
        let (count, status) = ciphertext.withUnsafeBytes { server.receive($0, into: plaintext) }
        received += plaintext[..<count]
        self.status = status
        reply()
    }

    /// Gives the client what the server has said.
    func reply() {
        let output = wire.output
        wire.clearOutput()
        client.feed(output)
    }

    /// Exchanges until neither has anything to say.
    func settle(cut: Int = .max) {
        while true {
            var bytes = client.take()
            guard !bytes.isEmpty else { return }
            while !bytes.isEmpty {
                let count = min(cut, bytes.count)
                feed(Array(bytes[..<count]))
                bytes.removeFirst(count)
            }
        }
    }

    func say(_ bytes: [UInt8]) -> Bool {
        defer { reply() }
        return bytes.withUnsafeBytes { server.send($0) }
    }
}

@Suite struct TLSSessionTests {
    private let folder: TemporaryDirectory
    private let credentials: TLSCredentials

    init() throws {
        folder = try TemporaryDirectory()
        let made = try TestCertificate(in: folder)
        credentials = try TLSCredentials([
            CertificateFiles(certificate: made.certificate, key: made.key)
        ])
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13], [1, 2, 7, 100, Int.max])
    func aHandshakeCutAnywhereSucceeds(version: TLSPeer.Version, cut: Int) throws {
        let pair = try Pair(credentials, TLSPeer(serverName: "localhost", version: version))
        #expect(!pair.server.isEstablished)
        pair.settle(cut: cut)
        #expect(pair.server.isEstablished)
        #expect(pair.client.isEstablished)
        #expect(pair.server.version == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        #expect(pair.server.serverName == "localhost")

        pair.client.write(Array("question".utf8))
        pair.settle(cut: cut)
        #expect(pair.received == Array("question".utf8))
        let said = pair.say(Array("answer".utf8))
        #expect(said)
        #expect(pair.client.read() == Array("answer".utf8))
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13])
    func manyRecordsComeOutWhole(version: TLSPeer.Version) throws {
        let pair = try Pair(credentials, TLSPeer(version: version))
        pair.settle()
        let large = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        pair.client.write(large)
        pair.settle(cut: 65_536)
        #expect(pair.received == large)
        let said = pair.say(large)
        #expect(said)
        #expect(pair.client.read() == large)
    }

    @Test func whatIsFedInOnePieceWithTheHandshakeIsNotLost() throws {
        let pair = try Pair(credentials, TLSPeer(version: .tls13))
        pair.feed(pair.client.take())
        #expect(pair.client.isEstablished)
        pair.client.write(Array("early bird".utf8))
        pair.feed(pair.client.take())
        #expect(pair.server.isEstablished)
        #expect(pair.received == Array("early bird".utf8))
    }

    @Test(
        arguments: [
            (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), ([], ""),
        ] as [([String], String)])
    func http11IsChosen(offered: [String], chosen: String) throws {
        let pair = try Pair(credentials, TLSPeer(protocols: offered))
        pair.settle()
        #expect(pair.server.isEstablished)
        #expect(pair.client.chosenProtocol == chosen)
    }

    @Test(arguments: [["h2"], ["h2", "http/1.0"], ["HTTP/1.1"], ["http/1.10"]])
    func otherProtocolsAreRefused(offered: [String]) throws {
        let pair = try Pair(credentials, TLSPeer(protocols: offered))
        pair.settle()
        #expect(!pair.server.isEstablished)
        #expect(pair.status != .open)
        #expect(pair.client.failure?.contains("no application protocol") == true)
    }

    @Test(arguments: ["AES128-SHA", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
    func ciphersWithoutForwardSecrecyOrAuthenticationAreRefused(cipher: String) throws {
        let pair = try Pair(
            credentials, TLSPeer(version: .tls12, ciphers: "\(cipher):@SECLEVEL=0"))
        pair.settle()
        #expect(!pair.server.isEstablished)
        #expect(pair.status != .open)
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13])
    func aSessionIsResumedAlsoAfterItsCertificateAndTicketKeyWereReplaced(
        version: TLSPeer.Version
    ) throws {
        let first = try Pair(credentials, TLSPeer(serverName: "localhost", version: version))
        first.settle()
        _ = first.say([1])
        let session = try #require(first.client.session)
        #expect(!first.server.isResumed)

        _ = try TestCertificate(in: folder)
        try credentials.reload()
        credentials.rotateTicketKeys()
        let second = try Pair(
            credentials,
            TLSPeer(serverName: "localhost", version: version, resuming: session))
        second.settle()
        #expect(second.server.isResumed)
        #expect(second.client.isResumed)
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13])
    func aTicketOfAForgottenKeyMeansAFullHandshake(version: TLSPeer.Version) throws {
        let first = try Pair(credentials, TLSPeer(version: version))
        first.settle()
        _ = first.say([1])
        let session = try #require(first.client.session)
        for _ in 0..<TicketKeys.kept { credentials.rotateTicketKeys() }
        let second = try Pair(credentials, TLSPeer(version: version, resuming: session))
        second.settle()
        #expect(second.server.isEstablished)
        #expect(!second.server.isResumed)
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13])
    func closeNotifyIsSaidOnceAndHeard(version: TLSPeer.Version) throws {
        let pair = try Pair(credentials, TLSPeer(version: version))
        pair.settle()
        pair.server.close()
        #expect(!pair.wire.output.isEmpty)
        pair.reply()
        #expect(pair.client.sawClose)
        pair.server.close()
        #expect(pair.wire.output.isEmpty)
        let said = pair.say([1])
        #expect(!said)

        // The other half is open still.
        pair.client.write([7])
        pair.client.close()
        pair.settle()
        #expect(pair.received == [7])
        #expect(pair.status == .peerClosed)
    }

    @Test func nothingIsSaidWhenClosedBeforeTheHandshake() throws {
        let pair = try Pair(credentials, TLSPeer())
        pair.server.close()
        #expect(pair.wire.output.isEmpty)
    }

    @Test func bytesThatAreNoTLSFail() throws {
        let pair = try Pair(credentials, TLSPeer())
        pair.feed(Array("SSH-2.0-OpenSSH_9.2p1\r\n".utf8))
        guard case .failed = pair.status else {
            Issue.record("still \(pair.status)")
            return
        }
        // And again, without a trap.
        pair.feed([22, 3, 1])
        #expect(pair.status == .failed(reason: "failed before"))
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13])
    func aRecordThatWasTamperedWithFails(version: TLSPeer.Version) throws {
        let pair = try Pair(credentials, TLSPeer(version: version))
        pair.settle()
        pair.client.write(Array("question".utf8))
        var bytes = pair.client.take()
        bytes[bytes.count - 1] ^= 1
        pair.feed(bytes)
        #expect(pair.received == [])
        guard case .failed = pair.status else {
            Issue.record("still \(pair.status)")
            return
        }
        let said = pair.say([1])
        #expect(!said)
    }

    @Test func keysAreUpdatedWhenThePeerAsks() throws {
        let pair = try Pair(credentials, TLSPeer(version: .tls13))
        pair.settle()
        for round in 0..<5 as Range<UInt8> {
            pair.client.updateKeys()
            pair.client.write([round])
            pair.settle()
            let said = pair.say([round])
            #expect(said)
            #expect(pair.client.read() == [round])
        }
        #expect(pair.received == [0, 1, 2, 3, 4])
    }

    @Test func aPeerCannotRenegotiate() throws {
        let pair = try Pair(credentials, TLSPeer(version: .tls12))
        pair.settle()
        pair.client.renegotiate()
        pair.settle()
        // A warning (no_renegotiation) is the answer, on which OpenSSL's client gives up with an alert.
        #expect(pair.client.failure != nil)
        #expect(pair.status == .failed(reason: "sslv3 alert handshake failure"))
    }

    @Test func aSessionGoesOnOverAnotherWire() throws {
        let pair = try Pair(credentials, TLSPeer())
        pair.settle()
        let other = TLSWire()
        pair.server.move(to: other)
        pair.client.write(Array("moved".utf8))
        let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: TLSSession.maxPlaintext(of: 4096), alignment: 16)
        defer { room.deallocate() }
        let (count, status) = pair.client.take().withUnsafeBytes {
            pair.server.receive($0, into: room)
        }
        #expect(Array(room[..<count]) == Array("moved".utf8))
        #expect(status == .open)
        let said = [UInt8](repeating: 1, count: 3).withUnsafeBytes { pair.server.send($0) }
        #expect(said)
        #expect(pair.wire.output.isEmpty)
        pair.client.feed(other.output)
        #expect(pair.client.read() == [1, 1, 1])
    }
}
