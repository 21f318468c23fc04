// SPDX-License-Identifier: MIT
import HTTP1
import Testing
import Timing
import WebSocket

@testable import HTTPServer

@Suite struct StaticFileTests {
    private static let bytes = (0..<100).map { UInt8($0) }
    private static let modified = Timestamp(seconds: 784_111_777)
    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let file = StaticFile(
        type: "text/plain", bytes: bytes, tag: "abc", modified: modified,
        cacheControl: "no-cache",
        encoded: [
            .init(coding: "br", bytes: [1, 2, 3]), .init(coding: "gzip", bytes: [4, 5, 6, 7]),
        ])

    private static func get(_ fields: HTTPFields, method: String = "GET") -> HTTPResponse {
        file.answer(HTTPRequest(method: method, path: "/", fields: fields))
    }

    @Test func theWholeFileSaysHowItMayBeAskedForAgain() {
        let answer = Self.get([:])
        #expect(answer.status == 200)
        #expect(answer.body == Self.bytes)
        #expect(answer.fields["etag"] == "\"abc\"")
        #expect(answer.fields["last-modified"] == Self.date)
        #expect(answer.fields["accept-ranges"] == "bytes")
        #expect(answer.fields["vary"] == "Accept-Encoding")
        #expect(answer.fields["content-encoding"] == nil)
    }

    @Test(
        "RFC 9110 §8.8.3.3: each coding of a file has an entity tag of its own",
        arguments: [
            ("gzip, br", "br", [1, 2, 3], "\"abc-br\""),
            ("gzip", "gzip", [4, 5, 6, 7], "\"abc-gzip\""),
            ("br;q=0.1, gzip;q=0.9", "gzip", [4, 5, 6, 7], "\"abc-gzip\""),
        ] as [(String, String, [UInt8], String)])
    func variantsHaveTagsOfTheirOwn(accept: String, coding: String, body: [UInt8], tag: String) {
        let answer = Self.get(["accept-encoding": accept])
        #expect(answer.fields["content-encoding"] == coding)
        #expect(answer.body == body)
        #expect(answer.fields["etag"] == tag)
        #expect(Self.get(["accept-encoding": accept, "if-none-match": tag]).status == 304)
        #expect(Self.get(["accept-encoding": accept, "if-none-match": "\"abc\""]).status == 200)
    }

    @Test(
        "RFC 9110 §13.2.2: conditions MUST be judged in their order of precedence, tags before dates",
        arguments: [
            (["if-none-match": "\"abc\""], 304), (["if-none-match": "W/\"abc\""], 304),
            (["if-none-match": "\"x\", \"abc\""], 304), (["if-none-match": "*"], 304),
            (["if-none-match": "\"x\""], 200), (["if-none-match": "abc"], 200),
            (["if-none-match": "\"abc"], 200), (["if-none-match": "\"x,\"abc\""], 200),
            (["if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"], 304),
            (["if-modified-since": "Sun, 06 Nov 1994 08:49:38 GMT"], 304),
            (["if-modified-since": "Sun, 06 Nov 1994 08:49:36 GMT"], 200),
            (["if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT"], 304),
            (["if-modified-since": "Sun Nov  6 08:49:37 1994"], 304),
            (["if-modified-since": "yesterday"], 200),
            // The tag decides where there is one.
            (
                ["if-none-match": "\"x\"", "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"],
                200
            ),
            (["if-match": "\"abc\""], 200), (["if-match": "*"], 200), (["if-match": "\"x\""], 412),
            (["if-match": "W/\"abc\""], 412),
            (["if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"], 200),
            (["if-unmodified-since": "Sun, 06 Nov 1994 08:49:36 GMT"], 412),
            (["if-match": "\"abc\"", "if-unmodified-since": "Sun, 06 Nov 1994 08:49:36 GMT"], 200),
            (["if-match": "\"x\"", "if-none-match": "\"abc\""], 412),
            (["if-none-match": "\"abc\"", "range": "bytes=0-1"], 304),
        ] as [([String: String], Int)])
    func conditionsAreJudgedInOrder(lines: [String: String], status: Int) {
        var fields = HTTPFields()
        for (name, value) in lines { fields.append(name, value) }
        let answer = Self.get(fields)
        #expect(answer.status == status)
        if status == 304 {
            #expect(answer.body == [])
            #expect(answer.fields["etag"] == "\"abc\"")
        }
    }

    @Test(
        "RFC 9110 §15.3.7.1: a 206 of one range MUST have Content-Range, and is cut to the file",
        arguments: [
            ("bytes=0-9", 0..<10), ("bytes=90-", 90..<100), ("bytes=-10", 90..<100),
            ("bytes=-1000", 0..<100), ("bytes=99-99", 99..<100), ("bytes=99-100", 99..<100),
            ("bytes=0-999999999999999999999999", 0..<100), ("Bytes=0-0", 0..<1),
            ("bytes=0-9,200-300", 0..<10), ("bytes= 0-9 ", 0..<10), ("bytes=,0-9,", 0..<10),
        ])
    func oneRangeIsServed(field: String, range: Range<Int>) {
        let answer = Self.get(["range": field])
        #expect(answer.status == 206)
        #expect(answer.body == Array(Self.bytes[range]))
        #expect(
            answer.fields["content-range"]
                == "bytes \(range.lowerBound)-\(range.upperBound - 1)/100")
        #expect(answer.fields["etag"] == "\"abc\"")
    }

    @Test(
        "RFC 9110 §14.2: a range set that is invalid, or no ranges of bytes, MUST be ignored",
        arguments: [
            "bytes=5-4", "bytes=", "bytes", "bytes=-", "bytes=a-b", "bytes=1-2-3", "lines=0-9",
            "bytes=0-9;1", "bytes=+1-2", "bytes=0-99,0-99",
        ])
    func otherRangesGetTheWhole(field: String) {
        #expect(Self.get(["range": field]).status == 200)
    }

    @Test("RFC 9110 §17.15: ranges of one request are limited, at the limit and one past it")
    func asManyRangesAsTheLimitAreServed() {
        for (count, status) in [(16, 206), (17, 200)] {
            let field = "bytes=" + (0..<count).map { "\($0)-\($0)" }.joined(separator: ",")
            #expect(Self.get(["range": field]).status == status)
        }
    }

    @Test(
        "RFC 9110 §15.5.17: where no range is in the file the answer is 416, with the file's length",
        arguments: ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999999-"])
    func rangesBehindTheEndAreNot(field: String) {
        let answer = Self.get(["range": field])
        #expect(answer.status == 416)
        #expect(answer.fields["content-range"] == "bytes */100")
    }

    @Test("RFC 9110 §15.3.7.2: each part MUST have Content-Range, and the head MUST NOT")
    func severalRangesComeInParts() {
        let answer = Self.get(["range": "bytes=0-1, -2"])
        #expect(answer.status == 206)
        #expect(answer.fields["content-type"] == "multipart/byteranges; boundary=range-abc")
        #expect(answer.fields["content-range"] == nil)
        let expected =
            "\r\n--range-abc\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/100\r\n\r\n"
            + "\u{0}\u{1}\r\n--range-abc\r\ncontent-type: text/plain\r\n"
            + "content-range: bytes 98-99/100\r\n\r\n\u{62}\u{63}\r\n--range-abc--\r\n"
        #expect(String(decoding: answer.body, as: UTF8.self) == expected)
    }

    @Test(
        "RFC 9110 §13.1.5: If-Range MUST be compared strongly: else the whole file is the answer",
        arguments: [
            ("\"abc\"", 206), ("W/\"abc\"", 200), ("\"x\"", 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 206), ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 206), ("Sun Nov  6 08:49:37 1994", 206),
            ("yesterday", 200), ("\"abc\", \"abc\"", 200),
        ])
    func aRangeOfAnotherFileIsTheWholeOfThisOne(condition: String, status: Int) {
        #expect(Self.get(["range": "bytes=0-1", "if-range": condition]).status == status)
    }

    @Test(
        "RFC 9110 §5.3: a field that is no list and is sent twice says nothing",
        arguments: [
            ("if-modified-since", date, [:], 200),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", [:], 200),
            ("range", "bytes=0-1", [:], 200),
            ("if-range", "\"abc\"", ["range": "bytes=0-1"], 200),
        ] as [(String, String, HTTPFields, Int)])
    func repeatedFields(_ name: String, _ value: String, _ others: HTTPFields, _ status: Int) {
        var fields = others
        fields.append(name, value)
        #expect(Self.get(fields).status != status)
        fields.append(name, value)
        #expect(Self.get(fields).status == status)
    }

    @Test("RFC 9110 §13.1.3: what is no date MUST be ignored in If-Modified-Since and its opposite")
    func noDates() {
        for text in ["", "0", "now", "\(Self.date), \(Self.date)"] {
            #expect(Self.get(["if-modified-since": text]).status == 200)
            #expect(Self.get(["if-unmodified-since": text]).status == 200)
        }
    }

    @Test(
        "RFC 9110 §15.4.5: a 304 MUST have the fields that its 200 would have: tag, cache rule, Vary"
    )
    func notModifiedFields() {
        let (whole, unchanged) = (Self.get([:]), Self.get(["if-none-match": "\"abc\""]))
        #expect(unchanged.status == 304 && unchanged.body.isEmpty)
        for name in ["etag", "cache-control", "vary", "last-modified"] {
            #expect(unchanged.fields[name] != nil && unchanged.fields[name] == whole.fields[name])
        }
    }

    @Test(
        "RFC 9110 §15.3.7: a 206 MUST have the fields that its 200 would have",
        arguments: ["0-1", "0-1,3-4"])
    func partialFields(_ ranges: String) {
        let (whole, part) = (Self.get([:]), Self.get(["range": "bytes=\(ranges)"]))
        for name in ["etag", "cache-control", "vary", "last-modified"] {
            #expect(part.status == 206 && part.fields[name] == whole.fields[name])
        }
    }

    @Test("RFC 9110 §14.2: Range MUST be ignored in other methods than GET")
    func rangesAreForGetAlone() {
        #expect(Self.get(["range": "bytes=0-1"], method: "HEAD").status == 200)
    }

    @Test func rangesOfAVariantAreOfItsBytes() {
        let answer = Self.get(["range": "bytes=1-", "accept-encoding": "gzip"])
        #expect(answer.body == [5, 6, 7])
        #expect(answer.fields["content-range"] == "bytes 1-3/4")
    }
}

@Suite struct HTTPDateTests {
    @Test(
        "RFC 9110 §5.6.7: all three forms of a date MUST be read, two digits not more than 50 years ahead",
        arguments: [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 06 08:49:37 1994", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Sunday, 22-Nov-76 00:00:00 GMT", 3_373_228_800),
            ("Monday, 22-Nov-77 00:00:00 GMT", 249_004_800),
            ("", nil), ("Sun, 06 Nov 1994 08:49:37", nil), ("Sun, 06 Nov 1994 08:49:37 UTC", nil),
            ("Sun, 6 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 94 08:49:37 GMT", nil),
            ("Sun, 06 Nox 1994 08:49:37 GMT", nil), ("Sun, 32 Nov 1994 08:49:37 GMT", nil),
            ("Sun, 06 Nov 1994 24:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:60:37 GMT", nil),
            ("Sun, 06 Nov 0000 08:49:37 GMT", nil), ("a b c d e f", nil),
        ] as [(String, Int64?)])
    func threeFormsAreRead(text: String, seconds: Int64?) {
        #expect(HTTPDate.parse(text, year: 2026)?.seconds == seconds)
    }

    @Test("RFC 9110 §5.6.7: a date MUST be written in the first form")
    func whatIsWrittenIsReadAgain() {
        for seconds in stride(from: 0 as Int64, to: 4_000_000_000, by: 12_345_679) {
            let stamp = Timestamp(seconds: seconds)
            #expect(HTTPDate.parse(stamp.httpDate, year: 2026)?.seconds == seconds)
            #expect(stamp.httpDate.utf8.count == 29 && stamp.httpDate.hasSuffix(" GMT"))
        }
    }
}

@Suite struct CompressionTests {
    private static func answer(
        _ response: HTTPResponse, accept: String? = "gzip"
    ) -> HTTPResponse {
        var request = HTTPRequest(method: "GET", path: "/")
        if let accept { request.fields.set("accept-encoding", accept) }
        var response = response
        response.compress(for: request, with: .init())
        return response
    }

    private static func text(_ count: Int, type: String = "text/plain") -> HTTPResponse {
        HTTPResponse(
            status: 200, fields: ["content-type": type],
            body: [UInt8](repeating: UInt8(ascii: "a"), count: count))
    }

    @Test func fromTheLimitOn() {
        let below = Self.answer(Self.text(1023))
        #expect(below == Self.text(1023))
        let at = Self.answer(Self.text(1024))
        #expect(at.fields["content-encoding"] == "gzip")
        #expect(at.fields["vary"] == "Accept-Encoding")
        #expect(at.body.starts(with: [0x1F, 0x8B, 8]))
        #expect(at.body.count < 100)
    }

    @Test("RFC 9110 §12.5.5: Vary names what an answer is chosen by, whoever asks")
    func cachesHearOfItWhoeverAsks() {
        for accept in [nil, "identity", "gzip;q=0", "br"] {
            let answer = Self.answer(Self.text(2000), accept: accept)
            #expect(answer.fields["content-encoding"] == nil)
            #expect(answer.fields["vary"] == "Accept-Encoding")
            #expect(answer.body.count == 2000)
        }
        var response = Self.text(2000)
        response.fields.set("vary", "Origin")
        #expect(Self.answer(response).fields.all("vary") == ["Origin", "Accept-Encoding"])
    }

    @Test func whatDoesNotShrinkIsLeftAlone() {
        var state = 1 as UInt64
        let noise = (0..<5000).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        var response = Self.text(0)
        response.body = noise
        let answer = Self.answer(response)
        #expect(answer.fields["content-encoding"] == nil)
        #expect(answer.body == noise)
    }

    @Test func otherAnswersAreLeftAlone() {
        for response in [
            Self.text(2000, type: "image/png"),
            HTTPResponse(status: 200, body: Self.text(2000).body),
            HTTPResponse(
                status: 200, fields: ["content-type": "text/css", "etag": "\"x\""],
                body: Self.text(2000).body),
            HTTPResponse(
                status: 200, fields: ["content-type": "text/css", "content-encoding": "br"],
                body: Self.text(2000).body),
            HTTPResponse(
                status: 206, fields: ["content-type": "text/css"], body: Self.text(2000).body),
        ] { #expect(Self.answer(response) == response) }
    }
}
