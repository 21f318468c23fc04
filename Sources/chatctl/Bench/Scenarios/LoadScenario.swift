// SPDX-License-Identifier: MIT
internal import Timing

/// Messages by the clock to the members of rooms, in turn with the floors.
struct LoadScenario: BenchScenario {
    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let target = try lab.target()
        let generator = try lab.generator(options.plan, on: target)
        defer { generator.close() }
        try generator.setUp()
        var total: BenchResult?
        var floors = BenchFloors()
        for _ in 0..<options.pairs {
            let result = try generator.open(options.plan)
            if total?.append(result) == nil { total = result }
            if options.measuresFloors { try measure(&floors, beside: result, in: lab) }
        }
        if options.measuresFloors {
            floors.store = try lab.storeFloor(
                beside: target, bytes: options.plan.bytes, groups: [1, 10, 100, 1000])
        }
        let report = BenchReport(
            plan: options.plan, result: total ?? BenchResult(), floors: floors,
            runs: options.pairs, threads: options.threads)
        return ScenarioReport(
            table: report.table, json: report.json, isFaultless: report.isFaultless)
    }

    private func measure(
        _ floors: inout BenchFloors, beside result: BenchResult, in lab: BenchLab
    ) throws {
        let window = options.window ?? LoadScenario.window(of: options.plan, result)
        floors.window = max(floors.window, window)
        if let floor = try lab.socketFloor(options.plan, like: result, window: nil) {
            floors.perMessage = (floors.perMessage ?? SocketFloor.Figures()) + floor
            if let ratio = floor.ratio(of: result) { floors.perMessageRatios.append(ratio) }
        }
        if let floor = try lab.socketFloor(options.plan, like: result, window: window) {
            floors.coalesced = (floors.coalesced ?? SocketFloor.Figures()) + floor
            if let ratio = floor.ratio(of: result) { floors.coalescedRatios.append(ratio) }
        }
    }

    /// The time in which as many messages come for one client as it got with one read.
    static func window(of plan: BenchPlan, _ result: BenchResult) -> Duration {
        let each = Double(plan.rate) * Double(result.fanout) / Double(plan.clients)
        return each > 0 ? .nanoseconds(Int64(result.batch / each * 1e9)) : .zero
    }
}

extension SocketFloor.Figures {
    static func + (a: SocketFloor.Figures, b: SocketFloor.Figures) -> SocketFloor.Figures {
        SocketFloor.Figures(
            deliveries: a.deliveries + b.deliveries, elapsed: a.elapsed + b.elapsed,
            usage: a.usage + b.usage)
    }

    /// A server's CPU a delivery as a multiple of the floor's; nil when either is not known.
    func ratio(of result: BenchResult) -> Double? {
        guard perDelivery > 0, let cpu = result.cpuPerDelivery else { return nil }
        return cpu / perDelivery
    }
}
