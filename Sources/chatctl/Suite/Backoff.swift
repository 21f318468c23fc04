// SPDX-License-Identifier: MIT

/// How long to wait before a service that died is started again: 200 ms, doubled with each death in
/// a row up to 10 s. One that ran for 30 s is healthy and begins anew.
struct Backoff: Hashable, Sendable {
    static let first = Duration.milliseconds(200)
    static let longest = Duration.seconds(10)
    static let healthy = Duration.seconds(30)

    private var delay = Backoff.first

    /// The wait after a run of that length.
    mutating func next(afterRunning length: Duration) -> Duration {
        if length >= Backoff.healthy { delay = Backoff.first }
        defer { delay = min(delay * 2, Backoff.longest) }
        return delay
    }
}
