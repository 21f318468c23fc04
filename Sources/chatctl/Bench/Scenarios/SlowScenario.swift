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
        var most = target.memory?.anonymous ?? 0
        while generator.slowFailure == nil, generator.lost() > 0, SystemClock.now() < deadline {
            usleep(10_000)
            most = max(most, target.memory?.anonymous ?? 0)
        }
        let end = End(
            missing: missing, fellBehind: Int(metrics["chat_fell_behind_total"]),
            closed: generator.slowFailure, caughtUp: SystemClock.now() - freed,
            growth: most - with.before.anonymous, sequence: generator.measured())
        return report(without, with, end)
    }

    /// How it ended for the slow one.
    private struct End {
        /// Messages it had not got when the load was over.
        let missing: Int
        let fellBehind: Int
        let closed: String?
        let caughtUp: Duration
        /// Of the server's memory, from the beginning of its slowness to the end of its catching up.
        let growth: Int
        /// What is lost, doubled and out of order over all clients and the whole run.
        let sequence: BenchResult

        var isWhole: Bool {
            closed == nil && sequence.lost == 0 && sequence.duplicated == 0
                && sequence.reordered == 0
        }
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
        _ without: Stretch, _ with: Stretch, _ end: End
    ) -> ScenarioReport {
        let plan = options.plan
        // While it was slow the slow one lacked messages: that is made up for in the end.
        let isStored =
            with.result.refused == 0 && with.result.answered == with.result.sent
            && with.result.acked == with.result.sent
        let isFaultless = without.result.isFaultless && isStored && end.isWhole
        func row(_ stretch: Stretch) -> String {
            let cpu = stretch.result.cpuPerDelivery.map { ", \(BenchFormat.micro($0)) a delivery" }
            return BenchFormat.latencies(stretch.result.latency) + (cpu ?? "")
        }
        let sequence = end.sequence
        let got =
            end.closed.map { "closed: \($0)" }
            ?? "\(sequence.lost) lost, \(sequence.duplicated) twice, \(sequence.reordered) out of "
            + "order, \(BenchFormat.fixed(BenchFormat.seconds(end.caughtUp), 2)) s after it read "
            + "freely and the others were silent"
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
                "server's anonymous RSS grew",
                "\(BenchFormat.mebi(without.growth)) without, from there "
                    + "\(BenchFormat.mebi(with.growth)) with, "
                    + "\(BenchFormat.mebi(end.growth)) up to the end of its catching up"
            ),
            (
                "the slow one",
                "\(end.missing) messages behind; fell behind \(end.fellBehind) times"
            ),
            ("all clients in the end", got),
            ("load generator CPU", with.result.generatorText(threads: options.threads)),
            (
                "verdict",
                BenchResult.verdict([without.result, sequence], isFaultless: isFaultless)
            ),
        ]
        return ScenarioReport(
            table: BenchFormat.table(rows),
            json: [
                "scenario": BenchFormat.json(plan),
                "withoutLatencyMs": BenchFormat.json(without.result.latency),
                "withLatencyMs": BenchFormat.json(with.result.latency),
                "residentGrowthWithoutBytes": .int(Int64(without.growth)),
                "residentGrowthWithBytes": .int(Int64(with.growth)),
                "residentGrowthToTheEndBytes": .int(Int64(end.growth)),
                "behind": .int(Int64(end.missing)),
                "missingInTheEnd": .int(Int64(sequence.lost)),
                "duplicated": .int(Int64(sequence.duplicated)),
                "reordered": .int(Int64(sequence.reordered)),
                "caughtUpSeconds": .double(BenchFormat.seconds(end.caughtUp)),
                "closed": end.closed.map(JSONValue.string) ?? .null,
                "faultless": .bool(isFaultless),
            ], isFaultless: isFaultless)
    }
}
