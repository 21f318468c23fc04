// SPDX-License-Identifier: MIT
import TestSupport
import Testing

@testable import Store

@Suite struct FairLinesTests {
    private var lines = FairLines<String, Int>()

    /// Takes and does the next piece: whose it was.
    private mutating func step(cost: Int64 = 10) -> String? {
        guard let (asker, _) = lines.next() else { return nil }
        lines.done(by: asker, cost: cost)
        return asker
    }

    private mutating func add(_ count: Int, by asker: String) {
        for number in 0..<count { lines.append(number, by: asker) }
    }

    @Test mutating func oneAskersWorkIsDoneInOrder() {
        add(5, by: "ada")
        var done: [Int] = []
        while let (asker, work) = lines.next() {
            done.append(work)
            lines.done(by: asker, cost: 1)
        }
        #expect(done == [0, 1, 2, 3, 4])
        #expect(lines.count == 0)
    }

    @Test mutating func twoAskersTakeTurns() {
        add(3, by: "ada")
        add(3, by: "bob")
        var order: [String] = []
        while let asker = step() { order.append(asker) }
        #expect(order == ["ada", "bob", "ada", "bob", "ada", "bob"])
    }

    @Test mutating func whoComesLateWaitsForNobodysBacklog() {
        for asker in ["ada", "bob", "cyd"] { add(100, by: asker) }
        for _ in 0..<30 { _ = step() }
        add(1, by: "dan")
        // Those whose turn began before this moment may still come first.
        #expect([step(), step(), step()].contains("dan"))
    }

    @Test mutating func costsAreWhatIsShared() {
        add(100, by: "dear")
        add(100, by: "cheap")
        var done: [String: Int] = [:]
        for _ in 0..<55 {
            guard let (asker, _) = lines.next() else { break }
            lines.done(by: asker, cost: asker == "dear" ? 100 : 10)
            done[asker, default: 0] += 1
        }
        #expect(done == ["dear": 5, "cheap": 50])
    }

    /// Leaving the queue between two questions is no way to the front of it.
    @Test mutating func oneAtATimeIsNoAdvantage() {
        add(100, by: "ada")
        add(1, by: "bob")
        var done: [String: Int] = [:]
        for _ in 0..<40 {
            guard let asker = step(cost: 10) else { break }
            done[asker, default: 0] += 1
            if asker == "bob" { add(1, by: "bob") }
        }
        #expect(done == ["ada": 20, "bob": 20])
    }

    @Test mutating func ofOneAskerOnlyOnePieceIsUnderWay() {
        add(2, by: "ada")
        #expect(lines.next()?.asker == "ada")
        #expect(lines.next() == nil)
        add(1, by: "bob")
        #expect(lines.next()?.asker == "bob")
        lines.done(by: "ada", cost: 1)
        #expect(lines.next()?.asker == "ada")
    }

    @Test mutating func whoHasGoneIsForgotten() {
        for number in 0..<1000 {
            add(1, by: "guest \(number)")
            _ = step()
        }
        #expect(lines.known < 200)
        // Also while somebody always waits.
        add(2000, by: "ada")
        for number in 0..<1000 {
            add(1, by: "guest \(number)")
            _ = (step(), step())
        }
        #expect(lines.known < 200)
    }

    /// One new asker a piece of work is as much as can be done: the share is small, and is one.
    @Test mutating func aStreamOfNewAskersStarvesNobody() {
        add(100, by: "ada")
        var done = 0
        for number in 0..<180 {
            add(1, by: "guest \(number)")
            if step(cost: 1000) == "ada" { done += 1 }
        }
        #expect(done >= 3)
    }

    /// Claims that nobody ends, as those of a loop that has gone, hold up neither what waits nor the end.
    @Test func closingWaitsForNoClaim() {
        let queue = FairQueue<String, Int>(limit: 10, maxUnderWay: 1)
        for work in 1...3 { #expect(queue.append(work, by: "ada")) }
        #expect(queue.append(4, by: "bob"))
        let first = queue.next()
        #expect(first?.work == 1)
        queue.close()
        var rest: [Int] = []
        while let (work, _) = queue.next() { rest.append(work) }
        #expect(rest.sorted() == [2, 3, 4])
        #expect(!queue.append(5, by: "ada"))
        first?.claim.end()
    }
}
