// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON
internal import Locks
internal import Reactor
internal import ServiceRuntime
internal import Store
internal import Timing

/// One thing that can be measured, as a sequence of what the lab offers.
protocol BenchScenario {
    init(_ options: BenchOptions)

    /// Measures, and throws only when nothing could be measured: faults are in the report.
    func run(in lab: BenchLab) throws -> ScenarioReport
}

/// What a scenario found.
struct ScenarioReport: Sendable {
    var table: String
    var json: JSONValue
    /// Whether every message was stored and came once, in order.
    var isFaultless: Bool
    /// An SVG, where there is something to draw.
    var drawing: String?
}

extension ScenarioName {
    var type: any BenchScenario.Type {
        switch self {
        case .load: LoadScenario.self
        case .spread: SpreadScenario.self
        case .compression: CompressionScenario.self
        case .sends: SendsScenario.self
        case .idle: IdleScenario.self
        case .storm: StormScenario.self
        case .slow: SlowScenario.self
        case .loops: LoopsScenario.self
        case .curve: CurveScenario.self
        }
    }
}

/// Servers to load, clients to load them with, and the floors of the machine. What it started ends
/// with it, however the run ends.
final class BenchLab: Sendable {
    let options: BenchOptions
    private let targets = Locked<[BenchTarget]>([])

    init(_ options: BenchOptions) {
        self.options = options
        // Two ends of thousands of connections: the soft limit is often 1,024.
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The server named on the command line, or a new one.
    /// - Parameters:
    ///   - loops: nil takes those of the options.
    ///   - gathers: false sends every publication at once, however busy the loop is.
    func target(loops: Int? = nil, compresses: Bool = false, gathers: Bool = true) throws
        -> BenchTarget
    {
        let target = try BenchTarget(
            url: options.url, dataDirectory: options.dataDirectory, pid: options.pid,
            environment: [
                "CHAT_LOOPS": String(loops ?? options.serverLoops),
                "CHAT_COMPRESSION": compresses ? "1" : "0",
                "CHAT_FLUSH_WINDOW": gathers ? "20ms" : "0ms",
            ])
        targets.withLock { $0.append(target) }
        return target
    }

    /// Ends one server before the run does.
    func close(_ target: BenchTarget) {
        targets.withLock { targets in targets.removeAll { $0 === target } }
        target.close()
    }

    func close() {
        let all = targets.withLock { targets in
            defer { targets = [] }
            return targets
        }
        for target in all { target.close() }
    }

    /// From now on an interrupt ends the run and leaves nothing behind.
    func cleanUpOnSignal() {
        _ = WorkerThread(name: "interrupt") { [self] in
            let signal = Signals.waitForStop()
            close()
            _exit(128 + signal)
        }
    }

    /// Clients for a server. Their accounts and tokens are made here, before anything is measured.
    /// - Parameters:
    ///   - names: what their accounts are called, before a number.
    ///   - extra: clients besides the plan's.
    ///   - apart: whether the plan's clients have a loop, one more, to themselves.
    func generator(
        _ plan: BenchPlan, on target: BenchTarget, names: String = "bench", extra: Int = 0,
        apart: Bool = false, offersDeflate: Bool = false
    ) throws -> LoadGenerator {
        let tokens = try Accounts(dataDirectory: target.dataDirectory).tokens(
            names: (1...plan.clients + extra).map { "\(names)\($0)" }, lifetime: .seconds(3600))
        let placement =
            apart
            ? LoadPlacement(loops: options.threads + 1, apart: plan.clients)
            : LoadPlacement(loops: options.threads)
        return LoadGenerator(
            plan: plan, address: try ServerAddress(url: target.url), tokens: tokens,
            placement: placement, offersDeflate: offersDeflate, sample: { target.usage })
    }

    /// SQLite alone, on the disk of a server.
    func storeFloor(beside target: BenchTarget, bytes: Int, groups: [Int]) throws
        -> [StoreFloor.Figures]
    {
        let path = "\(target.dataDirectory)/bench-floor.db"
        defer { for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) } }
        return try StoreFloor.run(path: path, bytes: bytes, groups: groups)
    }

    /// The bytes of a run handed to as many sockets, a send each message or a send each `window`.
    /// Nil when nothing was delivered, or nobody gets two messages in a window.
    func socketFloor(_ plan: BenchPlan, like result: BenchResult, window: Duration?) throws
        -> SocketFloor.Figures?
    {
        guard result.fanout > 0 else { return nil }
        return try SocketFloor.run(
            sockets: plan.clients, fanout: min(result.fanout, plan.clients),
            bytes: result.deliveryBytes, rate: plan.rate, seconds: min(plan.seconds, 5),
            window: window)
    }
}
