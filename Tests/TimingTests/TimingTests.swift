// SPDX-License-Identifier: MIT
import Testing
import Timing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_164_800_123, "2024-02-29T00:00:00.123Z", "Thu, 29 Feb 2024 00:00:00 GMT"),
            (-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] as [(Int64, String, String)])
    func formats(_ milliseconds: Int64, _ rfc3339: String, _ http: String) {
        #expect(Timestamp(milliseconds: milliseconds).rfc3339 == rfc3339)
        #expect(Timestamp(milliseconds: milliseconds).httpDate == http)
    }

    @Test func secondsRoundDown() {
        #expect(Timestamp(milliseconds: -1).seconds == -1)
        #expect(Timestamp(milliseconds: 1999).seconds == 1)
    }
}

@Suite struct InstantTests {
    @Test func additionHoldsAtTheEnd() {
        #expect(Instant(nanoseconds: .max - 5) + .seconds(1) == .distantFuture)
        #expect(Instant(nanoseconds: 0) + .milliseconds(3) == Instant(nanoseconds: 3_000_000))
    }
}

@Suite struct TimerWheelTests {
    private func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    @Test func firesInOrderNeverEarlyAndOnce() {
        var wheel = TimerWheel<Int>(tick: .milliseconds(10), now: at(0))
        for delay in [50, 10, 30, 11] { _ = wheel.schedule(delay, at: at(Int64(delay))) }
        #expect(wheel.advance(to: at(9)).isEmpty)
        #expect(wheel.advance(to: at(10)) == [10])
        #expect(wheel.advance(to: at(19)).isEmpty)
        #expect(wheel.advance(to: at(35)) == [11, 30])
        #expect(wheel.advance(to: at(1000)) == [50])
        #expect(wheel.advance(to: at(100_000)).isEmpty)
        #expect(wheel.count == 0)
    }

    @Test func deadlinesBeyondOneTurnWait() {
        var wheel = TimerWheel<Int>(tick: .milliseconds(10), now: at(0))
        _ = wheel.schedule(1, at: at(5 * 5120 + 20))
        for turn in 1...5 { #expect(wheel.advance(to: at(Int64(turn) * 5120)).isEmpty) }
        #expect(wheel.advance(to: at(5 * 5120 + 20)) == [1])
    }

    @Test func cancelledTimersStaySilentAndStaleNamesAreHarmless() {
        var wheel = TimerWheel<Int>(tick: .milliseconds(10), now: at(0))
        let first = wheel.schedule(1, at: at(20))
        wheel.cancel(first)
        wheel.cancel(first)
        let second = wheel.schedule(2, at: at(20))
        wheel.cancel(first)
        #expect(wheel.count == 1)
        #expect(wheel.advance(to: at(40)) == [2])
        wheel.cancel(second)
        #expect(wheel.count == 0)
    }

    @Test func anArmedTimerFiresAtTheEarliestOfItsDeadlines() {
        var wheel = TimerWheel<Int>(tick: .milliseconds(10), now: at(0))
        var timer = TimerID.none
        wheel.arm(&timer, 1, by: at(50))
        let early = timer
        wheel.arm(&timer, 1, by: at(80))
        #expect(timer == early)
        wheel.arm(&timer, 1, by: at(20))
        #expect(timer != early && wheel.count == 1)
        #expect(wheel.advance(to: at(10)).isEmpty)
        #expect(wheel.advance(to: at(30)) == [1])
        // It has fired: the next is another.
        wheel.arm(&timer, 1, by: at(200))
        #expect(wheel.advance(to: at(200)) == [1])
        wheel.cancel(timer)
        wheel.cancel(.none)
        #expect(wheel.count == 0)
    }

    /// Against a sorted list, ten thousand random moves.
    @Test(arguments: [UInt64(1), 2, 3])
    func agreesWithASortedList(seed: UInt64) {
        var state = seed
        func random(_ bound: Int64) -> Int64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int64(state >> 33) % bound
        }
        var wheel = TimerWheel<Int>(tick: .milliseconds(10), now: at(0))
        var model: [Int: (deadline: Int64, id: TimerID)] = [:]
        var time: Int64 = 0
        for step in 0..<10_000 {
            switch random(4) {
            case 0, 1:
                let deadline = time + random(20_000)
                model[step] = (deadline, wheel.schedule(step, at: at(deadline)))
            case 2:
                if let key = model.keys.min(), let entry = model.removeValue(forKey: key) {
                    wheel.cancel(entry.id)
                }
            default:
                time += random(3000)
                let fired = Set(wheel.advance(to: at(time)))
                // Due means: its tick, rounded up, has been reached (and is not the tick it was made in).
                for (key, entry) in model where entry.deadline + 20 <= time {
                    #expect(fired.contains(key), "seed \(seed) step \(step)")
                }
                for key in fired { #expect(model[key].map { $0.deadline <= time } == true) }
                for key in fired { model.removeValue(forKey: key) }
            }
            #expect(wheel.count == model.count)
        }
    }
}
