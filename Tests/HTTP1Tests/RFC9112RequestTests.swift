// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing

/// The rules of RFC 9112 for who reads requests, each by its section. docs/requirements.md is made of these
/// names.
@Suite struct RFC9112RequestTests {
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
            chunked("1\nx\r\n0\r\n\r\n"), chunked("1\r\nx\r\n0\r\nA: b\n\r\n"),
        ])
    func bareLineFeed(_ text: String) { #expect(refusal(text) == .bareLineFeed) }

    @Test(
        "RFC 9112 §2.2: a bare CR MUST make a line invalid or be replaced",
        arguments: [
            ("GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", HTTPError.badTarget),
            (get("A: b\rc\r\n"), .malformedField),
            (get("A\r: b\r\n"), .malformedField),
            (chunked("1\r;a\r\nx\r\n0\r\n\r\n"), .malformedChunk),
        ])
    func bareCarriageReturn(_ text: String, _ error: HTTPError) { #expect(refusal(text) == error) }

    @Test("RFC 9112 §2.2: empty lines before a request line SHOULD be ignored, within a limit")
    func emptyLinesBefore() {
        #expect(refusal("\r\n" + get()) == nil)
        let limits = HTTPLimits(maxEmptyLines: 2)
        #expect(refusal("\r\n\r\n" + get(), limits: limits) == nil)
        #expect(refusal("\r\n\r\n\r\n" + get(), limits: limits) == .malformedRequestLine)
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
        #expect(refusal(get(target: fits), limits: limits) == nil)
        #expect(refusal(get(target: fits + "a"), limits: limits) == .requestLineTooLong)
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
    func severalHosts() { #expect(refusal(get("Host: h\r\n")) == .severalHosts) }

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
        let read = head(get(target: "/a/b?c=d?e"))
        #expect(read?.path == "/a/b" && read?.query == "c=d?e")
        for target in ["a", "?a", "//\u{20}", "/a#b", "/\"", "/<", "/\u{80}", "/%", "/%0", "/%0g"] {
            #expect(refusal(get(target: target)) != nil)
        }
    }

    @Test("RFC 9112 §3.2.2: absolute form MUST be taken, and its authority MUST replace Host")
    func absoluteForm() {
        #expect(head(get(target: "http://other:81/p?q"))?.fields["host"] == "other:81")
        #expect(head(get(target: "HTTPS://other"))?.path == "/")
        for target in [
            "http:///p", "http://u@h/", "http://u:p@h/", "ftp://h/", "http:/h", "http://h h/",
            "http://[/",
        ] {
            #expect(refusal(get(target: target)) != nil)
        }
    }

    @Test("RFC 9112 §3.2.3: authority form belongs to CONNECT, which is not spoken here: 501")
    func authorityForm() {
        #expect(refusal(get(target: "h:80")) == .badTarget)
        #expect(refusal("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n") == .unsupportedMethod)
        #expect(HTTPError.unsupportedMethod.status == 501)
    }

    @Test("RFC 9112 §3.2.4: asterisk form is for OPTIONS only")
    func asteriskForm() {
        #expect(head("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")?.path == "*")
        #expect(refusal(get(target: "*")) == .badTarget)
        // §3.2.4: as a proxy sends it on, an authority alone.
        #expect(head("OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n")?.path == "*")
        #expect(head("OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")?.path == "/")
    }

    @Test(
        "RFC 9112 §5.1: white space between field name and colon MUST be answered with 400",
        arguments: [
            "A : b", "A\t: b", "Content-Length : 5", "Transfer-Encoding : chunked",
        ])
    func spaceBeforeColon(_ field: String) {
        #expect(refusal(get(field + "\r\n")) == .spaceBeforeColon)
        #expect(HTTPError.spaceBeforeColon.status == 400)
    }

    @Test("RFC 9112 §5.1: white space around a value MUST NOT be part of it")
    func spaceAroundValues() {
        #expect(head(get("A: \t b \t c \t\r\n"))?.fields["a"] == "b \t c")
    }

    @Test(
        "RFC 9112 §5.2: a folded field MUST be refused or unfolded: refused",
        arguments: ["A: b\r\n c\r\n", "A:\r\n\tb\r\n"])
    func foldedFields(_ fields: String) { #expect(refusal(get(fields)) == .foldedField) }

    @Test(
        "RFC 9112 §6.1: chunked MUST NOT be applied twice, and MUST be last: 400",
        arguments: [
            "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked, gzip", "gzip",
            "identity", "",
            "chunked,", ", chunked", "xchunked", "chunked;q=1", "\"chunked\"", "chunke\u{17F}d",
        ])
    func transferCodings(_ value: String) {
        #expect(refusal(post("Transfer-Encoding: \(value)")) == .badTransferCoding)
        #expect(HTTPError.badTransferCoding.status == 400)
    }

    @Test("RFC 9112 §6.1: a transfer coding not understood SHOULD be answered with 501")
    func unknownTransferCoding() {
        #expect(refusal(post("Transfer-Encoding: gzip, chunked")) == .unknownTransferCoding)
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
        #expect(refusal(post(fields, "0\r\n\r\n")) == .lengthAndTransferCoding)
    }

    @Test("RFC 9112 §6.3: several Content-Length lines are unrecoverable, also when alike: 400")
    func severalContentLengths() {
        #expect(
            refusal(post("Content-Length: 1\r\nContent-Length: 1", "x"))
                == .severalContentLengths)
        #expect(
            refusal(post("Content-Length: 1\r\nContent-Length: 2", "x"))
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
    func chunkSizes(_ body: String) { #expect(refusal(chunked(body)) == .malformedChunk) }

    @Test(
        "RFC 9112 §7.1: a recipient MUST anticipate huge chunk sizes and not overflow",
        arguments: [
            "7fffffffffffffff", "8000000000000000", "ffffffffffffffff", "10000000000000001",
            "fffffffffffffffffffffffffffffff",
        ])
    func hugeChunks(_ size: String) {
        #expect(refusal(chunked("\(size)\r\n")) == .bodyTooLarge)
    }

    @Test(
        "RFC 9112 §7.1: a chunk's data ends in CRLF exactly where its size says",
        arguments: [
            "1\r\nxy\r\n0\r\n\r\n", "3\r\nxy\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", "1\r\nx0\r\n\r\n",
        ])
    func chunkEnds(_ body: String) { #expect(refusal(chunked(body)) == .malformedChunk) }

    @Test(
        "RFC 9112 §7.1.1: chunk extensions not known MUST be ignored, within a limit over the message"
    )
    func chunkExtensions() {
        let limits = HTTPLimits(maxChunkExtensionBytes: 8)
        #expect(refusal(chunked("1;a=b\r\nx\r\n0;c=d\r\n\r\n"), limits: limits) == nil)
        #expect(
            refusal(chunked("1;a=b\r\nx\r\n0;c=de\r\n\r\n"), limits: limits)
                == .chunkExtensionsTooLarge)
        #expect(refusal(chunked("1 a\r\nx\r\n0\r\n\r\n")) == .malformedChunk)
    }

    @Test(
        "RFC 9112 §7.1.2: trailer fields MUST NOT be merged unless known to be safe: they are checked and dropped"
    )
    func trailers() {
        let seen = requestsEverywhere(
            chunked("1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: evil\r\n\r\n"))
        #expect(seen.count == 3 && seen[1] == .body("x") && seen[2] == .end)
        if case .head(let head)? = seen.first { #expect(head.fields.all("host") == ["h"]) }
        #expect(refusal(chunked("0\r\nA : b\r\n\r\n")) == .spaceBeforeColon)
    }

    @Test(
        "RFC 9112 §9.3: a connection lives on in HTTP/1.1 unless closed, and in HTTP/1.0 if asked")
    func persistence() {
        #expect(head(get())?.keepAlive == true)
        #expect(head(get("Connection: x, CLOSE\r\n"))?.keepAlive == false)
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

    @Test(
        "RFC 9112 §7: the name of a transfer coding compares without case",
        arguments: ["chunked", "Chunked", "CHUNKED", "\tchunked "])
    func codingNames(_ name: String) {
        let seen = requestsEverywhere(post("Transfer-Encoding: \(name)", "1\r\nx\r\n0\r\n\r\n"))
        #expect(seen.dropFirst() == [.body("x"), .end])
    }

    @Test(
        "RFC 9112 §7.1: chunked MUST be decoded, whatever a size's letters and, in measure, its zeros"
    )
    func chunkDecoding() {
        let ten = "0123456789"
        let seen = requestsEverywhere(chunked("A\r\n\(ten)\r\n00a\r\n\(ten)\r\n000\r\n\r\n"))
        #expect(seen.dropFirst() == [.body(ten + ten), .end])
        let zeros = String(repeating: "0", count: 31)
        #expect(refusal(chunked("\(zeros)1\r\nx\r\n0\r\n\r\n")) == nil)
        #expect(refusal(chunked("0\(zeros)1\r\nx\r\n0\r\n\r\n")) == .malformedChunk)
    }
}
