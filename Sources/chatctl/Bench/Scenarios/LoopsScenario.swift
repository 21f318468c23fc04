// SPDX-License-Identifier: MIT
internal import JSON

/// How much more a server delivers with several event loops: a new server each time, in turn, loaded
/// as fast as it answers.
///
/// Both ends share the machine, and a server that gathers needs as little of it as who reads: so here it
/// sends each publication at once, which costs it a send a delivery, and those who only receive read
/// `readings` times a second.
struct LoopsScenario: BenchScenario {
    private static let readings = 20

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        var one: [BenchResult] = []
        var several: [BenchResult] = []
        for _ in 0..<options.pairs {
            one.append(try measure(loops: 1, lab))
            several.append(try measure(loops: options.serverLoops, lab))
        }
        let ratio = Spread(
            zip(one, several).compactMap { one, several in
                one.deliveries > 0
                    ? several.deliveriesPerSecond / one.deliveriesPerSecond : nil
            })
        let isFaultless = (one + several).allSatisfy(\.isLossless)
        var rows = [
            (
                "scenario",
                "\(options.plan.clients) clients, \(options.plan.rooms) rooms, "
                    + "\(options.plan.senders) senders with \(options.inFlight) messages in flight, "
                    + "\(options.pairs) × \(options.plan.seconds) s"
            )
        ]
        rows += figures(loops: 1, one) + figures(loops: options.serverLoops, several)
        rows.append(
            ("\(options.serverLoops) loops ÷ 1 loop", ratio.map(BenchFormat.ratio) ?? "–"))
        rows.append(("verdict", isFaultless ? "every message once, in order" : "NOT faultless"))
        func json(_ results: [BenchResult]) -> JSONValue {
            [
                "deliveriesPerSecond": BenchFormat.json(
                    Spread(results.map(\.deliveriesPerSecond))),
                "cpuMicrosecondsPerDelivery": BenchFormat.json(
                    Spread(results.compactMap { $0.cpuPerDelivery.map { $0 * 1e6 } })),
                "loopMicrosecondsPerDelivery": BenchFormat.json(
                    Spread(results.compactMap { $0.loopCPUPerDelivery.map { $0 * 1e6 } })),
            ]
        }
        return ScenarioReport(
            table: BenchFormat.table(rows),
            json: [
                "loops": .int(Int64(options.serverLoops)), "one": json(one),
                "several": json(several), "ratio": BenchFormat.json(ratio),
                "faultless": .bool(isFaultless),
            ], isFaultless: isFaultless)
    }

    private func measure(loops: Int, _ lab: BenchLab) throws -> BenchResult {
        let target = try lab.target(loops: loops, gathers: false)
        defer { lab.close(target) }
        let generator = try lab.generator(options.plan, on: target)
        defer { generator.close() }
        try generator.setUp()
        generator.readBy(.milliseconds(1000 / LoopsScenario.readings))
        return try generator.closed(options.plan, depth: options.inFlight)
    }

    private func figures(loops: Int, _ results: [BenchResult]) -> [(String, String)] {
        let total = results.dropFirst().reduce(into: results.first ?? BenchResult()) {
            $0.append($1)
        }
        let name = loops == 1 ? "1 loop" : "\(loops) loops"
        let rates = Spread(results.map(\.deliveriesPerSecond))
        let rate = rates.map {
            "\(Int($0.median)) deliveries/s (\(Int($0.least)) to \(Int($0.most)))"
        }
        let server = total.serverUsage.map { BenchFormat.share($0.total, of: total.elapsed) } ?? "–"
        let cpu = total.cpuPerDelivery.map { ", \(BenchFormat.micro($0)) a delivery" } ?? ""
        let each = (total.serverUsage?.loops ?? [:]).sorted { $0.key < $1.key }
            .map { "\($0.key) \(BenchFormat.share($0.value, of: total.elapsed))" }
        return [
            (name, rate ?? "–"),
            ("  server CPU", ([server + cpu] + each).joined(separator: "; ")),
            ("  ack latency", BenchFormat.latencies(total.ackLatency)),
            ("  load generator CPU", total.generatorText(threads: options.threads)),
        ]
    }
}
