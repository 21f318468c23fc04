// SPDX-License-Identifier: MIT
internal import Synchronization

/// A count that only grows. Any thread may add; one relaxed atomic addition each.
package final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    init() {}

    /// Adds to the count, which wraps at 2^64 as Prometheus counters may.
    package func increment(by amount: Int = 1) {
        count.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    /// The count so far.
    package var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A whole number that goes up and down. Any thread may change it; one relaxed atomic operation each.
package final class Gauge: Sendable {
    private let level = Atomic<Int64>(0)

    init() {}

    /// Replaces the value.
    package func set(_ value: Int) { level.store(Int64(value), ordering: .relaxed) }

    /// Adds `amount`, which may be negative.
    package func add(_ amount: Int) { level.wrappingAdd(Int64(amount), ordering: .relaxed) }

    /// The value now.
    package var value: Int64 { level.load(ordering: .relaxed) }
}

/// How values are spread over buckets. Any thread may observe; two atomic additions and one exchange
/// loop each, no lock.
package final class Histogram: Sendable {
    /// 100 µs to 10 s: what a request, a commit or a delivery takes, in seconds.
    package static let seconds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
        10,
    ]
    /// 1 to 4096 in powers of two: how many things went together.
    package static let counts: [Double] = [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
    ]

    /// The upper bounds without `+Inf`.
    let bounds: [Double]
    /// One count a bucket, not cumulative; the last is for what passes every bound. Objects, because
    /// an atomic cannot be an array's element.
    private let cells: [Counter]
    /// The bits of the sum, a `Double`.
    private let sumBits = Atomic<UInt64>(0)

    init(_ bounds: [Double]) {
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 } && bounds.allSatisfy(\.isFinite),
            "buckets must be finite and strictly ascending")
        self.bounds = bounds
        cells = (0...bounds.count).map { _ in Counter() }
    }

    /// Counts one value. One that is not a number is left out: it would poison the sum for ever.
    package func observe(_ value: Double) {
        guard !value.isNaN else { return }
        cells[bounds.firstIndex { value <= $0 } ?? bounds.count].increment()
        var current = sumBits.load(ordering: .relaxed)
        while true {
            let next = (Double(bitPattern: current) + value).bitPattern
            let (exchanged, original) = sumBits.weakCompareExchange(
                expected: current, desired: next, ordering: .relaxed)
            if exchanged { return }
            current = original
        }
    }

    /// Counts one length of time, in seconds.
    package func observe(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) + Double(attoseconds) * 1e-18)
    }

    /// The counts as the page shows them: each bucket with all below it, the last is the total.
    var cumulative: [UInt64] {
        var total: UInt64 = 0
        return cells.map {
            total &+= $0.value
            return total
        }
    }

    /// How many values were observed.
    package var count: UInt64 { cumulative[bounds.count] }

    /// The sum of all values observed.
    package var sum: Double { Double(bitPattern: sumBits.load(ordering: .relaxed)) }
}
