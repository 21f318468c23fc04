// SPDX-License-Identifier: MIT
import ChatCore
import Gateway
import Testing
import Timing

/// A bucket by reference, so that expectations can take from it.
private final class Bucket {
    private var limiter: RateLimiter

    init(rate: Int, burst: Int) { limiter = RateLimiter(rate: rate, burst: burst) }

    func take(now: Instant) -> Duration? { limiter.take(now: now) }
}

@Suite struct RateLimiterTests {
    private func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func aFullBucketGivesItsBurstAtOnceAndNoMore() {
        let limiter = Bucket(rate: 10, burst: 3)
        for _ in 0..<3 { #expect(limiter.take(now: at(0)) == nil) }
        #expect(limiter.take(now: at(0)) == .milliseconds(100))
    }

    @Test func theWaitItNamesIsEnough() throws {
        let limiter = Bucket(rate: 7, burst: 2)
        var now = at(5)
        for _ in 0..<2 { _ = limiter.take(now: now) }
        for _ in 0..<20 {
            let wait = try #require(limiter.take(now: now))
            #expect(wait > .zero)
            now = now + wait
            #expect(limiter.take(now: now) == nil)
        }
    }

    @Test func aRefusalCostsNothing() {
        let limiter = Bucket(rate: 10, burst: 1)
        #expect(limiter.take(now: at(0)) == nil)
        for _ in 0..<100 { #expect(limiter.take(now: at(99)) != nil) }
        #expect(limiter.take(now: at(100)) == nil)
    }

    @Test func timeFillsTheBucketUpToItsBurstOnly() {
        let limiter = Bucket(rate: 10, burst: 2)
        _ = limiter.take(now: at(0))
        #expect(limiter.take(now: at(1_000_000)) == nil)
        #expect(limiter.take(now: at(1_000_000)) == nil)
        #expect(limiter.take(now: at(1_000_000)) != nil)
    }

    @Test func oneUserHasOneBucket() {
        let limiter = UserLimiter(rate: 10, burst: 2)
        let first = limiter.bucket(of: UserID("u_ada"))
        let second = limiter.bucket(of: UserID("u_ada"))
        #expect(first.take(now: at(0)) == nil)
        #expect(second.take(now: at(0)) == nil)
        #expect(first.take(now: at(0)) == .milliseconds(100))
        #expect(limiter.bucket(of: UserID("u_bob")).take(now: at(0)) == nil)
    }

    @Test func manyUsersDoNotMakeItGrow() {
        let limiter = UserLimiter(rate: 1, burst: 1, capacity: 10)
        let ada = limiter.bucket(of: UserID("u_ada"), now: at(0))
        #expect(ada.take(now: at(0)) == nil)
        for number in 0..<100 {
            _ = limiter.bucket(of: UserID("u_\(number)"), now: at(1))
            #expect(limiter.count <= 10)
        }
        // Hers is not full, so it was kept.
        #expect(limiter.bucket(of: UserID("u_ada"), now: at(1)).take(now: at(1)) != nil)
    }

    @Test func whenNoBucketIsFullAllAreForgiven() {
        let limiter = UserLimiter(rate: 1, burst: 1, capacity: 4)
        for number in 0..<50 {
            _ = limiter.bucket(of: UserID("u_\(number)"), now: at(0)).take(now: at(0))
            #expect(limiter.count <= 4)
        }
    }
}
