// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Timing

/// What is measured.
enum ScenarioName: String, CaseIterable, ExpressibleByArgument, Sendable {
    case load, spread, sends, idle, storm, slow, loops, curve, compression
}

/// An option that some scenarios take and others do not, by its flag.
enum BenchOption: String, CaseIterable, Sendable {
    case clients, rooms, roomsPerClient = "rooms-per-client", rate, seconds, bytes, senders, url
    case serverLoops = "server-loops", pairs, inFlight = "in-flight", atOnce = "at-once", window
    case svg, floors

    /// Those that mean something to a scenario.
    static func taken(by scenario: ScenarioName) -> Set<BenchOption> {
        let load: Set<BenchOption> = [
            .clients, .rooms, .roomsPerClient, .rate, .seconds, .bytes, .senders, .pairs, .floors,
        ]
        return switch scenario {
        case .load: load.union([.url, .serverLoops, .window])
        case .spread: load.union([.url, .serverLoops])
        case .compression: load.subtracting([.floors]).union([.serverLoops])
        case .sends: [.clients, .seconds, .bytes, .url, .serverLoops, .pairs, .inFlight, .floors]
        case .idle: [.clients, .seconds, .url, .serverLoops]
        case .storm: [.clients, .rate, .bytes, .senders, .url, .serverLoops, .atOnce]
        case .slow: [.clients, .rate, .seconds, .bytes, .senders, .url, .serverLoops]
        case .loops:
            [
                .clients, .rooms, .roomsPerClient, .rate, .seconds, .bytes, .senders, .serverLoops,
                .pairs, .inFlight,
            ]
        case .curve: [.clients, .seconds, .bytes, .serverLoops, .pairs, .svg]
        }
    }
}

/// All that a scenario needs to know. Pure.
struct BenchOptions: Hashable, Sendable {
    var scenario = ScenarioName.load
    var plan = BenchPlan()
    var url: String?
    var dataDirectory: String?
    var pid: Int32?
    var serverLoops = 1
    var threads = 1
    var pairs = 1
    var inFlight = 16
    var atOnce = 1000
    /// Of the coalesced floor; nil takes what the server's own sends came to.
    var window: Duration?
    var measuresFloors = true
    var svg: String?

    /// What a scenario does unless told otherwise.
    init(_ scenario: ScenarioName = .load) {
        self.scenario = scenario
        switch scenario {
        case .load: break
        case .spread:
            plan = BenchPlan(clients: 1000, rooms: 50, roomsPerClient: 5, rate: 2000, seconds: 4)
            pairs = 3
        case .compression:
            plan = BenchPlan(clients: 500, rooms: 1, roomsPerClient: 1, rate: 100, seconds: 4)
            pairs = 3
        case .sends:
            plan = BenchPlan(clients: 1000, rooms: 1000, roomsPerClient: 1, seconds: 4)
            plan.senders = 1000
        case .idle:
            plan = BenchPlan(clients: 18_000, rooms: 1, roomsPerClient: 1, seconds: 50)
        case .storm:
            plan = BenchPlan(clients: 10_000, rooms: 1, roomsPerClient: 1, rate: 100, seconds: 5)
        case .slow:
            plan = BenchPlan(clients: 500, rooms: 1, roomsPerClient: 1, rate: 1000, seconds: 60)
        case .loops:
            plan = BenchPlan(clients: 500, rooms: 1, roomsPerClient: 1, rate: 200, seconds: 4)
            (serverLoops, pairs, inFlight) = (2, 3, 1)
        case .curve:
            plan = BenchPlan(clients: 5000, rooms: 1, roomsPerClient: 1, seconds: 2)
            pairs = 3
        }
    }

    /// What is wrong with the options, as a sentence; nil when nothing is.
    /// - Parameter given: those that were written down.
    func complaint(given: Set<BenchOption>) -> String? {
        let senseless = given.subtracting(BenchOption.taken(by: scenario)).map(\.rawValue).sorted()
        if let first = senseless.first {
            return "--\(first) means nothing to --scenario \(scenario.rawValue)"
        }
        if let complaint = plan.complaint { return complaint }
        if url != nil, dataDirectory == nil { return "--url needs --data-dir" }
        if url == nil, dataDirectory != nil || pid != nil {
            return "--data-dir and --pid belong to a server named with --url"
        }
        if url != nil, given.contains(.serverLoops) {
            return "--server-loops is for a server that is started, not for one named with --url"
        }
        if url != nil, pid == nil, [.idle, .slow].contains(scenario) {
            return "--scenario \(scenario.rawValue) needs --pid beside --url"
        }
        if !(1...64).contains(serverLoops) { return "--server-loops takes 1 to 64" }
        if !(1...16).contains(threads) { return "--threads takes 1 to 16" }
        if !(1...20).contains(pairs) { return "--pairs takes 1 to 20" }
        if !(1...256).contains(inFlight) { return "--in-flight takes 1 to 256" }
        if !(1...10_000).contains(atOnce) { return "--at-once takes 1 to 10000" }
        if let window, !(1...1000).contains(window.milliseconds) {
            return "--window takes 1 to 1000"
        }
        switch scenario {
        case .idle where plan.seconds < 30:
            return "--scenario idle needs --seconds 30 at least: the server pings every 25 s"
        case .idle where plan.clients > 18_000, .storm where plan.clients > 18_000:
            return "--clients takes 1 to 18000 here: a process has 20,000 descriptors at most"
        case .loops where serverLoops < 2:
            return "--scenario loops compares one loop with --server-loops 2 or more"
        case .curve where plan.clients < 50:
            return "--scenario curve begins at 50 receivers: --clients 50 at least"
        default: return nil
        }
    }
}
