// SPDX-License-Identifier: MIT
import Bytes
import ChatCore
import JSON
import TestSupport
import Testing
import Timing

@Suite struct LogEntryTests {
    private func entry(
        _ kind: LogKind, _ content: LogContent, roomSeq: Int64 = 3, clientID: String? = nil
    ) -> LogEntry {
        LogEntry(
            seq: 42, at: Timestamp(milliseconds: 1_769_903_999_007), kind: kind, room: "r7",
            visibility: .private, roomSeq: roomSeq, prev: 41, actor: "u_a\"b",
            actorName: "Ad\u{E4}", clientID: clientID, payload: content.payload)
    }

    private func event(_ entry: LogEntry) -> String {
        var output: [UInt8] = []
        entry.writeEvent(into: &output)
        return String(decoding: output, as: UTF8.self)
    }

    @Test func messageEvent() {
        let message = entry(
            .message, .message(text: "hi \"you\"\n😀", replyTo: "m9"), clientID: "c-1")
        #expect(
            event(message)
                == #"{"seq":42,"roomSeq":3,"room":"r7","id":"m42","at":"2026-01-31T23:59:59.007Z","#
                + #""user":{"id":"u_a\"b","name":"Adä"},"text":"hi \"you\"\n😀","replyTo":"m9","#
                + #""clientId":"c-1"}"#)
        #expect(message.id == "m42")
        let plain = entry(.message, .message(text: "x", replyTo: nil))
        #expect(event(plain).hasSuffix(#""text":"x","replyTo":null,"clientId":null}"#))
    }

    @Test func otherEvents() {
        let envelope =
            #"{"seq":42,"roomSeq":3,"room":"r7","at":"2026-01-31T23:59:59.007Z","#
            + #""user":{"id":"u_a\"b","name":"Adä"},"#
        #expect(
            event(entry(.room, .room(.created, name: "n", topic: "", visibility: .public)))
                == envelope + #""action":"created","name":"n","topic":"","visibility":"public"}"#)
        #expect(
            event(entry(.member, .member(.invited, User(id: "u_2", name: "bo"))))
                == envelope + #""action":"invited","member":{"id":"u_2","name":"bo"}}"#)
        #expect(
            event(entry(.receipt, .receipt(roomSeq: 12), roomSeq: 0))
                == #"{"room":"r7","at":"2026-01-31T23:59:59.007Z","#
                + #""user":{"id":"u_a\"b","name":"Adä"},"roomSeq":12}"#)
    }

    @Test(
        arguments: [
            (.message, .message(text: "x", replyTo: nil), "message.created"),
            (.member, .member(.joined, User(id: "u", name: "n")), "member.joined"),
            (.member, .member(.left, User(id: "u", name: "n")), "member.left"),
            (.member, .member(.invited, User(id: "u", name: "n")), "member.invited"),
            (.member, .member(.removed, User(id: "u", name: "n")), "member.removed"),
            (.room, .room(.created, name: "", topic: "", visibility: .public), "room.created"),
            (.room, .room(.updated, name: "", topic: "", visibility: .public), "room.updated"),
            (.receipt, .receipt(roomSeq: 1), "receipt.read"),
            (.arrival, .arrival, "user.arrived"),
        ] as [(LogKind, LogContent, String)])
    func logJSON(_ kind: LogKind, _ content: LogContent, _ type: String) throws {
        let entry = entry(kind, content)
        let value = try JSONValue(parsing: entry.logJSON)
        #expect(value["type"]?.string == type)
        #expect(value["seq"] == 42)
        #expect(value["visibility"] == "private")
        #expect(value["user"]?["name"] == "Adä")
        #expect(value["data"]?.text == event(entry))
    }

    @Test(
        arguments: [
            .message(text: "", replyTo: nil), .message(text: "\u{0}\u{7F}\"\\", replyTo: "m1"),
            .room(.updated, name: "\"", topic: "é", visibility: .private),
            .member(.left, User(id: "", name: "\n")), .receipt(roomSeq: .max), .arrival,
        ] as [LogContent])
    func contentRoundTrips(_ content: LogContent) throws {
        let kind: LogKind =
            switch content {
            case .message: .message
            case .room: .room
            case .member: .member
            case .receipt: .receipt
            case .arrival: .arrival
            }
        #expect(try LogContent(kind: kind, payload: content.payload) == content)
        for other in LogKind.allCases where other != kind {
            if case .receipt = content, other == .message { continue }
            #expect(throws: JSONError.self) {
                try LogContent(kind: other, payload: content.payload)
            }
        }
    }

    @Test(
        arguments: [
            ("m1", 1), ("m9223372036854775807", .max), ("m0", nil), ("m01", nil), ("m-1", nil),
            ("m+1", nil), ("1", nil), ("m", nil), ("", nil), ("M1", nil), ("m1 ", nil),
            ("m9223372036854775808", nil),
        ] as [(String, Int64?)])
    func messageIDs(_ id: String, _ seq: Int64?) {
        #expect(LogEntry.seq(ofMessageID: id) == seq)
    }

    @Test func timesAreWrittenAsTimingWritesThem() {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        var times: [Int64] = [
            0, 1, 951_782_400_000, 1_709_164_799_999, 253_402_300_799_999, 253_402_300_800_000, -1,
        ]
        for _ in 0..<2000 { times.append(.random(in: 0..<4_102_444_800_000, using: &random)) }
        for milliseconds in times {
            let time = Timestamp(milliseconds: milliseconds)
            var output: [UInt8] = []
            output.append(rfc3339: time)
            #expect(String(decoding: output, as: UTF8.self) == time.rfc3339, "seed \(seed)")
        }
    }

    @Test func announcementsNameTheirRange() throws {
        var entries: [LogEntry] = []
        for seq in 5...7 as ClosedRange<Int64> {
            var entry = entry(.message, .message(text: "x", replyTo: nil))
            entry.seq = seq
            entries.append(entry)
        }
        let payload = try #require(
            LogAnnouncement.payload(of: entries, instance: "i\"1", epoch: "e"))
        let value = try JSONValue(parsing: payload)
        #expect(value["entries"]?.array?.count == 3)
        let announcement = try #require(LogAnnouncement(payload))
        #expect(announcement.instance == "i\"1")
        #expect(announcement.epoch == "e")
        #expect(announcement.first == 5)
        #expect(announcement.last == 7)
        #expect(LogAnnouncement.payload(of: [], instance: "i", epoch: "e") == nil)
        #expect(LogAnnouncement(Array("{}".utf8)) == nil)
    }

    @Test func longAnnouncementsLeaveTheEntriesOut() throws {
        let long = entry(
            .message, .message(text: String(repeating: "x", count: 4000), replyTo: nil))
        let payload = try #require(
            LogAnnouncement.payload(
                of: Array(repeating: long, count: 17), instance: "i", epoch: "e"))
        #expect(payload.count < 100)
        #expect(try JSONValue(parsing: payload)["entries"] == nil)
        #expect(LogAnnouncement(payload)?.last == 42)
    }
}
