// SPDX-License-Identifier: MIT
import Testing
import Timing

@testable import Store

@Suite struct BlockingQueueTests {
    @Test func gatheringEndsWhenEnoughIsThere() {
        let queue = BlockingQueue<Int>(limit: 10)
        for number in 0..<3 { #expect(queue.append(number)) }
        let start = SystemClock.now()
        queue.wait(for: 3, until: start + .seconds(30))
        #expect(SystemClock.now() - start < .seconds(10))
        var taken: [Int] = []
        #expect(queue.swap(into: &taken, waitingAtMost: .seconds(30)))
        #expect(taken == [0, 1, 2])
    }

    @Test func gatheringEndsWithItsTime() {
        let queue = BlockingQueue<Int>(limit: 10)
        #expect(queue.append(1))
        queue.wait(for: 3, until: SystemClock.now() + .milliseconds(5))
        var taken: [Int] = []
        #expect(queue.swap(into: &taken, waitingAtMost: .zero))
        #expect(taken == [1])
    }

    /// Whoever wakes the taker while it gathers wants it to look at something else than the queue: it
    /// does so at once, and not when it has waited for an element.
    @Test func aWakeWhileGatheringIsOfTheNextTake() {
        let queue = BlockingQueue<Int>(limit: 10)
        queue.wake()
        let start = SystemClock.now()
        queue.wait(for: 3, until: start + .seconds(30))
        var taken: [Int] = []
        #expect(queue.swap(into: &taken, waitingAtMost: .seconds(30)))
        #expect(SystemClock.now() - start < .seconds(10))
        #expect(taken == [])
        // And of that one alone.
        let later = SystemClock.now()
        #expect(queue.swap(into: &taken, waitingAtMost: .milliseconds(20)))
        #expect(SystemClock.now() - later >= .milliseconds(20))
    }

    @Test func aClosedQueueGivesWhatItHasAndNoMore() {
        let queue = BlockingQueue<Int>(limit: 1)
        #expect(queue.append(1))
        #expect(!queue.append(2))
        queue.close()
        #expect(!queue.append(3))
        #expect(queue.next() == 1)
        #expect(queue.next() == nil)
        var taken: [Int] = []
        #expect(!queue.swap(into: &taken, waitingAtMost: .seconds(30)))
    }
}
