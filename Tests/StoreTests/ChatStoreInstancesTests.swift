// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import Metrics
import Synchronization
import TestSupport
import Testing
import Timing

@testable import Store

/// Several processes on one log. Two stores in one process are as far apart as in two: they share
/// nothing but the files.
@Suite struct ChatStoreInstancesTests {
    let folder: TemporaryDirectory
    var path: String { folder.file("chat.db") }

    init() throws { folder = try TemporaryDirectory() }

    private func open(
        _ recorder: Recorder, _ metrics: MetricsRegistry = MetricsRegistry(),
        _ change: (inout ChatStore.Configuration) -> Void = { _ in }
    ) throws -> ChatStore {
        var configuration = ChatStore.Configuration()
        configuration.lockTimeout = .milliseconds(150)
        change(&configuration)
        return try ChatStore(
            path: path, observer: recorder, configuration: configuration, metrics: metrics)
    }

    /// A process that was stopped in the middle of a commit holds the write lock for as long as it
    /// likes. The others say so, go on answering what needs no writing, and go on writing when it lets
    /// go.
    @Test func aProcessThatKeepsTheLockIsSaidAndOutlived() throws {
        let recorder = Recorder()
        let store = try open(recorder)
        let first = try recorder.send("ada", "one", "k1", on: store)
        let stopped = try SQLiteDatabase(path: path)
        try stopped.execute("BEGIN IMMEDIATE")
        let start = SystemClock.now()
        let send = Command.send(room: .lobby, text: "two", clientID: "k2", replyTo: nil)
        #expect(try recorder.act("ada", send, on: store) == .refused(.locked))
        #expect(SystemClock.now() - start < .seconds(2))
        #expect(!store.isAvailable)
        // Its own process id: the holder is a connection of this process.
        #expect(store.trouble?.trouble == .locked(holder: getpid()))
        // Nobody waits for the lock from now on.
        let again = SystemClock.now()
        for _ in 0..<20 {
            #expect(try recorder.act("ada", send, on: store) == .refused(.locked))
            guard case .ok(.session) = try recorder.act("ada", .openSession, on: store) else {
                throw TestSupportError("no session")
            }
        }
        #expect(SystemClock.now() - again < .seconds(3))
        try stopped.execute("ROLLBACK")
        #expect(eventually { store.isAvailable })
        let second = try recorder.send("ada", "two", "k2", on: store)
        #expect(second.seq == first.seq + 1)
        store.stop()
        #expect(recorder.entries == (try soundEntries(of: path)))
    }

    /// What the stopped process committed when it went on is the next entry, not a fork.
    @Test func aCommitThatWaitedIsReadBeforeAnythingIsDecided() throws {
        let recorder = Recorder()
        let store = try open(recorder) { $0.pollInterval = .seconds(3600) }
        _ = try recorder.send("ada", "one", "k1", on: store)
        let other = try ChatLog(path: path, mode: .readWrite)
        try other.database.execute("BEGIN IMMEDIATE")
        let send = Command.send(room: .lobby, text: "mine", clientID: "k2", replyTo: nil)
        #expect(try recorder.act("ada", send, on: store) == .refused(.locked))
        try other.insert(
            LogEntry(
                seq: 3, at: Timestamp(milliseconds: 1), kind: .message, room: .lobby,
                visibility: .public, roomSeq: 2, prev: 2, actor: "u_ada", actorName: "ada",
                clientID: "k2",
                payload: LogContent.message(text: "theirs", replyTo: nil).payload))
        try other.database.execute("COMMIT")
        #expect(
            eventually {
                store.catchUp()
                return store.isAvailable
            })
        // The repetition is known by the other's message, whatever the clocks say.
        let sent = try recorder.send("ada", "mine", "k2", on: store)
        #expect(sent == Sent(seq: 3, roomSeq: 2, at: Timestamp(milliseconds: 1)))
        #expect(try recorder.send("ada", "next", on: store).seq == 4)
        store.stop()
        #expect(recorder.entries == (try soundEntries(of: path)))
    }

    /// Two that commit without pause get their turns: neither has more than three times as many
    /// commits as the other, and nobody waits for many of the other's.
    @Test func twoUnderLoadTakeTurns() throws {
        let recorders = [Recorder(), Recorder()]
        let metrics = [MetricsRegistry(), MetricsRegistry()]
        let stores = try zip(recorders, metrics).map {
            try open($0, $1) { $0.lockTimeout = .seconds(5) }
        }
        let isOver = Atomic(false)
        let box = Flag(isOver)
        let threads = (0..<2).map { index in
            WorkerLoop {
                while !box.value.load(ordering: .relaxed) {
                    // Always something for the next group, never much.
                    if stores[index].queueLength < 32 {
                        _ = stores[index].submit(
                            .send(room: .lobby, text: "x", clientID: nil, replyTo: nil),
                            actor: actor("u\(index)"), ticket: recorders[index].ticket())
                    } else {
                        usleep(100)
                    }
                }
            }
        }
        usleep(2_000_000)
        box.value.store(true, ordering: .relaxed)
        for thread in threads { thread.join() }
        for store in stores { store.stop() }
        let commits = metrics.map { Int($0.counter("chat_store_commits_total", help: "").value) }
        #expect(commits[0] > 20 && commits[1] > 20, "\(commits)")
        #expect(commits[0] < commits[1] * 3 && commits[1] < commits[0] * 3, "\(commits)")
        let entries = try soundEntries(of: path)
        #expect(recorders[0].entries == entries)
        #expect(recorders[1].entries == entries)
        print("commits of two writers in two seconds: \(commits)")
    }

    /// Sends and repetitions at whichever instance, over restarts and deaths of either: every answer
    /// to one `clientId` is the first one, and there is one row for each.
    @Test(arguments: 0..<4) func everyRepetitionGetsTheFirstAnswer(_ run: UInt64) throws {
        let seed = testSeed() &+ run
        var random = SeededGenerator(seed: seed)
        var recorders = [Recorder(), Recorder()]
        var stores = try recorders.map { try open($0) { $0.snapshotInterval = 20 } }
        var answers: [String: Sent] = [:]
        for step in 0..<300 {
            let index = Int.random(in: 0..<2, using: &random)
            let clientID = "k\(Int.random(in: 0..<120, using: &random))"
            let sent = try recorders[index].send("ada", "\(step)", clientID, on: stores[index])
            if let first = answers[clientID] {
                #expect(sent == first, "seed \(seed)")
            } else {
                answers[clientID] = sent
            }
            if Int.random(in: 0..<25, using: &random) == 0 {
                stores[index].stop()
                recorders[index] = Recorder()
                stores[index] = try open(recorders[index]) { $0.snapshotInterval = 20 }
            }
        }
        for store in stores { store.stop() }
        let sends = try soundEntries(of: path).compactMap(\.clientID)
        #expect(sends.count == answers.count && Set(sends) == Set(answers.keys), "seed \(seed)")
    }

    /// Another process writes its projection down past what this one has read; then this one's commit
    /// fails and it goes back to what is stored. What it skipped so must be known again all the same.
    #if DEBUG
        @Test func repetitionsSkippedByASnapshotAreKnown() throws {
            let recorders = [Recorder(), Recorder()]
            let disk = DiskFaults.under(path)
            let slow = try open(recorders[0]) { $0.pollInterval = .seconds(3600) }
            let busy = try open(recorders[1]) { $0.snapshotInterval = 5 }
            _ = try recorders[0].send("ada", "one", "k0", on: slow)
            var answers: [Sent] = []
            for index in 1...30 {
                answers.append(try recorders[1].send("ada", "x", "k\(index)", on: busy))
            }
            disk.set {
                if case .sync(isLog: true) = $0 { .fail(DiskFaults.syncError) } else { .pass }
            }
            _ = try recorders[0].act(
                "ada", .send(room: .lobby, text: "y", clientID: "k99", replyTo: nil), on: slow)
            disk.set(nil)
            #expect(
                eventually {
                    slow.catchUp(); return slow.isAvailable
                })
            for (index, answer) in answers.enumerated() {
                let again = try recorders[0].send("ada", "x", "k\(index + 1)", on: slow)
                #expect(again == answer)
            }
            slow.stop()
            busy.stop()
            let entries = try soundEntries(of: path)
            #expect(recorders[0].entries == entries)
            #expect(recorders[1].entries == entries)
        }
    #endif

    @Test func troubleIsSaidInWords() {
        let words = [
            ChatStoreTrouble.locked(holder: 7), .locked(holder: nil), .failed(.full),
        ].map { "\($0)" }
        #expect(
            words == [
                "the log's write lock is held by process 7",
                "the log's write lock is held by another process",
                "the log cannot be written: no space is left for the database",
            ])
    }

    @Test func theHolderIsReadFromTheKernelsList() {
        let line = "1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120\n"
        #expect(LockHolder.holder(in: line, inode: 1234) == 4711)
        #expect(LockHolder.holder(in: line, inode: 123) == nil)
        // Merged with its neighbour, as while a checkpoint runs; to the end of the file.
        let ends = ["120 121", "100 EOF", "120 EOF"]
        for end in ends {
            #expect(
                LockHolder.holder(
                    in: "9: POSIX  ADVISORY  WRITE 7 00:2a:1234 \(end)", inode: 1234) == 7)
        }
        for other in [
            "9: POSIX  ADVISORY  READ 7 00:2a:1234 120 120",
            "9: FLOCK  ADVISORY  WRITE 7 00:2a:1234 120 120",
            "9: POSIX  ADVISORY  WRITE 7 00:2a:1234 121 121",
            "9: -> POSIX  ADVISORY  WRITE 7 00:2a:1234 120 120",
            "9: POSIX  ADVISORY  WRITE -1 00:2a:1234 120 120", "",
        ] {
            #expect(LockHolder.holder(in: other, inode: 1234) == nil, "\(other)")
        }
    }

    private final class Flag: Sendable {
        let value: Atomic<Bool>
        init(_ value: consuming Atomic<Bool>) { self.value = value }
    }
}

/// A thread for a test's body.
final class WorkerLoop: @unchecked Sendable {
    // SAFETY: written once in `init`, before anybody else has the object.
    private var thread = pthread_t()

    init(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(body))
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
    }

    func join() { pthread_join(thread, nil) }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
