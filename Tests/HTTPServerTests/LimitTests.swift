// SPDX-License-Identifier: MIT
import Addresses
import Glibc
import HTTP1
import Metrics
import Reactor
import TLS
import TestSupport
import Testing

@testable import HTTPServer

/// Every bound of the server over real sockets: at the limit, and one past it.
@Suite struct LimitTests {
    private static func start(
        _ adjust: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> Running {
        try Running(adjust) { router in
            router.on("GET", "/ok", .immediate { _ in .text("fine") })
            router.on("POST", "/echo", .immediate { .text("\($0.body.count)") })
            router.on("GET", "/address", .immediate { .text("\($0.address) \($0.isSecure)") })
            router.on(
                "GET", "/text",
                .blocking { _ in .text(String(repeating: "much the same ", count: 500)) })
        }
    }

    /// The whole answer to one request, read to the server's end if there is one.
    private static func ask(_ running: Running, _ request: String) -> (String, hasEnded: Bool) {
        let client = RawClient(port: running.port)
        client.send(request)
        let (head, body) = client.readResponse()
        if head.lowercased().contains("connection: close") { _ = client.read() }
        return (head + body, client.hasEnded)
    }

    @Test func theRequestLineIsHeldToItsLength() throws {
        let running = try Self.start { $0.http.maxRequestLineBytes = 100 }
        func line(_ count: Int) -> String {
            "GET /ok?" + String(repeating: "x", count: count - 17) + " HTTP/1.1\r\nHost: x\r\n\r\n"
        }
        #expect(Self.ask(running, line(100)).0.hasPrefix("HTTP/1.1 200 "))
        let (answer, hasEnded) = Self.ask(running, line(101))
        #expect(answer.hasPrefix("HTTP/1.1 414 "))
        #expect(hasEnded)
    }

    @Test func fieldsAreHeldToTheirNumber() throws {
        let running = try Self.start { $0.http.maxFields = 10 }
        func request(_ count: Int) -> String {
            "GET /ok HTTP/1.1\r\nHost: x\r\n" + String(repeating: "a: b\r\n", count: count - 1)
                + "\r\n"
        }
        #expect(Self.ask(running, request(10)).0.hasPrefix("HTTP/1.1 200 "))
        let (answer, hasEnded) = Self.ask(running, request(11))
        #expect(answer.hasPrefix("HTTP/1.1 431 "))
        #expect(hasEnded)
    }

    @Test func fieldsAreHeldToTheirBytes() throws {
        let running = try Self.start { $0.http.maxFieldBytes = 100 }
        func request(_ count: Int) -> String {
            // "Host: x" and its line end are 9 bytes, "a: " and its line end 5.
            "GET /ok HTTP/1.1\r\nHost: x\r\na: " + String(repeating: "b", count: count - 14)
                + "\r\n\r\n"
        }
        #expect(Self.ask(running, request(100)).0.hasPrefix("HTTP/1.1 200 "))
        let (answer, hasEnded) = Self.ask(running, request(101))
        #expect(answer.hasPrefix("HTTP/1.1 431 "))
        #expect(hasEnded)
    }

    @Test(
        "RFC 9112 §9.3: a body MUST be read whole or the connection closed: 413, at the limit and one past it"
    )
    func bodiesAreHeldToTheirBytes() throws {
        let running = try Self.start { $0.http.maxBodyBytes = 100 }
        func plain(_ count: Int) -> String {
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \(count)\r\n\r\n"
                + String(repeating: "x", count: count)
        }
        func chunked(_ count: Int) -> String {
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n"
                + String(repeating: "x", count: 50) + "\r\n\(String(count - 50, radix: 16))\r\n"
                + String(repeating: "x", count: count - 50) + "\r\n0\r\n\r\n"
        }
        for request in [plain, chunked] {
            #expect(Self.ask(running, request(100)).0.hasSuffix("100"))
            let (answer, hasEnded) = Self.ask(running, request(101))
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(hasEnded)
        }
    }

    /// Each answer to a request that waits makes room for no more than one: what a peer may send ahead of
    /// its answers is what the kernel keeps, and one read beside what is being parsed.
    @Test func requestsAreNotReadFarAheadOfTheirAnswers() throws {
        let running = try Running { router in
            router.on(
                "GET", "/later",
                .blocking { _ in
                    usleep(1000)
                    return .text("late")
                })
        }
        let client = RawClient(port: running.port)
        let requests = String(repeating: "GET /later HTTP/1.1\r\nHost: x\r\n\r\n", count: 2000)
        // The kernel's own buffers may grow to 38 MB; a read for each answer would make it 150.
        #expect(client.pour(Array(requests.utf8), for: 3000) < 48 << 20)
    }

    @Test("RFC 9110 §10.1.1: an unwanted body is refused instead of 100, and before it is sent")
    func aLongBodyIsRefusedBeforeItIsSent() throws {
        let running = try Self.start { $0.http.maxBodyBytes = 100 }
        let (answer, hasEnded) = Self.ask(
            running,
            "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 413 "))
        #expect(hasEnded)
    }

    @Test(arguments: ["G", "GET /ok HTTP/1.1\r\nHost: x\r\n"])
    func headsAreHeldToTheirTime(part: String) throws {
        let running = try Self.start { $0.headerTimeout = .milliseconds(200) }
        let client = RawClient(port: running.port)
        client.send(part)
        let answer = client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 408 "))
        #expect(client.hasEnded)
    }

    @Test func headsThatTrickleAreHeldToTheirTimeInAll() throws {
        let running = try Self.start { $0.headerTimeout = .milliseconds(300) }
        let client = RawClient(port: running.port)
        for byte in "GET /ok HTTP/1.1".utf8 {
            client.send([byte])
            usleep(50_000)
        }
        #expect(client.readToEnd().hasPrefix("HTTP/1.1 408 "))
        #expect(client.hasEnded)
    }

    @Test func bodiesAreHeldToTheirTime() throws {
        let running = try Self.start { $0.bodyTimeout = .milliseconds(200) }
        let client = RawClient(port: running.port)
        client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        #expect(client.readToEnd().hasPrefix("HTTP/1.1 408 "))
        #expect(client.hasEnded)
    }

    @Test func idleConnectionsAreHeldToTheirTimeWithoutAWord() throws {
        let running = try Self.start { $0.idleTimeout = .milliseconds(300) }
        let silent = RawClient(port: running.port)
        #expect(silent.readToEnd() == "")
        #expect(silent.hasEnded)
        let client = RawClient(port: running.port)
        for _ in 0..<3 {
            usleep(150_000)
            client.send("GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.readResponse().body == "fine")
        }
        #expect(client.readToEnd() == "")
        #expect(client.hasEnded)
    }

    @Test(
        "RFC 9110 §9.3.7: OPTIONS is answered for a path, with what it allows, and for the server",
        arguments: ["OPTIONS * HTTP/1.1", "OPTIONS /ok HTTP/1.1", "OPTIONS /nothing HTTP/1.1"])
    func optionsAreAnswered(line: String) throws {
        let running = try Self.start()
        let (answer, _) = Self.ask(running, "\(line)\r\nHost: x\r\n\r\n")
        let status = line.contains("nothing") ? "404" : "204"
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        if line.contains("/ok") { #expect(answer.contains("allow: GET, HEAD, OPTIONS\r\n")) }
    }

    @Test("RFC 9110 §9.3.2: HEAD is answered with GET's own fields and MUST NOT have content")
    func headAnswersWhatGetWouldWithoutTheBody() throws {
        let running = try Self.start()
        for (path, accept) in [("/ok", "identity"), ("/text", "identity"), ("/text", "gzip")] {
            let rest = "\(path) HTTP/1.1\r\nHost: x\r\nAccept-Encoding: \(accept)\r\n\r\n"
            let client = RawClient(port: running.port)
            client.send("GET \(rest)")
            func undated(_ head: String) -> [Substring] {
                head.split(separator: "\r\n").filter { !$0.hasPrefix("date:") }
            }
            let get = undated(client.readResponse().head)
            client.send("HEAD \(rest)GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(undated(client.read(until: "\r\n\r\n")) == get)
            #expect(client.readResponse().body == "fine")
        }
    }

    @Test("RFC 9110 §12.5.3: a coding is used only for who takes it")
    func textIsCompressedForThoseWhoTakeIt() throws {
        let running = try Self.start()
        let client = RawClient(port: running.port)
        client.send("GET /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        let head = client.readResponse().head
        #expect(head.contains("content-encoding: gzip\r\n"))
        #expect(head.contains("vary: Accept-Encoding\r\n"))
        client.send("GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
        let (plain, body) = client.readResponse()
        #expect(!plain.contains("content-encoding"))
        #expect(body.utf8.count == 7000)
    }

    // MARK: PROXY protocol

    private static func behindProxy(
        _ adjust: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> Running {
        let loopback = try #require(NetworkRange("127.0.0.0/8"))
        return try start {
            $0.trustedProxies = [loopback]
            $0.readsProxyHeaders = true
            adjust(&$0)
        }
    }

    private static let request = "GET /address HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test func theAddressInTheHeaderIsTheClients() throws {
        let running = try Self.behindProxy()
        let header = "PROXY TCP4 192.0.2.7 10.0.0.1 5678 443\r\n"
        for cut in [0, 1, 20, header.utf8.count, header.utf8.count + 5] {
            let client = RawClient(port: running.port)
            let bytes = Array((header + Self.request).utf8)
            client.send(Array(bytes[..<cut]))
            usleep(5000)
            client.send(Array(bytes[cut...]))
            #expect(client.readResponse().body == "192.0.2.7 false")
            client.send(Self.request)
            #expect(client.readResponse().body == "192.0.2.7 false")
        }
        #expect(
            Self.ask(running, "PROXY UNKNOWN\r\n\(Self.request)").0.hasSuffix("127.0.0.1 false"))
    }

    @Test func aBinaryHeaderTellsOfTLSToo() throws {
        let running = try Self.behindProxy()
        let client = RawClient(port: running.port)
        client.send(
            [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x21, 0x11, 0, 20]
                + [192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 1, 0xBB] + [0x20, 0, 5, 1, 0, 0, 0, 0]
                + Array(Self.request.utf8))
        #expect(client.readResponse().body == "192.0.2.7 true")
    }

    @Test(arguments: ["GET / HTTP/1.1\r\n", "PROXY nonsense\r\n", "\r\n\r\n\u{0}x", "x"])
    func aTrustedProxyWithoutAHeaderIsCutOff(bytes: String) throws {
        let running = try Self.behindProxy()
        let client = RawClient(port: running.port)
        client.send(bytes)
        #expect(client.readToEnd() == "")
        #expect(client.hasEnded)
    }

    @Test func aHeaderThatDoesNotComeIsNotWaitedFor() throws {
        let running = try Self.behindProxy { $0.handshakeTimeout = .milliseconds(200) }
        let client = RawClient(port: running.port)
        client.send("PROXY TCP4 192")
        #expect(client.readToEnd() == "")
        #expect(client.hasEnded)
    }

    @Test func aHeaderOfAnybodyElseIsNoRequest() throws {
        let running = try Self.start { $0.readsProxyHeaders = true }
        let (answer, hasEnded) = Self.ask(
            running, "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n\(Self.request)")
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(hasEnded)
    }

    @Test func clientsBehindAProxyAreCountedByTheirOwnAddress() throws {
        let running = try Self.behindProxy { $0.maxConnectionsPerAddress = 2 }
        func open(_ address: String) -> RawClient {
            let client = RawClient(port: running.port)
            client.send("PROXY TCP4 \(address) 10.0.0.1 5678 443\r\n\(Self.request)")
            return client
        }
        let first = [open("192.0.2.7"), open("192.0.2.7"), open("192.0.2.8")]
        for client in first { #expect(client.readResponse().body.hasPrefix("192.0.2.")) }
        let third = open("192.0.2.7")
        #expect(third.readToEnd() == "")
        #expect(third.hasEnded)
        #expect(eventually { running.server.admission.count == 3 })
    }

    @Test func aHeaderComesAheadOfTheHandshake() throws {
        let folder = try TemporaryDirectory()
        let made = try TestCertificate(in: folder)
        let credentials = try TLSCredentials([
            CertificateFiles(certificate: made.certificate, key: made.key)
        ])
        let running = try Self.behindProxy { $0.tls = credentials }
        let header = Array("PROXY TCP4 192.0.2.7 10.0.0.1 5678 443\r\n".utf8)
        for isGlued in [true, false] {
            let peer = TLSPeer(serverName: "localhost")
            let raw = RawClient(port: running.port)
            let hello = peer.take()
            if isGlued {
                raw.send(header + hello)
            } else {
                raw.send(header)
                usleep(5000)
                raw.send(hello)
            }
            while !peer.isEstablished {
                let bytes = raw.read()
                if bytes.isEmpty { break }
                peer.feed(bytes)
                raw.send(peer.take())
            }
            peer.write(Array(Self.request.utf8))
            raw.send(peer.take())
            var answer: [UInt8] = []
            while !String(decoding: answer, as: UTF8.self).hasSuffix("true") {
                let bytes = raw.read()
                if bytes.isEmpty { break }
                peer.feed(bytes)
                answer += peer.read()
            }
            #expect(String(decoding: answer, as: UTF8.self).hasSuffix("192.0.2.7 true"))
        }
    }
}
