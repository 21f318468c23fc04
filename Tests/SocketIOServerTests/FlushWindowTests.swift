// SPDX-License-Identifier: MIT
import SocketIOServer
import Testing
import Timing

/// The controller against a simulated loop: publications at fixed intervals, a flush that costs the same
/// whatever it carries, nothing else to do.
@Suite struct FlushWindowTests {
    private struct Run {
        var longestDelay = Duration.zero
        var framesPerFlush = 0.0
        var share = 0.0
    }

    /// - Parameters:
    ///   - interval: between publications, each of which goes to all receivers.
    ///   - cost: of one flush.
    private func simulate(every interval: Duration, cost: Duration, publications: Int = 2000) -> Run
    {
        var window = FlushWindow()
        var run = Run()
        var now = Instant(nanoseconds: 0)
        var flushes = 0
        var sent = 0
        while sent < publications {
            let next = Instant(nanoseconds: Int64(sent) * interval.nanoseconds)
            if now < next { now = next }
            if let end = window.wait(at: now) { now = end }
            let arrived = Int(now.nanoseconds / interval.nanoseconds) + 1
            let frames = min(arrived, publications) - sent
            run.longestDelay = max(run.longestDelay, now - next)
            window.flushed(from: now, to: now + cost, frames: frames * 500, receivers: 500)
            now = now + cost
            sent += frames
            flushes += 1
        }
        run.framesPerFlush = Double(sent) / Double(flushes)
        run.share =
            Double(flushes) * Double(cost.nanoseconds) / Double(now.nanoseconds)
        return run
    }

    @Test func aFreshWindowWaitsForNothing() {
        #expect(FlushWindow().wait(at: Instant(nanoseconds: 0)) == nil)
        #expect(FlushWindow().length == .zero)
    }

    @Test func withSlackEverythingIsSentAtOnce() {
        // 100 a second to 500 receivers, as measured: a quarter of the loop.
        let run = simulate(every: .milliseconds(10), cost: .microseconds(2500))
        #expect(run.longestDelay == .zero)
        #expect(run.framesPerFlush == 1)
    }

    @Test func aSingleSlowFlushDelaysOneWindowAtMost() {
        var window = FlushWindow()
        let start = Instant(nanoseconds: 0)
        window.flushed(from: start, to: start + .seconds(3), frames: 500, receivers: 500)
        #expect(window.length == FlushWindow.longest)
        // It was over long before the flush was.
        #expect(window.wait(at: start + .seconds(3)) == nil)
    }

    @Test func underSaturationTheWindowIsAtItsLongestAndTheLoopHasSlack() {
        // Without gathering, each second would need two and a half seconds of flushes.
        let run = simulate(every: .milliseconds(1), cost: .microseconds(2500))
        #expect(run.longestDelay <= FlushWindow.longest)
        #expect((19.0...21).contains(run.framesPerFlush))
        #expect(run.share < 0.13)
    }

    @Test func betweenTheTwoTheShareOfFlushesStaysBelowTwoThirds() {
        for microseconds in stride(from: 2600, through: 10_000, by: 200) {
            let run = simulate(every: .microseconds(microseconds), cost: .microseconds(2500))
            #expect(run.share < 0.67, "every \(microseconds) µs")
            #expect(run.longestDelay <= FlushWindow.longest)
        }
    }

    @Test func moreLoadNeverMeansFewerFramesInAFlush() {
        var before = 0.0
        for perSecond in stride(from: 50, through: 3000, by: 50) {
            let run = simulate(
                every: .nanoseconds(1_000_000_000 / perSecond), cost: .milliseconds(2))
            #expect(run.framesPerFlush >= before * 0.9, "\(perSecond) a second")
            before = max(before, run.framesPerFlush)
        }
    }

    @Test func smallFlushesAreNotWorthAWait() {
        var window = FlushWindow()
        let start = Instant(nanoseconds: 0)
        window.flushed(from: start, to: start + .microseconds(300), frames: 20, receivers: 20)
        #expect(window.length == .zero)
        #expect(window.wait(at: start) == nil)
    }

    @Test func theLongestIsASetting() {
        let start = Instant(nanoseconds: 0)
        for longest in [Duration.milliseconds(5), .milliseconds(200)] {
            var window = FlushWindow(longest: longest)
            window.flushed(
                from: start, to: start + .milliseconds(10), frames: 10_000, receivers: 100)
            #expect(window.length == longest)
        }
        var none = FlushWindow(longest: .zero)
        none.flushed(from: start, to: start + .seconds(1), frames: 10_000, receivers: 100)
        #expect(none.length == .zero)
        #expect(none.wait(at: start) == nil)
    }

    @Test func anyMeasurementIsTaken() {
        var window = FlushWindow()
        let start = Instant(nanoseconds: 5)
        // A clock that stood still, nobody there, more frames than time can hold.
        window.flushed(from: start, to: start, frames: 0, receivers: 0)
        #expect(window.length == .zero)
        window.flushed(from: start, to: Instant(nanoseconds: 1), frames: 1, receivers: 1)
        #expect(window.length == .zero)
        window.flushed(
            from: start, to: Instant(nanoseconds: .max), frames: .max, receivers: 1)
        #expect(window.length == FlushWindow.longest)
    }
}
