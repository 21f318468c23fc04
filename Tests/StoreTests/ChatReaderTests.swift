// SPDX-License-Identifier: MIT
import ChatCore
import Locks
import TestSupport
import Testing
import Timing

@testable import Store

@Suite struct ChatReaderTests {
    let folder: TemporaryDirectory
    let recorder = Recorder()
    let store: ChatStore
    let reader: ChatReader

    init() throws {
        folder = try TemporaryDirectory()
        let path = folder.file("chat.db")
        store = try ChatStore(path: path, observer: recorder)
        reader = ChatReader(path: path, store: store)
    }

    private func close() {
        reader.stop()
        store.stop()
    }

    private func wait<Value: Sendable>(
        _ start: (@escaping ChatReader.Completion<Value>) -> Bool
    ) throws -> Value {
        let slot = Locked<Result<Value, ChatError>?>(nil)
        let box = Box(slot)
        guard start({ answer, _ in box.value.withLock { $0 = answer } }) else {
            throw TestSupportError("the reader's queue is full")
        }
        _ = eventually { box.value.withLock { $0 != nil } }
        guard let answer = box.value.withLock({ $0 }) else { throw TestSupportError("no answer") }
        return try answer.get()
    }

    private final class Box<Value: ~Copyable & Sendable>: Sendable {
        let value: Value
        init(_ value: consuming Value) { self.value = value }
    }

    private func history(
        _ room: RoomID, before: Int64? = nil, after: Int64? = nil, limit: Int = 50
    ) throws -> HistoryPage {
        try wait {
            reader.history(
                for: "u_reader", room: room, before: before, after: after, limit: limit,
                completion: $0)
        }
    }

    /// A lobby of messages with joins strewn in, beside a busy other room.
    private func fill(_ random: inout SeededGenerator, _ count: Int) throws {
        _ = try recorder.act(
            "ada", .createRoom(name: "den", visibility: .public, topic: ""), on: store)
        for index in 0..<count {
            let command: Command
            var name = "ada"
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                name = "guest\(index)"
                command = .openSession
            case 1...3: command = .send(room: "r2", text: "den", clientID: nil, replyTo: nil)
            default: command = .send(room: .lobby, text: "\(index)", clientID: nil, replyTo: nil)
            }
            guard store.submit(command, actor: actor(name), ticket: recorder.ticket()) else {
                throw TestSupportError("queue full")
            }
        }
        guard eventually({ recorder.outcomeCount == count + 1 }) else {
            throw TestSupportError("not all committed")
        }
    }

    @Test func historyPagesBothWays() throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        try fill(&random, 1500)
        let all = recorder.entries.filter { $0.kind == .message && $0.room == .lobby }
        #expect(all.count > 500)

        for (before, after, limit) in [(nil, nil, 50), (nil, nil, 500)] as [(Int64?, Int64?, Int)] {
            let page = try history(.lobby, before: before, after: after, limit: limit)
            #expect(page.messages == Array(all.suffix(min(limit, 200))), "seed \(seed)")
            #expect(page.hasMore)
        }
        for _ in 0..<60 {
            let point = Int64.random(in: -2...(all.last?.roomSeq ?? 0) + 3, using: &random)
            let limit = Int.random(in: 1...70, using: &random)
            let older = all.filter { $0.roomSeq < point }
            let back = try history(.lobby, before: point, limit: limit)
            #expect(back.messages == Array(older.suffix(limit)), "before \(point), seed \(seed)")
            #expect(back.hasMore == (older.count > limit), "before \(point), seed \(seed)")
            let newer = all.filter { $0.roomSeq > point }
            let on = try history(.lobby, after: point, limit: limit)
            #expect(on.messages == Array(newer.prefix(limit)), "after \(point), seed \(seed)")
            #expect(on.hasMore == (newer.count > limit), "after \(point), seed \(seed)")
        }
        let nothing = try history("r99")
        #expect(nothing == HistoryPage(messages: [], hasMore: false))
        close()
    }

    /// Both ways, until the room is through: every message once, however few fit into a page.
    @Test func pagesOfLongMessagesAreShorter() throws {
        let text = String(repeating: "long ", count: 800)
        for _ in 0..<150 { _ = try recorder.send("ada", text, on: store) }
        let all = recorder.entries.filter { $0.kind == .message && $0.room == .lobby }
        var back: [LogEntry] = []
        var before: Int64?
        var pages = 0
        repeat {
            let page = try history(.lobby, before: before, limit: 200)
            let bytes = page.messages.reduce(0) { $0 + $1.payload.count }
            #expect(bytes >= Limits().pageBytes || !page.hasMore)
            #expect(bytes < Limits().pageBytes + 5000)
            back = page.messages + back
            before = page.hasMore ? page.messages[0].roomSeq : nil
            pages += 1
        } while before != nil
        #expect(back == all)
        #expect(pages == 9)
        var on: [LogEntry] = []
        var hasMore = true
        while hasMore {
            let page = try history(.lobby, after: on.last?.roomSeq ?? 0, limit: 200)
            on += page.messages
            hasMore = page.hasMore
        }
        #expect(on == all)
        close()
    }

    @Test func extremePointsAreHarmless() throws {
        _ = try recorder.send("ada", "x", on: store)
        #expect(try history(.lobby, before: .max).messages.count == 1)
        #expect(try history(.lobby, before: .min).messages.count == 0)
        #expect(try history(.lobby, after: .max).messages.count == 0)
        #expect(try history(.lobby, after: .min, limit: .max).messages.count == 1)
        #expect(try history(.lobby, limit: .min).messages.count == 1)
        close()
    }

    @Test func entriesComeInOrder() throws {
        for index in 0..<20 { _ = try recorder.send("ada", "\(index)", on: store) }
        let all = recorder.entries
        #expect(try reader.entries(after: 0, limit: 1000) == all)
        #expect(try reader.entries(after: 5, limit: 3) == Array(all[5..<8]))
        #expect(try reader.entries(after: store.head, limit: 3) == [])
        close()
    }

    @Test func missedEntriesAreThoseOfTheRooms() throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        try fill(&random, 300)
        for roomSeq in [3, 9, 20] as [Int64] {
            _ = try recorder.act("ada", .markRead(room: .lobby, roomSeq: roomSeq), on: store)
            _ = try recorder.act("guest", .openSession, on: store)
            _ = try recorder.act("guest", .markRead(room: .lobby, roomSeq: 1000), on: store)
            _ = try recorder.send("ada", "more", on: store)
        }
        let head = store.head
        let all = recorder.entries
        for rooms in [[], [.lobby], ["r2"], [.lobby, "r2"], ["r99"]] as [Set<RoomID>] {
            let page: MissedPage = try wait {
                reader.missed(
                    for: "u_reader",
                    rooms: rooms, after: 7, through: head - 1, limit: 10_000, completion: $0)
            }
            let wanted = all.filter {
                $0.seq > 7 && $0.seq < head && rooms.contains($0.room)
                    && $0.kind.isEvent && $0.kind != .receipt
            }
            #expect(page.entries.filter { $0.kind != .receipt } == wanted, "seed \(seed)")
            #expect(page.isComplete)
            #expect(page.through == head - 1)
            let readers = page.entries.filter { $0.kind == .receipt }.map(\.actor)
            #expect(Set(readers).count == readers.count)
        }
        var collected: [LogEntry] = []
        var after: Int64 = 0
        while true {
            let page: MissedPage = try wait {
                reader.missed(
                    for: "u_reader",
                    rooms: ["r2"], after: after, through: head, limit: 7, completion: $0)
            }
            collected += page.entries
            after = page.through
            #expect(page.entries.count <= 7)
            if page.isComplete { break }
        }
        #expect(collected == all.filter { $0.room == "r2" && $0.kind.hasRoomSeq })
        close()
    }

    /// Long entries make short pages; one that is longer than a page is a page.
    @Test func pagesEndByBytes() throws {
        for size in [3000, 10, 10, 4000, 4000, 10] {
            _ = try recorder.send("ada", String(repeating: "x", count: size), on: store)
        }
        let all = recorder.entries.filter { $0.kind == .message }
        for depth in [Int64(0), 100] {
            var collected: [LogEntry] = []
            var after: Int64 = 0
            var pages = 0
            while after < store.head {
                let page: MissedPage = try wait {
                    reader.missed(
                        for: "u_reader",
                        rooms: [.lobby], after: after, through: store.head, limit: 100,
                        maxBytes: 3500, completion: $0)
                }
                let bytes = page.entries.dropLast().reduce(0) { $0 + $1.payload.count }
                #expect(bytes < 3500)
                collected += page.entries
                after = page.through
                pages += 1
            }
            #expect(collected == all, "\(depth)")
            #expect(pages == 3)
        }
        #expect(try reader.entries(after: 0, limit: 100, maxBytes: 3100).count == 4)
        close()
    }

    @Test func tellsWhatIsTooMuchToReplay() throws {
        var limits = Limits()
        limits.replayEvents = 5
        limits.replayDistance = 20
        limits.replayBytes = 4096
        let path = folder.file("small.db")
        var configuration = ChatStore.Configuration()
        configuration.limits = limits
        let small = try ChatStore(path: path, observer: recorder, configuration: configuration)
        let reader = ChatReader(path: path, store: small)
        _ = try recorder.act(
            "ada", .createRoom(name: "den", visibility: .public, topic: ""), on: small)
        for _ in 0..<10 { _ = try recorder.send("ada", "x", on: small) }
        let start = small.head
        func can(_ rooms: [RoomID], _ after: Int64) -> Bool {
            reader.canReplay(rooms: rooms, after: after, through: small.head)
        }
        #expect(can([.lobby], start - 5))
        #expect(!can([.lobby], start - 6))
        // However much there was in other rooms, within the distance.
        #expect(can(["r2"], start - 10))
        for _ in 0..<16 { _ = try recorder.send("ada", "x", to: "r2", on: small) }
        #expect(can([.lobby], start - 4))
        #expect(!can([.lobby], start - 5))
        // By bytes: two of 3,000 are more than 4,096.
        for _ in 0..<2 {
            _ = try recorder.send("ada", String(repeating: "x", count: 3000), on: small)
        }
        #expect(can([.lobby], small.head - 1))
        #expect(!can([.lobby], small.head - 2))
        reader.stop()
        small.stop()
        // The same after a restart, which fills the memory from the log.
        let again = try ChatStore(path: path, observer: recorder, configuration: configuration)
        let second = ChatReader(path: path, store: again)
        #expect(second.canReplay(rooms: [.lobby], after: again.head - 1, through: again.head))
        #expect(!second.canReplay(rooms: [.lobby], after: again.head - 2, through: again.head))
        #expect(second.canReplay(rooms: ["r9"], after: again.head - 20, through: again.head))
        second.stop()
        again.stop()
        close()
    }

    @Test func packedNumbersRoundTrip() {
        for numbers in [[], [0], [1, 2, 3], [0, 127, 128, 255, 16_384, .max]] as [[Int64]] {
            #expect(PackedNumbers.decode(PackedNumbers.encode(numbers)) == numbers)
        }
    }
}
