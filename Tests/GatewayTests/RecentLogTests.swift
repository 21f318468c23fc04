// SPDX-License-Identifier: MIT
import ChatCore
import SocketIOServer
import TestSupport
import Testing

@testable import Gateway

@Suite struct RecentLogTests {
    private func item(
        _ seq: Int64, in room: String, bytes: Int = 50, reader: String? = nil
    ) -> CatchUp.Item {
        CatchUp.Item(
            seq: seq, room: RoomID(room), reader: reader.map { UserID($0) },
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
        var log = RecentLog(maxBytes: 1 << 20)
        #expect(page(log, ["a"], after: 0, through: 5) == nil)
        log.append(item(6, in: "a"))
        #expect(page(log, ["a"], after: 4, through: 6) == nil)
        #expect(page(log, ["a"], after: 5, through: 6)?.seqs == [6])
    }

    @Test func aPageHasTheEventsOfItsRoomsInOrder() throws {
        var log = RecentLog(maxBytes: 1 << 20)
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
        var log = RecentLog(maxBytes: 16 << 20)
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

    /// As in the pages that are read from the store.
    @Test func ofAPersonsReceiptsTheLastIsThere() throws {
        var log = RecentLog(maxBytes: 1 << 20)
        log.append(item(1, in: "a"))
        log.append(item(2, in: "a", reader: "ada"))
        log.append(item(3, in: "a", reader: "bob"))
        log.append(item(4, in: "b", reader: "ada"))
        log.append(item(5, in: "a", reader: "ada"))
        log.append(item(6, in: "a"))
        let all = try #require(page(log, ["a", "b"], after: 0, through: 6, limit: 2))
        #expect(all.seqs == [1, 3, 4, 5, 6])
        #expect(all.through == 6)
        let one = try #require(page(log, ["a"], after: 1, through: 6, limit: 1))
        #expect(one.seqs == [3, 5, 6])
    }

    /// A client of a quiet room does not make the loop look at everything at once.
    @Test func aPageLooksAtSoMuchAndNoMore() throws {
        var log = RecentLog(maxBytes: 64 << 20)
        for seq in Int64(1)...5000 { log.append(item(seq, in: "busy")) }
        log.append(item(5001, in: "quiet"))
        var position: Int64 = 0
        var pages = 0
        var found: [Int64] = []
        while position < 5001 {
            let next = try #require(page(log, ["quiet"], after: position, through: 5001))
            #expect(next.through > position)
            found += next.seqs
            position = next.through
            pages += 1
        }
        #expect(found == [5001])
        #expect(pages == 3)
    }

    @Test func itIsBounded() throws {
        let maxBytes = 1 << 20
        var log = RecentLog(maxBytes: maxBytes)
        var expected: [CatchUp.Item] = []
        for seq in Int64(1)...2000 {
            let next = item(seq, in: "a", bytes: Int(seq % 7) * 300)
            log.append(next)
            expected.append(next)
            while expected.reduce(0, { $0 + $1.publication.heldBytes }) > maxBytes {
                expected.removeFirst()
            }
        }
        let first = try #require(expected.first).seq
        #expect(page(log, ["a"], after: first - 2, through: 2000) == nil)
        let all = try #require(page(log, ["a"], after: first - 1, through: 2000))
        #expect(all.seqs.first == first)
    }
}
