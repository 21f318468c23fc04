// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import TestSupport
import Testing

/// The rules of RFC 9112 and RFC 9110 for who reads and writes responses.
@Suite struct RFC9112ResponseTests {
    static func read(_ text: String, method: String = "GET") -> ResponseHead? {
        for seen in responsesEverywhere(text, method: method) {
            if case .response(let head) = seen { return head }
        }
        return nil
    }

    static func framing(_ text: String, method: String = "GET") -> BodyFraming?? {
        read(text, method: method)?.framing
    }

    static func refusal(_ text: String, method: String = "GET") -> HTTPError? {
        if case .refused(let error)? = responsesEverywhere(text, method: method).last {
            return error
        }
        return nil
    }

    static func head(
        _ status: Int, bodyCount: Int? = 0, keepAlive: Bool = true, isHead: Bool = false
    ) -> String {
        ResponseWriterTests.head(
            status, "x", bodyCount: bodyCount, keepAlive: keepAlive, isHead: isHead, date: ""
        ).text
    }

    @Test(
        "RFC 9112 §6.3: responses to HEAD, 1xx, 204 and 304 have no body whatever their fields say")
    func noBody() {
        let fields = "Content-Length: 5\r\n\r\n"
        #expect(Self.framing("HTTP/1.1 200 x\r\n" + fields, method: "HEAD") == BodyFraming.none)
        for status in [100, 103, 204, 304] {
            #expect(Self.framing("HTTP/1.1 \(status) x\r\n" + fields) == BodyFraming.none)
        }
    }

    @Test(
        "RFC 9112 §6.3: a 2xx to CONNECT is followed by a tunnel; its length and coding MUST be ignored"
    )
    func tunnels() {
        #expect(
            Self.framing("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", method: "CONNECT")
                == BodyFraming.none)
        #expect(
            Self.framing("HTTP/1.1 404 x\r\nContent-Length: 5\r\n\r\n", method: "CONNECT")
                == .length(5))
    }

    @Test(
        "RFC 9112 §6.3: a response with neither field ends with the connection, limited wherever it is cut"
    )
    func untilClose() {
        let bytes = Array("HTTP/1.1 200 x\r\n\r\nabcdef".utf8)
        let limits = HTTPLimits(maxBodyBytes: 4)
        for pieces in everyCut(bytes) {
            #expect(responses(pieces, closes: true).last == .end)
            let seen = responses(pieces, limits: limits, closes: true)
            #expect(seen.suffix(2) == [.body("abcd"), .refused(.bodyTooLarge)])
        }
    }

    @Test("RFC 9112 §8: a message cut short MUST be taken for incomplete")
    func incomplete() {
        for text in [
            "HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        ] {
            #expect(responses([Array(text.utf8)], closes: true).last == .refused(.truncated))
        }
    }

    @Test(
        "RFC 9110 §8.6: Content-Length MUST NOT be sent in 1xx and 204",
        arguments: [100, 101, 103, 204])
    func noLength(_ status: Int) { #expect(!Self.head(status).contains("content-length")) }

    @Test(
        "RFC 9112 §6.1: Transfer-Encoding MUST NOT be sent in 1xx and 204, nor to HTTP/1.0",
        arguments: [100, 101, 204])
    func noCoding(_ status: Int) {
        #expect(!Self.head(status, bodyCount: nil).contains("transfer-encoding"))
        let old = ResponseWriterTests.head(
            200, "x", bodyCount: nil, keepAlive: false, date: "", minorVersion: 0)
        #expect(!old.text.contains("transfer-encoding"))
    }

    @Test("RFC 9112 §6.2: Content-Length MUST NOT be sent beside Transfer-Encoding")
    func oneFraming() {
        #expect(!Self.head(200, bodyCount: nil).contains("content-length"))
        #expect(!Self.head(200, bodyCount: 5).contains("transfer-encoding"))
    }

    @Test("RFC 9110 §9.3.2: a response to HEAD MUST NOT have content; its length is a GET's")
    func headResponses() {
        let (text, sendsBody) = ResponseWriterTests.head(
            200, "x", bodyCount: 500, isHead: true, date: "")
        #expect(text.contains("content-length: 500") && !sendsBody)
    }

    @Test("RFC 9112 §9.6: who closes after a response says so")
    func closeIsSaid() {
        #expect(Self.head(200, keepAlive: false).contains("connection: close\r\n"))
        #expect(!Self.head(200).contains("connection:"))
    }

    @Test("RFC 9112 §7.1: chunks written are chunks read, and an empty one does not end the body")
    func chunks() {
        var bytes = Array("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n".utf8)
        for piece in ["a", "", "bc"] {
            ResponseWriter.writeChunk(Array(piece.utf8).span, into: &bytes)
        }
        ResponseWriter.writeLastChunk(into: &bytes)
        #expect(responses([bytes]).dropFirst() == [.body("abc"), .end])
    }

    @Test("RFC 9112 §4: the space behind the status MUST be written, without a reason, too")
    func spaceWithoutReason() {
        #expect(ResponseWriterTests.head(200, "").text.hasPrefix("HTTP/1.1 200 \r\n"))
    }

    @Test(
        "RFC 9112 §4: a reason is passed over, whatever it is and also where there is none",
        arguments: ["", " ", " OK", " Not Found", " \tgrüß"])
    func reasons(_ reason: String) {
        #expect(Self.read("HTTP/1.1 200\(reason)\r\nContent-Length: 0\r\n\r\n")?.status == 200)
    }

    @Test("RFC 9112 §4: a status line is limited, at the limit and one past it")
    func statusLineLimit() {
        let limits = HTTPLimits(maxRequestLineBytes: 15)
        let end = "\r\nContent-Length: 0\r\n\r\n"
        #expect(responsesEverywhere("HTTP/1.1 200 OK" + end, limits: limits).last == .end)
        #expect(
            responsesEverywhere("HTTP/1.1 200 OK!" + end, limits: limits)
                == [.refused(.malformedStatusLine)])
    }

    @Test(
        "RFC 9112 §6.1: Transfer-Encoding in a response of HTTP/1.0 MUST be taken for faulty framing"
    )
    func codingInHTTP10() {
        let text = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        #expect(Self.refusal(text) == .transferCodingInHTTP10)
    }

    @Test(
        "RFC 9112 §6.3: a response whose Content-Length is invalid MUST be discarded",
        arguments: ["x", "-1", "+1", "", "1, 2", "1;a"], ["GET", "HEAD"])
    func badLengths(_ value: String, _ method: String) {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: \(value)\r\n\r\n"
        #expect(Self.refusal(text, method: method) == .badContentLength)
    }

    @Test(
        "RFC 9112 §6.3: a response that two recipients might frame differently is discarded",
        arguments: [
            ("Content-Length: 1\r\nContent-Length: 1", HTTPError.severalContentLengths),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", .lengthAndTransferCoding),
            ("Transfer-Encoding: gzip", .badTransferCoding),
            ("Transfer-Encoding: chunked, gzip", .badTransferCoding),
            ("Transfer-Encoding: gzip, chunked", .unknownTransferCoding),
        ])
    func ambiguousFraming(_ fields: String, _ error: HTTPError) {
        #expect(Self.refusal("HTTP/1.1 200 OK\r\n\(fields)\r\n\r\n") == error)
    }

    @Test(
        "RFC 9110 §6.6.1: Date is in every final response, once, and in no interim one",
        arguments: [100, 101, 103, 200, 204, 304, 400, 404, 500, 503])
    func dates(_ status: Int) {
        let (text, _) = ResponseWriterTests.head(status, "x", fields: ["Date": "yesterday"])
        let lines = text.split(separator: "\r\n").filter { $0.lowercased().hasPrefix("date:") }
        #expect(lines == (status < 200 ? [] : ["date: \(ResponseWriterTests.date)"]))
    }

    @Test("RFC 9110 §15.2: any number of interim responses MUST be read before the final one")
    func interimResponses() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
            + "HTTP/1.1 199 \r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        let statuses = responsesEverywhere(text).compactMap {
            if case .response(let head) = $0 { head.status } else { nil }
        }
        #expect(statuses == [100, 103, 199, 200])
    }
}
