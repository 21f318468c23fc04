// SPDX-License-Identifier: MIT
internal import JSON

/// How figures are written, in tables and in JSON. Pure.
enum BenchFormat {
    static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    static func milli(_ microseconds: Int64) -> String {
        "\(fixed(Double(microseconds) / 1000, 2)) ms"
    }

    static func micro(_ seconds: Double) -> String { "\(fixed(seconds * 1e6, 3)) µs" }

    static func mebi(_ bytes: Int) -> String { "\(fixed(Double(bytes) / 1_048_576, 1)) MiB" }

    /// CPU seconds over seconds of time, as per cent of one core.
    static func share(_ usage: Double, of elapsed: Duration) -> String {
        "\(fixed(usage / max(seconds(elapsed), 0.001) * 100, 1)) % of a core"
    }

    static func latencies(_ histogram: LatencyHistogram) -> String {
        let parts = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)].map {
            "\($0.0) \(milli(histogram.quantile($0.1)))"
        }
        return (parts + ["max \(milli(histogram.maximum))"]).joined(separator: "  ")
    }

    /// A ratio over all pairs of a run: its median, and between which it lay.
    static func ratio(_ spread: Spread) -> String {
        let median = "\(fixed(spread.median, 2)) ×"
        guard spread.count > 1 else { return median }
        return "\(median) (\(fixed(spread.least, 2)) to \(fixed(spread.most, 2)) in "
            + "\(spread.count) pairs)"
    }

    /// Two columns, the first as wide as it must be.
    static func table(_ rows: [(String, String)]) -> String {
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map {
            $0.0 + String(repeating: " ", count: width - $0.0.count) + "  " + $0.1 + "\n"
        }.joined()
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

    static func json(_ histogram: LatencyHistogram) -> JSONValue {
        func milliseconds(_ part: Double) -> JSONValue {
            .double(Double(histogram.quantile(part)) / 1000)
        }
        return [
            "p50": milliseconds(0.5), "p95": milliseconds(0.95), "p99": milliseconds(0.99),
            "p999": milliseconds(0.999), "max": .double(Double(histogram.maximum) / 1000),
        ]
    }

    static func json(_ spread: Spread?) -> JSONValue {
        guard let spread else { return .null }
        return [
            "median": .double(spread.median), "least": .double(spread.least),
            "most": .double(spread.most), "pairs": .int(Int64(spread.count)),
        ]
    }

    static func json(_ plan: BenchPlan) -> JSONValue {
        [
            "clients": .int(Int64(plan.clients)), "rooms": .int(Int64(plan.rooms)),
            "roomsPerClient": .int(Int64(plan.roomsPerClient)),
            "senders": .int(Int64(plan.senders)), "rate": .int(Int64(plan.rate)),
            "seconds": .int(Int64(plan.seconds)), "bytes": .int(Int64(plan.bytes)),
        ]
    }
}

/// The middle and the ends of a few values: what can be said of a figure on a noisy machine. Pure.
struct Spread: Hashable, Sendable {
    let least: Double
    let median: Double
    let most: Double
    let count: Int

    /// Nil when there are no values. Between two in the middle the median is their mean.
    init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        let middle = sorted.count / 2
        least = first
        most = last
        median =
            sorted.count % 2 == 1
            ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        count = sorted.count
    }
}
