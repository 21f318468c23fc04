// SPDX-License-Identifier: MIT
internal import Locks
internal import Timing

/// How fast accounts can be made from one address: 30 at once, then one in ten seconds.
final class RegistrationLimit: Sendable {
    private static let burst = 30.0
    private static let perMillisecond = 0.1 / 1000
    private static let maxAddresses = 10_000

    private let buckets = Locked<[String: (tokens: Double, at: Timestamp)]>([:])

    /// Takes one registration, or says how long to wait.
    func admit(_ address: String, now: Timestamp) -> Duration? {
        buckets.withLock { buckets in
            if buckets.count > RegistrationLimit.maxAddresses {
                buckets = buckets.filter { now.milliseconds - $0.value.at.milliseconds < 300_000 }
                if buckets.count > RegistrationLimit.maxAddresses { buckets = [:] }
            }
            var (tokens, at) = buckets[address] ?? (RegistrationLimit.burst, now)
            let passed = Double(max(0, now.milliseconds - at.milliseconds))
            tokens = min(
                RegistrationLimit.burst, tokens + passed * RegistrationLimit.perMillisecond)
            at = now
            defer { buckets[address] = (tokens, at) }
            guard tokens >= 1 else {
                return .milliseconds(Int64((1 - tokens) / RegistrationLimit.perMillisecond))
            }
            tokens -= 1
            return nil
        }
    }
}
