// SPDX-License-Identifier: MIT
import Addresses
import Glibc
import HTTP1
import HTTPServer
import TestSupport
import Testing

/// The rules of RFC 9110 that take a whole server, each by its section.
@Suite struct RFC9110ServerTests {
    private static func start(
        _ adjust: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> Running {
        try Running(adjust) { router in
            router.on("GET", "/ok", .immediate { _ in .text("fine") })
            router.on("POST", "/echo", .immediate { HTTPResponse(status: 200, body: $0.body) })
            router.on(
                "GET", "/slow",
                .blocking { _ in
                    usleep(20_000)
                    return .text("slow")
                })
        }
    }

    private static func status(_ request: String, of running: Running) -> String {
        let client = RawClient(port: running.port)
        client.send(request)
        return String(client.readResponse().head.prefix(12).suffix(3))
    }

    @Test(
        "RFC 9110 §9.3.2: an answer to HEAD MUST NOT have content, a refusal neither",
        arguments: [
            ("HEAD /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
            ("HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
            ("HEAD https://x/ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 421),
            ("HEAD /ok HTTP/1.1\r\n\r\n", 400),
            ("HEAD /ok HTTP/1.1\r\nHost: x\r\nbad field\r\n", 400),
            ("HEAD /ok HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417),
            ("HEAD /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
            ("HEAD /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
            ("HEAD /ok HTTP/1.1\r\nHost: x\r\n", 408),
        ])
    func headHasNoContent(_ request: String, _ status: Int) throws {
        let running = try Self.start { $0.headerTimeout = .milliseconds(100) }
        let client = RawClient(port: running.port)
        client.send(request)
        let answer = client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.hasSuffix("\r\n\r\n"))
        // What GET would get is told all the same (§8.6).
        #expect(!answer.contains("content-length: 0\r\n") && answer.contains("content-length: "))
    }

    @Test("RFC 9110 §7.4: a request for https MUST be refused unless the way here is secured")
    func httpsNeedsSecurity() throws {
        let running = try Self.start()
        for (target, status) in [
            ("https://x/ok", "421"), ("HTTPS://x/ok", "421"), ("http://x/ok", "200"),
        ] {
            #expect(
                Self.status("GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n", of: running) == status)
        }
        let loopback = try #require(NetworkRange("127.0.0.0/8"))
        let behindProxy = try Self.start { $0.trustedProxies = [loopback] }
        // A gateway that is trusted has seen to it.
        #expect(
            Self.status("GET https://x/ok HTTP/1.1\r\nHost: x\r\n\r\n", of: behindProxy) == "200")
    }

    @Test("RFC 9110 §10.1.1: 100 is sent to who waits for it, before the body, and to nobody else")
    func continues() throws {
        let running = try Self.start()
        let client = RawClient(port: running.port)
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        client.send(head + "Expect: 100-Continue\r\n\r\n")
        #expect(client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("body")
        #expect(client.readResponse().body == "body")
        client.send(head + "\r\nbody")
        #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
    }

    @Test("RFC 9110 §15.2: an interim response MUST NOT be sent to HTTP/1.0")
    func noInterimResponseToHTTP10() throws {
        let running = try Self.start()
        let client = RawClient(port: running.port)
        client.send(
            "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
        let answer = client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.hasSuffix("body"))
        #expect(!answer.contains(" 100 "))
    }

    @Test("RFC 9112 §9.3.2: a 100 stands in line, behind the answers to the requests before it")
    func interimResponsesInOrder() throws {
        let running = try Self.start()
        let client = RawClient(port: running.port)
        client.send(
            "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
                + "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        #expect(client.readResponse().body == "slow")
        #expect(client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("body")
        #expect(client.readResponse().body == "body")
    }

    @Test(
        "RFC 9112 §9.3: the answer to HTTP/1.0 says whether the connection stays, and is never chunked",
        arguments: [
            ("", false), ("Connection: keep-alive\r\n", true), ("Connection: close\r\n", false),
        ])
    func answersToHTTP10(_ field: String, _ stays: Bool) throws {
        let running = try Self.start()
        let client = RawClient(port: running.port)
        client.send("GET /ok HTTP/1.0\r\n\(field)\r\n")
        let (head, body) = client.readResponse()
        #expect(body == "fine" && !head.contains("transfer-encoding"))
        #expect(head.contains("connection: \(stays ? "keep-alive" : "close")\r\n"))
        guard stays else {
            _ = client.read()
            #expect(client.hasEnded)
            return
        }
        client.send("GET /ok HTTP/1.0\r\n\r\n")
        #expect(client.readResponse().body == "fine")
    }
}
