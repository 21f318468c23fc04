// SPDX-License-Identifier: MIT
internal import JSON

/// Many rooms beside one room of as many other people with as many deliveries a second, in turn, on one
/// server: each of them gets as many messages in either.
struct SpreadScenario: BenchScenario {
    let options: BenchOptions
    private let onePlan: BenchPlan

    init(_ options: BenchOptions) {
        self.options = options
        let plan = options.plan
        let deliveries = plan.rate * plan.clients * plan.roomsPerClient / plan.rooms
        onePlan = BenchPlan(
            clients: plan.clients, rooms: 1, roomsPerClient: 1,
            rate: max(1, deliveries / plan.clients), seconds: plan.seconds,
            bytes: plan.bytes, senders: plan.senders)
    }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let target = try lab.target()
        let many = try lab.generator(options.plan, on: target)
        defer { many.close() }
        let one = try lab.generator(onePlan, on: target, names: "one")
        defer { one.close() }
        try one.setUp()
        try many.setUp()
        var manyTotal: BenchResult?
        var oneTotal: BenchResult?
        var ratios: [Double] = []
        var floors = BenchFloors()
        for _ in 0..<options.pairs {
            let spread = try many.open(options.plan)
            let single = try one.open(onePlan)
            if manyTotal?.append(spread) == nil { manyTotal = spread }
            if oneTotal?.append(single) == nil { oneTotal = single }
            if let a = spread.cpuPerDelivery, let b = single.cpuPerDelivery, b > 0 {
                ratios.append(a / b)
            }
            if options.measuresFloors,
                let floor = try lab.socketFloor(options.plan, like: spread, window: nil)
            {
                floors.perMessage = (floors.perMessage ?? SocketFloor.Figures()) + floor
                if let ratio = floor.ratio(of: spread) { floors.perMessageRatios.append(ratio) }
            }
        }
        func report(_ plan: BenchPlan, _ result: BenchResult?, _ floors: BenchFloors) -> BenchReport
        {
            var result = result ?? BenchResult()
            // The server's memory is that of both crowds.
            result.residentIdle = 0
            return BenchReport(
                plan: plan, result: result, floors: floors, runs: options.pairs,
                threads: options.threads)
        }
        let manyReport = report(options.plan, manyTotal, floors)
        let oneReport = report(onePlan, oneTotal, BenchFloors())
        let spread = Spread(ratios)
        let verdict = spread.map(BenchFormat.ratio) ?? "– (the server's process is not known)"
        return ScenarioReport(
            table: manyReport.table + "\nOne room of as many people, as many deliveries a second\n"
                + oneReport.table + "\n"
                + BenchFormat.table([("many rooms ÷ one room, CPU a delivery", verdict)]),
            json: [
                "many": manyReport.json, "one": oneReport.json,
                "cpuRatio": BenchFormat.json(spread),
            ], isFaultless: manyReport.isFaultless && oneReport.isFaultless)
    }
}
