// SPDX-License-Identifier: MIT
import Testing
import Timing

@testable import HTTPServer

@Suite struct TurnShareTests {
    private static func at(ms milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func whoIsNewWaitsWithTheNew() {
        let ration = Ration()
        #expect(ration.line(now: Self.at(ms: 5)) == .newcomers)
        #expect(!ration.isCheap(now: Self.at(ms: 5)))
    }

    @Test func cheapReadsAreCheapHoweverMany() {
        var ration = Ration()
        for turn in 0..<10_000 {
            ration.note(cost: Ration.cheap, now: Self.at(ms: 0) + .microseconds(turn))
        }
        #expect(ration.isCheap(now: Self.at(ms: 10)))
    }

    @Test func oneDearReadMayBeTheMachines() {
        var ration = Ration()
        ration.note(cost: 400_000_000, now: Self.at(ms: 0))
        #expect(ration.line(now: Self.at(ms: 1)) == .short)
        // A millisecond counts, and is forgotten in fifty.
        #expect(!ration.isCheap(now: Self.at(ms: 47)))
        #expect(ration.isCheap(now: Self.at(ms: 48)))
    }

    @Test func twoDearReadsInARowGoToTheLongLine() {
        var ration = Ration()
        ration.note(cost: 1_000_000, now: Self.at(ms: 0))
        ration.note(cost: 1_000_000, now: Self.at(ms: 10))
        #expect(ration.line(now: Self.at(ms: 10)) == .long)
        #expect(ration.line(now: Self.at(ms: 25)) == .short)
    }

    @Test func whoAlwaysAsksForMuchIsForgivenWithinSeconds() {
        var ration = Ration()
        for turn in 0..<10_000 { ration.note(cost: 1_000_000, now: Self.at(ms: Int64(turn))) }
        #expect(ration.line(now: Self.at(ms: 14_000)) == .long)
        #expect(ration.isCheap(now: Self.at(ms: 15_000)))
    }

    private final class Taker: TurnTaker {
        let name: String
        init(_ name: String) { self.name = name }
        func takeTurn() {}
    }

    @Test func theLinesAreServedByTurns() {
        var share = TurnShare()
        for number in 0..<3 {
            share.wait(Taker("long \(number)"), in: .long)
            share.wait(Taker("new \(number)"), in: .newcomers)
        }
        share.wait(Taker("short"), in: .short)
        var order: [String] = []
        while let taker = share.next() as? Taker { order.append(taker.name) }
        #expect(
            order == ["short", "new 0", "long 0", "new 1", "long 1", "new 2", "long 2"])
        #expect(share.waiting == 0)
    }
}
