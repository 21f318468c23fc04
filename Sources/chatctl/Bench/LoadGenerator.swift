// SPDX-License-Identifier: MIT
internal import Crypto
internal import Glibc
internal import Locks
internal import Reactor
internal import Timing

/// The load generator: clients spread over event loops, each on a thread of its own, and asked by one
/// thread, which waits for them. Scenarios are written as a sequence of its methods:
///
/// ```
/// connect ──► create rooms ──► join ──► settle ──► load ──► drain ──► load … ──► close
///          `setUp`                              `open` / `closed`
/// ```
/// Every phase has a deadline; passing it is an error, except for the drain, where what has not come
/// by then is lost.
final class LoadGenerator {
    /// Requests under way at once while a run is set up: a server is to be measured, not stormed.
    static let setupConcurrency = 64
    private static let setupTimeout = Duration.seconds(180)
    private static let settleTimeout = Duration.seconds(10)
    static let drainTimeout = Duration.seconds(15)

    let plan: BenchPlan
    private let placement: LoadPlacement
    private let mailboxes: [Mailbox]
    private let threads: [WorkerThread]
    private let sample: () -> ProcessUsage?
    private var nextNumber = 0
    private var connectTime = Duration.zero
    private let residentIdle: Int
    private var underWay: UnderWay?

    private struct UnderWay {
        let plan: BenchPlan
        let pacer: Pacer
        let usage: ProcessUsage?
        let own: ProcessUsage
        let resident: Int
    }

    /// - Parameters:
    ///   - tokens: one a client, of those besides the plan's too.
    ///   - sample: what the server has used so far; nil when it is not known.
    init(
        plan: BenchPlan, address: ServerAddress, tokens: [String], placement: LoadPlacement,
        offersDeflate: Bool = false, sample: @escaping () -> ProcessUsage?
    ) {
        self.plan = plan
        self.placement = placement
        self.sample = sample
        residentIdle = sample()?.residentBytes ?? 0
        let run = "b" + SecureRandom.token(bytes: 6) + "-"
        let rooms = plan.rooms
        let mailboxes = (0..<placement.loops).map { _ in Mailbox() }
        self.mailboxes = mailboxes
        threads = (0..<placement.loops).map { position in
            WorkerThread(name: "load-\(position)") {
                let loop = EventLoop(index: position, mailbox: mailboxes[position])
                loop.attachment = LoadWorker(
                    address: address, loop: loop, position: position, placement: placement,
                    run: run,
                    tokens: tokens, rooms: rooms, offersDeflate: offersDeflate)
                loop.run()
            }
        }
    }

    /// Closes all connections and ends the threads.
    func close() {
        underWay?.pacer.stop()
        tell { $0.end() }
        for thread in threads { thread.join() }
    }

    // MARK: Set up

    /// Connects the plan's clients, makes its rooms and joins them, and waits until it is quiet.
    func setUp() throws {
        connectTime = try connect(0..<plan.clients, atOnce: LoadGenerator.setupConcurrency)
        var owners: [Int: Int] = [:]
        for client in 0..<plan.clients {
            for room in plan.rooms(of: client) where owners[room] == nil { owners[room] = client }
        }
        try perform(owners.keys.sorted().map { .create(client: owners[$0] ?? 0, room: $0) })
        shareRooms()
        try perform(
            (0..<plan.clients).flatMap { client in
                plan.rooms(of: client).filter { owners[$0] != client }.map {
                    .join(client: client, room: $0)
                }
            })
        try settle()
    }

    /// Connects clients: opening handshake, CONNECT, `session`.
    /// - Returns: from the first connect to the last `session`.
    @discardableResult
    func connect(_ numbers: Range<Int>, atOnce: Int) throws -> Duration {
        let wanted = status.ready + numbers.count
        let each = max(1, atOnce / placement.shared)
        let start = SystemClock.now()
        tell { $0.connect(numbers, atOnce: each) }
        try wait("clients to connect") { $0.ready == wanted }
        return (ask { $0.lastReady }.max() ?? start) - start
    }

    func disconnect(_ numbers: Range<Int>) { _ = ask { $0.disconnect(numbers) } }

    /// Connects one more client, of the smallest receive buffer, and lets it join the first room.
    func connectSlow(_ number: Int) throws {
        let wanted = status.ready + 1
        tell { $0.connectSlow(number) }
        try wait("the slow client to connect") { $0.ready == wanted }
        try perform([.join(client: number, room: 0)])
    }

    /// Bytes a second that the slow client reads from now on; nil: all there is.
    func setSlowPace(_ bytes: Int?) { _ = ask { $0.setPace(bytes) } }

    /// From now on reads from those who send nothing so often and no oftener.
    func readBy(_ interval: Duration) { _ = ask { [plan] in $0.readBy(interval, plan) } }

    /// Why the slow client was closed; nil while it is not.
    var slowFailure: String? { ask { $0.slowFailure }.compactMap { $0 }.first }

    func perform(_ jobs: [SetupJob]) throws {
        // Everybody made a room of their own: there is nobody to join.
        guard !jobs.isEmpty else { return }
        let each = max(1, LoadGenerator.setupConcurrency / placement.shared)
        _ = ask { $0.prepare(jobs, atOnce: each) }
        try wait("rooms") { $0.busy == 0 }
    }

    /// Waits until no room event has come for a while.
    func settle() throws {
        let deadline = SystemClock.now() + LoadGenerator.settleTimeout
        var events = -1
        var quietSince = SystemClock.now()
        try wait("quiet") { status in
            let now = SystemClock.now()
            if status.events != events { (events, quietSince) = (status.events, now) }
            return now - quietSince > .milliseconds(400) || now > deadline
        }
    }

    /// Waits until presence has told everybody of everybody: a batch a second, of 200 users.
    func settlePresence() throws {
        var batches = -1
        var quietSince = SystemClock.now()
        try wait("presence") { status in
            let now = SystemClock.now()
            if status.presences != batches { (batches, quietSince) = (status.presences, now) }
            return now - quietSince > .seconds(3)
        }
    }

    // MARK: Load

    /// Loads by the clock and waits until everything has come.
    func open(_ plan: BenchPlan) throws -> BenchResult {
        try start(plan)
        return try finish()
    }

    /// Begins to load by the clock. The plan has this generator's clients and rooms.
    func start(_ plan: BenchPlan) throws {
        let base = nextNumber
        nextNumber += plan.messages
        let before = sample()
        let start = SystemClock.now() + .milliseconds(50)
        _ = ask { $0.begin(.open(plan, base: base, start: start)) }
        underWay = UnderWay(
            plan: plan, pacer: Pacer(plan: plan, at: start, mailboxes: mailboxes), usage: before,
            own: .ofThisProcess(), resident: before?.residentBytes ?? 0)
    }

    /// Sends nothing more than is due now.
    func stopSending() { underWay?.pacer.stop() }

    /// What was measured since the start or the last call; the load goes on.
    func measured() -> BenchResult { merged(ends: false) }

    /// Waits until all is sent and has come, or no longer.
    /// - Parameter drains: false waits only for the answers: somebody is known to be behind.
    func finish(drains: Bool = true) throws -> BenchResult {
        guard let load = underWay else { return BenchResult() }
        try wait("messages to be sent", timeout: .seconds(load.plan.seconds) + .seconds(60)) {
            status in
            load.pacer.total.map { $0 == status.sent } ?? false
        }
        try drains ? drain() : wait("answers") { $0.answers == $0.sent }
        var result = merged(ends: true)
        if let before = load.usage, let after = sample() {
            result.serverUsage = after - before
            result.residentEnd = after.residentBytes
        }
        result.ownUsage = ProcessUsage.ofThisProcess() - load.own
        result.residentReady = load.resident
        underWay = nil
        return result
    }

    /// Keeps `depth` messages of each of the plan's senders in flight for its seconds, after a second
    /// that does not count.
    func closed(_ plan: BenchPlan, depth: Int) throws -> BenchResult {
        let resident = sample()?.residentBytes ?? 0
        let start = SystemClock.now() + .seconds(1)
        let end = start + .seconds(plan.seconds)
        _ = ask { $0.begin(.closed(plan, depth: depth, start: start, end: end)) }
        BenchClock.sleep(until: start.nanoseconds)
        _ = ask { $0.resetUsage() }
        let before = sample()
        let own = ProcessUsage.ofThisProcess()
        BenchClock.sleep(until: end.nanoseconds)
        let after = sample()
        let ownUsage = ProcessUsage.ofThisProcess() - own
        let busiest = ask { $0.threadSeconds }.max() ?? 0
        try drain()
        var result = merged(ends: true)
        result.busiestThread = busiest
        result.elapsed = end - start
        if let before, let after {
            result.serverUsage = after - before
            result.residentEnd = after.residentBytes
        }
        result.ownUsage = ownUsage
        result.residentReady = resident
        return result
    }

    /// Waits until every message is answered and has reached every member, or no longer.
    func drain(for timeout: Duration = LoadGenerator.drainTimeout) throws {
        let deadline = SystemClock.now() + timeout
        try wait("answers") { status in
            if SystemClock.now() > deadline { return true }
            return status.answers == status.sent && self.lost() == 0
        }
    }

    /// Room events that somebody has not got yet.
    func lost() -> Int {
        shareRooms()
        return ask { $0.lost() }.reduce(0, +)
    }

    var status: LoadStatus { ask { $0.currentStatus() }.reduce(LoadStatus(), +) }

    private func merged(ends: Bool) -> BenchResult {
        var result = BenchResult()
        for part in (ask { $0.take(ends: ends) }) { result.merge(part: part) }
        result.connectTime = connectTime
        result.residentIdle = residentIdle
        return result
    }

    /// Tells every loop what any of them knows of the rooms.
    private func shareRooms() {
        var rooms: [LoadWorker.Room] = []
        for known in (ask { $0.knownRooms() }) {
            if rooms.isEmpty { rooms = known }
            for index in rooms.indices {
                if rooms[index].id.isEmpty { rooms[index] = known[index] }
                rooms[index].head = max(rooms[index].head, known[index].head)
            }
        }
        let all = rooms
        _ = ask { $0.learn(all) }
    }

    // MARK: Asking

    private func tell(_ body: @escaping @Sendable (LoadWorker) -> Void) {
        for mailbox in mailboxes {
            mailbox.post { loop in
                if let worker = loop.attachment as? LoadWorker { body(worker) }
            }
        }
    }

    /// Runs `body` on every loop and waits for what all of them say, in order.
    private func ask<Answer: Sendable>(
        _ body: @escaping @Sendable (LoadWorker) -> Answer
    ) -> [Answer] {
        let answers = Answers<Answer>()
        for (position, mailbox) in mailboxes.enumerated() {
            mailbox.post { loop in
                if let worker = loop.attachment as? LoadWorker {
                    answers.put(body(worker), position)
                }
            }
        }
        while true {
            if let all = answers.all(mailboxes.count) { return all }
            usleep(200)
        }
    }

    /// Looks at all loops until they are where they should be.
    /// - Throws: when a client failed, or it takes too long.
    private func wait(
        _ what: String, timeout: Duration = LoadGenerator.setupTimeout,
        until isReached: (LoadStatus) -> Bool
    ) throws {
        let deadline = SystemClock.now() + timeout
        while true {
            let now = status
            if let failure = now.failure { throw Suite.Failure(failure) }
            if isReached(now) { return }
            if SystemClock.now() > deadline {
                throw Suite.Failure(
                    "the run stood still waiting for \(what): \(now.ready) clients ready, "
                        + "\(now.busy) busy, \(now.answers) of \(now.sent) answered")
            }
            usleep(5000)
        }
    }

    private final class Answers<Answer: Sendable>: Sendable {
        private let answers = Locked<[Int: Answer]>([:])

        func put(_ answer: Answer, _ position: Int) {
            answers.withLock { $0[position] = answer }
        }

        func all(_ count: Int) -> [Answer]? {
            answers.withLock { answers in
                answers.count == count ? (0..<count).compactMap { answers[$0] } : nil
            }
        }
    }
}

/// The clock of an open loop: a thread that says what is due, whatever the server does.
final class Pacer: Sendable {
    /// The least time between two letters: finer would cost the loops more than it tells.
    private static let grain: Int64 = 500_000

    private struct State {
        var isStopped = false
        var total: Int?
    }
    private let state = Locked(State())

    /// Starts the thread; it ends when the last message is due, or stopped.
    init(plan: BenchPlan, at start: Instant, mailboxes: [Mailbox]) {
        _ = WorkerThread(name: "pacer") { [self] in
            var count = 0
            var wake = start.nanoseconds
            while count < plan.messages, !isStopped {
                wake = max(start.nanoseconds + plan.due(count), wake)
                BenchClock.sleep(until: wake)
                let now = SystemClock.now().nanoseconds
                let due = plan.dueCount(at: now - start.nanoseconds)
                if due > count {
                    count = due
                    for mailbox in mailboxes {
                        mailbox.post { ($0.attachment as? LoadWorker)?.send(upTo: due) }
                    }
                }
                wake = now + Pacer.grain
            }
            let total = count
            state.withLock { $0.total = total }
        }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    /// Messages that were due in all; nil while that is not known.
    var total: Int? { state.withLock { $0.total } }
    private var isStopped: Bool { state.withLock { $0.isStopped } }
}

/// Waiting for a point of time.
enum BenchClock {
    /// Sleeps until a point of CLOCK_MONOTONIC, in nanoseconds.
    static func sleep(until nanoseconds: Int64) {
        var time = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &time, nil) == EINTR {}
    }
}
