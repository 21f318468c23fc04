// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import TestSupport
import Testing

struct ResponseVector: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String
    var method = "GET"
    var head: ResponseHead
    var body = ""
    var closes = false

    var testDescription: String { name }
    var seen: [Seen] { [.response(head)] + (body.isEmpty ? [] : [.body(body)]) + [.end] }

    static let all: [ResponseVector] = [
        ResponseVector(
            name: "a length", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            head: ResponseHead(
                status: 200, reason: "OK", minorVersion: 1, fields: ["content-length": "2"],
                framing: .length(2), keepAlive: true),
            body: "ok"),
        ResponseVector(
            name: "chunks",
            text:
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            head: ResponseHead(
                status: 404, reason: "Not Found", minorVersion: 1,
                fields: ["transfer-encoding": "chunked"], framing: .chunked, keepAlive: true),
            body: "no"),
        ResponseVector(
            name: "HEAD has no body whatever the length",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", method: "HEAD",
            head: ResponseHead(
                status: 200, reason: "OK", minorVersion: 1,
                fields: ["content-length": "99999999999"], framing: BodyFraming.none,
                keepAlive: true)),
        ResponseVector(
            name: "304 has no body", text: "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n",
            head: ResponseHead(
                status: 304, reason: "", minorVersion: 1, fields: ["content-length": "5"],
                framing: BodyFraming.none, keepAlive: true)),
        ResponseVector(
            name: "204 and close", text: "HTTP/1.1 204\r\nConnection: close\r\n\r\n",
            head: ResponseHead(
                status: 204, reason: "", minorVersion: 1, fields: ["connection": "close"],
                framing: BodyFraming.none, keepAlive: false)),
        ResponseVector(
            name: "an interim response", text: "HTTP/1.1 100 Continue\r\n\r\n",
            head: ResponseHead(
                status: 100, reason: "Continue", minorVersion: 1, fields: [:],
                framing: BodyFraming.none, keepAlive: true)),
    ]
}

@Suite struct ResponseParserTests {
    @Test(arguments: ResponseVector.all)
    func whereverItIsCutAndWhateverItIsGluedTo(_ vector: ResponseVector) {
        #expect(responsesEverywhere(vector.text, method: vector.method) == vector.seen)
    }

    @Test func gluedToNeighbours() {
        let vectors = ResponseVector.all.filter { $0.method == "GET" }
        let bytes = Array(vectors.map(\.text).joined().utf8)
        #expect(responses([bytes]) == vectors.flatMap(\.seen))
    }

    @Test func aBodyMayEndWithTheConnection() {
        let bytes = Array("HTTP/1.0 200 OK\r\n\r\nall of it".utf8)
        let head = ResponseHead(
            status: 200, reason: "OK", minorVersion: 0, fields: [:], framing: nil,
            keepAlive: false)
        for pieces in everyCut(bytes) {
            #expect(
                responses(pieces, closes: true) == [.response(head), .body("all of it"), .end])
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ])
    func anEarlyCloseIsNoticed(_ text: String) {
        #expect(responses([Array(text.utf8)], closes: true).last == .refused(.truncated))
    }

    @Test(
        arguments: [
            ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 200 O\u{0}K\r\n\r\n", .malformedStatusLine),
            ("HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion), ("\r\n", .malformedStatusLine),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                .lengthAndTransferCoding
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", .bodyTooLarge),
        ] as [(String, HTTPError)])
    func refuses(_ text: String, _ error: HTTPError) {
        #expect(responsesEverywhere(text).last == .refused(error))
    }

    @Test func aBodyUntilCloseIsLimitedToo() {
        let limits = HTTPLimits(maxBodyBytes: 4)
        let head = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)
        let atLimit = responses([head, Array("ab".utf8), Array("cd".utf8)], limits: limits)
        let past = responses([head, Array("abc".utf8), Array("de".utf8)], limits: limits)
        #expect(atLimit.last == .body("abcd"))
        #expect(past.last == .refused(.bodyTooLarge))
    }
}
