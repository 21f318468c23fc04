// SPDX-License-Identifier: MIT
internal import Bytes
internal import Glibc
internal import JSON
internal import Reactor
internal import Store
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Timing

/// One run of clients against a cluster that is being broken, and the verdict.
struct ChaosRun {
    struct Options: Sendable {
        var seed: UInt64
        var seconds = 60
        var faults = 30
        var clients = 200
        /// Messages a second, over all clients.
        var rate = 60
        var rooms = 12
        var kinds: [Fault.Kind]?
        var isVerbose = false
        /// Where histories and log are kept; nil keeps them only when something is wrong.
        var keep: String?
    }

    /// How the run went.
    struct Outcome: Sendable {
        var report: Verifier.Report
        var accidents: [String]
        var faults: [(kind: String, count: Int)]
        var connects = 0
        var refusals = 0
        var unsettled = 0
        var quiescence = Duration.zero
        var bytes = 0
        var checkComplaints: [String] = []

        var isClean: Bool {
            report.isClean && accidents.isEmpty && checkComplaints.isEmpty && unsettled == 0
        }
    }

    private let options: Options
    private let cluster: Cluster

    init(_ options: Options, cluster: Cluster) {
        self.options = options
        self.cluster = cluster
    }

    func run() throws -> Outcome {
        var generator = SeededGenerator(seed: options.seed)
        let planSeed = generator.next()
        let kinds = Injector.possibleKinds(cluster).filter { options.kinds?.contains($0) ?? true }
        let plan = FaultPlan.make(
            seed: planSeed, milliseconds: Int64(options.seconds) * 1000, count: options.faults,
            kinds: kinds)

        // One user in five has two devices.
        let userCount = max(1, options.clients * 5 / 6)
        let names = (0..<userCount).map { "chaos\($0)" }
        let tokens = try cluster.tokens(names)
        let users = try tokens.map(ChaosRun.subject)

        let loop = EventLoop(index: 0)
        let population = try Population(
            loop: loop, chatPorts: cluster.chatPorts, seed: generator.next())
        let ports = population.proxies.map(\.port)
        for number in 0..<options.clients {
            let user = number % userCount
            let client = ChaosClient(
                number: number, user: users[user], token: tokens[user],
                transport: number % 4 == 3 ? .polling : .webSocket, loop: loop,
                generator: SeededGenerator(seed: generator.next()),
                startAt: loop.now + .milliseconds(Int64(number) * 10),
                recorder: population.makeRecorder(user: users[user])
            ) { ports.randomElement(using: &$0)! }
            population.add(client)
        }
        let workload = Workload(
            population: population, rate: options.rate, rooms: options.rooms,
            seed: generator.next())
        loop.attachment = workload
        population.onTick = { [unowned workload] now in workload.tick(now: now) }
        population.start()

        let injector = Injector(
            cluster: cluster, mailbox: loop.mailbox, isVerbose: options.isVerbose)
        let failure = Locked<String?>(nil)
        let mailbox = loop.mailbox
        let seconds = options.seconds
        let cluster = cluster
        let worker = WorkerThread(name: "injector") {
            do {
                let isWorking = Flag()
                let isIn = eventually(within: .seconds(90)) {
                    mailbox.post { if Workload.of($0)?.phase == .working { isWorking.set() } }
                    SystemClock.sleep(.milliseconds(50))
                    return isWorking.isSet
                }
                guard isIn else { throw TestSupportError("the clients do not get in") }
                try injector.run(plan, milliseconds: Int64(seconds) * 1000)
                for instance in cluster.chatPorts.indices {
                    try cluster.waitUntilReady(instance)
                }
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
            mailbox.post { Workload.of($0)?.quiesce() }
        }
        loop.run()
        worker.join()

        if let text = failure.withLock({ $0 }) { cluster.note(text) }
        let log = try LogTable.read(path: cluster.databasePath)
        let report = try population.verify(against: log)
        var outcome = Outcome(
            report: report, accidents: cluster.accidents.map(\.description),
            faults: Fault.Kind.allCases.compactMap { kind in
                injector.done[kind].map { (kind.rawValue, $0) }
            })
        outcome.connects = population.clients.reduce(0) { $0 + $1.connects }
        outcome.refusals = population.clients.reduce(0) { $0 + $1.refusals }
        outcome.unsettled = workload.unsettled
        outcome.quiescence = workload.quiescence
        outcome.bytes = population.proxies.reduce(0) { $0 + $1.deliveredBytes }
        outcome.checkComplaints = try ChatLogCheck.run(path: cluster.databasePath).complaints
        if let folder = options.keep ?? (outcome.isClean ? nil : "/tmp/chaos-\(options.seed)") {
            mkdir(folder, 0o700)
            try population.writeHistories(to: folder + "/histories.jsonl")
            unlink(folder + "/chat.db")
            try SQLiteDatabase(path: cluster.databasePath, mode: .readOnly)
                .backUp(to: folder + "/chat.db")
            for instance in cluster.chatPorts.indices {
                let log = TextFile.read(cluster.folder.file("chat-\(instance).log"))
                try TextFile.write(log, to: folder + "/chat-\(instance).log")
            }
            say("histories, log and database are in \(folder)")
        }
        return outcome
    }

    /// The subject of a token.
    static func subject(_ token: String) throws -> String {
        let parts = token.split(separator: ".")
        guard parts.count == 3, let bytes = Base64.decode(Array(parts[1].utf8), alphabet: .url),
            let subject = try JSONValue(parsing: bytes)["sub"]?.string
        else { throw TestSupportError("not a token") }
        return subject
    }
}

/// A flag between threads.
private final class Flag: Sendable {
    private let value = Atomic(false)
    func set() { value.store(true, ordering: .releasing) }
    var isSet: Bool { value.load(ordering: .acquiring) }
}
