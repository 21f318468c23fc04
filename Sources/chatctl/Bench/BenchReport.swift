// SPDX-License-Identifier: MIT
internal import JSON

/// The figures of a run as a table and as JSON. Pure.
struct BenchReport: Sendable {
    let plan: BenchPlan
    let result: BenchResult
    let floors: BenchFloors

    static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    /// Whether every client got every event of its rooms once and in order, and every message was
    /// stored.
    var isFaultless: Bool {
        result.lost == 0 && result.duplicated == 0 && result.reordered == 0 && result.refused == 0
            && result.acked == result.sent && result.sent == plan.messages
    }

    var deliveriesPerSecond: Double {
        result.elapsed > .zero
            ? Double(result.deliveries) / BenchReport.seconds(result.elapsed) : 0
    }

    /// Bytes of a delivery with its frame header, on average.
    var deliveryBytes: Int {
        result.deliveries > 0 ? result.deliveredBytes / result.deliveries : 0
    }

    /// How many members a message went to, on average.
    var fanout: Int { result.acked > 0 ? result.deliveries / result.acked : 0 }

    /// The server's CPU seconds a delivery; nil when its process is not known.
    var cpuPerDelivery: Double? {
        guard let usage = result.serverUsage, result.deliveries > 0 else { return nil }
        return (usage.user + usage.system) / Double(result.deliveries)
    }

    /// The server's CPU a delivery, as a multiple of a floor's.
    func ratio(to floor: SocketFloor.Figures?) -> Double? {
        guard let floor, floor.perDelivery > 0, let cpuPerDelivery else { return nil }
        return cpuPerDelivery / floor.perDelivery
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

    var table: String {
        var rows: [(String, String)] = []
        rows.append(
            (
                "scenario",
                "\(plan.clients) clients, \(plan.rooms) rooms, \(plan.roomsPerClient) each, "
                    + "\(plan.senders) senders, \(plan.rate)/s × \(plan.bytes) B for \(plan.seconds) s"
            ))
        let connects = BenchReport.seconds(result.connectTime)
        rows.append(
            (
                "connected in",
                connects > 0
                    ? "\(fixed(connects, 2)) s (\(Int(Double(plan.clients) / connects))/s)" : "–"
            ))
        rows.append(
            ("sent / acked / refused", "\(result.sent) / \(result.acked) / \(result.refused)"))
        rows.append(
            (
                "deliveries",
                "\(result.deliveries) (\(Int(deliveriesPerSecond))/s, \(deliveryBytes) B each)"
            ))
        rows.append(
            (
                "lost / duplicated / reordered",
                "\(result.lost) / \(result.duplicated) / \(result.reordered)"
            ))
        rows.append(("delivery latency", latencies(result.latency)))
        rows.append(("ack latency", latencies(result.ackLatency)))
        if let usage = result.serverUsage, let cpuPerDelivery {
            let elapsed = max(BenchReport.seconds(result.elapsed), 0.001)
            rows.append(
                (
                    "server CPU",
                    "\(micro(cpuPerDelivery)) a delivery (user \(fixed(usage.user, 2)) s, system "
                        + "\(fixed(usage.system, 2)) s; "
                        + "\(fixed((usage.user + usage.system) / elapsed * 100, 1)) % of a core)"
                ))
        }
        if let residentPerConnection {
            rows.append(
                (
                    "server RSS",
                    "\(mebi(result.residentIdle)) idle, \(mebi(result.residentReady)) connected "
                        + "(\(residentPerConnection) B a connection), \(mebi(result.residentEnd)) after"
                ))
        }
        let own = result.ownUsage.user + result.ownUsage.system
        let elapsed = max(BenchReport.seconds(result.elapsed), 0.001)
        rows.append(("load generator CPU", "\(fixed(own / elapsed * 100, 1)) % of a core"))
        if floors.perMessage != nil {
            rows.append(("floor, send a message", floorRow(floors.perMessage)))
            rows.append(("floor, send a 20 ms window", floorRow(floors.coalesced)))
        }
        for store in floors.store {
            rows.append(
                (
                    "floor, SQLite \(store.rowsPerCommit)/commit",
                    "\(Int(store.commitsPerSecond)) commits/s, \(Int(store.rowsPerSecond)) rows/s, "
                        + "p50 \(milli(store.latency.quantile(0.5)))"
                ))
        }
        if let ackRatio { rows.append(("ack p50 ÷ commit p50", "\(fixed(ackRatio, 2)) ×")) }
        if result.refused > 0 { rows.append(("first refusal", result.firstRefusal)) }
        rows.append(("verdict", isFaultless ? "every message once, in order" : "NOT faultless"))
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map {
            $0.0 + String(repeating: " ", count: width - $0.0.count) + "  " + $0.1 + "\n"
        }.joined()
    }

    private func floorRow(_ floor: SocketFloor.Figures?) -> String {
        guard let floor else { return "– (not two messages a window)" }
        let rate = Double(floor.deliveries) / max(BenchReport.seconds(floor.elapsed), 0.001)
        let ratio = ratio(to: floor).map { "; server \(fixed($0, 2)) ×" } ?? ""
        return "\(micro(floor.perDelivery)) a delivery at \(Int(rate))/s\(ratio)"
    }

    private func latencies(_ histogram: LatencyHistogram) -> String {
        let parts = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)].map {
            "\($0.0) \(milli(histogram.quantile($0.1)))"
        }
        return (parts + ["max \(milli(histogram.maximum))"]).joined(separator: "  ")
    }

    private func milli(_ microseconds: Int64) -> String {
        "\(fixed(Double(microseconds) / 1000, 2)) ms"
    }

    private func micro(_ seconds: Double) -> String { "\(fixed(seconds * 1e6, 3)) µs" }

    private func mebi(_ bytes: Int) -> String { "\(fixed(Double(bytes) / 1_048_576, 1)) MiB" }

    private func fixed(_ value: Double, _ digits: Int) -> String {
        BenchReport.fixed(value, digits)
    }

    /// A number with so many digits behind the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let whole = scaled / Int64(scale)
        let rest = String(scaled % Int64(scale))
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        return "\(sign)\(whole)." + String(repeating: "0", count: digits - rest.count) + rest
    }

    // MARK: JSON

    var json: JSONValue {
        [
            "scenario": [
                "clients": .int(Int64(plan.clients)), "rooms": .int(Int64(plan.rooms)),
                "roomsPerClient": .int(Int64(plan.roomsPerClient)),
                "senders": .int(Int64(plan.senders)), "rate": .int(Int64(plan.rate)),
                "seconds": .int(Int64(plan.seconds)), "bytes": .int(Int64(plan.bytes)),
            ],
            "faultless": .bool(isFaultless),
            "connectSeconds": .double(BenchReport.seconds(result.connectTime)),
            "sent": .int(Int64(result.sent)), "acked": .int(Int64(result.acked)),
            "refused": .int(Int64(result.refused)),
            "deliveries": .int(Int64(result.deliveries)), "lost": .int(Int64(result.lost)),
            "duplicated": .int(Int64(result.duplicated)),
            "reordered": .int(Int64(result.reordered)),
            "deliveriesPerSecond": .double(deliveriesPerSecond),
            "deliveryBytes": .int(Int64(deliveryBytes)),
            "latencyMs": json(result.latency), "ackLatencyMs": json(result.ackLatency),
            "server": server,
            "loadGeneratorCpuSeconds": .double(result.ownUsage.user + result.ownUsage.system),
            "floors": [
                "perMessage": json(floors.perMessage), "coalesced20ms": json(floors.coalesced),
                "store": .array(floors.store.map(json)),
                "ackP50OverCommitP50": ackRatio.map(JSONValue.double) ?? .null,
            ],
        ]
    }

    private var server: JSONValue {
        guard let usage = result.serverUsage, let cpuPerDelivery else { return .null }
        return [
            "cpuUserSeconds": .double(usage.user), "cpuSystemSeconds": .double(usage.system),
            "cpuMicrosecondsPerDelivery": .double(cpuPerDelivery * 1e6),
            "residentIdleBytes": .int(Int64(result.residentIdle)),
            "residentConnectedBytes": .int(Int64(result.residentReady)),
            "residentEndBytes": .int(Int64(result.residentEnd)),
            "residentBytesPerConnection": residentPerConnection.map { .int(Int64($0)) } ?? .null,
        ]
    }

    private func json(_ histogram: LatencyHistogram) -> JSONValue {
        func milliseconds(_ part: Double) -> JSONValue {
            .double(Double(histogram.quantile(part)) / 1000)
        }
        return [
            "p50": milliseconds(0.5), "p95": milliseconds(0.95), "p99": milliseconds(0.99),
            "p999": milliseconds(0.999), "max": .double(Double(histogram.maximum) / 1000),
        ]
    }

    private func json(_ floor: SocketFloor.Figures?) -> JSONValue {
        guard let floor else { return .null }
        return [
            "deliveries": .int(Int64(floor.deliveries)),
            "seconds": .double(BenchReport.seconds(floor.elapsed)),
            "cpuMicrosecondsPerDelivery": .double(floor.perDelivery * 1e6),
            "serverRatio": ratio(to: floor).map(JSONValue.double) ?? .null,
        ]
    }

    private func json(_ store: StoreFloor.Figures) -> JSONValue {
        [
            "rowsPerCommit": .int(Int64(store.rowsPerCommit)),
            "commitsPerSecond": .double(store.commitsPerSecond),
            "rowsPerSecond": .double(store.rowsPerSecond),
            "commitP50Ms": .double(Double(store.latency.quantile(0.5)) / 1000),
            "commitP99Ms": .double(Double(store.latency.quantile(0.99)) / 1000),
        ]
    }
}
