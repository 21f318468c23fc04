// SPDX-License-Identifier: MIT
package import Timing

/// A token bucket: `rate` a second on average, `burst` at once. Sixteen bytes and no timer.
package struct RateLimiter: Sendable {
    private let interval: Int64
    private let tolerance: Int64
    /// When the bucket would be full again (the generic cell rate algorithm's arrival time).
    private var fullAt: Int64 = .min

    /// - Parameters:
    ///   - rate: tokens a second; must be positive.
    ///   - burst: tokens a full bucket holds.
    package init(rate: Int, burst: Int) {
        precondition(rate > 0 && burst > 0)
        interval = 1_000_000_000 / Int64(rate)
        tolerance = interval * Int64(burst)
    }

    /// Takes one token.
    /// - Returns: nil when there was one; else how long until there is.
    package mutating func take(now: Instant) -> Duration? {
        let arrival = max(fullAt, now.nanoseconds) + interval
        guard arrival - now.nanoseconds <= tolerance else {
            return .nanoseconds(arrival - now.nanoseconds - tolerance)
        }
        fullAt = arrival
        return nil
    }
}
