// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON
internal import Timing

/// Everybody connects at once, while others chat: first people who were never here, for whom a
/// membership is stored, then the same people again.
struct StormScenario: BenchScenario {
    /// Those who chat meanwhile.
    private static let live = 100
    private static let pause = Duration.seconds(1)

    /// For what was due in a storm and came late.
    private static let echo = Duration.milliseconds(500)

    private struct Wave {
        var duration = Duration.zero
        /// What the others got since the last look: between the storms people leave, and presence tells
        /// everybody.
        var before = BenchResult()
        /// And from the first connect to half a second behind the last `session`.
        var during = BenchResult()
        var usage = ProcessUsage()
    }

    let options: BenchOptions
    private let livePlan: BenchPlan

    init(_ options: BenchOptions) {
        self.options = options
        livePlan = BenchPlan(
            clients: StormScenario.live, rooms: 1, roomsPerClient: 1, rate: options.plan.rate,
            seconds: options.plan.seconds, bytes: options.plan.bytes,
            senders: min(options.plan.senders, StormScenario.live))
    }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let target = try lab.target()
        let generator = try lab.generator(
            livePlan, on: target, extra: options.plan.clients, apart: true)
        defer { generator.close() }
        try generator.setUp()
        let quiet = try generator.open(livePlan)

        var long = livePlan
        // Stopped when the storms are over.
        long.seconds = 300
        try generator.start(long)
        SystemClock.sleep(StormScenario.pause)
        let first = try wave(generator, target)
        try leave(generator, target)
        let again = try wave(generator, target)
        SystemClock.sleep(StormScenario.pause)
        generator.stopSending()
        let rest = try generator.finish()
        return report(quiet: quiet, first: first, again: again, rest: rest)
    }

    private var stormers: Range<Int> {
        StormScenario.live..<StormScenario.live + options.plan.clients
    }

    private func wave(_ generator: LoadGenerator, _ target: BenchTarget) throws -> Wave {
        var wave = Wave()
        wave.before = generator.measured()
        let before = target.usage ?? ProcessUsage()
        let own = ProcessUsage.ofThisProcess()
        wave.duration = try generator.connect(stormers, atOnce: options.atOnce)
        wave.usage = (target.usage ?? before) - before
        SystemClock.sleep(StormScenario.echo)
        wave.during = generator.measured()
        wave.during.elapsed = wave.duration + StormScenario.echo
        wave.during.ownUsage = ProcessUsage.ofThisProcess() - own
        return wave
    }

    /// All go, and the server has noticed.
    private func leave(_ generator: LoadGenerator, _ target: BenchTarget) throws {
        SystemClock.sleep(StormScenario.pause)
        generator.disconnect(stormers)
        let deadline = SystemClock.now() + .seconds(20)
        while try target.metrics()["chat_clients"] > Double(StormScenario.live) {
            guard SystemClock.now() < deadline else {
                throw Suite.Failure("the server does not notice that its clients are gone")
            }
            usleep(50_000)
        }
        // Presence tells of those who left ten seconds later: it is part of the next storm's quiet.
        SystemClock.sleep(.seconds(12))
    }

    private func report(
        quiet: BenchResult, first: Wave, again: Wave, rest: BenchResult
    ) -> ScenarioReport {
        let count = Double(options.plan.clients)
        func rate(_ wave: Wave) -> Double { count / max(0.001, BenchFormat.seconds(wave.duration)) }
        func rows(_ name: String, _ wave: Wave) -> [(String, String)] {
            [
                (
                    name,
                    "\(Int(rate(wave))) handshakes/s (\(options.plan.clients) in "
                        + "\(BenchFormat.fixed(BenchFormat.seconds(wave.duration), 2)) s); server "
                        + "\(BenchFormat.micro(wave.usage.total / count)) each, "
                        + BenchFormat.share(wave.usage.total, of: wave.duration)
                ),
                ("  others' deliveries meanwhile", BenchFormat.latencies(wave.during.latency)),
                ("  load generator CPU", wave.during.generatorText(threads: options.threads + 1)),
            ]
        }
        let isFaultless = quiet.isFaultless && rest.isFaultless
        func json(_ wave: Wave) -> JSONValue {
            [
                "handshakesPerSecond": .double(rate(wave)),
                "seconds": .double(BenchFormat.seconds(wave.duration)),
                "serverCpuMicrosecondsPerHandshake": .double(wave.usage.total / count * 1e6),
                "latencyMs": BenchFormat.json(wave.during.latency),
            ]
        }
        var table = [
            (
                "scenario",
                "\(options.plan.clients) handshakes, \(options.atOnce) under way, while "
                    + "\(StormScenario.live) others get \(livePlan.rate) messages/s; accounts and "
                    + "tokens made before"
            ),
            ("others' deliveries before", BenchFormat.latencies(quiet.latency)),
        ]
        table += rows("first visits", first)
        table.append(("others' deliveries between", BenchFormat.latencies(again.before.latency)))
        table += rows("returning users", again)
        table.append(("others' deliveries afterwards", BenchFormat.latencies(rest.latency)))
        table.append(("verdict", BenchResult.verdict([quiet, rest], isFaultless: isFaultless)))
        return ScenarioReport(
            table: BenchFormat.table(table),
            json: [
                "clients": .int(Int64(options.plan.clients)),
                "quietLatencyMs": BenchFormat.json(quiet.latency), "first": json(first),
                "betweenLatencyMs": BenchFormat.json(again.before.latency),
                "returning": json(again), "afterwardsLatencyMs": BenchFormat.json(rest.latency),
                "faultless": .bool(isFaultless),
            ], isFaultless: isFaultless)
    }
}
