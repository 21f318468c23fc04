// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ChatCore
internal import Glibc
internal import Metrics
internal import Reactor
internal import Store
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Timing

/// `Chaos fill`.
struct FillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fill",
        abstract: "Makes a long chat log through the store, and times its commits.",
        discussion: """
            First as fast as the store takes messages, then at a steady pace. Everything goes the way \
            it goes in the service but for the sockets.
            """)

    @Argument(help: "The database, which must not exist.") var path: String
    @Option(help: "Entries in the end.") var rows = 1_000_000
    @Option(help: "Users, each in the lobby and in five rooms.") var users = 1000
    @Option(help: "Rooms besides the lobby.") var rooms = 100
    @Option(help: "Messages a second at the steady pace.") var pace = 5000
    @Option(help: "Seconds of the steady pace.") var seconds = 20
    @Flag(help: "Wait for the end of standard input with the log open, instead of closing it.")
    var hold = false

    func run() throws {
        guard access(path, F_OK) != 0 else { throw ValidationError("\(path) exists") }
        let watch = Watch()
        let metrics = MetricsRegistry()
        let store = try ChatStore(path: path, observer: watch, metrics: metrics)
        let load = Load(store: store, watch: watch)
        try load.prepare(users: users, rooms: rooms)

        let steady = pace * seconds
        let began = SystemClock.now()
        let first = Int(store.head)
        load.send(max(0, rows - steady - first), pace: nil)
        let taken = SystemClock.now() - began
        let rate = Double(rows - steady - first) / (Double(taken.nanoseconds) / 1e9)
        say("filled      \(store.head) entries, the last \(Int(rate)) messages/s")

        _ = watch.takeLatencies()
        let isWatching = Atomic(true)
        let largest = Atomic(0)
        let sampler = WorkerThread(name: "wal") {
            while isWatching.load(ordering: .relaxed) {
                var info = stat()
                if stat(path + "-wal", &info) == 0 {
                    largest.max(Int(info.st_size), ordering: .relaxed)
                }
                SystemClock.sleep(.milliseconds(2))
            }
        }
        load.send(steady, pace: pace)
        isWatching.store(false, ordering: .relaxed)
        sampler.join()
        let latencies = watch.takeLatencies().sorted()
        func at(_ part: Double) -> String {
            guard !latencies.isEmpty else { return "-" }
            let index = min(latencies.count - 1, Int(Double(latencies.count) * part))
            return "\((Double(latencies[index]) / 1e4).rounded() / 100)"
        }
        say(
            "steady      \(pace) messages/s for \(seconds) s: from asked to committed p50 \(at(0.5)) ms,"
                + " p99 \(at(0.99)) ms, p99.9 \(at(0.999)) ms, max \(at(1)) ms")
        say("wal         \(largest.load(ordering: .relaxed) >> 20) MiB at most")
        for line in metrics.exposition().split(separator: "\n")
        where line.hasPrefix("chat_store_checkpoint_seconds_sum")
            || line.hasPrefix("chat_store_checkpoint_seconds_count")
            || line.hasPrefix("chat_store_projection_seconds_")
                && !line.contains("bucket")
        {
            say("            \(line)")
        }
        if hold {
            say("held        \(store.head)")
            var byte: UInt8 = 0
            while read(0, &byte, 1) > 0 {}
        }
        store.stop()
    }
}

/// Takes the time of every command: its ticket is the moment it was asked.
private final class Watch: CommitObserver {
    private let state = Locked(State())
    let done = Atomic(0)

    private struct State {
        var latencies: [Int64] = []
        var rooms: [RoomID] = []
    }

    func committed(_ items: [CommitItem]) {
        let now = SystemClock.now().nanoseconds
        var count = 0
        state.withLock { state in
            for case .outcome(let ticket, let outcome) in items {
                count += 1
                state.latencies.append(now - Int64(ticket.token))
                if case .ok(.room(let detail)) = outcome { state.rooms.append(detail.summary.id) }
            }
        }
        done.add(count, ordering: .relaxed)
    }

    /// Nanoseconds from asked to committed, since the last call.
    func takeLatencies() -> [Int64] {
        state.withLock { state in
            defer { state.latencies = [] }
            return state.latencies
        }
    }

    /// Rooms made, and entered, in the order of the answers.
    var rooms: [RoomID] { state.withLock { $0.rooms } }
}

/// Asks a store for much.
private final class Load {
    private let store: ChatStore
    private let watch: Watch
    private var people: [Actor] = []
    /// Of each person.
    private var rooms: [[RoomID]] = []
    private var asked = 0
    private var sent = 0

    /// Commands that may be under way: below what the store's queue holds.
    private static let window = 8000

    init(store: ChatStore, watch: Watch) {
        self.store = store
        self.watch = watch
    }

    func prepare(users: Int, rooms count: Int) throws {
        people = (0..<users).map { Actor(id: UserID("u_filler\($0)"), name: "filler\($0)") }
        for person in people { ask(.openSession, person) }
        settle()
        for number in 0..<count {
            ask(
                .createRoom(name: "room \(number)", visibility: .public, topic: ""),
                people[number % users])
        }
        settle()
        let made = watch.rooms
        guard made.count == count else { throw TestSupportError("\(made.count) rooms were made") }
        for (number, person) in people.enumerated() {
            rooms.append([.lobby])
            for step in 0..<min(5, count) {
                let room = made[(number * 7 + step * 13) % count]
                ask(.join(room: room.rawValue), person)
                rooms[number].append(room)
            }
        }
        settle()
        _ = watch.takeLatencies()
    }

    /// Sends messages of 100 bytes, from all in turn, each to one of the sender's rooms.
    /// - Parameter pace: messages a second; nil sends as many as go.
    func send(_ count: Int, pace: Int?) {
        let began = SystemClock.now()
        let text = String(repeating: "x", count: 100)
        for number in 0..<count {
            if let pace, number % max(1, pace / 1000) == 0 {
                let due = began + .nanoseconds(Int64(number) * 1_000_000_000 / Int64(pace))
                let left = due - SystemClock.now()
                if left > .zero { SystemClock.sleep(left) }
            }
            sent += 1
            let person = sent % people.count
            let here = rooms[person]
            ask(
                .send(
                    room: here[sent / people.count % here.count], text: text,
                    clientID: "0123456789-\(sent)", replyTo: nil), people[person])
        }
        settle()
    }

    private func ask(_ command: Command, _ person: Actor) {
        while asked - watch.done.load(ordering: .relaxed) >= Load.window { usleep(100) }
        asked += 1
        let ticket = Ticket(loop: 0, token: UInt64(SystemClock.now().nanoseconds))
        while !store.submit(command, actor: person, ticket: ticket) { usleep(200) }
    }

    private func settle() {
        while watch.done.load(ordering: .relaxed) < asked { usleep(500) }
    }
}
