// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Glibc
internal import JSON
internal import Reactor
internal import Timing

/// One load run, on one event loop.
///
/// ```
/// connect ──► create rooms ──► join ──► settle ──► run ──► drain ──► done
///                                                 (open loop: the clock sends, not the answers)
/// ```
/// Every phase has a deadline; passing it ends the run with an error, except for `drain`, where what
/// has not come by then is lost.
final class BenchDriver: TimerTarget {
    private enum Phase { case connecting, creating, joining, settling, running, draining, done }

    /// A room of the run.
    private struct Room {
        var id: [UInt8] = []
        var key: UInt64 = 0
        /// The highest room sequence that anybody has seen.
        var head: Int64 = 0
    }

    /// Requests under way at once while the run is set up: a server is to be measured, not stormed.
    private static let concurrency = 64
    private static let setupTimeout = Duration.seconds(120)
    private static let settleTimeout = Duration.seconds(10)
    private static let drainTimeout = Duration.seconds(15)

    let plan: BenchPlan
    let address: SocketAddress
    private(set) var result = BenchResult()
    private(set) var failure: String?

    private let tokens: [String]
    private let loop: EventLoop
    private let sample: () -> ProcessUsage?
    /// Tells the messages of this run from those of others by their client ids.
    private let run = "b" + SecureRandom.token(bytes: 6) + "-"
    private var phase = Phase.connecting
    private var deadline = Instant.distantFuture
    private var clients: [BenchClient] = []
    private var rooms: [Room]
    private var setupJobs: [() -> Void] = []
    private var busy = 0
    private var readyClients = 0
    private var sent = 0
    private var answers = 0
    private var eventsInSettling = 0
    private var lastEvents = 0
    private var quietSince = Instant(nanoseconds: 0)
    private var started = Instant(nanoseconds: 0)
    private var phaseStarted: Instant
    private var usageAtStart: ProcessUsage?
    private var ownUsageAtStart = ProcessUsage()

    /// - Parameters:
    ///   - tokens: one a client.
    ///   - sample: what the server has used so far; nil when it is not known.
    init(
        plan: BenchPlan, address: SocketAddress, tokens: [String], loop: EventLoop,
        sample: @escaping () -> ProcessUsage?
    ) {
        self.plan = plan
        self.address = address
        self.tokens = tokens
        self.loop = loop
        self.sample = sample
        // The lobby stands behind the run's own rooms.
        rooms = (0...plan.rooms).map { _ in Room() }
        rooms[plan.rooms].key = BenchDelivery.key("lobby".utf8)
        phaseStarted = SystemClock.now()
        clients.reserveCapacity(plan.clients)
    }

    /// Runs on the calling thread until the end.
    func start() {
        result.residentIdle = sample()?.residentBytes ?? 0
        enter(.connecting, for: BenchDriver.setupTimeout)
        connectMore()
        _ = loop.schedule(self, at: SystemClock.now() + .milliseconds(20))
        loop.run()
    }

    // MARK: What clients report

    func opened(_ client: BenchClient, session: JSONValue) {
        for room in session["rooms"]?.array ?? [] where room["id"]?.string == "lobby" {
            follow(client, room: plan.rooms, head: room["head"]?.int ?? 0)
        }
        busy -= 1
        readyClients += 1
        if readyClients == plan.clients { createRooms() } else { connectMore() }
    }

    @inline(__always)
    func delivered(
        _ delivery: BenchDelivery, to client: BenchClient, bytes: Int, now: Instant
    ) {
        eventsInSettling += 1
        for slot in client.memberships.indices
        where client.memberships[slot].key == delivery.room {
            client.memberships[slot].sequence.take(delivery.roomSeq)
            let room = client.memberships[slot].room
            if delivery.roomSeq > rooms[room].head { rooms[room].head = delivery.roomSeq }
            break
        }
        guard let number = delivery.index, phase == .running || phase == .draining else { return }
        result.deliveries += 1
        result.deliveredBytes += bytes
        result.latency.record(
            microseconds: (now.nanoseconds - started.nanoseconds - plan.due(number)) / 1000)
        result.lastDelivery = now - started
    }

    func answered(_ answer: BenchAnswer, _ packet: UnsafeRawBufferPointer, now: Instant) {
        answers += 1
        guard answer.isAccepted else {
            if result.refused == 0 {
                result.firstRefusal = String(decoding: packet.prefix(200), as: UTF8.self)
            }
            result.refused += 1
            return
        }
        result.acked += 1
        result.ackLatency.record(
            microseconds: (now.nanoseconds - started.nanoseconds - plan.due(answer.id)) / 1000)
        // The sender learns its place from the answer: a message nobody received is noticed too.
        let body = try? JSONValue(parsing: Array(packet[answer.payload...]))
        if let roomSeq = body?.array?.first?["roomSeq"]?.int {
            let room = plan.route(of: answer.id).room
            rooms[room].head = max(rooms[room].head, roomSeq)
        }
    }

    func fail(_ reason: String) {
        guard phase != .done else { return }
        failure = reason
        end()
    }

    // MARK: Phases

    private func enter(_ phase: Phase, for timeout: Duration) {
        self.phase = phase
        phaseStarted = SystemClock.now()
        deadline = phaseStarted + timeout
    }

    private func connectMore() {
        while phase == .connecting, busy < BenchDriver.concurrency, clients.count < plan.clients {
            let index = clients.count
            guard
                let client = BenchClient(
                    index: index, token: tokens[index], driver: self, loop: loop)
            else { return fail("client \(index): \(String(cString: strerror(errno)))") }
            busy += 1
            clients.append(client)
        }
    }

    private func createRooms() {
        result.connectTime = SystemClock.now() - phaseStarted
        enter(.creating, for: BenchDriver.setupTimeout)
        var owners: [Int: Int] = [:]
        for client in 0..<plan.clients {
            for room in plan.rooms(of: client) where owners[room] == nil { owners[room] = client }
        }
        for (room, owner) in owners.sorted(by: { $0.key < $1.key }) {
            setupJobs.append { [self] in
                let name = "\(run)\(room)"
                clients[owner].request(
                    "room:create", ["name": .string(name), "visibility": "public"]
                ) { [self] answer in
                    guard let id = answer["room"]?["id"]?.string else {
                        return fail("room:create gave no room: \(answer.text)")
                    }
                    rooms[room].id = Array(id.utf8)
                    rooms[room].key = BenchDelivery.key(id.utf8)
                    follow(clients[owner], room: room, head: BenchDriver.head(answer))
                    nextJob(finished: true) { [self] in joinRooms(owners: owners) }
                }
            }
        }
        nextJob(finished: false) {}
    }

    private func joinRooms(owners: [Int: Int]) {
        enter(.joining, for: BenchDriver.setupTimeout)
        for client in 0..<plan.clients {
            for room in plan.rooms(of: client) where owners[room] != client {
                setupJobs.append { [self] in
                    let id = String(decoding: rooms[room].id, as: UTF8.self)
                    clients[client].request("room:join", ["room": .string(id)]) { [self] answer in
                        follow(clients[client], room: room, head: BenchDriver.head(answer))
                        nextJob(finished: true) { [self] in settle() }
                    }
                }
            }
        }
        // Everybody made a room of their own: there is nobody to join.
        if setupJobs.isEmpty { return settle() }
        nextJob(finished: false) {}
    }

    /// Keeps jobs going; `completion` runs when the last has finished.
    private func nextJob(finished: Bool, completion: () -> Void) {
        if finished { busy -= 1 }
        while busy < BenchDriver.concurrency, !setupJobs.isEmpty {
            busy += 1
            setupJobs.removeLast()()
        }
        if busy == 0, setupJobs.isEmpty { completion() }
    }

    private func settle() {
        enter(.settling, for: BenchDriver.settleTimeout)
        quietSince = SystemClock.now()
    }

    private func begin() {
        // What came before belongs to the setup, not to the run.
        result.setupLost = lost()
        result.residentReady = sample()?.residentBytes ?? 0
        usageAtStart = sample()
        ownUsageAtStart = .ofThisProcess()
        enter(.running, for: .seconds(plan.seconds) + BenchDriver.setupTimeout)
        started = SystemClock.now() + .milliseconds(50)
        BenchPacer.start(plan: plan, at: started, mailbox: loop.mailbox)
    }

    /// Sends what is due: called by the pacer's letters.
    func send(upTo count: Int) {
        guard phase == .running else { return }
        while sent < count {
            let (client, room) = plan.route(of: sent)
            clients[client].sendMessage(
                sent, room: rooms[room].id,
                text: BenchMessage.text(index: sent, bytes: plan.bytes), run: run)
            sent += 1
        }
        if sent == plan.messages { enter(.draining, for: BenchDriver.drainTimeout) }
    }

    func timerFired(now: Instant) {
        switch phase {
        case .settling:
            if eventsInSettling != lastEvents { quietSince = now }
            lastEvents = eventsInSettling
            if now - quietSince > .milliseconds(400) || now > deadline { begin() }
        case .draining:
            let isComplete = answers == sent && lost() == 0
            if isComplete || now > deadline { finish() }
        case .done: return
        default:
            if now > deadline {
                fail("the run stood still: \(phase), \(readyClients) clients ready, \(busy) busy")
            }
        }
        if phase != .done { _ = loop.schedule(self, at: now + .milliseconds(20)) }
    }

    private func finish() {
        result.sent = sent
        if let before = usageAtStart, let after = sample() {
            result.serverUsage = after - before
            result.residentEnd = after.residentBytes
        }
        result.ownUsage = ProcessUsage.ofThisProcess() - ownUsageAtStart
        result.elapsed = result.lastDelivery
        result.lost = lost()
        for client in clients {
            for membership in client.memberships {
                result.duplicated += membership.sequence.duplicated
                result.reordered += membership.sequence.reordered
            }
        }
        end()
    }

    /// Connections are closed while the loop still knows them.
    private func end() {
        phase = .done
        for client in clients { client.close() }
        loop.stop()
    }

    private func follow(_ client: BenchClient, room: Int, head: Int64) {
        rooms[room].head = max(rooms[room].head, head)
        client.memberships.append(
            BenchClient.Membership(
                room: room, key: rooms[room].key, sequence: SequenceChecker(head: head)))
    }

    /// Room events that a member should have by now and has not.
    private func lost() -> Int {
        clients.reduce(0) { sum, client in
            client.memberships.reduce(sum) { $0 + $1.sequence.lost(upTo: rooms[$1.room].head) }
        }
    }

    private static func head(_ answer: JSONValue) -> Int64 {
        answer["head"]?.int ?? answer["room"]?["head"]?.int ?? 0
    }
}

/// The clock of an open-loop run: a thread that says what is due, whatever the server does.
enum BenchPacer {
    /// The least time between two letters: finer would cost the loop more than it tells.
    private static let grain: Int64 = 500_000

    /// Starts the thread; it ends when the last message is due.
    static func start(plan: BenchPlan, at start: Instant, mailbox: Mailbox) {
        _ = WorkerThread(name: "pacer") {
            var count = 0
            var wake = start.nanoseconds
            while count < plan.messages {
                wake = max(start.nanoseconds + plan.due(count), wake)
                sleep(until: wake)
                let now = SystemClock.now().nanoseconds
                let due = plan.dueCount(at: now - start.nanoseconds)
                if due > count {
                    count = due
                    mailbox.post { ($0.attachment as? BenchDriver)?.send(upTo: due) }
                }
                wake = now + grain
            }
        }
    }

    /// Sleeps until a point of CLOCK_MONOTONIC, in nanoseconds.
    static func sleep(until nanoseconds: Int64) {
        var time = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &time, nil) == EINTR {}
    }
}
