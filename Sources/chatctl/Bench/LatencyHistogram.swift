// SPDX-License-Identifier: MIT

/// Counts lengths of time in microseconds, in buckets at most 0.8 % wide: 128 to each power of two.
/// Recording is a shift and an addition; memory is fixed, whatever is recorded.
struct LatencyHistogram: Hashable, Sendable {
    /// Bits of a value that are kept below its highest.
    private static let precision = 7
    /// 2^36 µs, 19 hours: what is longer counts as that.
    private static let largest: Int64 = 1 << 36

    private var counts = [Int](
        repeating: 0, count: LatencyHistogram.index(LatencyHistogram.largest) + 1)
    private(set) var count = 0
    /// The longest, exact.
    private(set) var maximum: Int64 = 0

    /// Counts one length; a negative one counts as nothing.
    mutating func record(microseconds: Int64) {
        let value = min(max(0, microseconds), LatencyHistogram.largest)
        counts[LatencyHistogram.index(value)] += 1
        count += 1
        maximum = max(maximum, value)
    }

    mutating func record(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        record(microseconds: seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    /// Adds all that another one counted.
    mutating func merge(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        maximum = max(maximum, other.maximum)
    }

    /// The length that this part of all do not pass, in microseconds; 0 when nothing was recorded.
    /// - Parameter part: 0...1.
    func quantile(_ part: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let rank = max(1, Int((part * Double(count)).rounded(.up)))
        var seen = 0
        for (index, number) in counts.enumerated() {
            seen += number
            if seen >= rank { return min(LatencyHistogram.upperBound(index), maximum) }
        }
        return maximum
    }

    private static func index(_ value: Int64) -> Int {
        let highest = 63 - value.leadingZeroBitCount
        let shift = max(0, highest - precision)
        return shift << precision + Int(value >> Int64(shift))
    }

    /// The largest value that falls into a bucket.
    private static func upperBound(_ index: Int) -> Int64 {
        let shift = max(0, index >> precision - 1)
        return (Int64(index - shift << precision) + 1) << Int64(shift) - 1
    }
}
