// SPDX-License-Identifier: MIT
internal import Addresses
internal import JSON
internal import Locks
internal import TestSupport
internal import Testing

@testable internal import HTTPClient

@Suite struct PerformTests {
    @Test func sendsMethodTargetFieldsAndBodyAsGiven() throws {
        let server = LoopbackServer { _ in
            .response(status: 201, fields: [("X-One", " 1 ")], body: Array("{\"a\":1}".utf8))
        }
        defer { server.stop() }

        let response = try perform(
            Request(
                method: "POST", url: "\(server.url)/a/../b?x=%20y",
                fields: [("content-type", "application/json"), ("x-empty", "")],
                body: Array("hello".utf8)))

        #expect(response.status == 201)
        #expect(response["x-one"] == "1")
        #expect(try response.json() == ["a": 1])
        #expect(!response.isBodyTruncated)
        #expect(response.peer == "127.0.0.1")
        #expect(response.timings.total >= response.timings.firstByte)
        let request = try #require(server.requests.first)
        #expect(request.method == "POST")
        #expect(request.target == "/a/../b?x=%20y")
        #expect(request.body == Array("hello".utf8))
        #expect(
            request.fields == [
                "host": "127.0.0.1:\(server.port)", "content-type": "application/json",
                "content-length": "5", "x-empty": "",
            ])
    }

    @Test func sendsAnEmptyBodyWithItsLengthAndNoBodyWithout() throws {
        let server = LoopbackServer { _ in .response(status: 204) }
        defer { server.stop() }
        _ = try perform(Request(method: "POST", url: server.url, body: []))
        _ = try perform(Request(method: "DELETE", url: server.url))
        #expect(server.requests.map { $0.fields["content-length"] } == ["0", nil])
        #expect(server.requests.map(\.method) == ["POST", "DELETE"])
    }

    @Test func doesNotFollowARedirect() throws {
        let server = LoopbackServer { _ in
            .response(status: 302, fields: [("location", "http://169.254.169.254/")])
        }
        defer { server.stop() }
        let response = try perform(Request(url: server.url))
        #expect(response.status == 302)
        #expect(response["location"] == "http://169.254.169.254/")
        #expect(server.requests.count == 1)
    }

    @Test func skipsInterimResponses() throws {
        let server = LoopbackServer { _ in
            .raw(
                "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
                    + "content-length: 2\r\n\r\nok")
        }
        defer { server.stop() }
        let response = try perform(Request(url: server.url))
        #expect(response.status == 200)
        #expect(response["link"] == nil)
        #expect(response.body == Array("ok".utf8))
    }

    @Test(arguments: [
        ["ftp://127.0.0.1/", "GET", "a", "b"], ["file:///etc/passwd", "GET", "a", "b"],
        ["http://a:b@127.0.0.1/", "GET", "a", "b"], ["http://", "GET", "a", "b"],
        ["http://127.0.0.1/a b", "GET", "a", "b"], ["http://127.0.0.1/\r\nx", "GET", "a", "b"],
        ["http://127.0.0.1:99999/", "GET", "a", "b"], ["http://127.0.0.1/", "GE T", "a", "b"],
        ["http://127.0.0.1/", "", "a", "b"], ["http://127.0.0.1/", "GET", "a\r\nb", "c"],
        ["http://127.0.0.1/", "GET", "", "c"], ["http://127.0.0.1/", "GET", "a", "b\r\nc: d"],
        ["http://127.0.0.1/", "GET", "a", "b\0"],
    ])
    func refusesWhatMayNotBeSent(_ request: [String]) {
        #expect(throws: HTTPClientError.invalidRequest) {
            try perform(
                Request(
                    method: request[1], url: request[0], fields: [(request[2], request[3])]))
        }
    }

    @Test func judgesEachAddressWhenItConnects() throws {
        let server = LoopbackServer { _ in .response(status: 200) }
        defer { server.stop() }
        let asked = Locked<[String]>([])
        let judge: @Sendable (Bool, IPAddress, UInt16) -> Bool = { verdict, address, port in
            asked.withLock { $0.append("\(address):\(port)") }
            return verdict
        }
        #expect(throws: HTTPClientError.blockedAddress) {
            try perform(
                Request(
                    url: server.url, admits: { judge(false, $0, $1) }, keepsConnection: false))
        }
        #expect(server.requests.isEmpty)
        _ = try perform(
            Request(url: server.url, admits: { judge(true, $0, $1) }, keepsConnection: false))
        let addresses = asked.withLock { $0 }
        #expect(addresses == Array(repeating: "127.0.0.1:\(server.port)", count: 2))
    }

    @Test func usesPinnedAddressesAndKeepsTheNameInHost() throws {
        let server = LoopbackServer { _ in .response(status: 200) }
        defer { server.stop() }
        _ = try perform(
            Request(
                url: "http://hooks.example:\(server.port)/", resolve: [.v4(0x7F00_0001)]))
        #expect(server.requests.first?.fields["host"] == "hooks.example:\(server.port)")
    }

    @Test func saysWhenNobodyListens() {
        let server = LoopbackServer { _ in .close }
        let url = server.url
        server.stop()
        #expect(throws: HTTPClientError.unreachable) {
            try perform(Request(url: url, keepsConnection: false))
        }
    }

    @Test(arguments: [
        (LoopbackServer.Reply.close, HTTPClientError.closed),
        (.raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), .closed),
        (.raw("SSH-2.0-OpenSSH\r\n"), .malformed),
        (
            .raw(
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
                    + "0\r\n\r\n"), .malformed
        ),
        (
            .raw("HTTP/1.1 200 OK\r\na: " + String(repeating: "x", count: 17_000) + "\r\n\r\n"),
            .headTooLarge
        ),
        (.raw("HTTP/1.1 200 OK\r\na: " + String(repeating: "x", count: 200_000)), .headTooLarge),
        (
            .raw("HTTP/1.1 200 OK\r\n" + String(repeating: "a: b\r\n", count: 101) + "\r\n"),
            .headTooLarge
        ),
        (.raw(String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 6)), .headTooLarge),
        (.stall(""), .timeout(.response)),
        (.stall("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), .timeout(.body)),
        (.response(status: 200, body: Array(repeating: 1, count: 101)), .bodyTooLarge),
    ])
    func namesEachFailure(_ reply: LoopbackServer.Reply, _ error: HTTPClientError) {
        let server = LoopbackServer { _ in reply }
        defer { server.stop() }
        #expect(throws: error) {
            try perform(
                Request(url: server.url, totalTimeout: .milliseconds(300), maxResponseBytes: 100))
        }
    }

    @Test func takesABodyExactlyAtTheCap() throws {
        let server = LoopbackServer { _ in
            .response(status: 200, body: Array(repeating: 7, count: 100))
        }
        defer { server.stop() }
        let response = try perform(Request(url: server.url, maxResponseBytes: 100))
        #expect(response.body.count == 100)
    }

    @Test(arguments: [
        LoopbackServer.Reply.response(status: 200, body: Array("abcdef".utf8)),
        .stall("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
        .raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
    ])
    func givesACompleteHeadWithWhatCameOfTheBody(_ reply: LoopbackServer.Reply) throws {
        let server = LoopbackServer { _ in reply }
        defer { server.stop() }
        let response = try perform(
            Request(
                url: server.url, totalTimeout: .milliseconds(300), maxResponseBytes: 3,
                overflow: .truncate))
        #expect(response.status == 200)
        #expect(response.body == Array("abc".utf8))
        #expect(response.isBodyTruncated)
    }

    @Test func stopsWhenToldTo() {
        let server = LoopbackServer { _ in .stall("") }
        defer { server.stop() }
        #expect(throws: HTTPClientError.cancelled) {
            try perform(Request(url: server.url, isCancelled: { true }))
        }
    }

    @Test func sendsNothingInPlainTextWhereTLSIsDue() {
        let server = LoopbackServer { _ in .close }
        defer { server.stop() }
        #expect(throws: HTTPClientError.self) {
            try perform(
                Request(
                    url: "https://127.0.0.1:\(server.port)/", totalTimeout: .milliseconds(300)))
        }
        #expect(server.requests.isEmpty)
    }
}
