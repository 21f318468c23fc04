// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing

/// Bytes that must be refused, and why.
struct RefusalVector: Sendable, CustomTestStringConvertible {
    var text: String
    var error: HTTPError
    var limits = HTTPLimits()

    init(_ text: String, _ error: HTTPError, limits: HTTPLimits = HTTPLimits()) {
        (self.text, self.error, self.limits) = (text, error, limits)
    }

    /// A request with these field lines, `host` included.
    init(fields: String, _ error: HTTPError) {
        self.init("POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n\r\n", error)
    }

    init(target: String, _ error: HTTPError = .badTarget) {
        self.init("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n", error)
    }

    init(chunks: String, _ error: HTTPError) {
        self.init(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)", error)
    }

    var testDescription: String { "\(error): \(text.debugDescription)" }

    static let all: [RefusalVector] = [
        // RFC 9112 §3: exactly one space between the three parts.
        RefusalVector("GET /\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET  / HTTP/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET /  HTTP/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET / HTTP/1.1 \r\n\r\n", .malformedRequestLine),
        RefusalVector("GET /a b HTTP/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector(" GET / HTTP/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector("G(T / HTTP/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET / http/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET / HTTP/1.10\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET / HTTP/1\r\n\r\n", .malformedRequestLine),
        RefusalVector("GET\t/\tHTTP/1.1\r\n\r\n", .malformedRequestLine),
        RefusalVector("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
        RefusalVector("GET / HTTP/0.9\r\n\r\n", .unsupportedVersion),
        RefusalVector("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", .unsupportedMethod),
        // RFC 9112 §3.2: the target's forms.
        RefusalVector(target: "*"), RefusalVector(target: "a"), RefusalVector(target: "?a"),
        RefusalVector(target: "/#a"), RefusalVector(target: "/\u{7F}"),
        RefusalVector(target: "/é"), RefusalVector(target: "/\u{0}"),
        RefusalVector(target: "/%"), RefusalVector(target: "/%2"), RefusalVector(target: "/%2g"),
        RefusalVector(target: "/<script>"), RefusalVector(target: "ftp://h/"),
        RefusalVector(target: "http://"), RefusalVector(target: "http:///a"),
        RefusalVector(target: "http://user@h/"), RefusalVector(target: "http://h:x/"),
        RefusalVector(target: "h:80"),
        // RFC 9112 §2.2: line ends.
        RefusalVector("GET / HTTP/1.1\nHost: h\r\n\r\n", .bareLineFeed),
        RefusalVector("GET / HTTP/1.1\r\nHost: h\n\r\n", .bareLineFeed),
        RefusalVector("GET / HTTP/1.1\r\nHost: h\r\n\n", .bareLineFeed),
        RefusalVector("\nGET / HTTP/1.1\r\n", .bareLineFeed),
        RefusalVector(fields: "A: b\rC: d", .malformedField),
        RefusalVector("GET / HTTP/1.1\rHost: h\r\n\r\n", .malformedRequestLine),
        // RFC 9112 §5: field lines.
        RefusalVector(fields: "A : b", .spaceBeforeColon),
        RefusalVector(fields: "A\t: b", .spaceBeforeColon),
        RefusalVector(fields: "Transfer-Encoding : chunked", .spaceBeforeColon),
        RefusalVector(fields: "A: b\r\n c", .foldedField),
        RefusalVector(fields: "A: b\r\n\tc", .foldedField),
        RefusalVector("GET / HTTP/1.1\r\n Host: h\r\n\r\n", .foldedField),
        RefusalVector(fields: "A", .malformedField), RefusalVector(fields: ": b", .malformedField),
        RefusalVector(fields: "A(: b", .malformedField),
        RefusalVector(fields: "Ä: b", .malformedField),
        RefusalVector(fields: "A: \u{0}", .malformedField),
        RefusalVector(fields: "A: b\u{7F}", .malformedField),
        // RFC 9112 §3.2: the host.
        RefusalVector("GET / HTTP/1.1\r\n\r\n", .missingHost),
        RefusalVector(fields: "Host: h", .severalHosts),
        RefusalVector("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", .severalHosts),
        RefusalVector("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: a, b/c\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: h:8o\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", .badHost),
        RefusalVector("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", .badHost),
        // RFC 9112 §6.3 and §11.2: two opinions on where the body ends.
        RefusalVector(
            fields: "Content-Length: 5\r\nTransfer-Encoding: chunked", .lengthAndTransferCoding),
        RefusalVector(
            fields: "Transfer-Encoding: chunked\r\nContent-Length: 5", .lengthAndTransferCoding),
        RefusalVector(fields: "Content-Length: 5\r\nContent-Length: 6", .severalContentLengths),
        RefusalVector(fields: "Content-Length: 5\r\nContent-Length: 5", .severalContentLengths),
        RefusalVector(fields: "Content-Length: 5, 5", .badContentLength),
        RefusalVector(fields: "Content-Length: +5", .badContentLength),
        RefusalVector(fields: "Content-Length: -5", .badContentLength),
        RefusalVector(fields: "Content-Length: 0x5", .badContentLength),
        RefusalVector(fields: "Content-Length: 5 5", .badContentLength),
        RefusalVector(fields: "Content-Length: 5.0", .badContentLength),
        RefusalVector(fields: "Content-Length:", .badContentLength),
        RefusalVector(fields: "Content-Length: 9223372036854775808", .bodyTooLarge),
        RefusalVector(fields: "Content-Length: 99999999999999999999999999", .bodyTooLarge),
        RefusalVector(fields: "Transfer-Encoding: identity", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: gzip", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: chunked, gzip", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: chunked, chunked", .badTransferCoding),
        RefusalVector(
            fields: "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: chunked, ", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: , chunked", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: chunked;a=b", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: xchunked", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: \"chunked\"", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding:", .badTransferCoding),
        RefusalVector(fields: "Transfer-Encoding: gzip, chunked", .unknownTransferCoding),
        RefusalVector(
            fields: "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            .unknownTransferCoding),
        RefusalVector(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferCodingInHTTP10),
        RefusalVector(fields: "Expect: 200-ok", .unknownExpectation),
        // RFC 9112 §7.1: chunks.
        RefusalVector(chunks: "\r\n", .malformedChunk),
        RefusalVector(chunks: "g\r\n", .malformedChunk),
        RefusalVector(chunks: "0x5\r\nhello\r\n", .malformedChunk),
        RefusalVector(chunks: "+5\r\nhello\r\n", .malformedChunk),
        RefusalVector(chunks: "-5\r\n", .malformedChunk),
        RefusalVector(chunks: " 5\r\nhello\r\n", .malformedChunk),
        RefusalVector(chunks: "5 \r\nhello\r\n", .malformedChunk),
        RefusalVector(chunks: ";a\r\n", .malformedChunk),
        RefusalVector(chunks: "5;a\u{0}\r\nhello\r\n", .malformedChunk),
        RefusalVector(chunks: "5;a\rb\r\nhello\r\n", .malformedChunk),
        RefusalVector(chunks: "5;a\nhello\r\n", .bareLineFeed),
        RefusalVector(chunks: "5\nhello\r\n", .bareLineFeed),
        RefusalVector(chunks: "5\r\nhello!\r\n", .malformedChunk),
        RefusalVector(chunks: "5\r\nhello\n0\r\n\r\n", .malformedChunk),
        RefusalVector(chunks: "5\r\nhello\r0\r\n\r\n", .malformedChunk),
        RefusalVector(chunks: "7fffffffffffffff\r\n", .bodyTooLarge),
        RefusalVector(chunks: "8000000000000000\r\n", .bodyTooLarge),
        RefusalVector(chunks: "ffffffffffffffff\r\n", .bodyTooLarge),
        RefusalVector(chunks: "10000000000000005\r\nhello\r\n", .bodyTooLarge),
        RefusalVector(chunks: String(repeating: "0", count: 33) + "\r\n\r\n", .malformedChunk),
        RefusalVector(chunks: "0\r\nA : b\r\n\r\n", .spaceBeforeColon),
        RefusalVector(chunks: "0\r\n b\r\n\r\n", .foldedField),
    ]
}

@Suite struct RequestRefusalTests {
    @Test(arguments: RefusalVector.all)
    func refusesWhereverItIsCutAndWhateverItIsGluedTo(_ vector: RefusalVector) {
        #expect(
            requestsEverywhere(vector.text, limits: vector.limits).last == .refused(vector.error))
    }

    @Test(arguments: HTTPError.allCases) func everyErrorHasItsRow(_ error: HTTPError) {
        #expect((400...505).contains(error.status))
        #expect(!error.code.isEmpty && error.detail.hasSuffix("."))
    }

    @Test func codesAreUnique() {
        #expect(Set(HTTPError.allCases.map(\.code)).count == HTTPError.allCases.count)
    }
}

@Suite struct HTTPLimitsTests {
    static let tight = HTTPLimits(
        maxRequestLineBytes: 30, maxFields: 3, maxFieldBytes: 40, maxBodyBytes: 10,
        maxChunkExtensionBytes: 6, maxEmptyLines: 2)

    static func outcome(_ text: String) -> HTTPError? {
        let whole = requestsEverywhere(text, limits: tight)
        if case .refused(let error)? = whole.last { return error }
        #expect(whole.last == .end)
        return nil
    }

    @Test func requestLine() {
        let path = String(repeating: "a", count: 30 - "GET / HTTP/1.1".count)
        #expect(Self.outcome("GET /\(path) HTTP/1.1\r\nHost: h\r\n\r\n") == nil)
        #expect(
            Self.outcome("GET /\(path)a HTTP/1.1\r\nHost: h\r\n\r\n") == .requestLineTooLong)
        #expect(
            Self.outcome(String(repeating: "G", count: 32)) == .requestLineTooLong)
    }

    @Test func fieldCount() {
        #expect(Self.outcome("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\n\r\n") == nil)
        #expect(
            Self.outcome("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\nC:\r\n\r\n") == .tooManyFields)
    }

    @Test func fieldBytes() {
        let value = String(repeating: "v", count: 40 - "Host: h\r\nA:\r\n".utf8.count)
        #expect(Self.outcome("GET / HTTP/1.1\r\nHost: h\r\nA:\(value)\r\n\r\n") == nil)
        #expect(
            Self.outcome("GET / HTTP/1.1\r\nHost: h\r\nA:\(value)v\r\n\r\n") == .fieldsTooLarge)
        #expect(
            Self.outcome("GET / HTTP/1.1\r\nHost: h\r\nA:\(value)\r\nB:\r\n\r\n")
                == .fieldsTooLarge)
    }

    @Test func bodyByLength() {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: "
        #expect(Self.outcome(head + "10\r\n\r\n0123456789") == nil)
        #expect(Self.outcome(head + "11\r\n\r\n0123456789a") == .bodyTooLarge)
    }

    static let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:chunked\r\n\r\n"

    @Test func bodyByChunks() {
        #expect(Self.outcome(Self.chunked + "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n") == nil)
        #expect(Self.outcome(Self.chunked + "4\r\n0123\r\n7\r\n456789a\r\n") == .bodyTooLarge)
    }

    @Test func chunkExtensionsOfAllChunks() {
        #expect(Self.outcome(Self.chunked + "1;aa\r\n0\r\n0;bb\r\n\r\n") == nil)
        #expect(
            Self.outcome(Self.chunked + "1;aa\r\n0\r\n0;bbb\r\n\r\n")
                == .chunkExtensionsTooLarge)
        #expect(
            Self.outcome(Self.chunked + "1;" + String(repeating: "a", count: 60))
                == .chunkExtensionsTooLarge)
    }

    @Test func trailers() {
        #expect(Self.outcome(Self.chunked + "0\r\nA:\r\nB:\r\nC:\r\n\r\n") == nil)
        #expect(
            Self.outcome(Self.chunked + "0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n") == .tooManyFields)
        let value = String(repeating: "v", count: 40 - "A:\r\n".utf8.count)
        #expect(Self.outcome(Self.chunked + "0\r\nA:\(value)\r\n\r\n") == nil)
        #expect(Self.outcome(Self.chunked + "0\r\nA:\(value)v\r\n\r\n") == .fieldsTooLarge)
    }

    @Test func emptyLines() {
        let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        #expect(Self.outcome("\r\n\r\n" + request) == nil)
        #expect(Self.outcome("\r\n\r\n\r\n" + request) == .malformedRequestLine)
    }
}
