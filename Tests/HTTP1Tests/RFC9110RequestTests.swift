// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing

/// The rules of RFC 9110 for who reads requests, each by its section.
@Suite struct RFC9110RequestTests {
    @Test("RFC 9110 §5.1: a field name is a token and compares without case")
    func fieldNames() {
        #expect(head(get("X-aB: 1\r\n"))?.fields["x-ab"] == "1")
        for field in [": b", "A b: c", "A(: b", "\"A\": b", "A", "Ä: b", "A\u{0}: b"] {
            #expect(refusal(get(field + "\r\n")) != nil)
        }
    }

    @Test("RFC 9110 §5.3: lines of one name keep their order")
    func repeatedFields() {
        #expect(head(get("A: 1\r\nB: 2\r\na: 3\r\n"))?.fields.all("a") == ["1", "3"])
    }

    @Test(
        "RFC 9110 §5.4: more fields than are taken MUST be answered with 4xx: 431, at the limit and one past it"
    )
    func fieldLimits() {
        let limits = HTTPLimits(maxFields: 3, maxFieldBytes: 64)
        #expect(refusal(get("A: 1\r\nB: 2\r\n"), limits: limits) == nil)
        #expect(refusal(get("A: 1\r\nB: 2\r\nC: 3\r\n"), limits: limits) == .tooManyFields)
        let value = String(repeating: "v", count: 64 - "Host: h\r\nA: \r\n".utf8.count)
        #expect(refusal(get("A: \(value)\r\n"), limits: limits) == nil)
        #expect(refusal(get("A: \(value)v\r\n"), limits: limits) == .fieldsTooLarge)
        #expect(HTTPError.tooManyFields.status == 431 && HTTPError.fieldsTooLarge.status == 431)
    }

    @Test(
        "RFC 9110 §5.5: CR, LF, NUL and other controls in a value MUST be refused or replaced: refused"
    )
    func controlsInValues() {
        for byte in (0..<0x20).filter({ $0 != 0x09 && $0 != 0x0A }) + [0x7F] {
            let text = get("A: b\(Unicode.Scalar(UInt8(byte)))c\r\n")
            #expect(refusal(text) == .malformedField)
        }
    }

    @Test(
        "RFC 9110 §8.6: a Content-Length that is not digits alone MUST be refused",
        arguments: [
            "+5", "-5", "5 5", "5,5", "5, 5", "0x5", "5.0", "5e0", "", "five", "٥", "5;a",
        ])
    func badContentLengths(_ value: String) {
        #expect(refusal(post("Content-Length: \(value)")) == .badContentLength)
    }

    @Test("RFC 9110 §8.6: a Content-Length past any integer MUST NOT overflow: 413")
    func hugeContentLengths() {
        for value in [
            "9223372036854775807", "9223372036854775808", "18446744073709551617",
            String(repeating: "9", count: 60),
        ] {
            #expect(refusal(post("Content-Length: \(value)")) == .bodyTooLarge)
        }
        #expect(HTTPError.bodyTooLarge.status == 413)
    }

    @Test("RFC 9110 §7.8: Upgrade MUST be ignored in HTTP/1.0, and needs the connection option")
    func upgrades() {
        let fields = "Connection: upgrade\r\nUpgrade: websocket\r\n"
        #expect(head(get(fields))?.upgradesToWebSocket == true)
        #expect(head("GET / HTTP/1.0\r\n\(fields)\r\n")?.upgradesToWebSocket == false)
        #expect(head(get("Upgrade: websocket\r\n"))?.upgradesToWebSocket == false)
        #expect(
            head(get("Connection: upgrade\r\nUpgrade: h2c\r\n"))?.upgradesToWebSocket == false)
    }

    @Test(
        "RFC 9110 §10.1.1: 100-continue is seen without case, MUST be ignored in HTTP/1.0, others are 417"
    )
    func expectations() {
        let fields = "Expect: 100-CONTINUE\r\nContent-Length: 1"
        #expect(head(post(fields, "x"))?.expectsContinue == true)
        #expect(head("POST / HTTP/1.0\r\n\(fields)\r\n\r\nx")?.expectsContinue == false)
        #expect(
            head(get("Expect: 100-continue\r\n"))?.expectsContinue == false,
            "no body to wait for")
        #expect(refusal(post("Expect: 200-ok")) == .unknownExpectation)
        #expect(HTTPError.unknownExpectation.status == 417)
    }

    @Test(
        "RFC 9110 §4.2.1: a target with an empty host MUST be refused",
        arguments: ["http:///p", "http://", "https://:80/", "http://?q"])
    func emptyHosts(_ target: String) { #expect(refusal(get(target: target)) == .badTarget) }

    @Test(
        "RFC 9110 §4.2.4: user information in a target is an error",
        arguments: ["http://u@h/", "http://u:p@h/", "http://@h/", "https://h:80@h/"])
    func userInformation(_ target: String) { #expect(refusal(get(target: target)) == .badTarget) }

    @Test("RFC 9110 §5.3: the lines of a list are one list")
    func listsOverLines() {
        #expect(head(get("Connection: a\r\nConnection: close\r\n"))?.keepAlive == false)
        let fields =
            "Connection: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        #expect(head(get(fields))?.upgradesToWebSocket == true)
        #expect(refusal(post("Expect: 100-continue\r\nExpect: x")) == .unknownExpectation)
    }

    @Test("RFC 9110 §5.6.1: empty elements of a list MUST be passed over")
    func emptyElements() {
        #expect(head(get("Connection: ,close , ,\r\n"))?.keepAlive == false)
        let upgrade = "Connection: , upgrade,\r\nUpgrade: ,\t, websocket ,\r\n"
        #expect(head(get(upgrade))?.upgradesToWebSocket == true)
        let expected = head(post("Expect: , 100-continue ,\r\nContent-Length: 1", "x"))
        #expect(expected?.expectsContinue == true)
        #expect(head(post("Expect: ,\r\nContent-Length: 1", "x"))?.expectsContinue == false)
    }

    @Test(
        "RFC 9110 §7.4: a target of the scheme https is told from all others, without case",
        arguments: [
            ("https://h/", true), ("HTTPS://h", true), ("http://h/", false), ("/https:", false),
        ])
    func schemes(_ target: String, _ isHTTPS: Bool) {
        #expect(head(get(target: target))?.asksForHTTPS == isHTTPS)
    }

    @Test("RFC 6455 §4.2.1: only a GET over HTTP/1.1 or higher is a handshake")
    func handshakeRequests() {
        func upgrades(_ line: String) -> Bool? {
            head("\(line)\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n")?
                .upgradesToWebSocket
        }
        #expect(upgrades("GET / HTTP/1.1") == true && upgrades("GET / HTTP/1.2") == true)
        for line in ["GET / HTTP/1.0", "POST / HTTP/1.1", "HEAD / HTTP/1.1", "get / HTTP/1.1"] {
            #expect(upgrades(line) == false)
        }
    }
}
