// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import Metrics
import Locks
import Synchronization
import TestSupport
import Testing
import Timing

@testable import Store

/// Keeps what a store tells.
final class Recorder: CommitObserver {
    private let items = Locked<[CommitItem]>([])
    private let nextToken = Atomic<UInt64>(0)

    func committed(_ items: [CommitItem]) { self.items.withLock { $0 += items } }

    var all: [CommitItem] { items.withLock { $0 } }

    var entries: [LogEntry] {
        all.compactMap { if case .entry(let entry) = $0 { entry } else { nil } }
    }

    var outcomes: [UInt64: Outcome] {
        var outcomes: [UInt64: Outcome] = [:]
        for case .outcome(let ticket, let outcome) in all { outcomes[ticket.token] = outcome }
        return outcomes
    }

    var outcomeCount: Int {
        items.withLock { $0.count { if case .outcome = $0 { true } else { false } } }
    }

    func ticket() -> Ticket {
        Ticket(loop: 0, token: nextToken.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    /// Submits a command and waits for its outcome.
    func act(_ name: String, _ command: Command, on store: ChatStore) throws -> Outcome {
        let ticket = ticket()
        guard store.submit(command, actor: actor(name), ticket: ticket) else {
            throw TestSupportError("the queue is full")
        }
        var outcome: Outcome?
        _ = eventually {
            outcome = outcomes[ticket.token]
            return outcome != nil
        }
        guard let outcome else { throw TestSupportError("no outcome in time") }
        return outcome
    }

    func send(
        _ name: String, _ text: String, _ clientID: String? = nil, to room: RoomID = .lobby,
        on store: ChatStore
    ) throws -> Sent {
        let outcome = try act(
            name, .send(room: room, text: text, clientID: clientID, replyTo: nil), on: store)
        guard case .ok(.sent(let sent)) = outcome else {
            throw TestSupportError("not sent: \(outcome)")
        }
        return sent
    }
}

func actor(_ name: String) -> Actor { Actor(id: UserID("u_\(name)"), name: name) }

/// Reads the file as nobody's writer would: contiguous `seq`, contiguous `roomSeq`, a chain that
/// leads over all messages of each room.
func soundEntries(of path: String) throws -> [LogEntry] {
    let log = try ChatLog(path: path, mode: .readOnly)
    var entries: [LogEntry] = []
    try log.forEachEntry(after: 0) { (entry) throws(StoreError) in
        entries.append(entry)
        return true
    }
    var heads: [RoomID: Int64] = [:]
    var lastMessages: [RoomID: Int64] = [:]
    for (index, entry) in entries.enumerated() {
        #expect(entry.seq == Int64(index + 1))
        guard entry.kind.hasRoomSeq else {
            #expect(entry.roomSeq == 0)
            continue
        }
        #expect(entry.roomSeq == heads[entry.room, default: 0] + 1)
        #expect(entry.prev == lastMessages[entry.room, default: 0])
        heads[entry.room] = entry.roomSeq
        if entry.kind == .message { lastMessages[entry.room] = entry.seq }
    }
    #expect(try log.database.integrityComplaints() == [])
    return entries
}

@Suite struct ChatStoreTests {
    let folder: TemporaryDirectory
    let recorder = Recorder()
    var path: String { folder.file("chat.db") }

    init() throws { folder = try TemporaryDirectory() }

    private func open(
        _ observer: Recorder? = nil, _ change: (inout ChatStore.Configuration) -> Void = { _ in }
    ) throws -> ChatStore {
        var configuration = ChatStore.Configuration()
        change(&configuration)
        return try ChatStore(
            path: path, observer: observer ?? recorder, configuration: configuration)
    }

    private func checkLog() throws -> [LogEntry] { try soundEntries(of: path) }

    @Test func commitsAndTells() throws {
        let store = try open()
        let sent = try recorder.send("ada", "hello", "k", on: store)
        #expect(sent.roomSeq == 1)
        #expect(store.head == sent.seq)
        store.stop()
        #expect(recorder.entries == (try checkLog()))
        // The entry comes before the outcome that answers it.
        let position = recorder.all.firstIndex {
            if case .entry(let entry) = $0 { entry.seq == sent.seq } else { false }
        }
        let answer = recorder.all.firstIndex {
            if case .outcome(_, .ok(.sent)) = $0 { true } else { false }
        }
        #expect(try #require(position) < (try #require(answer)))
        #expect(!store.submit(.openSession, actor: actor("ada"), ticket: recorder.ticket()))
    }

    @Test func everythingIsThereAfterARestart() throws {
        var store = try open()
        let first = try recorder.send("ada", "hello", "k", on: store)
        _ = try recorder.act(
            "ada", .createRoom(name: "den", visibility: .private, topic: "t"), on: store)
        _ = try recorder.act("bob", .openSession, on: store)
        _ = try recorder.act("ada", .invite(room: "r3", user: "bob"), on: store)
        _ = try recorder.act("bob", .join(room: "r3"), on: store)
        _ = try recorder.send("ada", "in the den", to: "r3", on: store)
        _ = try recorder.act("bob", .markRead(room: .lobby, roomSeq: 3), on: store)
        let before = try recorder.act("bob", .openSession, on: store)
        let detail = try recorder.act("bob", .roomDetail(room: "r3"), on: store)
        store.stop()
        store = try open()
        #expect(try recorder.send("ada", "hello", "k", on: store) == first)
        #expect(try recorder.act("bob", .openSession, on: store) == before)
        #expect(try recorder.act("bob", .roomDetail(room: "r3"), on: store) == detail)
        if case .ok(.room(let detail)) = detail {
            #expect(detail.messages.map(\.room) == ["r3"])
        } else {
            Issue.record("no detail: \(detail)")
        }
        store.stop()
        _ = try checkLog()
    }

    /// A process that dies writes no projection: the file is copied while the store is open.
    @Test func everythingIsThereAfterACrash() throws {
        let store = try open()
        let sent = try recorder.send("ada", "hello", "k", on: store)
        try SQLiteDatabase(path: path, mode: .readOnly).backUp(to: folder.file("copy.db"))
        store.stop()
        let copy = try ChatStore(path: folder.file("copy.db"), observer: recorder)
        #expect(copy.head == sent.seq)
        #expect(try recorder.send("ada", "hello", "k", on: copy) == sent)
        copy.stop()
    }

    /// What is told to gather does so, up to a full group; the first after a pause is committed at once.
    @Test func groupsGatherWhereTheyAreTold() throws {
        let metrics = MetricsRegistry()
        let store = try ChatStore(path: path, observer: recorder, metrics: metrics)
        defer { store.stop() }
        func commits() -> UInt64 { metrics.counter("chat_store_commits_total", help: "").value }
        _ = try recorder.send("ada", "first", on: store)

        store.gather(for: .seconds(300))
        _ = try recorder.send("ada", "at once, and the pause begins", on: store)
        let before = (commits(), recorder.outcomeCount)
        let command = Command.send(room: .lobby, text: "x", clientID: nil, replyTo: nil)
        for _ in 0..<63 {
            #expect(store.submit(command, actor: actor("ada"), ticket: recorder.ticket()))
        }
        usleep(50_000)
        #expect(recorder.outcomeCount == before.1)
        #expect(store.submit(command, actor: actor("ada"), ticket: recorder.ticket()))
        #expect(eventually { recorder.outcomeCount == before.1 + 64 })
        #expect(commits() == before.0 + 1)

        // Nothing is kept waiting when the store stops.
        #expect(store.submit(command, actor: actor("ada"), ticket: recorder.ticket()))
        store.stop()
        #expect(recorder.outcomeCount == before.1 + 65)
    }

    @Test func tenThousandMessagesInFewCommits() throws {
        let metrics = MetricsRegistry()
        let store = try ChatStore(path: path, observer: recorder, metrics: metrics)
        for index in 0..<10_000 {
            #expect(
                store.submit(
                    .send(
                        room: .lobby, text: "message \(index)", clientID: "k\(index)", replyTo: nil),
                    actor: actor("u\(index % 20)"), ticket: recorder.ticket()))
        }
        #expect(eventually(within: .seconds(30)) { recorder.outcomeCount == 10_000 })
        store.stop()
        let entries = try checkLog()
        #expect(entries.count == 10_020)
        #expect(entries == recorder.entries)
        let commits = metrics.counter("chat_store_commits_total", help: "").value
        #expect(commits < 1000, "\(commits) commits")
        let texts = entries.filter { $0.kind == .message }.compactMap(\.clientID)
        #expect(texts == (0..<10_000).map { "k\($0)" })
    }

    @Test func aFullQueueRefuses() throws {
        let store = try open(nil) { $0.queueLimit = 0 }
        #expect(!store.submit(.openSession, actor: actor("ada"), ticket: recorder.ticket()))
        store.stop()
    }

    @Test func twoStoresMakeOneOrder() throws {
        let other = Recorder()
        let stores = (try open(), try open(other))
        let count = 300
        for index in 0..<count {
            for (store, recorder, name) in [
                (stores.0, recorder, "ada"), (stores.1, other, "bob"),
            ] {
                #expect(
                    store.submit(
                        .send(
                            room: .lobby, text: "\(name) \(index)", clientID: "k\(index)",
                            replyTo: nil),
                        actor: actor(name), ticket: recorder.ticket()))
            }
        }
        #expect(
            eventually(within: .seconds(30)) {
                recorder.entries.count == 2 * count + 2 && other.entries.count == 2 * count + 2
            })
        stores.0.stop()
        stores.1.stop()
        let entries = try checkLog()
        #expect(recorder.entries == entries)
        #expect(other.entries == entries)
        for name in ["ada", "bob"] {
            let own = entries.filter { $0.actorName == name && $0.kind == .message }
            #expect(own.compactMap(\.clientID) == (0..<count).map { "k\($0)" })
        }
    }

    @Test func aRepetitionThroughAnotherProcessIsKnown() throws {
        let other = Recorder()
        let stores = (try open(), try open(other))
        let sent = try recorder.send("ada", "one", "k", on: stores.0)
        #expect(try other.send("ada", "one", "k", on: stores.1) == sent)
        stores.0.stop()
        stores.1.stop()
        #expect(try checkLog().count == 2)
    }

    @Test func anIdleStoreHearsOfOthersByItself() throws {
        let other = Recorder()
        let stores = (try open(), try open(other))
        let sent = try recorder.send("ada", "one", on: stores.0)
        #expect(eventually(within: .seconds(2)) { other.entries.last?.seq == sent.seq })
        #expect(stores.1.head == sent.seq)
        stores.0.stop()
        stores.1.stop()
    }

    @Test func catchesUpWhenTold() throws {
        let other = Recorder()
        let stores = (try open(), try open(other) { $0.pollInterval = .seconds(3600) })
        let sent = try recorder.send("ada", "one", on: stores.0)
        stores.1.catchUp()
        #expect(eventually(within: .seconds(2)) { other.entries.last?.seq == sent.seq })
        stores.0.stop()
        stores.1.stop()
    }

    @Test func announcesItsOwnEntries() throws {
        let bus = FakeBus()
        let store = try ChatStore(
            path: path, observer: recorder,
            announcer: LogAnnouncer(bus: bus, instance: "one", epoch: "e"))
        let silent = try open(Recorder())
        let sent = try recorder.send("ada", "x", on: store)
        #expect(eventually(within: .seconds(2)) { silent.head == sent.seq })
        let announcements = bus.published.compactMap { LogAnnouncement($0) }
        #expect(announcements.map(\.last) == [sent.seq])
        #expect(announcements.map(\.instance) == ["one"])
        store.stop()
        silent.stop()
    }

    @Test func theProjectionIsWrittenUnderLoad() throws {
        let store = try open(nil) { $0.snapshotInterval = 10 }
        for index in 0..<25 { _ = try recorder.send("ada", "\(index)", on: store) }
        let log = try ChatLog(path: path, mode: .readOnly)
        #expect(try log.watermark() >= 20)
        store.stop()
        #expect(try log.watermark() == 26)
        #expect(try log.loadSnapshot().rooms.map(\.head) == [25])
    }

    @Test func aNewerFileIsRefused() throws {
        let database = try SQLiteDatabase(path: path)
        try database.execute("PRAGMA user_version=99")
        #expect(throws: StoreError.schemaTooNew(found: 99, supported: 1)) { try open() }
    }
}

/// Keeps what is published.
final class FakeBus: Bus {
    private let payloads = Locked<[[UInt8]]>([])
    var published: [[UInt8]] { payloads.withLock { $0 } }
    var isConnected: Bool { true }
    func publish(_ channel: String, _ payload: [UInt8]) { payloads.withLock { $0.append(payload) } }
    func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {}
    func stop() {}
}
