// SPDX-License-Identifier: MIT
internal import JSON

/// How much more a server delivers with several event loops: a new server each time, in turn.
///
/// Both ends share the machine, and a server that gathers needs as little of it as who reads: so here it
/// sends each publication at once, which costs it a send a delivery, and those who only receive read
/// `readings` times a second. It is loaded twice: by the clock, at a rate that leaves the machine slack,
/// where the busiest loop's share tells how much it could deliver with a core of its own; and as fast as
/// it answers, where more messages go in a send, and each message waits for its commit.
struct LoopsScenario: BenchScenario {
    private static let readings = 20

    private struct Runs {
        var open: [BenchResult] = []
        var closed: [BenchResult] = []

        var isLossless: Bool { (open + closed).allSatisfy(\.isLossless) }
    }

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        var one = Runs()
        var several = Runs()
        for _ in 0..<options.pairs {
            try measure(loops: 1, lab, into: &one)
            try measure(loops: options.serverLoops, lab, into: &several)
        }
        let capacity = ratio(one.open, several.open) { $0.deliveriesPerLoop }
        let direct = ratio(one.closed, several.closed) { $0.deliveriesPerSecond }
        let isFaultless = one.isLossless && several.isLossless
        let name = "\(options.serverLoops) loops"
        var rows = [
            (
                "scenario",
                "\(options.plan.clients) clients, \(options.plan.rooms) rooms, "
                    + "\(options.plan.senders) senders, \(options.pairs) × \(options.plan.seconds) s "
                    + "at \(options.plan.rate)/s, then with \(options.inFlight) messages in flight"
            )
        ]
        rows += openRows("1 loop", one.open) + openRows(name, several.open)
        rows.append(
            ("could deliver, \(name) ÷ 1 loop", capacity.map(BenchFormat.ratio) ?? "–"))
        rows += closedRows("1 loop, as fast as it answers", one.closed)
        rows += closedRows("\(name), as fast as they answer", several.closed)
        rows.append(("delivered, \(name) ÷ 1 loop", direct.map(BenchFormat.ratio) ?? "–"))
        let all = one.open + one.closed + several.open + several.closed
        rows.append(("verdict", BenchResult.verdict(all, isFaultless: isFaultless)))
        return ScenarioReport(
            table: BenchFormat.table(rows),
            json: [
                "loops": .int(Int64(options.serverLoops)), "one": json(one),
                "several": json(several), "couldDeliverRatio": BenchFormat.json(capacity),
                "deliveredRatio": BenchFormat.json(direct), "faultless": .bool(isFaultless),
            ], isFaultless: isFaultless)
    }

    private func measure(loops: Int, _ lab: BenchLab, into runs: inout Runs) throws {
        let target = try lab.target(loops: loops, gathers: false)
        defer { lab.close(target) }
        let generator = try lab.generator(options.plan, on: target)
        defer { generator.close() }
        try generator.setUp()
        generator.readBy(.milliseconds(1000 / LoopsScenario.readings))
        runs.open.append(try generator.open(options.plan))
        runs.closed.append(try generator.closed(options.plan, depth: options.inFlight))
    }

    private func ratio(
        _ one: [BenchResult], _ several: [BenchResult], _ value: (BenchResult) -> Double
    ) -> Spread? {
        Spread(
            zip(one, several).compactMap { one, several in
                value(one) > 0 ? value(several) / value(one) : nil
            })
    }

    private func openRows(_ name: String, _ results: [BenchResult]) -> [(String, String)] {
        let total = sum(results)
        let could = Spread(results.map(\.deliveriesPerLoop)).map { "\(Int($0.median))" } ?? "–"
        return [
            (
                name,
                "\(Int(total.deliveriesPerSecond)) deliveries/s, "
                    + "\(BenchFormat.fixed(total.batch, 1)) a read; \(shares(total)); "
                    + "so many at once, a core a loop could \(could)/s"
            )
        ]
    }

    private func closedRows(_ name: String, _ results: [BenchResult]) -> [(String, String)] {
        let total = sum(results)
        let rates = Spread(results.map(\.deliveriesPerSecond))
        let rate = rates.map {
            "\(Int($0.median)) deliveries/s (\(Int($0.least)) to \(Int($0.most)))"
        }
        let server = total.serverUsage.map { BenchFormat.share($0.total, of: total.elapsed) } ?? "–"
        return [
            (
                name,
                (rate ?? "–") + ", \(BenchFormat.fixed(total.batch, 1)) a read; \(shares(total))"
            ),
            ("  server CPU", server),
            ("  load generator CPU", total.generatorText(threads: options.threads)),
        ]
    }

    private func sum(_ results: [BenchResult]) -> BenchResult {
        results.dropFirst().reduce(into: results.first ?? BenchResult()) { $0.append($1) }
    }

    /// What each loop used.
    private func shares(_ result: BenchResult) -> String {
        (result.serverUsage?.loops ?? [:]).sorted { $0.key < $1.key }
            .map { "\($0.key) \(BenchFormat.share($0.value, of: result.elapsed))" }
            .joined(separator: ", ")
    }

    private func json(_ runs: Runs) -> JSONValue {
        func spread(_ results: [BenchResult], _ value: (BenchResult) -> Double?) -> JSONValue {
            BenchFormat.json(Spread(results.compactMap(value)))
        }
        return [
            "couldDeliverPerSecond": spread(runs.open) { $0.deliveriesPerLoop },
            "loopMicrosecondsPerDelivery": spread(runs.open) {
                $0.loopCPUPerDelivery.map { $0 * 1e6 }
            },
            "deliveredPerSecond": spread(runs.closed) { $0.deliveriesPerSecond },
        ]
    }
}

extension BenchResult {
    /// Deliveries a second of CPU of the busiest event loop: what all of them together could do if that
    /// one had a core to itself. 0 when not known.
    fileprivate var deliveriesPerLoop: Double {
        guard let busiest = serverUsage?.loops.values.max(), busiest > 0 else { return 0 }
        return Double(deliveries) / busiest
    }
}
