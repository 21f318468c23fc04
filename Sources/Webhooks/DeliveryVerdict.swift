// SPDX-License-Identifier: MIT
package import HTTPClient
package import Timing

/// How one attempt ended, as far as a decision needs it.
package enum AttemptResult: Sendable, Hashable {
    /// A response came; `retryAfter` is that field as received.
    case status(Int, retryAfter: String?)
    case failed(HTTPClientError)

    /// A stable word for metrics and the attempt's row; nil for 2xx.
    package var error: String? {
        switch self {
        case .status(200..<300, _): nil
        case .status(300..<400, _): "redirect_refused"
        case .status(410, _): "gone"
        case .status(429, _): "throttled"
        case .status(400..<500, _): "client_error"
        case .status: "server_error"
        case .failed(let error): error.label
        }
    }
}

/// What follows from an attempt.
package enum DeliveryVerdict: Sendable, Hashable {
    case delivered
    /// Try again at that time.
    case retry(at: Timestamp)
    /// No attempt is left.
    case dead
    /// 410: the receiver wants no more; the endpoint is switched off.
    case gone

    /// - Parameters:
    ///   - attempts: those made, this one included.
    ///   - random: 0 to 1, for the jitter.
    package static func of(
        _ result: AttemptResult, attempts: Int, schedule: RetrySchedule, random: Double,
        now: Timestamp
    ) -> DeliveryVerdict {
        var atLeast: Duration?
        switch result {
        case .status(200..<300, _): return .delivered
        case .status(410, _): return .gone
        case .status(let status, let value) where [429, 502, 503, 504].contains(status):
            atLeast = value.flatMap { RetrySchedule.retryAfter($0, now: now) }
            if status == 429, atLeast == nil { atLeast = schedule.throttledDelay }
        case .status, .failed: break
        }
        guard
            let delay = schedule.delay(
                afterAttempts: attempts, random: random, atLeast: atLeast)
        else { return .dead }
        return .retry(at: now + delay)
    }
}
