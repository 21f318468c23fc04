// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing

@Suite struct ResponseWriterTests {
    static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    static func head(
        _ status: Int = 200, _ reason: String = "OK", fields: HTTPFields = [:],
        bodyCount: Int? = 2, keepAlive: Bool = true, isHead: Bool = false, date: String = date,
        minorVersion: Int = 1
    ) -> (text: String, sendsBody: Bool) {
        var output: [UInt8] = []
        let sendsBody = ResponseWriter.write(
            status: status, reason: reason, fields: fields, bodyCount: bodyCount,
            keepAlive: keepAlive, isHead: isHead, date: date, minorVersion: minorVersion,
            into: &output)
        return (String(decoding: output, as: UTF8.self), sendsBody)
    }

    @Test func aLengthIsWritten() {
        let (text, sendsBody) = Self.head(fields: ["content-type": "text/plain"])
        #expect(
            text == "HTTP/1.1 200 OK\r\ndate: \(Self.date)\r\ncontent-type: text/plain\r\n"
                + "content-length: 2\r\n\r\n")
        #expect(sendsBody)
    }

    @Test func framingHasOneAuthor() {
        let (text, _) = Self.head(
            fields: [
                "Content-Length": "9", "Transfer-Encoding": "chunked", "Connection": "x",
                "Date": "never",
            ])
        #expect(
            text == "HTTP/1.1 200 OK\r\ndate: \(Self.date)\r\ncontent-length: 2\r\n\r\n")
    }

    @Test func closingIsSaid() {
        #expect(Self.head(keepAlive: false).text.hasSuffix("connection: close\r\n\r\n"))
        #expect(Self.head(minorVersion: 0).text.hasSuffix("connection: keep-alive\r\n\r\n"))
    }

    @Test func noLengthMeansChunks() {
        #expect(Self.head(bodyCount: nil).text.contains("transfer-encoding: chunked\r\n"))
        let old = Self.head(bodyCount: nil, keepAlive: false, minorVersion: 0).text
        #expect(!old.contains("transfer-encoding"))
    }

    @Test func aHeadResponseTellsTheLengthAndSendsNothing() {
        let (text, sendsBody) = Self.head(bodyCount: 500, isHead: true)
        #expect(text.contains("content-length: 500\r\n") && !sendsBody)
    }

    @Test(
        "RFC 9110 §6.4.1: 1xx, 204 and 304 have no content, and nothing that announces any",
        arguments: [100, 103, 204, 304])
    func responsesWithoutContentHaveNoLength(_ status: Int) {
        let (text, sendsBody) = Self.head(status, "x", bodyCount: 0)
        #expect(!text.contains("content-length") && !text.contains("transfer-encoding"))
        #expect(!sendsBody)
    }

    @Test(
        "RFC 9110 §7.8: a 101 MUST carry Upgrade, and who sends Upgrade MUST list it in Connection")
    func aSwitchKeepsTheHandshakesFields() {
        let (text, _) = Self.head(
            101, "Switching Protocols", fields: ["upgrade": "websocket", "connection": "Upgrade"],
            bodyCount: 0, date: "")
        #expect(
            text == "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                + "connection: Upgrade\r\n\r\n")
    }

    @Test(
        "RFC 9110 §5.5: a sender MUST NOT send CR, LF or NUL in a value, nor fold it: spaces go out"
    )
    func aValueCannotStartALine() {
        let (text, _) = Self.head(fields: ["location": "/a\r\nset-cookie: x\u{0}y"], date: "")
        #expect(
            text == "HTTP/1.1 200 OK\r\nlocation: /a  set-cookie: x y\r\ncontent-length: 2\r\n\r\n"
        )
    }

    @Test(arguments: [1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65_537])
    func chunksComeBack(_ count: Int) {
        var bytes: [UInt8] = []
        ResponseWriter.write(
            status: 200, reason: "OK", fields: [:], bodyCount: nil, keepAlive: true,
            isHead: false, date: "", into: &bytes)
        let data = [UInt8](repeating: UInt8(ascii: "x"), count: count)
        ResponseWriter.writeChunk(data.span, into: &bytes)
        ResponseWriter.writeChunk([UInt8]().span, into: &bytes)
        ResponseWriter.writeChunk([UInt8(ascii: "y")].span, into: &bytes)
        ResponseWriter.writeLastChunk(into: &bytes)
        let seen = responses([bytes])
        #expect(
            seen.dropFirst() == [.body(String(repeating: "x", count: count) + "y"), .end])
    }

    @Test func continueIsAResponseOfItsOwn() {
        var bytes: [UInt8] = []
        ResponseWriter.writeContinue(into: &bytes)
        #expect(responses([bytes]).count == 2)
    }
}

@Suite struct RequestWriterTests {
    @Test func requestsComeBack() {
        var bytes: [UInt8] = []
        RequestWriter.write(
            method: "POST", target: "/a?b", fields: ["Host": "h", "Content-Length": "9"],
            bodyCount: 2, into: &bytes)
        bytes.append("ok")
        let head = RequestHead(
            method: "POST", target: "/a?b", path: "/a", query: "b", minorVersion: 1,
            fields: ["host": "h", "content-length": "2"], framing: .length(2), keepAlive: true,
            expectsContinue: false, upgradesToWebSocket: false)
        #expect(requests([bytes]) == [.head(head), .body("ok"), .end])
    }
}

@Suite struct HTTPFieldsTests {
    @Test func namesHaveNoCase() {
        var fields: HTTPFields = ["Content-Type": "a", "Set-Cookie": "b"]
        fields.append("SET-COOKIE", "c")
        #expect(fields["content-type"] == "a")
        #expect(fields.all("set-cookie") == ["b", "c"])
        fields.set("Set-cookie", "d")
        #expect(fields.all("set-cookie") == ["d"])
        fields.remove("SET-cookie")
        #expect(fields["set-cookie"] == nil)
    }

    @Test(
        arguments: [
            ("gzip, deflate", true), ("GZIP", true), ("br;q=1, gzip;q=0.5", true),
            ("br,\tgzip ;q=1", true), ("gzipx", false), ("x gzip", false), ("", false),
            (",", false),
        ])
    func listsTokens(_ value: String, _ isListed: Bool) {
        let fields: HTTPFields = ["accept-encoding": value]
        #expect(fields.lists("accept-encoding", token: "gzip") == isListed)
        #expect(!fields.lists("accept", token: "gzip"))
    }
}
