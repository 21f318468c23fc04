// SPDX-License-Identifier: MIT
import ChatCore
import SocketIOServer
import TestSupport
import Testing

@testable import Gateway

@Suite struct RecentLogTests {
    private func item(_ seq: Int64, in room: String, bytes: Int = 50) -> CatchUp.Item {
        CatchUp.Item(
            seq: seq, room: RoomID(room),
            publication: Publication(
                event: "message", argument: [UInt8](repeating: 0x30, count: bytes), order: seq))
    }

    private func page(
        _ log: RecentLog, _ rooms: Set<String>, after: Int64, through: Int64, limit: Int = 100
    ) -> (seqs: [Int64], through: Int64)? {
        log.page(
            rooms: Set(rooms.map { RoomID($0) }), after: after, through: through, limit: limit
        ).map { ($0.items.map(\.seq), $0.through) }
    }

    @Test func whatCameBeforeItIsNotThere() {
        var log = RecentLog()
        #expect(page(log, ["a"], after: 0, through: 5) == nil)
        log.append(item(6, in: "a"))
        #expect(page(log, ["a"], after: 4, through: 6) == nil)
        #expect(page(log, ["a"], after: 5, through: 6)?.seqs == [6])
    }

    @Test func aPageHasTheEventsOfItsRoomsInOrder() throws {
        var log = RecentLog()
        // Numbers between are of entries that are no events.
        for seq in stride(from: Int64(10), through: 40, by: 5) {
            log.append(item(seq, in: seq % 10 == 0 ? "a" : "b"))
        }
        let both = try #require(page(log, ["a", "b"], after: 12, through: 33))
        #expect(both.seqs == [15, 20, 25, 30])
        #expect(both.through == 33)
        let one = try #require(page(log, ["b"], after: 15, through: 40))
        #expect(one.seqs == [25, 35])
        #expect(one.through == 40)
        let none = try #require(page(log, ["c"], after: 15, through: 40))
        #expect(none.seqs == [])
        #expect(none.through == 40)
    }

    /// Pages one after another bring every event once, wherever they are cut.
    @Test(arguments: [1, 3, 100]) func pagesJoinWithoutAGap(limit: Int) throws {
        var random = SeededGenerator(seed: testSeed())
        var log = RecentLog()
        var expected: [Int64] = []
        for seq in Int64(1)...300 {
            let room = ["a", "b", "c"].randomElement(using: &random) ?? "a"
            // Some larger than a page.
            log.append(item(seq, in: room, bytes: seq % 50 == 0 ? 70_000 : 500))
            if room != "c", seq > 7 { expected.append(seq) }
        }
        var found: [Int64] = []
        var position: Int64 = 7
        while position < 300 {
            let next = try #require(
                page(log, ["a", "b"], after: position, through: 300, limit: limit))
            #expect(next.through > position)
            #expect(next.seqs.count <= limit)
            found += next.seqs
            position = next.through
        }
        #expect(found == expected)
    }

    @Test func itIsBounded() throws {
        var log = RecentLog()
        let bytes = 10_000
        for seq in Int64(1)...2000 { log.append(item(seq, in: "a", bytes: bytes)) }
        #expect(page(log, ["a"], after: 0, through: 2000) == nil)
        let kept = RecentLog.maxBytes / (3 * bytes)
        #expect(page(log, ["a"], after: Int64(2000 - kept - 50), through: 2000) == nil)
        let first = Int64(2000 - kept + 50)
        #expect(try #require(page(log, ["a"], after: first, through: 2000)).seqs.first == first + 1)
    }
}
