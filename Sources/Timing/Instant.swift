// SPDX-License-Identifier: MIT

/// A point on the monotonic clock: nanoseconds since an origin that stays fixed while the process
/// lives. Only differences mean anything; nothing that is stored or sent carries one.
package struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since the origin.
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The latest point there is: what a deadline that never passes holds.
    package static let distantFuture = Instant(nanoseconds: .max)

    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// The point `duration` later, held at `distantFuture` instead of overflowing.
    package static func + (instant: Instant, duration: Duration) -> Instant {
        let (sum, over) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
        return over ? .distantFuture : Instant(nanoseconds: sum)
    }

    /// How long from `earlier` to `later`; negative when they stand the other way round.
    package static func - (later: Instant, earlier: Instant) -> Duration {
        .nanoseconds(later.nanoseconds &- earlier.nanoseconds)
    }
}

extension Duration {
    /// The whole length in nanoseconds, held at the ends of `Int64`.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, over) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if over { return seconds < 0 ? .min : .max }
        return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }

    /// The whole length in milliseconds, rounded towards zero.
    package var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
