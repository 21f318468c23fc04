// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON
internal import Timing

/// One member of a busy room who reads a kilobyte a second: what it costs the server and the others,
/// and whether it has everything in the end.
struct SlowScenario: BenchScenario {
    private static let pace = 1024
    /// For reading everything that was missed: 200 MB after ten minutes.
    private static let patience = Duration.seconds(120)

    private struct Stretch {
        var result = BenchResult()
        var before = ProcessMemory.unknown
        var most = ProcessMemory.unknown

        var growth: Int { most.anonymous - before.anonymous }
    }

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let target = try lab.target()
        let slow = options.plan.clients
        let generator = try lab.generator(options.plan, on: target, extra: 1)
        defer { generator.close() }
        try generator.setUp()
        try generator.connectSlow(slow)
        try generator.settle()

        let without = try stretch(generator, target)
        generator.setSlowPace(SlowScenario.pace)
        let with = try stretch(generator, target, waits: false)
        let missing = generator.lost()
        let metrics = try target.metrics()

        generator.setSlowPace(nil)
        let freed = SystemClock.now()
        let deadline = freed + SlowScenario.patience
        while generator.slowFailure == nil, generator.lost() > 0, SystemClock.now() < deadline {
            usleep(10_000)
        }
        let closed = generator.slowFailure
        let caughtUp = SystemClock.now() - freed
        let left = generator.lost()
        return report(
            without, with, missing: missing, left: left, caughtUp: caughtUp, closed: closed,
            fellBehind: Int(metrics["chat_fell_behind_total"]))
    }

    /// The plan's load, with a look at the server's memory each second.
    private func stretch(
        _ generator: LoadGenerator, _ target: BenchTarget, waits: Bool = true
    ) throws -> Stretch {
        var stretch = Stretch()
        stretch.before = target.memory ?? .unknown
        stretch.most = stretch.before
        try generator.start(options.plan)
        for _ in 0..<options.plan.seconds {
            SystemClock.sleep(.seconds(1))
            if let memory = target.memory, memory.anonymous > stretch.most.anonymous {
                stretch.most = memory
            }
        }
        stretch.result = try generator.finish(drains: waits)
        return stretch
    }

    private func report(
        _ without: Stretch, _ with: Stretch, missing: Int, left: Int, caughtUp: Duration,
        closed: String?, fellBehind: Int
    ) -> ScenarioReport {
        let plan = options.plan
        let isFaultless = without.result.isFaultless && left == 0 && closed == nil
        func row(_ stretch: Stretch) -> String {
            let cpu = stretch.result.cpuPerDelivery.map { ", \(BenchFormat.micro($0)) a delivery" }
            return BenchFormat.latencies(stretch.result.latency) + (cpu ?? "")
        }
        let end =
            closed.map { "closed: \($0)" }
            ?? (left == 0
                ? "everything, in order, \(BenchFormat.fixed(BenchFormat.seconds(caughtUp), 2)) s "
                    + "after it read freely"
                : "\(left) messages missing")
        let rows = [
            (
                "scenario",
                "\(plan.clients) clients in one room, \(plan.rate)/s × \(plan.bytes) B; "
                    + "\(plan.seconds) s without, \(plan.seconds) s with a member who reads "
                    + "\(SlowScenario.pace) B/s"
            ),
            ("others without", row(without)),
            ("others with", row(with)),
            (
                "server RSS grew",
                "\(BenchFormat.mebi(without.growth)) without, \(BenchFormat.mebi(with.growth)) with"
            ),
            ("the slow one", "\(missing) messages behind; fell behind \(fellBehind) times"),
            ("it got", end),
            ("load generator CPU", with.result.generatorText(threads: options.threads)),
            ("verdict", isFaultless ? "every message once, in order" : "NOT faultless"),
        ]
        return ScenarioReport(
            table: BenchFormat.table(rows),
            json: [
                "scenario": BenchFormat.json(plan),
                "withoutLatencyMs": BenchFormat.json(without.result.latency),
                "withLatencyMs": BenchFormat.json(with.result.latency),
                "residentGrowthWithoutBytes": .int(Int64(without.growth)),
                "residentGrowthWithBytes": .int(Int64(with.growth)),
                "behind": .int(Int64(missing)), "missingInTheEnd": .int(Int64(left)),
                "caughtUpSeconds": .double(BenchFormat.seconds(caughtUp)),
                "closed": closed.map(JSONValue.string) ?? .null,
                "faultless": .bool(isFaultless),
            ], isFaultless: isFaultless)
    }
}
