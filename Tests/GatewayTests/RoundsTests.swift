// SPDX-License-Identifier: MIT
import Testing

@testable import Gateway

@Suite struct RoundsTests {
    private typealias Numbers = Rounds<String, Int>

    /// Who got what, in order.
    private struct Heard {
        var events: [Int: [String]] = [:]
        var total = 0
        mutating func take(_ event: String, _ receiver: Int) {
            events[receiver, default: []].append(event)
            total += 1
        }
    }

    @Test func theFewGetItAtOnce() {
        var rounds = Numbers()
        var heard = Heard()
        let crowd = Array(0..<Numbers.perTurn)
        #expect(rounds.begin("a", to: crowd, mayBeLost: false) { heard.take($0, $1) })
        #expect(heard.total == crowd.count)
        #expect(rounds.isEmpty)
    }

    @Test func theManyGetItOverSeveralTurns() {
        var rounds = Numbers()
        var heard = Heard()
        let crowd = Array(0..<Numbers.perTurn * 3 + 1)
        #expect(rounds.begin("a", to: crowd, mayBeLost: false) { heard.take($0, $1) })
        #expect(heard.total == 0)
        // A single one does not pass by what waits: it may be of the same kind.
        #expect(rounds.begin("b", to: [0], mayBeLost: true) { heard.take($0, $1) })
        for turn in 1...4 {
            #expect(!rounds.isEmpty)
            rounds.goOn { heard.take($0, $1) }
            #expect(heard.total == min(turn * Numbers.perTurn, crowd.count + 1))
        }
        #expect(rounds.isEmpty)
        #expect(heard.events[0] == ["a", "b"])
        #expect(crowd.dropFirst().allSatisfy { heard.events[$0] == ["a"] })
    }

    @Test func whatMayBeLostIsWhenTooMuchWaits() {
        var rounds = Numbers()
        var heard = Heard()
        let crowd = Array(0..<1000)
        for number in 0..<Numbers.maxWaiting {
            #expect(rounds.begin("\(number)", to: crowd, mayBeLost: true) { heard.take($0, $1) })
        }
        #expect(!rounds.begin("lost", to: crowd, mayBeLost: true) { heard.take($0, $1) })
        #expect(rounds.begin("kept", to: crowd, mayBeLost: false) { heard.take($0, $1) })
        while !rounds.isEmpty { rounds.goOn { heard.take($0, $1) } }
        let expected = (0..<Numbers.maxWaiting).map(String.init) + ["kept"]
        #expect(heard.events.count == crowd.count)
        #expect(heard.events.values.allSatisfy { $0 == expected })
        #expect(rounds.begin("again", to: crowd, mayBeLost: true) { heard.take($0, $1) })
    }

    /// However many begin in each turn, they do not gather without end.
    @Test func moreAreServedTheMoreWait() {
        var rounds = Numbers()
        var heard = Heard()
        let crowd = Array(0..<500)
        var begun = 0
        for _ in 0..<400 {
            begun += 1
            _ = rounds.begin("x", to: crowd, mayBeLost: false) { heard.take($0, $1) }
            rounds.goOn { heard.take($0, $1) }
        }
        #expect(begun * crowd.count - heard.total < 100 * crowd.count)
    }

    @Test func nobodyIsNoTrouble() {
        var rounds = Numbers()
        _ = rounds.begin("a", to: Array(0..<200), mayBeLost: false) { _, _ in }
        _ = rounds.begin("b", to: [], mayBeLost: false) { _, _ in }
        for _ in 0..<3 { rounds.goOn { _, _ in } }
        #expect(rounds.isEmpty)
    }
}
