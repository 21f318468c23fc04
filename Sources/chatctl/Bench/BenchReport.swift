// SPDX-License-Identifier: MIT
internal import JSON
internal import Timing

/// The figures of loads by the clock as a table and as JSON. Pure.
struct BenchReport: Sendable {
    let plan: BenchPlan
    let result: BenchResult
    let floors: BenchFloors
    /// How often the plan was run; `result` has all of them together.
    var runs = 1
    /// Threads of the load generator.
    var threads = 1

    /// Whether every client got every event of its rooms once and in order, and every message was
    /// stored.
    var isFaultless: Bool { result.isFaultless && result.sent == plan.messages * runs }

    /// The server's CPU a delivery, as a multiple of a floor's, over all pairs.
    func ratio(to floor: SocketFloor.Figures?, pairs: [Double]) -> Spread? {
        if let spread = Spread(pairs) { return spread }
        guard let floor, floor.perDelivery > 0, let cpu = result.cpuPerDelivery else { return nil }
        return Spread([cpu / floor.perDelivery])
    }

    /// The middle ack's wait, as a multiple of the middle commit of one row.
    var ackRatio: Double? {
        guard let commit = floors.store.first?.latency.quantile(0.5), commit > 0 else { return nil }
        return Double(result.ackLatency.quantile(0.5)) / Double(commit)
    }

    /// Resident bytes a connection, over the server without clients; nil when not known.
    var residentPerConnection: Int? {
        guard result.residentReady > 0, result.residentIdle > 0 else { return nil }
        return (result.residentReady - result.residentIdle) / plan.clients
    }

    // MARK: Table

    var rows: [(String, String)] {
        var rows = [("scenario", scenario)]
        let connects = BenchFormat.seconds(result.connectTime)
        if connects > 0 {
            rows.append(
                (
                    "connected in",
                    "\(BenchFormat.fixed(connects, 2)) s "
                        + "(\(Int(Double(plan.clients) / connects))/s)"
                ))
        }
        rows.append(
            ("sent / acked / refused", "\(result.sent) / \(result.acked) / \(result.refused)"))
        rows.append(
            (
                "deliveries",
                "\(result.deliveries) (\(Int(result.deliveriesPerSecond))/s, "
                    + "\(result.deliveryBytes) B each, \(BenchFormat.fixed(result.batch, 1)) a read)"
            ))
        rows.append(
            (
                "lost / duplicated / reordered",
                "\(result.lost) / \(result.duplicated) / \(result.reordered)"
            ))
        rows.append(("delivery latency", BenchFormat.latencies(result.latency)))
        rows.append(("ack latency", BenchFormat.latencies(result.ackLatency)))
        rows += usageRows
        if floors.perMessage != nil {
            rows.append(
                (
                    "floor, send a message",
                    floorRow(floors.perMessage, pairs: floors.perMessageRatios)
                ))
            if floors.window > .zero {
                let window = "floor, send \(floors.window.milliseconds) ms at once"
                rows.append((window, floorRow(floors.coalesced, pairs: floors.coalescedRatios)))
            }
        }
        rows += floors.store.map(\.row)
        if let ackRatio {
            rows.append(("ack p50 ÷ commit p50", "\(BenchFormat.fixed(ackRatio, 2)) ×"))
        }
        if result.refused > 0 { rows.append(("first refusal", result.firstRefusal)) }
        rows.append(("verdict", BenchResult.verdict([result], isFaultless: isFaultless)))
        return rows
    }

    var table: String { BenchFormat.table(rows) }

    private var scenario: String {
        let times = runs > 1 ? "\(runs) times " : ""
        return "\(plan.clients) clients, \(plan.rooms) rooms, \(plan.roomsPerClient) each, "
            + "\(plan.senders) senders, \(plan.rate)/s × \(plan.bytes) B for \(times)\(plan.seconds) s"
    }

    private var usageRows: [(String, String)] {
        var rows: [(String, String)] = []
        if let usage = result.serverUsage, let cpu = result.cpuPerDelivery {
            rows.append(
                (
                    "server CPU",
                    "\(BenchFormat.micro(cpu)) a delivery (user \(BenchFormat.fixed(usage.user, 2)) s, "
                        + "system \(BenchFormat.fixed(usage.system, 2)) s; "
                        + "\(BenchFormat.share(usage.total, of: result.elapsed)))"
                ))
            if let loops = result.loopCPUPerDelivery, let rest = result.restCPUPerMessage {
                rows.append(
                    (
                        "  event loops, and the rest",
                        "\(BenchFormat.micro(loops)) a delivery, \(BenchFormat.micro(rest)) a message"
                    ))
            }
        }
        if let residentPerConnection {
            rows.append(
                (
                    "server RSS",
                    "\(BenchFormat.mebi(result.residentIdle)) idle, "
                        + "\(BenchFormat.mebi(result.residentReady)) connected "
                        + "(\(residentPerConnection) B a connection), "
                        + "\(BenchFormat.mebi(result.residentEnd)) after"
                ))
        }
        rows.append(("load generator CPU", result.generatorText(threads: threads)))
        return rows
    }

    private func floorRow(_ floor: SocketFloor.Figures?, pairs: [Double]) -> String {
        guard let floor else { return "– (not two messages at once)" }
        let rate = Double(floor.deliveries) / max(BenchFormat.seconds(floor.elapsed), 0.001)
        let ratio = ratio(to: floor, pairs: pairs).map { "; server \(BenchFormat.ratio($0))" } ?? ""
        return "\(BenchFormat.micro(floor.perDelivery)) a delivery at \(Int(rate))/s\(ratio)"
    }

    // MARK: JSON

    var json: JSONValue {
        [
            "scenario": BenchFormat.json(plan), "runs": .int(Int64(runs)),
            "faultless": .bool(isFaultless),
            "connectSeconds": .double(BenchFormat.seconds(result.connectTime)),
            "sent": .int(Int64(result.sent)), "acked": .int(Int64(result.acked)),
            "refused": .int(Int64(result.refused)),
            "deliveries": .int(Int64(result.deliveries)), "lost": .int(Int64(result.lost)),
            "duplicated": .int(Int64(result.duplicated)),
            "reordered": .int(Int64(result.reordered)),
            "deliveriesPerSecond": .double(result.deliveriesPerSecond),
            "deliveriesPerRead": .double(result.batch),
            "deliveryBytes": .int(Int64(result.deliveryBytes)),
            "latencyMs": BenchFormat.json(result.latency),
            "ackLatencyMs": BenchFormat.json(result.ackLatency),
            "server": server,
            "loadGeneratorCpuSeconds": .double(result.ownUsage.total),
            "loadGeneratorBusiestThreadCpuSeconds": .double(result.busiestThread),
            "floors": [
                "perMessage": json(floors.perMessage, pairs: floors.perMessageRatios),
                "coalesced": json(floors.coalesced, pairs: floors.coalescedRatios),
                "coalescedWindowMs": .double(BenchFormat.seconds(floors.window) * 1000),
                "store": .array(floors.store.map(\.json)),
                "ackP50OverCommitP50": ackRatio.map(JSONValue.double) ?? .null,
            ],
        ]
    }

    private var server: JSONValue {
        guard let usage = result.serverUsage, let cpu = result.cpuPerDelivery else { return .null }
        return [
            "cpuUserSeconds": .double(usage.user), "cpuSystemSeconds": .double(usage.system),
            "cpuMicrosecondsPerDelivery": .double(cpu * 1e6),
            "loopMicrosecondsPerDelivery":
                result.loopCPUPerDelivery.map { .double($0 * 1e6) } ?? .null,
            "restMicrosecondsPerMessage":
                result.restCPUPerMessage.map { .double($0 * 1e6) } ?? .null,
            "residentIdleBytes": .int(Int64(result.residentIdle)),
            "residentConnectedBytes": .int(Int64(result.residentReady)),
            "residentEndBytes": .int(Int64(result.residentEnd)),
            "residentBytesPerConnection": residentPerConnection.map { .int(Int64($0)) } ?? .null,
        ]
    }

    private func json(_ floor: SocketFloor.Figures?, pairs: [Double]) -> JSONValue {
        guard let floor else { return .null }
        return [
            "deliveries": .int(Int64(floor.deliveries)),
            "seconds": .double(BenchFormat.seconds(floor.elapsed)),
            "cpuMicrosecondsPerDelivery": .double(floor.perDelivery * 1e6),
            "serverRatio": BenchFormat.json(ratio(to: floor, pairs: pairs)),
        ]
    }
}

extension BenchResult {
    /// What the load generator used, and whether it may be what stopped the run.
    func generatorText(threads: Int) -> String {
        let all = BenchFormat.share(ownUsage.total, of: elapsed)
        let busiest = busiestThread / max(BenchFormat.seconds(elapsed), 0.001)
        let limit = busiest > 0.85 ? "; it may be what limits" : ""
        guard threads > 1 else { return all + limit }
        return all + ", its busiest of \(threads) threads "
            + BenchFormat.share(busiestThread, of: elapsed) + limit
    }
}

extension StoreFloor.Figures {
    /// The row of a table.
    var row: (String, String) {
        (
            "floor, SQLite \(rowsPerCommit)/commit",
            "\(Int(commitsPerSecond)) commits/s, \(Int(rowsPerSecond)) rows/s, "
                + "p50 \(BenchFormat.milli(latency.quantile(0.5)))"
        )
    }

    var json: JSONValue {
        [
            "rowsPerCommit": .int(Int64(rowsPerCommit)),
            "commitsPerSecond": .double(commitsPerSecond),
            "rowsPerSecond": .double(rowsPerSecond),
            "commitP50Ms": .double(Double(latency.quantile(0.5)) / 1000),
            "commitP99Ms": .double(Double(latency.quantile(0.99)) / 1000),
        ]
    }
}
