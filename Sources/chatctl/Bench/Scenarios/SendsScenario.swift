// SPDX-License-Identifier: MIT
internal import JSON

/// Durable, acknowledged messages without fan-out: every client sends to a room of its own, where only
/// it hears them.
///
/// One in flight each, then several, in turn with SQLite doing commits of as many rows as the server
/// did; then by the clock at half the rate of one in flight.
struct SendsScenario: BenchScenario {
    /// A closed loop's figures over all pairs.
    private struct Loop {
        let depth: Int
        var results: [BenchResult] = []
        /// Rows a commit, by the server's counters.
        var group = 1
        var floors: [StoreFloor.Figures] = []

        var rates: [Double] {
            results.map { Double($0.acked) / max(BenchFormat.seconds($0.elapsed), 0.001) }
        }
        var ratios: [Double] {
            zip(rates, floors).map { $1.rowsPerSecond > 0 ? $0 / $1.rowsPerSecond : 0 }
        }
        var total: BenchResult {
            results.dropFirst().reduce(into: results.first ?? BenchResult()) { $0.append($1) }
        }
    }

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let target = try lab.target()
        let generator = try lab.generator(options.plan, on: target)
        defer { generator.close() }
        try generator.setUp()
        var loops = [Loop(depth: 1), Loop(depth: options.inFlight)]
        for _ in 0..<options.pairs {
            for index in loops.indices {
                try measure(&loops[index], generator, target, lab)
            }
        }
        var half = options.plan
        half.rate = min(200_000, max(1, Int((Spread(loops[0].rates)?.median ?? 2) / 2)))
        let open = try generator.open(half)
        return report(loops, BenchReport(plan: half, result: open, floors: BenchFloors()))
    }

    private func measure(
        _ loop: inout Loop, _ generator: LoadGenerator, _ target: BenchTarget, _ lab: BenchLab
    ) throws {
        let before = try target.metrics()
        loop.results.append(try generator.closed(options.plan, depth: loop.depth))
        let after = try target.metrics()
        let commits = after["chat_store_commits_total"] - before["chat_store_commits_total"]
        let rows = after["chat_store_entries_total"] - before["chat_store_entries_total"]
        loop.group = max(1, Int((rows / max(1, commits)).rounded()))
        guard options.measuresFloors else { return }
        loop.floors += try lab.storeFloor(
            beside: target, bytes: options.plan.bytes, groups: [loop.group])
    }

    private func report(_ loops: [Loop], _ half: BenchReport) -> ScenarioReport {
        var rows = [
            (
                "scenario",
                "\(options.plan.clients) clients, each alone in its room, \(options.plan.bytes) B, "
                    + "\(options.pairs) × \(options.plan.seconds) s each"
            )
        ]
        var json: [JSONValue] = []
        for loop in loops {
            let total = loop.total
            let name = "\(loop.depth) in flight"
            let rates = Spread(loop.rates)
            let rate = rates.map { "\(Int($0.median)) messages/s" } ?? "–"
            let cpu = total.serverUsage.map {
                "; server \(BenchFormat.share($0.total, of: total.elapsed)), "
                    + "\(BenchFormat.micro($0.total / Double(max(1, total.acked)))) each"
            }
            rows.append((name, rate + (cpu ?? "")))
            rows.append(("  ack latency", BenchFormat.latencies(total.ackLatency)))
            rows.append(("  load generator CPU", total.generatorText(threads: options.threads)))
            if let floor = loop.floors.last {
                rows.append(("  " + floor.row.0, floor.row.1))
                rows.append(
                    ("  messages ÷ floor's rows", Spread(loop.ratios).map(BenchFormat.ratio) ?? "–")
                )
            }
            json.append([
                "inFlight": .int(Int64(loop.depth)), "messagesPerSecond": BenchFormat.json(rates),
                "ackLatencyMs": BenchFormat.json(total.ackLatency),
                "rowsPerCommit": .int(Int64(loop.group)),
                "serverCpuSeconds": total.serverUsage.map { .double($0.total) } ?? .null,
                "loadGeneratorCpuSeconds": .double(total.ownUsage.total),
                "loadGeneratorBusiestThreadCpuSeconds": .double(total.busiestThread),
                "floors": .array(loop.floors.map(\.json)),
                "overFloor": BenchFormat.json(Spread(loop.ratios)),
            ])
        }
        rows.append(("by the clock", "\(half.plan.rate) messages/s for \(half.plan.seconds) s"))
        rows.append(("  ack latency", BenchFormat.latencies(half.result.ackLatency)))
        rows.append(
            ("  load generator CPU", half.result.generatorText(threads: options.threads)))
        let isFaultless =
            half.isFaultless && loops.allSatisfy { $0.results.allSatisfy(\.isLossless) }
        rows.append(
            (
                "verdict",
                BenchResult.verdict(
                    loops.flatMap(\.results) + [half.result], isFaultless: isFaultless)
            ))
        let refusal = (loops.flatMap(\.results) + [half.result]).map(\.firstRefusal)
            .first { !$0.isEmpty }
        if let refusal { rows.append(("first refusal", refusal)) }
        return ScenarioReport(
            table: BenchFormat.table(rows),
            json: ["closed": .array(json), "open": half.json, "faultless": .bool(isFaultless)],
            isFaultless: isFaultless)
    }
}
