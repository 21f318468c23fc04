// SPDX-License-Identifier: MIT
internal import JSON

/// What a delivery costs, from few receivers to many and from one room to many, at the same
/// deliveries a second. Each point has a server of its own, and the floor beside it; all points are
/// measured once, then all once more, so that a machine which changes its pace changes it for all.
///
/// A message costs something before anybody gets it: a place in the log, an fsync and an answer, shared
/// by as many as receive it. So the event loops, whose work grows with the receivers, are told apart from
/// the rest.
struct CurveScenario: BenchScenario {
    private static let receivers = [50, 100, 200, 500, 1000, 2000, 5000, 10_000]
    private static let receiverDeliveries = 50_000
    private static let rooms = [1, 10, 100, 1000]
    private static let members = 100
    private static let roomDeliveries = 20_000

    private struct Run {
        let result: BenchResult
        let floor: SocketFloor.Figures?

        /// A delivery's µs, by the event loops and by the floor; 0 when not known.
        var loops: Double { (result.loopCPUPerDelivery ?? 0) * 1e6 }
        var floorCost: Double { (floor?.perDelivery ?? 0) * 1e6 }
        var ratio: Double { floorCost > 0 ? loops / floorCost : 0 }
    }

    /// One measured point, in µs: that of its runs which is the middle one by its ratio to the floor.
    private struct Point {
        let x: Int
        let isFaultless: Bool
        /// A delivery, by the event loops and by all threads.
        let loops: Double
        let server: Double
        /// A message, by the threads that are no event loops.
        let rest: Double
        let floor: Double
        /// Of the event loops' cost to the floor's.
        let ratio: Double
        /// Deliveries that a client got with one read.
        let batch: Double
        let latency: LatencyHistogram

        /// Of all runs.
        let ratios: Spread?

        init(_ x: Int, _ runs: [Run]) {
            self.x = x
            isFaultless = runs.allSatisfy(\.result.isFaultless)
            ratios = Spread(runs.map(\.ratio))
            let middle = runs.sorted { $0.ratio < $1.ratio }[runs.count / 2]
            loops = middle.loops
            server = (middle.result.cpuPerDelivery ?? 0) * 1e6
            rest = (middle.result.restCPUPerMessage ?? 0) * 1e6
            floor = middle.floorCost
            ratio = middle.ratio
            batch = middle.result.batch
            var all = LatencyHistogram()
            for run in runs { all.merge(run.result.latency) }
            latency = all
        }
    }

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let receiverCounts = CurveScenario.receivers.filter { $0 <= options.plan.clients }
        var receiverRuns: [[Run]] = Array(repeating: [], count: receiverCounts.count)
        var roomRuns: [[Run]] = Array(repeating: [], count: CurveScenario.rooms.count)
        for _ in 0..<options.pairs {
            for (index, count) in receiverCounts.enumerated() {
                receiverRuns[index].append(try measure(receiverPlan(count), lab))
            }
            for (index, count) in CurveScenario.rooms.enumerated() {
                roomRuns[index].append(try measure(roomPlan(count), lab))
            }
        }
        let receivers = zip(receiverCounts, receiverRuns).map { Point($0, $1) }
        let rooms = zip(CurveScenario.rooms, roomRuns).map { Point($0, $1) }
        let all = receivers + rooms
        let isFaultless = all.allSatisfy(\.isFaultless)
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
                        "x": .int(Int64($0.x)), "loopMicroseconds": .double($0.loops),
                        "serverMicroseconds": .double($0.server),
                        "restMicrosecondsPerMessage": .double($0.rest),
                        "floorMicroseconds": .double($0.floor), "floorRatio": .double($0.ratio),
                        "floorRatios": BenchFormat.json($0.ratios),
                        "deliveriesPerRead": .double($0.batch),
                        "p99Ms": .double(Double($0.latency.quantile(0.99)) / 1000),
                    ]
                })
        }
        let verdict = BenchResult.verdict(
            (receiverRuns + roomRuns).joined().map(\.result), isFaultless: isFaultless)
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

    private func measure(_ plan: BenchPlan, _ lab: BenchLab) throws -> Run {
        let target = try lab.target(gathers: false)
        defer { lab.close(target) }
        let generator = try lab.generator(plan, on: target)
        defer { generator.close() }
        try generator.setUp()
        let result = try generator.open(plan)
        return Run(
            result: result, floor: try lab.socketFloor(plan, like: result, window: nil))
    }

    private func panel(_ label: String, _ points: [Point]) -> Chart.Panel {
        Chart.Panel(
            xLabel: label,
            series: [
                Chart.Series(
                    name: "event loops", points: points.map { (Double($0.x), $0.loops) }),
                Chart.Series(
                    name: "whole server", points: points.map { (Double($0.x), $0.server) }),
                Chart.Series(
                    name: "floor, a send a message",
                    points: points.map { (Double($0.x), $0.floor) }),
            ])
    }

    private func floorText(_ point: Point) -> String {
        guard let ratios = point.ratios else { return "no floor" }
        return "\(BenchFormat.fixed(point.ratio, 2)) × the floor's "
            + "\(BenchFormat.fixed(point.floor, 3)) µs (\(BenchFormat.fixed(ratios.least, 2)) to "
            + "\(BenchFormat.fixed(ratios.most, 2)))"
    }

    private func table(_ name: String, _ points: [Point]) -> String {
        var rows = points.map { point in
            (
                "\(point.x) \(name)",
                "\(BenchFormat.fixed(point.loops, 3)) µs a delivery, "
                    + "\(floorText(point)); all threads "
                    + "\(BenchFormat.fixed(point.server, 3)) µs, of it "
                    + "\(BenchFormat.fixed(point.rest, 0)) µs a message; "
                    + "\(BenchFormat.fixed(point.batch, 1)) a read; p99 "
                    + BenchFormat.milli(point.latency.quantile(0.99))
            )
        }
        func spread(_ value: (Point) -> Double) -> String {
            let values = points.map(value)
            guard let least = values.min(), let most = values.max(), least > 0 else { return "–" }
            return "\(BenchFormat.fixed(most / least, 2)) ×"
        }
        rows.append(
            (
                "dearest ÷ cheapest",
                "event loops \(spread(\.loops)), against the floor \(spread(\.ratio)); floor "
                    + spread(\.floor)
            ))
        return BenchFormat.table(rows)
    }
}
