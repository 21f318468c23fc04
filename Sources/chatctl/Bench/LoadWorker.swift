// SPDX-License-Identifier: MIT
internal import Bytes
internal import Glibc
internal import JSON
internal import Reactor
internal import Timing
internal import WebSocket

/// What one event loop of the load generator is asked to do before it loads a server.
enum SetupJob: Hashable, Sendable {
    case create(client: Int, room: Int)
    case join(client: Int, room: Int)

    var client: Int {
        switch self {
        case .create(let client, _), .join(let client, _): client
        }
    }
}

/// How a stretch of load is made.
enum Load: Sendable {
    /// The clock sends, whatever the answers do. `base` is added to the plan's message numbers.
    case open(BenchPlan, base: Int, start: Instant)
    /// So many clients keep `depth` messages each in flight until `end`; what is answered from `start`
    /// on counts.
    case closed(BenchPlan, depth: Int, start: Instant, end: Instant)
}

/// How far a loop is.
struct LoadStatus: Sendable {
    var failure: String?
    var ready = 0
    var busy = 0
    var events = 0
    var sent = 0
    var answers = 0
    var pings = 0
    /// Batches of changes in presence.
    var presences = 0

    static func + (a: LoadStatus, b: LoadStatus) -> LoadStatus {
        LoadStatus(
            failure: a.failure ?? b.failure, ready: a.ready + b.ready, busy: a.busy + b.busy,
            events: a.events + b.events, sent: a.sent + b.sent, answers: a.answers + b.answers,
            pings: a.pings + b.pings, presences: a.presences + b.presences)
    }
}

/// Which event loop of the load generator has which client.
struct LoadPlacement: Hashable, Sendable {
    let loops: Int
    /// So many first clients have a loop to themselves, the first one: what they measure does not wait
    /// for the others'. 0: all clients are on all loops.
    var apart = 0

    /// Loops that most clients are on.
    var shared: Int { apart == 0 ? loops : loops - 1 }

    func loop(of client: Int) -> Int {
        guard apart > 0 else { return client % loops }
        return client < apart ? 0 : 1 + (client - apart) % shared
    }

    /// The client's place among those of its loop.
    func place(of client: Int) -> Int {
        guard apart > 0 else { return client / loops }
        return client < apart ? client : (client - apart) / shared
    }
}

/// One event loop of the load generator with its clients. Lives on its loop's thread; the run's phases
/// are `LoadGenerator`'s.
final class LoadWorker {
    /// A room of the run.
    struct Room: Sendable {
        var id: [UInt8] = []
        var key: UInt64 = 0
        /// The highest room sequence that anybody has seen.
        var head: Int64 = 0
    }

    let address: SocketAddress
    private let loop: EventLoop
    private let position: Int
    private let placement: LoadPlacement
    /// Tells the messages of this run from those of others by their client ids.
    private let run: String
    private let tokens: [String]
    private let offersDeflate: Bool

    /// By place; nil where nobody is connected.
    private var clients: [BenchClient?]
    private var rooms: [Room]
    private var waiting: [Int] = []
    private var jobs: [SetupJob] = []
    private var atOnce = 1
    private var lobby: Int { rooms.count - 1 }
    private var status = LoadStatus()
    private(set) var lastReady = Instant(nanoseconds: 0)
    /// The one that reads slowly: it may be closed without ending the run, and its latency is not ours.
    private var slowClient: Int?
    private(set) var slowFailure: String?

    private var load: Load?
    private var openStart: Int64 = 0
    /// The number of the next message of all in an open loop, ours or not.
    private var cursor = 0
    /// Closed loops so far: each numbers its messages from 0.
    private var closedLoops = 0
    private var result = BenchResult()
    private var usageAtStart = ProcessUsage()
    private var inflater = SharedInflater()

    init(
        address: ServerAddress, loop: EventLoop, position: Int, placement: LoadPlacement,
        run: String,
        tokens: [String], rooms: Int, offersDeflate: Bool
    ) {
        self.address = address.socketAddress
        self.loop = loop
        self.position = position
        self.placement = placement
        self.run = run
        self.tokens = tokens
        self.offersDeflate = offersDeflate
        let own = tokens.indices.lazy.filter { placement.loop(of: $0) == position }
        clients = Array(repeating: nil, count: own.count)
        // The lobby stands behind the run's own rooms.
        self.rooms = Array(repeating: Room(), count: rooms + 1)
        self.rooms[rooms].key = BenchDelivery.key("lobby".utf8)
    }

    private func owns(_ client: Int) -> Bool { placement.loop(of: client) == position }

    /// Ours, by its number among all.
    private func connected(_ number: Int) -> BenchClient? { clients[placement.place(of: number)] }

    var deliveries: Int { result.deliveries }
    func countRead() { result.reads += 1 }
    func countPing() { status.pings += 1 }
    func countPresence() { status.presences += 1 }

    func inflate(_ frame: UnsafeRawBufferPointer, parameters: DeflateParameters) -> [UInt8]? {
        inflater.inflate(frame, parameters: parameters)
    }

    // MARK: What the generator asks

    func currentStatus() -> LoadStatus {
        var now = status
        now.busy += waiting.count + jobs.count
        return now
    }

    /// Connects those of the clients that are ours, so many under way at once.
    func connect(_ numbers: Range<Int>, atOnce: Int) {
        waiting = numbers.filter(owns).reversed()
        self.atOnce = atOnce
        connectMore()
    }

    /// Connects the one that will read slowly, with the smallest buffer the kernel gives.
    func connectSlow(_ number: Int) {
        guard owns(number) else { return }
        slowClient = number
        connect(number..<number + 1, atOnce: 1)
    }

    func setPace(_ bytes: Int?) {
        if let slowClient { connected(slowClient)?.setPace(bytes) }
    }

    /// From now on those who send nothing are read from when `interval` is over, each time, and not when
    /// there is something to read: a client of another machine costs this one nothing either.
    func readBy(_ interval: Duration, _ plan: BenchPlan) {
        let senders = Set((0..<plan.senders).map { plan.route(of: $0).client })
        let readers = clients.compactMap { $0 }.filter { !senders.contains($0.index) }
        for reader in readers { reader.isReadByTheClock = true }
        sweep = Sweep(readers, every: interval, on: loop)
    }

    private var sweep: Sweep?

    /// Reads from clients by the clock.
    private final class Sweep: TimerTarget {
        private let readers: [BenchClient]
        private let interval: Duration
        private let loop: EventLoop

        init(_ readers: [BenchClient], every interval: Duration, on loop: EventLoop) {
            (self.readers, self.interval, self.loop) = (readers, interval, loop)
            _ = loop.schedule(self, at: SystemClock.now() + interval)
        }

        func timerFired(now: Instant) {
            for reader in readers { reader.readNow() }
            _ = loop.schedule(self, at: now + interval)
        }
    }

    func disconnect(_ numbers: Range<Int>) {
        for number in numbers where owns(number) {
            guard let client = connected(number) else { continue }
            client.close()
            clients[placement.place(of: number)] = nil
            status.ready -= 1
        }
    }

    func prepare(_ jobs: [SetupJob], atOnce: Int) {
        self.jobs = jobs.filter { owns($0.client) }.reversed()
        self.atOnce = atOnce
        nextJobs()
    }

    /// The rooms as this loop knows them: those its clients made have ids.
    func knownRooms() -> [Room] { rooms }

    /// Takes ids and heads that other loops know.
    func learn(_ known: [Room]) {
        for index in rooms.indices {
            if !known[index].id.isEmpty {
                rooms[index].id = known[index].id
                rooms[index].key = known[index].key
            }
            rooms[index].head = max(rooms[index].head, known[index].head)
        }
    }

    /// Room events that a client of ours should have by now and has not.
    func lost() -> Int {
        clients.reduce(0) { sum, client in
            client?.memberships.reduce(sum) { $0 + $1.sequence.lost(upTo: rooms[$1.room].head) }
                ?? sum
        }
    }

    func begin(_ load: Load) {
        self.load = load
        result = BenchResult()
        status.sent = 0
        status.answers = 0
        usageAtStart = .ofThisThread()
        switch load {
        case .open(_, _, let start): openStart = start.nanoseconds
        case .closed(let plan, let depth, _, _):
            closedLoops += 1
            for sender in 0..<plan.senders {
                let number = plan.route(of: sender).client
                guard owns(number), let client = connected(number) else { continue }
                client.flights = Array(repeating: 0, count: depth)
                client.corked {
                    for slot in 0..<depth {
                        sendClosed(plan, client, id: slot, slot: slot, at: SystemClock.now())
                    }
                }
            }
        }
    }

    /// Sends what is due: called by the pacer's letters.
    func send(upTo due: Int) {
        guard case .open(let plan, let base, _) = load else { return }
        for number in cursor..<max(cursor, due) {
            let (sender, room) = plan.route(of: number)
            guard owns(sender), let client = connected(sender) else { continue }
            client.sendMessage(
                id: base + number, room: rooms[room].id,
                text: BenchMessage.text(index: base + number, bytes: plan.bytes),
                clientID: "\(run)\(base + number)")
            status.sent += 1
        }
        cursor = max(cursor, due)
    }

    /// CPU seconds of this thread since `begin` or `resetUsage`.
    var threadSeconds: Double { (ProcessUsage.ofThisThread() - usageAtStart).total }
    func resetUsage() { usageAtStart = .ofThisThread() }

    /// What was measured since `begin` or the last `take`, and ends the load if asked to.
    func take(ends: Bool) -> BenchResult {
        var part = result
        part.sent = status.sent
        part.answered = status.answers
        part.busiestThread = threadSeconds
        for client in clients {
            for membership in client?.memberships ?? [] {
                part.duplicated += membership.sequence.duplicated
                part.reordered += membership.sequence.reordered
            }
        }
        part.lost = lost()
        let keeps = result
        result = BenchResult()
        if ends {
            load = nil
            cursor = 0
        } else {
            // Counts go on; what is distributed begins anew.
            result.acked = keeps.acked
            result.refused = keeps.refused
            result.firstRefusal = keeps.firstRefusal
            result.elapsed = keeps.elapsed
            usageAtStart = .ofThisThread()
        }
        return part
    }

    /// Connections are closed while the loop still knows them.
    func end() {
        for client in clients { client?.close() }
        clients = []
        loop.stop()
    }

    // MARK: What clients report

    func opened(_ client: BenchClient, lobbyHead: Int64) {
        follow(client, room: lobby, head: lobbyHead)
        status.busy -= 1
        status.ready += 1
        lastReady = SystemClock.now()
        connectMore()
    }

    @inline(__always)
    func delivered(
        _ delivery: BenchDelivery, to client: BenchClient, bytes: Int, now: Instant
    ) {
        status.events += 1
        for slot in client.memberships.indices
        where client.memberships[slot].key == delivery.room {
            client.memberships[slot].sequence.take(delivery.roomSeq)
            let room = client.memberships[slot].room
            if delivery.roomSeq > rooms[room].head { rooms[room].head = delivery.roomSeq }
            break
        }
        guard let load, let number = delivery.index, client.index != slowClient else { return }
        switch load {
        case .open(let plan, let base, let start):
            result.latency.record(
                microseconds: (now.nanoseconds - openStart - plan.due(number - base)) / 1000)
            result.elapsed = now - start
        case .closed(_, _, let start, let end):
            guard now >= start, now < end else { return }
        }
        result.deliveries += 1
        result.deliveredBytes += bytes
    }

    func answered(
        _ answer: BenchAnswer, _ packet: UnsafeRawBufferPointer, by client: BenchClient,
        now: Instant
    ) {
        status.answers += 1
        guard let load else { return }
        if !answer.isAccepted {
            if result.refused == 0 {
                result.firstRefusal = String(decoding: packet.prefix(200), as: UTF8.self)
            }
            result.refused += 1
        }
        switch load {
        case .open(let plan, let base, _):
            guard answer.isAccepted else { return }
            result.acked += 1
            let number = answer.id - base
            result.ackLatency.record(
                microseconds: (now.nanoseconds - openStart - plan.due(number)) / 1000)
            // The sender learns its place from the answer: a message nobody received is noticed too.
            let room = plan.route(of: number).room
            rooms[room].head = max(rooms[room].head, answer.roomSeq)
        case .closed(let plan, let depth, let start, let end):
            guard answer.isAccepted else { return }
            let room = plan.rooms(of: client.index)[0]
            rooms[room].head = max(rooms[room].head, answer.roomSeq)
            let slot = answer.id % depth
            let sent = client.flights[slot]
            // Of what is sent in the time every answer counts, however late; of the rate only those in it.
            if sent >= start.nanoseconds, sent < end.nanoseconds {
                result.ackLatency.record(microseconds: (now.nanoseconds - sent) / 1000)
            }
            if now >= start, now < end { result.acked += 1 }
            if now < end {
                sendClosed(plan, client, id: answer.id + depth, slot: slot, at: now)
            }
        }
    }

    func failed(_ client: BenchClient, _ reason: String) {
        if client.index == slowClient {
            slowFailure = reason
        } else if status.failure == nil {
            status.failure = "client \(client.index): \(reason)"
        }
    }

    // MARK: Steps

    private func sendClosed(
        _ plan: BenchPlan, _ client: BenchClient, id: Int, slot: Int, at now: Instant
    ) {
        client.flights[slot] = now.nanoseconds
        let room = plan.rooms(of: client.index)[0]
        client.sendMessage(
            id: id, room: rooms[room].id, text: BenchMessage.text(index: 0, bytes: plan.bytes),
            clientID: "\(run)\(closedLoops)-\(client.index)-\(id)")
        status.sent += 1
    }

    private func connectMore() {
        while status.busy < atOnce, let number = waiting.popLast() {
            guard
                let client = BenchClient(
                    index: number, token: tokens[number], worker: self, loop: loop,
                    offersDeflate: offersDeflate,
                    receiveBuffer: number == slowClient ? 2048 : nil)
            else {
                status.failure = "client \(number): \(String(cString: strerror(errno)))"
                return
            }
            status.busy += 1
            clients[placement.place(of: number)] = client
        }
    }

    private func nextJobs() {
        while status.busy < atOnce, let job = jobs.popLast() {
            status.busy += 1
            switch job {
            case .create(let number, let room):
                connected(number)?.request(
                    "room:create", ["name": .string("\(run)\(room)"), "visibility": "public"]
                ) { [unowned self] answer in
                    created(room, by: number, answer)
                }
            case .join(let number, let room):
                let id = String(decoding: rooms[room].id, as: UTF8.self)
                connected(number)?.request("room:join", ["room": .string(id)]) {
                    [unowned self] answer in
                    if let client = connected(number) {
                        follow(client, room: room, head: LoadWorker.head(answer))
                    }
                    status.busy -= 1
                    nextJobs()
                }
            }
        }
    }

    private func created(_ room: Int, by number: Int, _ answer: JSONValue) {
        guard let id = answer["room"]?["id"]?.string, let client = connected(number) else {
            status.failure = "room:create gave no room: \(answer.text)"
            return
        }
        rooms[room].id = Array(id.utf8)
        rooms[room].key = BenchDelivery.key(id.utf8)
        follow(client, room: room, head: LoadWorker.head(answer))
        status.busy -= 1
        nextJobs()
    }

    private func follow(_ client: BenchClient, room: Int, head: Int64) {
        rooms[room].head = max(rooms[room].head, head)
        client.memberships.append(
            BenchClient.Membership(
                room: room, key: rooms[room].key, sequence: SequenceChecker(head: head)))
    }

    private static func head(_ answer: JSONValue) -> Int64 {
        answer["head"]?.int ?? answer["room"]?["head"]?.int ?? 0
    }
}
