// SPDX-License-Identifier: MIT
internal import JSON

/// What a delivery costs, from few receivers to many and from one room to many, at the same
/// deliveries a second. Each point has a server of its own, and the floor beside it.
struct CurveScenario: BenchScenario {
    private static let receivers = [50, 100, 200, 500, 1000, 2000, 5000, 10_000]
    private static let receiverDeliveries = 50_000
    private static let rooms = [1, 10, 100, 1000]
    private static let members = 100
    private static let roomDeliveries = 20_000

    /// One measured point, costs in µs a delivery.
    private struct Point {
        let x: Int
        let result: BenchResult
        let floor: Double
        var server: Double { (result.cpuPerDelivery ?? 0) * 1e6 }
    }

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let receivers = try CurveScenario.receivers.filter { $0 <= options.plan.clients }.map {
            try measure($0, receiverPlan($0), lab)
        }
        let rooms = try CurveScenario.rooms.map { try measure($0, roomPlan($0), lab) }
        let all = receivers + rooms
        let isFaultless = all.allSatisfy { $0.result.isFaultless }
        let chart = Chart(
            title: "CPU of a delivery", yLabel: "µs a delivery",
            panels: [
                panel("receivers in one room, 50,000 deliveries a second", receivers),
                panel("rooms of 100 members, 20,000 deliveries a second", rooms),
            ])
        func json(_ points: [Point]) -> JSONValue {
            .array(
                points.map {
                    [
                        "x": .int(Int64($0.x)), "serverMicroseconds": .double($0.server),
                        "floorMicroseconds": .double($0.floor),
                        "p99Ms": .double(Double($0.result.latency.quantile(0.99)) / 1000),
                    ]
                })
        }
        let verdict = isFaultless ? "every message once, in order" : "NOT faultless"
        return ScenarioReport(
            table: table("receivers", receivers) + "\n" + table("rooms", rooms) + "\n"
                + BenchFormat.table([("verdict", verdict)]),
            json: [
                "receivers": json(receivers), "rooms": json(rooms), "faultless": .bool(isFaultless),
            ], isFaultless: isFaultless, drawing: chart.svg)
    }

    private func receiverPlan(_ count: Int) -> BenchPlan {
        BenchPlan(
            clients: count, rooms: 1, roomsPerClient: 1,
            rate: max(1, CurveScenario.receiverDeliveries / count), seconds: options.plan.seconds,
            bytes: options.plan.bytes, senders: min(options.plan.senders, count))
    }

    /// Rooms of 100 among 1,000 clients at most, so that each client is in as many as it takes.
    private func roomPlan(_ count: Int) -> BenchPlan {
        let clients = min(1000, count * CurveScenario.members)
        return BenchPlan(
            clients: clients, rooms: count,
            roomsPerClient: max(1, count * CurveScenario.members / clients),
            rate: CurveScenario.roomDeliveries / CurveScenario.members,
            seconds: options.plan.seconds, bytes: options.plan.bytes,
            senders: min(options.plan.senders, clients))
    }

    private func measure(_ x: Int, _ plan: BenchPlan, _ lab: BenchLab) throws -> Point {
        let target = try lab.target()
        defer { lab.close(target) }
        let generator = try lab.generator(plan, on: target)
        defer { generator.close() }
        try generator.setUp()
        let result = try generator.open(plan)
        let floor = try lab.socketFloor(plan, like: result, window: nil)
        return Point(x: x, result: result, floor: (floor?.perDelivery ?? 0) * 1e6)
    }

    private func panel(_ label: String, _ points: [Point]) -> Chart.Panel {
        Chart.Panel(
            xLabel: label,
            series: [
                Chart.Series(
                    name: "server", points: points.map { (Double($0.x), $0.server) }),
                Chart.Series(
                    name: "floor, a send a message",
                    points: points.map { (Double($0.x), $0.floor) }),
            ])
    }

    private func table(_ name: String, _ points: [Point]) -> String {
        let cheapest = points.map(\.server).min() ?? 0
        let dearest = points.map(\.server).max() ?? 0
        var rows = points.map { point in
            (
                "\(point.x) \(name)",
                "\(BenchFormat.fixed(point.server, 3)) µs a delivery, floor "
                    + "\(BenchFormat.fixed(point.floor, 3)) µs; "
                    + "\(BenchFormat.fixed(point.result.batch, 1)) a read, p99 "
                    + BenchFormat.milli(point.result.latency.quantile(0.99))
            )
        }
        rows.append(
            (
                "dearest ÷ cheapest",
                cheapest > 0 ? "\(BenchFormat.fixed(dearest / cheapest, 2)) ×" : "–"
            ))
        return BenchFormat.table(rows)
    }
}
