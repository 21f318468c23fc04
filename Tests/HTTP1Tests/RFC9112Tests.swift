// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing

/// The rules of RFC 9112 and RFC 9110 for who reads requests, each by its section. The table in
/// docs/conformance.md is made of these names.
@Suite struct RFC9112RequestTests {
    static let host = "Host: h\r\n"

    static func get(_ fields: String = "", target: String = "/") -> String {
        "GET \(target) HTTP/1.1\r\n\(host)\(fields)\r\n"
    }

    static func post(_ fields: String, _ body: String = "") -> String {
        "POST / HTTP/1.1\r\n\(host)\(fields)\r\n\r\n\(body)"
    }

    static func chunks(_ body: String) -> String { post("Transfer-Encoding: chunked", body) }

    @Test("RFC 9112 §2.2: a recipient MUST parse a message as octets")
    func octets() {
        let seen = requests([
            Array("GET / HTTP/1.1\r\nHost: h\r\nA: ".utf8) + [0xE9, 0xFF, 0x0D, 0x0A, 0x0D, 0x0A]
        ])
        #expect(seen.count == 2 && seen.last == .end)
    }

    @Test(
        "RFC 9112 §2.2: LF alone MAY end a line; it does not here, anywhere",
        arguments: [
            "GET / HTTP/1.1\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\n",
            chunks("1\nx\r\n0\r\n\r\n"), chunks("1\r\nx\r\n0\r\nA: b\n\r\n"),
        ])
    func bareLineFeed(_ text: String) { #expect(refusal(text) == .bareLineFeed) }

    @Test(
        "RFC 9112 §2.2: a bare CR MUST make a line invalid or be replaced",
        arguments: [
            ("GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", HTTPError.badTarget),
            (get("A: b\rc\r\n"), .malformedField),
            (get("A\r: b\r\n"), .malformedField),
            (chunks("1\r;a\r\nx\r\n0\r\n\r\n"), .malformedChunk),
        ])
    func bareCarriageReturn(_ text: String, _ error: HTTPError) { #expect(refusal(text) == error) }

    @Test("RFC 9112 §2.2: empty lines before a request line SHOULD be ignored, within a limit")
    func emptyLinesBefore() {
        #expect(refusal("\r\n" + Self.get()) == nil)
        let limits = HTTPLimits(maxEmptyLines: 2)
        #expect(refusal("\r\n\r\n" + Self.get(), limits: limits) == nil)
        #expect(refusal("\r\n\r\n\r\n" + Self.get(), limits: limits) == .malformedRequestLine)
    }

    @Test(
        "RFC 9112 §2.2: white space before the first field MUST be refused or its line passed over")
    func spaceBeforeFields() {
        #expect(refusal("GET / HTTP/1.1\r\n Host: h\r\n\r\n") == .foldedField)
        #expect(refusal("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n") == .foldedField)
    }

    @Test(
        "RFC 9112 §2.3: another major version is refused with 505; a higher minor one is read as 1.1"
    )
    func versions() {
        #expect(refusal("GET / HTTP/2.0\r\n\r\n") == .unsupportedVersion)
        #expect(HTTPError.unsupportedVersion.status == 505)
        #expect(head("GET / HTTP/1.9\r\nHost: h\r\n\r\n")?.minorVersion == 1)
        for version in [
            "http/1.1", "HTTP/1", "HTTP/1.10", "HTTP/01.1", "HTTP /1.1", "HTTP/1,1", "HTTPS/1.1",
        ] {
            #expect(refusal("GET / \(version)\r\nHost: h\r\n\r\n") == .malformedRequestLine)
        }
    }

    @Test(
        "RFC 9112 §3: an invalid request line is answered with 400, not repaired",
        arguments: [
            "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ",
            "GET\t/\tHTTP/1.1", "GET /",
            "GET", "GET / a HTTP/1.1", "\u{B}GET / HTTP/1.1",
        ])
    func requestLine(_ line: String) {
        #expect(refusal("\(line)\r\nHost: h\r\n\r\n") == .malformedRequestLine)
        #expect(HTTPError.malformedRequestLine.status == 400)
    }

    @Test("RFC 9112 §3: a target too long MUST be answered with 414, at the limit and one past it")
    func longTarget() {
        let limits = HTTPLimits(maxRequestLineBytes: 64)
        let fits = "/" + String(repeating: "a", count: 64 - "GET / HTTP/1.1".count)
        #expect(refusal(Self.get(target: fits), limits: limits) == nil)
        #expect(refusal(Self.get(target: fits + "a"), limits: limits) == .requestLineTooLong)
        #expect(HTTPError.requestLineTooLong.status == 414)
        #expect(HTTPLimits().maxRequestLineBytes >= 8000, "§3 asks for 8,000 at least")
    }

    @Test("RFC 9112 §3.1: a method is a token and compares with case")
    func methods() {
        #expect(head("get / HTTP/1.1\r\nHost: h\r\n\r\n")?.method == "get")
        #expect(head("M-SEARCH!#$%&'*+.^_`|~9 / HTTP/1.1\r\nHost: h\r\n\r\n") != nil)
        for method in ["G(T", "G\"T", "G@T", "G{T", "GÉT"] {
            #expect(refusal("\(method) / HTTP/1.1\r\nHost: h\r\n\r\n") == .malformedRequestLine)
        }
    }

    @Test("RFC 9112 §3.2: HTTP/1.1 without Host MUST be answered with 400, in absolute form too")
    func missingHost() {
        #expect(refusal("GET / HTTP/1.1\r\n\r\n") == .missingHost)
        #expect(refusal("GET http://h/ HTTP/1.1\r\n\r\n") == .missingHost)
        #expect(HTTPError.missingHost.status == 400)
        #expect(refusal("GET / HTTP/1.0\r\n\r\n") == nil)
    }

    @Test("RFC 9112 §3.2: more than one Host MUST be answered with 400, also of one value")
    func severalHosts() { #expect(refusal(Self.get("Host: h\r\n")) == .severalHosts) }

    @Test(
        "RFC 9112 §3.2: an invalid Host MUST be answered with 400",
        arguments: [
            "a b", "a/b", "u@h", "h:8o", "h:80:80", "[::1", "::1", "[::1]x", "[zz]", "[1.2.3.4]",
            "[]", "a,b/", "h\u{7F}",
            "%", "%4", "%zz", "[v1.]", "[v.a]", ":80", "h:123456",
        ])
    func badHosts(_ host: String) {
        let error = refusal("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(error == .badHost || error == .malformedField)
    }

    @Test(
        "RFC 9112 §3.2: a valid Host is taken",
        arguments: [
            "h", "h:80", "h:", "[::1]", "[::ffff:1.2.3.4]:3001", "[v1.a:b]", "xn--h-1ga.example",
            "a_b", "%41", "1.2.3.4", "",
        ])
    func goodHosts(_ host: String) {
        #expect(refusal("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == nil)
    }

    @Test("RFC 9112 §3.2.1: origin form is a path that begins with a slash, and a query")
    func originForm() {
        let read = head(Self.get(target: "/a/b?c=d?e"))
        #expect(read?.path == "/a/b" && read?.query == "c=d?e")
        for target in ["a", "?a", "//\u{20}", "/a#b", "/\"", "/<", "/\u{80}", "/%", "/%0", "/%0g"] {
            #expect(refusal(Self.get(target: target)) != nil)
        }
    }

    @Test("RFC 9112 §3.2.2: absolute form MUST be taken, and its authority MUST replace Host")
    func absoluteForm() {
        #expect(head(Self.get(target: "http://other:81/p?q"))?.fields["host"] == "other:81")
        #expect(head(Self.get(target: "HTTPS://other"))?.path == "/")
        for target in [
            "http:///p", "http://u@h/", "http://u:p@h/", "ftp://h/", "http:/h", "http://h h/",
            "http://[/",
        ] {
            #expect(refusal(Self.get(target: target)) != nil)
        }
    }

    @Test("RFC 9112 §3.2.3: authority form belongs to CONNECT, which is not spoken here: 501")
    func authorityForm() {
        #expect(refusal(Self.get(target: "h:80")) == .badTarget)
        #expect(refusal("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n") == .unsupportedMethod)
        #expect(HTTPError.unsupportedMethod.status == 501)
    }

    @Test("RFC 9112 §3.2.4: asterisk form is for OPTIONS only")
    func asteriskForm() {
        #expect(head("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")?.path == "*")
        #expect(refusal(Self.get(target: "*")) == .badTarget)
    }

    @Test(
        "RFC 9112 §5.1: white space between field name and colon MUST be answered with 400",
        arguments: [
            "A : b", "A\t: b", "Content-Length : 5", "Transfer-Encoding : chunked",
        ])
    func spaceBeforeColon(_ field: String) {
        #expect(refusal(Self.get(field + "\r\n")) == .spaceBeforeColon)
        #expect(HTTPError.spaceBeforeColon.status == 400)
    }

    @Test("RFC 9112 §5.1: white space around a value MUST NOT be part of it")
    func spaceAroundValues() {
        #expect(head(Self.get("A: \t b \t c \t\r\n"))?.fields["a"] == "b \t c")
    }

    @Test(
        "RFC 9112 §5.2: a folded field MUST be refused or unfolded: refused",
        arguments: ["A: b\r\n c\r\n", "A:\r\n\tb\r\n"])
    func foldedFields(_ fields: String) { #expect(refusal(Self.get(fields)) == .foldedField) }

    @Test("RFC 9110 §5.1: a field name is a token and compares without case")
    func fieldNames() {
        #expect(head(Self.get("X-aB: 1\r\n"))?.fields["x-ab"] == "1")
        for field in [": b", "A b: c", "A(: b", "\"A\": b", "A", "Ä: b", "A\u{0}: b"] {
            #expect(refusal(Self.get(field + "\r\n")) != nil)
        }
    }

    @Test("RFC 9110 §5.3: lines of one name keep their order")
    func repeatedFields() {
        #expect(head(Self.get("A: 1\r\nB: 2\r\na: 3\r\n"))?.fields.all("a") == ["1", "3"])
    }

    @Test(
        "RFC 9110 §5.4: more fields than are taken MUST be answered with 4xx: 431, at the limit and one past it"
    )
    func fieldLimits() {
        let limits = HTTPLimits(maxFields: 3, maxFieldBytes: 64)
        #expect(refusal(Self.get("A: 1\r\nB: 2\r\n"), limits: limits) == nil)
        #expect(refusal(Self.get("A: 1\r\nB: 2\r\nC: 3\r\n"), limits: limits) == .tooManyFields)
        let value = String(repeating: "v", count: 64 - "Host: h\r\nA: \r\n".utf8.count)
        #expect(refusal(Self.get("A: \(value)\r\n"), limits: limits) == nil)
        #expect(refusal(Self.get("A: \(value)v\r\n"), limits: limits) == .fieldsTooLarge)
        #expect(HTTPError.tooManyFields.status == 431 && HTTPError.fieldsTooLarge.status == 431)
    }

    @Test(
        "RFC 9110 §5.5: CR, LF, NUL and other controls in a value MUST be refused or replaced: refused"
    )
    func controlsInValues() {
        for byte in (0..<0x20).filter({ $0 != 0x09 && $0 != 0x0A }) + [0x7F] {
            let text = Self.get("A: b\(Unicode.Scalar(UInt8(byte)))c\r\n")
            #expect(refusal(text) == .malformedField)
        }
    }

    @Test(
        "RFC 9112 §6.1: chunked MUST NOT be applied twice, and MUST be last: 400",
        arguments: [
            "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked, gzip", "gzip",
            "identity", "",
            "chunked,", ", chunked", "xchunked", "chunked;q=1", "\"chunked\"", "chunke\u{17F}d",
        ])
    func transferCodings(_ value: String) {
        #expect(refusal(Self.post("Transfer-Encoding: \(value)")) == .badTransferCoding)
        #expect(HTTPError.badTransferCoding.status == 400)
    }

    @Test("RFC 9112 §6.1: a transfer coding not understood SHOULD be answered with 501")
    func unknownTransferCoding() {
        #expect(refusal(Self.post("Transfer-Encoding: gzip, chunked")) == .unknownTransferCoding)
        #expect(HTTPError.unknownTransferCoding.status == 501)
    }

    @Test("RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0 MUST be treated as faulty framing")
    func transferCodingInHTTP10() {
        let text = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        #expect(refusal(text) == .transferCodingInHTTP10)
    }

    @Test(
        "RFC 9112 §6.1, §6.3: Content-Length beside Transfer-Encoding is refused in either order",
        arguments: [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
        ])
    func lengthAndTransferCoding(_ fields: String) {
        #expect(refusal(Self.post(fields, "0\r\n\r\n")) == .lengthAndTransferCoding)
    }

    @Test(
        "RFC 9110 §8.6: a Content-Length that is not digits alone MUST be refused",
        arguments: [
            "+5", "-5", "5 5", "5,5", "5, 5", "0x5", "5.0", "5e0", "", "five", "٥", "5;a",
        ])
    func badContentLengths(_ value: String) {
        #expect(refusal(Self.post("Content-Length: \(value)")) == .badContentLength)
    }

    @Test("RFC 9110 §8.6: a Content-Length past any integer MUST NOT overflow: 413")
    func hugeContentLengths() {
        for value in [
            "9223372036854775807", "9223372036854775808", "18446744073709551617",
            String(repeating: "9", count: 60),
        ] {
            #expect(refusal(Self.post("Content-Length: \(value)")) == .bodyTooLarge)
        }
        #expect(HTTPError.bodyTooLarge.status == 413)
    }

    @Test("RFC 9112 §6.3: several Content-Length lines are unrecoverable, also when alike: 400")
    func severalContentLengths() {
        #expect(
            refusal(Self.post("Content-Length: 1\r\nContent-Length: 1", "x"))
                == .severalContentLengths)
        #expect(
            refusal(Self.post("Content-Length: 1\r\nContent-Length: 2", "x"))
                == .severalContentLengths)
    }

    @Test("RFC 9112 §6.3: a request with neither field has no body")
    func noBody() {
        #expect(head("POST / HTTP/1.1\r\nHost: h\r\n\r\n")?.framing == BodyFraming.none)
    }

    @Test(
        "RFC 9112 §7.1: chunk sizes are hexadecimal digits alone",
        arguments: [
            "g\r\n", "0x1\r\nx\r\n", "+1\r\nx\r\n", "-1\r\n", " 1\r\nx\r\n", "1 \r\nx\r\n", "\r\n",
            "1_0\r\n", "١\r\n",
        ])
    func chunkSizes(_ body: String) { #expect(refusal(Self.chunks(body)) == .malformedChunk) }

    @Test(
        "RFC 9112 §7.1: a recipient MUST anticipate huge chunk sizes and not overflow",
        arguments: [
            "7fffffffffffffff", "8000000000000000", "ffffffffffffffff", "10000000000000001",
            "fffffffffffffffffffffffffffffff",
        ])
    func hugeChunks(_ size: String) {
        #expect(refusal(Self.chunks("\(size)\r\n")) == .bodyTooLarge)
    }

    @Test(
        "RFC 9112 §7.1: a chunk's data ends in CRLF exactly where its size says",
        arguments: [
            "1\r\nxy\r\n0\r\n\r\n", "3\r\nxy\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", "1\r\nx0\r\n\r\n",
        ])
    func chunkEnds(_ body: String) { #expect(refusal(Self.chunks(body)) == .malformedChunk) }

    @Test(
        "RFC 9112 §7.1.1: chunk extensions not known MUST be ignored, within a limit over the message"
    )
    func chunkExtensions() {
        let limits = HTTPLimits(maxChunkExtensionBytes: 8)
        #expect(refusal(Self.chunks("1;a=b\r\nx\r\n0;c=d\r\n\r\n"), limits: limits) == nil)
        #expect(
            refusal(Self.chunks("1;a=b\r\nx\r\n0;c=de\r\n\r\n"), limits: limits)
                == .chunkExtensionsTooLarge)
        #expect(refusal(Self.chunks("1 a\r\nx\r\n0\r\n\r\n")) == .malformedChunk)
    }

    @Test(
        "RFC 9112 §7.1.2: trailer fields MUST NOT be merged unless known to be safe: they are checked and dropped"
    )
    func trailers() {
        let seen = requestsEverywhere(
            Self.chunks("1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: evil\r\n\r\n"))
        #expect(seen.count == 3 && seen[1] == .body("x") && seen[2] == .end)
        if case .head(let head)? = seen.first { #expect(head.fields.all("host") == ["h"]) }
        #expect(refusal(Self.chunks("0\r\nA : b\r\n\r\n")) == .spaceBeforeColon)
    }

    @Test(
        "RFC 9112 §9.3: a connection lives on in HTTP/1.1 unless closed, and in HTTP/1.0 if asked")
    func persistence() {
        #expect(head(Self.get())?.keepAlive == true)
        #expect(head(Self.get("Connection: x, CLOSE\r\n"))?.keepAlive == false)
        #expect(head("GET / HTTP/1.0\r\n\r\n")?.keepAlive == false)
        #expect(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")?.keepAlive == true)
        #expect(head("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")?.keepAlive == false)
    }

    @Test("RFC 9112 §9.3.2: pipelined requests are read in their order")
    func pipelining() {
        let text = (0..<5).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined()
        let targets = requestsEverywhere(text).compactMap {
            if case .head(let head) = $0 { head.target } else { nil }
        }
        #expect(targets == (0..<5).map { "/\($0)" })
    }

    @Test("RFC 9110 §7.8: Upgrade MUST be ignored in HTTP/1.0, and needs the connection option")
    func upgrades() {
        let fields = "Connection: upgrade\r\nUpgrade: websocket\r\n"
        #expect(head(Self.get(fields))?.upgradesToWebSocket == true)
        #expect(head("GET / HTTP/1.0\r\n\(fields)\r\n")?.upgradesToWebSocket == false)
        #expect(head(Self.get("Upgrade: websocket\r\n"))?.upgradesToWebSocket == false)
        #expect(
            head(Self.get("Connection: upgrade\r\nUpgrade: h2c\r\n"))?.upgradesToWebSocket == false)
    }

    @Test(
        "RFC 9110 §10.1.1: 100-continue is seen without case, MUST be ignored in HTTP/1.0, others are 417"
    )
    func expectations() {
        let fields = "Expect: 100-CONTINUE\r\nContent-Length: 1"
        #expect(head(Self.post(fields, "x"))?.expectsContinue == true)
        #expect(head("POST / HTTP/1.0\r\n\(fields)\r\n\r\nx")?.expectsContinue == false)
        #expect(
            head(Self.get("Expect: 100-continue\r\n"))?.expectsContinue == false,
            "no body to wait for")
        #expect(refusal(Self.post("Expect: 200-ok")) == .unknownExpectation)
        #expect(HTTPError.unknownExpectation.status == 417)
    }
}

/// The rules for who reads and writes responses.
@Suite struct RFC9112ResponseTests {
    static func framing(_ text: String, method: String = "GET") -> BodyFraming?? {
        for seen in responses([Array(text.utf8)], method: method) {
            if case .response(let head) = seen { return head.framing }
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
}
