// SPDX-License-Identifier: MIT
package import Timing

/// When a delivery that failed is tried again.
package struct RetrySchedule: Sendable {
    /// The wait before each attempt; the first is made at once. Standard Webhooks 1.0.0's example:
    /// ten attempts over 75 h 35 min 5 s.
    package var delays: [Duration]
    /// The part of a delay by which it is lengthened or shortened at random, so that an endpoint that
    /// comes back is not met by everything at once.
    package var jitter: Double
    /// How much longer than its own delay the schedule waits when the receiver asks it to.
    package var maxExtension: Duration
    /// The least wait after 429 when the receiver does not say how long.
    package var throttledDelay: Duration

    package init(
        delays: [Duration] = [
            .zero, .seconds(5), .seconds(300), .seconds(1800), .seconds(7200), .seconds(18_000),
            .seconds(36_000), .seconds(50_400), .seconds(72_000), .seconds(86_400),
        ], jitter: Double = 0.2, maxExtension: Duration = .seconds(7200),
        throttledDelay: Duration = .seconds(60)
    ) {
        self.delays = delays
        self.jitter = jitter
        self.maxExtension = maxExtension
        self.throttledDelay = throttledDelay
    }

    package var maxAttempts: Int { delays.count }

    /// How long to wait after `attempts` attempts failed; nil when there are none left.
    /// - Parameters:
    ///   - random: 0 to 1, where 0.5 means no jitter.
    ///   - atLeast: what the receiver asked for; taken up to `maxExtension` past our own delay.
    package func delay(
        afterAttempts attempts: Int, random: Double, atLeast: Duration? = nil
    ) -> Duration? {
        guard attempts >= 1, attempts < delays.count else { return nil }
        let own = delays[attempts] * (1 + jitter * (2 * random - 1))
        guard let atLeast else { return own }
        return max(own, min(atLeast, own + maxExtension))
    }

    /// Reads `retry-after` (RFC 9110 §10.2.3): seconds or an IMF-fixdate. Nil when it is neither;
    /// a date that has passed is zero.
    package static func retryAfter(_ value: String, now: Timestamp) -> Duration? {
        if !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // A number past any sense is held there instead of wrapping.
            return .seconds(Int64(value) ?? 1 << 31)
        }
        guard let date = imfFixdate(value) else { return nil }
        return .milliseconds(max(0, date.milliseconds - now.milliseconds))
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7); the obsolete forms are not read.
    private static func imfFixdate(_ text: String) -> Timestamp? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        guard parts.count == 6, parts[5] == "GMT", parts[1].utf8.count == 2,
            parts[3].utf8.count == 4, let day = Int64(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
            year >= 1970
        else { return nil }
        let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3, let hour = Int64(clock[0]), let minute = Int64(clock[1]),
            let second = Int64(clock[2]), (0..<24).contains(hour), (0..<60).contains(minute),
            (0...60).contains(second)
        else { return nil }
        // Days from 1970-01-01, with years that begin in March so that leap days come last.
        let shifted = month < 2 ? year - 1 : year
        let dayOfYear = (153 * Int64((month + 10) % 12) + 2) / 5 + day - 1
        let days =
            shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        let time = Timestamp(seconds: days * 86_400 + hour * 3600 + minute * 60 + second)
        // Written back it must be the same, which refuses 31 February and a wrong weekday.
        return time.httpDate == text ? time : nil
    }
}
