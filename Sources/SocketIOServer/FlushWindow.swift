// SPDX-License-Identifier: MIT
package import Timing

/// Decides how long a loop gathers publications before it sends them: not at all while it has slack,
/// longer as it saturates, `longest` at most.
///
/// A flush costs one system call a receiver, nearly whatever it carries, so that frames which wait for
/// one another are cheap and frames which do not are quick. After a flush that took `cost` and gave
/// each receiver `frames` on average, the next begins no sooner than
///
///     length = cost × (½ + frames),  0 below `shortest`,  `longest` at most
///
/// after the beginning of the last. Let λ publications a second reach each receiver, and let a flush
/// cost c. While λc is below two thirds, what arrives finds the window over and is sent at once. Above
/// it, a window gathers λ × length frames, and the lengths settle where flushing takes 2(1 − λc) of the
/// loop's time: the busier, the less. From λc = 1 on, where a loop that does not gather would stop,
/// there is no such place, and the window stays at its longest.
package struct FlushWindow: Sendable {
    /// The longest that a publication waits for others, unless told otherwise.
    package static let longest = Duration.milliseconds(20)
    /// What the loop's clock can tell apart: shorter windows are none.
    package static let shortest = Duration.milliseconds(1)

    /// From the beginning of the last flush to the earliest next: what the gauge shows.
    package private(set) var length = Duration.zero
    private var opens = Instant(nanoseconds: .min)
    private let longest: Duration

    /// - Parameter longest: the longest that a publication waits for others; nothing is gathered where that
    ///   is below `shortest`.
    package init(longest: Duration = FlushWindow.longest) { self.longest = longest }

    /// When gathering ends; nil when what is there may be sent at once.
    package func wait(at now: Instant) -> Instant? { now < opens ? opens : nil }

    /// Takes what a flush has cost.
    /// - Parameters:
    ///   - start: when it began.
    ///   - end: when all it had was with the kernel.
    ///   - frames: handed out, over all receivers.
    ///   - receivers: connections that got any.
    package mutating func flushed(
        from start: Instant, to end: Instant, frames: Int, receivers: Int
    ) {
        let cost = max(0, (end - start).nanoseconds)
        let perReceiver = Double(frames) / Double(max(1, receivers))
        let wanted = Double(cost) * (0.5 + perReceiver)
        // Compared as it is, before it is a whole number that it may not fit.
        length =
            wanted >= Double(longest.nanoseconds) ? longest : .nanoseconds(Int64(wanted))
        if length < FlushWindow.shortest { length = .zero }
        opens = start + length
    }
}
