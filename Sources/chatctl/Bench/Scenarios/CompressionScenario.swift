// SPDX-License-Identifier: MIT
internal import JSON

/// A server that compresses, whose clients negotiate permessage-deflate and inflate, beside one that
/// does not: both run at once, loaded in turn.
struct CompressionScenario: BenchScenario {
    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let plain = try lab.target()
        let plainClients = try lab.generator(options.plan, on: plain)
        defer { plainClients.close() }
        let packed = try lab.target(compresses: true)
        let packedClients = try lab.generator(options.plan, on: packed, offersDeflate: true)
        defer { packedClients.close() }
        try plainClients.setUp()
        try packedClients.setUp()

        let before = try packed.metrics()
        var plainTotal: BenchResult?
        var packedTotal: BenchResult?
        var cpu: [Double] = []
        for _ in 0..<options.pairs {
            let a = try plainClients.open(options.plan)
            let b = try packedClients.open(options.plan)
            if plainTotal?.append(a) == nil { plainTotal = a }
            if packedTotal?.append(b) == nil { packedTotal = b }
            if let a = a.cpuPerDelivery, let b = b.cpuPerDelivery, a > 0 { cpu.append(b / a) }
        }
        let after = try packed.metrics()
        let deflates = after["websocket_deflates_total"] - before["websocket_deflates_total"]
        let broadcasts = after["chat_publications_total"] - before["chat_publications_total"]

        func report(_ result: BenchResult?) -> BenchReport {
            BenchReport(
                plan: options.plan, result: result ?? BenchResult(), floors: BenchFloors(),
                runs: options.pairs, threads: options.threads)
        }
        let (a, b) = (report(plainTotal), report(packedTotal))
        let spread = Spread(cpu)
        let resident = Double(b.result.residentEnd) / Double(max(1, a.result.residentEnd))
        let each = broadcasts > 0 ? deflates / broadcasts : 0
        let rows = [
            ("CPU with ÷ without", spread.map(BenchFormat.ratio) ?? "–"),
            ("RSS with ÷ without", "\(BenchFormat.fixed(resident, 2)) ×"),
            (
                "deflates",
                "\(Int(deflates)) for \(Int(broadcasts)) broadcasts: "
                    + "\(BenchFormat.fixed(each, 3)) each"
            ),
            (
                "bytes a delivery",
                "\(a.result.deliveryBytes) without, \(b.result.deliveryBytes) with"
            ),
        ]
        return ScenarioReport(
            table: "Without\n\(a.table)\nWith\n\(b.table)\n" + BenchFormat.table(rows),
            json: [
                "plain": a.json, "compressed": b.json, "cpuRatio": BenchFormat.json(spread),
                "residentRatio": .double(resident), "deflatesPerBroadcast": .double(each),
            ], isFaultless: a.isFaultless && b.isFaultless)
    }
}
