// SPDX-License-Identifier: MIT
package import ChatCore
internal import Locks
internal import Synchronization
package import Timing

/// A token bucket: `rate` a second on average, `burst` at once. Sixteen bytes and no timer.
package struct RateLimiter: Sendable {
    private let interval: Int64
    private let tolerance: Int64
    /// When the bucket would be full again (the generic cell rate algorithm's arrival time).
    fileprivate(set) var fullAt: Int64 = .min

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

/// One user's bucket, shared by all the user's connections on all loops: taking is one atomic
/// exchange.
package final class UserBucket: Sendable {
    private let empty: RateLimiter
    private let fullAt = Atomic(Int64.min)

    fileprivate init(_ empty: RateLimiter) { self.empty = empty }

    /// Nil when one more request is fine now; else how long to wait.
    package func take(now: Instant) -> Duration? {
        var known = fullAt.load(ordering: .relaxed)
        while true {
            var bucket = empty
            bucket.fullAt = known
            if let wait = bucket.take(now: now) { return wait }
            let (isTaken, current) = fullAt.compareExchange(
                expected: known, desired: bucket.fullAt, ordering: .relaxed)
            if isTaken { return nil }
            known = current
        }
    }

    fileprivate func isFull(now: Instant) -> Bool {
        fullAt.load(ordering: .relaxed) <= now.nanoseconds
    }
}

/// The buckets of all users of this process: a user's rate holds over all connections and REST, and
/// reconnecting does not fill it.
package final class UserLimiter: Sendable {
    private let buckets = Locked<[UserID: UserBucket]>([:])
    private let limiter: RateLimiter
    private let capacity: Int

    /// - Parameters:
    ///   - rate: tokens a second.
    ///   - burst: tokens a full bucket holds.
    ///   - capacity: buckets kept. Past it the full ones are forgotten, which changes nothing, or all
    ///     of them: a bound on memory that forgives, never refuses.
    package init(rate: Int, burst: Int, capacity: Int = 50_000) {
        limiter = RateLimiter(rate: rate, burst: burst)
        self.capacity = capacity
    }

    /// The bucket of a user, for as long as the caller holds on to it.
    package func bucket(of user: UserID, now: Instant = SystemClock.now()) -> UserBucket {
        buckets.withLock { buckets in
            if let bucket = buckets[user] { return bucket }
            if buckets.count >= capacity {
                buckets = buckets.filter { !$0.value.isFull(now: now) }
                if buckets.count > capacity / 2 { buckets = [:] }
            }
            let bucket = UserBucket(limiter)
            buckets[user] = bucket
            return bucket
        }
    }

    /// Buckets kept now.
    package var count: Int { buckets.withLock { $0.count } }
}
