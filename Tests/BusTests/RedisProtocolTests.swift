// SPDX-License-Identifier: MIT
import TestSupport
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

    /// The replies in some pieces; nil last where they are refused.
    private static func read(_ pieces: [[UInt8]]) -> [RedisReply?] {
        var reader = RedisReplyReader()
        var replies: [RedisReply?] = []
        do {
            for piece in pieces {
                reader.feed(piece.span)
                while let next = try reader.next() { replies.append(next) }
            }
        } catch {
            replies.append(nil)
        }
        return replies
    }

    @Test(arguments: vectors)
    func repliesWhereverTheyAreCut(_ text: String, _ reply: RedisReply) {
        let (bytes, neighbour) = (Array(text.utf8), Array(":1\r\n".utf8))
        #expect(Self.read([bytes]) == [reply])
        #expect(misreadings(of: bytes, before: neighbour, behind: neighbour, Self.read) == [])
    }

    @Test func repliesGluedTogether() {
        #expect(Self.read([Array(Self.vectors.map(\.0).joined().utf8)]) == Self.vectors.map(\.1))
    }

    @Test(arguments: ["HTTP/1.1 200 OK\r\n", "*x\r\n", "?\r\n"])
    func somethingElseIsRefused(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(Self.read([bytes]) == [nil])
        #expect(misreadings(of: bytes, before: Array(":1\r\n".utf8), Self.read) == [])
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
