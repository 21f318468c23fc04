// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Reactor
internal import TestSupport
internal import Timing

/// What the experiments share: a cluster, clients on a loop, and a thread that says what happens when.
final class Experiment {
    /// A sample of how long a message took from its sender to a receiver on any instance.
    struct Latency {
        var at: Instant
        var milliseconds: Double
    }

    let cluster: Cluster
    let population: Population
    let loop: EventLoop
    var latencies: [Latency] = []
    private var generator: SeededGenerator
    private var credit = 0.0
    private var lastTick: Instant
    private(set) var said = 0

    init(_ options: Cluster.Options, seed: UInt64) throws {
        var options = options
        options.hasFakeClock = false
        cluster = try Cluster(options)
        loop = EventLoop(index: 0)
        population = try Population(loop: loop, chatPorts: cluster.chatPorts, seed: seed)
        generator = SeededGenerator(seed: seed)
        lastTick = loop.now
        loop.attachment = self
    }

    /// The experiment of a loop.
    static func of(_ loop: EventLoop) -> Experiment? { loop.attachment as? Experiment }

    /// Makes clients, one a user, spread evenly over the instances.
    func addClients(_ count: Int, prefix: String, _ configure: (ChaosClient) -> Void) throws {
        let tokens = try cluster.tokens((0..<count).map { "\(prefix)\($0)" })
        let users = try tokens.map(ChaosRun.subject)
        let ports = population.proxies.map(\.port)
        for number in 0..<count {
            let port = ports[number % ports.count]
            let client = ChaosClient(
                number: population.clients.count, user: users[number], token: tokens[number],
                transport: .webSocket, loop: loop,
                generator: SeededGenerator(seed: generator.next()),
                startAt: loop.now + .milliseconds(Int64(number)),
                recorder: population.makeRecorder(user: users[number])
            ) { _ in port }
            configure(client)
            population.add(client)
        }
    }

    /// Lets clients send at a rate, in turn; each text begins with the moment it was said.
    func send(_ rate: Double, from clients: [ChaosClient], to room: String, now: Instant) {
        credit += rate * Double((now - lastTick).nanoseconds) / 1e9
        lastTick = now
        while credit >= 1 {
            credit -= 1
            let client = clients[said % clients.count]
            said += 1
            client.say("\(SystemClock.now().nanoseconds) \(said)", in: room, now: now)
        }
    }

    /// Forgets how long nothing was sent.
    func restartPace(now: Instant) {
        lastTick = now
        credit = 0
    }

    /// Takes the time of a message that has arrived.
    func measure(_ argument: JSONValue) {
        guard let text = argument["text"]?.string, let first = text.split(separator: " ").first,
            let began = Int64(first)
        else { return }
        let now = SystemClock.now()
        latencies.append(
            Latency(at: now, milliseconds: Double(now.nanoseconds - began) / 1e6))
    }

    /// Runs the loop until `body`, called each tick, answers false.
    func run(_ body: @escaping (Instant) -> Bool) {
        population.onTick = { [unowned self] now in
            if !body(now) { population.stop() }
        }
        population.start()
        loop.run()
    }

    /// Whether nobody owes anything and nothing has come for two seconds.
    func isSettled(now: Instant) -> Bool {
        let last = population.clients.map(\.lastEvent).max() ?? now
        return population.clients.allSatisfy(\.isSettled) && now - last > .seconds(2)
    }

    /// Holds what everybody saw against the log.
    func verify() throws -> Verifier.Report {
        for client in population.clients { client.markLevel() }
        return try population.verify(against: try LogTable.read(path: cluster.databasePath))
    }

    /// `p50 1.2 ms, p99 8.0 ms, max 20.1 ms` of the samples in a stretch of time.
    func percentiles(from: Instant, to: Instant) -> String {
        let sorted = latencies.filter { $0.at >= from && $0.at < to }.map(\.milliseconds).sorted()
        guard let last = sorted.last else { return "no messages" }
        func at(_ part: Double) -> String {
            fixed(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))])
        }
        return
            "p50 \(at(0.5)) ms, p99 \(at(0.99)) ms, max \(fixed(last)) ms, \(sorted.count) deliveries"
    }

    func fixed(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// The verdict in one line, and the complaints.
    static func conclude(_ report: Verifier.Report, _ name: String) throws {
        let lost = report.complaints.count { $0.contains("missing") || $0.contains("not stored") }
        let doubled = report.complaints.count { $0.contains("twice") || $0.contains("comes after") }
        Summary.write(report)
        say("\(name): lost \(lost), doubled \(doubled), complaints \(report.complaintCount)")
        if !report.isClean { throw ExitCode.failure }
    }
}
