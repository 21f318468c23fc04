// SPDX-License-Identifier: MIT
import Testing

@testable import Bus

@Suite struct RedisProtocolTests {
    static let vectors: [(String, RedisReply)] = [
        ("+OK\r\n", .status("OK")), ("-ERR no\r\n", .error("ERR no")), (":-7\r\n", .integer(-7)),
        ("$5\r\nhello\r\n", .bulk(Array("hello".utf8))), ("$0\r\n\r\n", .bulk([])),
        ("$-1\r\n", .null), ("*0\r\n", .array([])), ("*-1\r\n", .null),
        (
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n\r\n\r\n\r\n",
            .array([
                .bulk(Array("message".utf8)), .bulk(Array("c".utf8)), .bulk(Array("\r\n\r\n".utf8)),
            ])
        ),
        ("*2\r\n*1\r\n:1\r\n$-1\r\n", .array([.array([.integer(1)]), .null])),
    ]

    @Test(arguments: vectors) func repliesWholeAndCutAnywhere(
        _ text: String, _ reply: RedisReply
    ) throws {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var reader = RedisReplyReader()
            reader.feed(bytes.span.extracting(0..<cut))
            var replies: [RedisReply] = []
            while let next = try reader.next() { replies.append(next) }
            reader.feed(bytes.span.extracting(cut..<bytes.count))
            while let next = try reader.next() { replies.append(next) }
            #expect(replies == [reply], "cut at \(cut)")
        }
    }

    @Test func repliesGluedTogether() throws {
        let bytes = Array(Self.vectors.map(\.0).joined().utf8)
        var reader = RedisReplyReader()
        reader.feed(bytes.span)
        var replies: [RedisReply] = []
        while let next = try reader.next() { replies.append(next) }
        #expect(replies == Self.vectors.map(\.1))
    }

    @Test(arguments: ["HTTP/1.1 200 OK\r\n", "*x\r\n", "?\r\n"])
    func somethingElseIsRefused(_ text: String) {
        var reader = RedisReplyReader()
        reader.feed(Array(text.utf8).span)
        var isRefused = false
        do { while try reader.next() != nil {} } catch { isRefused = true }
        #expect(isRefused)
    }

    @Test func commandsAreBulkStrings() {
        var output: [UInt8] = []
        RedisCommand.write(["SELECT", "é"], into: &output)
        RedisCommand.writePublish("c", [0, 13, 10, 255], into: &output)
        let expected =
            Array("*2\r\n$6\r\nSELECT\r\n$2\r\né\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$4\r\n".utf8)
            + [0, 13, 10, 255] + Array("\r\n".utf8)
        #expect(output == expected)
    }

    @Test func pushes() {
        func bulk(_ text: String) -> RedisReply { .bulk(Array(text.utf8)) }
        #expect(
            RedisPush(.array([bulk("message"), bulk("c"), bulk("p")]))
                == .message(channel: "c", payload: Array("p".utf8)))
        #expect(
            RedisPush(.array([bulk("subscribe"), bulk("c"), .integer(1)]))
                == .subscribed(channel: "c"))
        #expect(RedisPush(.array([bulk("pong"), bulk("")])) == .other)
        #expect(RedisPush(.status("PONG")) == .other)
    }

    @Test func backOffGrowsWithinBounds() {
        for failures in 0..<20 {
            let full = Duration.milliseconds(50 << min(failures, 4))
            for _ in 0..<50 {
                let wait = RedisBus.backOff(after: failures)
                #expect(wait >= full / 2 && wait <= full)
            }
        }
    }
}
