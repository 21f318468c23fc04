// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing

/// A request with what must come of it.
struct RequestVector: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String
    var method = "GET"
    var target = "/"
    var path = "/"
    var query = ""
    var minorVersion = 1
    var fields: HTTPFields = ["host": "h"]
    var framing = BodyFraming.none
    var keepAlive = true
    var expectsContinue = false
    var upgrades = false
    var body = ""

    var testDescription: String { name }

    var seen: [Seen] {
        let head = RequestHead(
            method: method, target: target, path: path, query: query, minorVersion: minorVersion,
            fields: fields, framing: framing, keepAlive: keepAlive,
            expectsContinue: expectsContinue, upgradesToWebSocket: upgrades)
        return [.head(head)] + (body.isEmpty ? [] : [.body(body)]) + [.end]
    }

    static let all: [RequestVector] = [
        RequestVector(name: "the least", text: "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        RequestVector(
            name: "path and query", text: "GET /a/b%20c?d=e?f HTTP/1.1\r\nHost: h\r\n\r\n",
            target: "/a/b%20c?d=e?f", path: "/a/b%20c", query: "d=e?f"),
        RequestVector(
            name: "blanks around a value are no part of it",
            text: "GET / HTTP/1.1\r\nHost:h\r\nX-A: \t b c \t\r\nX-E:\r\n\r\n",
            fields: ["host": "h", "x-a": "b c", "x-e": ""]),
        RequestVector(
            name: "a length", text: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
            method: "POST", fields: ["host": "h", "content-length": "5"], framing: .length(5),
            body: "hello"),
        RequestVector(
            name: "a length of none",
            text: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            method: "POST", fields: ["host": "h", "content-length": "0"], framing: .length(0)),
        RequestVector(
            name: "chunks with extensions and trailers",
            text: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "5;a=\"b\" ; c\r\nhello\r\n0006\r\n world\r\nA \t;x\r\n0123456789\r\n0\r\n"
                + "X-Sum: 1\r\n\r\n",
            method: "POST", fields: ["host": "h", "transfer-encoding": "Chunked"],
            framing: .chunked, body: "hello world0123456789"),
        RequestVector(
            name: "no chunks",
            text:
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            method: "POST", fields: ["host": "h", "transfer-encoding": "chunked"],
            framing: .chunked),
        RequestVector(
            name: "HTTP/1.0 closes, needs no host and has no expectations",
            text: "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
            method: "POST", minorVersion: 0,
            fields: ["content-length": "1", "expect": "100-continue"], framing: .length(1),
            keepAlive: false, body: "x"),
        RequestVector(
            name: "HTTP/1.0 that stays", text: "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            minorVersion: 0, fields: ["connection": "Keep-Alive"]),
        RequestVector(
            name: "a higher minor version is spoken to as 1.1",
            text: "GET / HTTP/1.2\r\nHost: h\r\n\r\n"),
        RequestVector(
            name: "close", text: "GET / HTTP/1.1\r\nHost: h\r\nConnection: x , ClosE\r\n\r\n",
            fields: ["host": "h", "connection": "x , ClosE"], keepAlive: false),
        RequestVector(
            name: "absolute form has the last word on the host",
            text: "GET HTTP://example.com:80?q HTTP/1.1\r\nHost: other\r\n\r\n",
            target: "HTTP://example.com:80?q", path: "/", query: "q",
            fields: ["host": "example.com:80"]),
        RequestVector(
            name: "asterisk form", text: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            method: "OPTIONS", target: "*", path: "*"),
        RequestVector(
            name: "a whole server's options through a proxy",
            text: "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n",
            method: "OPTIONS", target: "http://h", path: "*"),
        RequestVector(
            name: "a peer that waits",
            text: "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
            method: "PUT",
            fields: ["host": "h", "expect": "100-Continue", "content-length": "1"],
            framing: .length(1), expectsContinue: true, body: "x"),
        RequestVector(
            name: "nothing to wait for",
            text: "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
            fields: ["host": "h", "expect": "100-continue"]),
        RequestVector(
            name: "an upgrade",
            text: "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
                + "Upgrade: WebSocket\r\n\r\n",
            fields: ["host": "h", "connection": "keep-alive, Upgrade", "upgrade": "WebSocket"],
            upgrades: true),
        RequestVector(
            name: "an upgrade not listed in connection is none",
            text: "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            fields: ["host": "h", "upgrade": "websocket"]),
        RequestVector(
            name: "an address in brackets", text: "GET / HTTP/1.1\r\nHost: [::1]:3001\r\n\r\n",
            fields: ["host": "[::1]:3001"]),
        RequestVector(
            name: "an empty host", text: "GET / HTTP/1.1\r\nHost:\r\n\r\n", fields: ["host": ""]),
        RequestVector(
            name: "empty lines before", text: "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        RequestVector(
            name: "what browsers leave unescaped",
            text: "GET /a|b?{c}^`[d] HTTP/1.1\r\nHost: h\r\n\r\n",
            target: "/a|b?{c}^`[d]", path: "/a|b", query: "{c}^`[d]"),
    ]
}

@Suite struct RequestParserTests {
    @Test(arguments: RequestVector.all)
    func whereverItIsCutAndWhateverItIsGluedTo(_ vector: RequestVector) {
        #expect(requestsEverywhere(vector.text) == vector.seen)
    }

    @Test func gluedToNeighbours() {
        let texts = RequestVector.all + RequestVector.all.reversed()
        #expect(requests(texts.map(\.text).joined()) == texts.flatMap(\.seen))
    }

    @Test func bytesBehindAnUpgradeAreLeftAlone() throws {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        var parser = RequestParser()
        let step = try parser.next(in: Array((head + "\u{1}frames").utf8).span)
        #expect(step.consumed == head.utf8.count)
    }

    @Test func isIdleBetweenRequestsOnly() throws {
        var parser = RequestParser()
        #expect(parser.isIdle)
        _ = try parser.next(in: Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8).span)
        #expect(!parser.isIdle)
        let step = try parser.next(in: [UInt8]().span)
        #expect(step.event == .end && parser.isIdle)
    }

    @Test func aRouteMayLowerTheBodyLimit() throws {
        let head = "POST / HTTP/1.1\r\nHost: h\r\n"
        var byLength = RequestParser()
        _ = try byLength.next(in: Array((head + "Content-Length: 6\r\n\r\n").utf8).span)
        try byLength.limitBody(to: 6)
        #expect(throws: HTTPError.bodyTooLarge) { try byLength.limitBody(to: 5) }
        var chunked = RequestParser()
        _ = try chunked.next(in: Array((head + "Transfer-Encoding: chunked\r\n\r\n").utf8).span)
        try chunked.limitBody(to: 5)
        #expect(throws: HTTPError.bodyTooLarge) {
            _ = try chunked.next(in: Array("6\r\n".utf8).span)
        }
    }
}
