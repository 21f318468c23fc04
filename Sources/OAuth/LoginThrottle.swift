// SPDX-License-Identifier: MIT
package import Timing

/// Slows down guessing of passwords without letting anybody lock an account.
///
/// Each attempt is counted before the password is hashed, so that a burst in parallel gains nothing. It
/// is counted in three places, and the longest wait of the three holds:
///
/// | counted by | free failures | then the wait doubles up to |
/// |---|---|---|
/// | account and address | 5 | 15 minutes |
/// | account, from everywhere | 20 | 1 hour |
/// | address, for all accounts | 50 | 5 minutes |
///
/// A browser that once signed in to the account carries proof of it and is not counted by account: the
/// owner gets in while a stranger's guesses wait (OWASP, "Device Cookies").
package struct LoginThrottle: Sendable {
    private struct Bucket: Sendable {
        var failures = 0
        var last: Timestamp
    }

    private struct Rule: Sendable {
        let free: Int
        let cap: Int64
    }

    private static let pairRule = Rule(free: 5, cap: 900)
    private static let accountRule = Rule(free: 20, cap: 3600)
    private static let addressRule = Rule(free: 50, cap: 300)
    /// A count is forgotten after a day without attempts.
    private static let memory: Int64 = 86_400_000
    /// Bounds what a flood of names and addresses can make us remember.
    static let maxBuckets = 65_536

    private var buckets: [String: Bucket] = [:]

    package init() {}

    /// Takes an attempt, or says how long to wait.
    /// - Parameters:
    ///   - account: `AccountName.key` of the name tried, whether or not it exists.
    ///   - isKnownDevice: the browser proved an earlier login to this account.
    /// - Returns: nil when the attempt may go on; it counts as a failure until `succeeded`.
    package mutating func admit(
        account: String, address: String, isKnownDevice: Bool, now: Timestamp
    ) -> Duration? {
        let rules = places(account, address, isKnownDevice)
        var wait: Int64 = 0
        for (name, rule) in rules {
            guard let bucket = buckets[name], bucket.failures >= rule.free else { continue }
            let exponent = min(bucket.failures - rule.free, 20)
            let delay = min(Int64(1) << exponent, rule.cap) * 1000
            wait = max(wait, bucket.last.milliseconds + delay - now.milliseconds)
        }
        if wait > 0 { return .milliseconds(wait) }
        makeRoom(now: now)
        for (name, _) in rules {
            var bucket = buckets[name] ?? Bucket(last: now)
            if now.milliseconds - bucket.last.milliseconds > LoginThrottle.memory {
                bucket.failures = 0
            }
            bucket.failures += 1
            bucket.last = now
            buckets[name] = bucket
        }
        return nil
    }

    /// Takes back the count of an attempt whose password was right. The address keeps its other
    /// failures: an attacker with an account of his own must not wash them off.
    package mutating func succeeded(account: String, address: String) {
        buckets["p \(account) \(address)"] = nil
        buckets["a \(account)"] = nil
        let place = "i \(address)"
        if let bucket = buckets[place] {
            buckets[place]?.failures = max(0, bucket.failures - 1)
        }
    }

    private func places(
        _ account: String, _ address: String, _ isKnownDevice: Bool
    ) -> [(String, Rule)] {
        var places = [
            ("p \(account) \(address)", LoginThrottle.pairRule),
            ("i \(address)", LoginThrottle.addressRule),
        ]
        if !isKnownDevice { places.append(("a \(account)", LoginThrottle.accountRule)) }
        return places
    }

    private mutating func makeRoom(now: Timestamp) {
        guard buckets.count > LoginThrottle.maxBuckets else { return }
        let limit = now.milliseconds - LoginThrottle.memory
        buckets = buckets.filter { $0.value.last.milliseconds > limit }
        // Still full: the least suspicious go first.
        for failures in [1, 4, 19, 49, Int.max] where buckets.count > LoginThrottle.maxBuckets {
            buckets = buckets.filter { $0.value.failures > failures }
        }
    }
}
