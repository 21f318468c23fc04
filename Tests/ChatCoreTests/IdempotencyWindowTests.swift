// SPDX-License-Identifier: MIT
import TestSupport
import Testing
import Timing

@testable import ChatCore

/// The rule itself, over all that was ever inserted.
private struct Model {
    var sends: [(user: UserID, clientID: String, sent: Sent)] = []
    let limits: Limits

    func answer(to clientID: String, of user: UserID, head: Int64, now: Timestamp) -> Sent? {
        guard
            let sent = sends.last(where: { $0.user == user && $0.clientID == clientID })?.sent,
            head - sent.seq < limits.idempotencyMaximumEntries
        else { return nil }
        let oldest = now.milliseconds - limits.idempotencyWindow.milliseconds
        let isLate = head - sent.seq < limits.idempotencyMinimumEntries
        return isLate || sent.at.milliseconds >= oldest ? sent : nil
    }
}

@Suite struct IdempotencyWindowTests {
    /// 30 runs of 6,000 steps with a window of hundreds: sends, gaps of other entries, clocks that
    /// jump both ways, commits taken back, and windows filled anew from the log's end as a restart
    /// does. Every answer is the rule's.
    @Test(arguments: 0..<30) func agreesWithTheRule(_ run: UInt64) {
        let seed = testSeed() &+ run
        var random = SeededGenerator(seed: seed)
        var limits = Limits()
        limits.idempotencyWindow = .seconds(20)
        limits.idempotencyMinimumEntries = Int.random(in: 1...300, using: &random)
        limits.idempotencyMaximumEntries =
            limits.idempotencyMinimumEntries + Int.random(in: 0...600, using: &random)
        var window = IdempotencyWindow(limits)
        var model = Model(limits: limits)
        var head: Int64 = 0
        var now = Timestamp(milliseconds: 1_700_000_000_000)
        let users = (0..<3).map { UserID("u\($0)") }
        for _ in 0..<6000 {
            now.milliseconds += 50
            let user = users.randomElement(using: &random) ?? ""
            let clientID = "k\(Int.random(in: 0..<900, using: &random))"
            let expected = model.answer(to: clientID, of: user, head: head, now: now)
            let found = window.answer(to: clientID, of: user, head: head, now: now)
            #expect(found == expected, "seed \(seed)")
            if found == nil {
                head += 1
                let sent = Sent(seq: head, roomSeq: head, at: now)
                window.insert(sent, clientID: clientID, user: user)
                model.sends.append((user, clientID, sent))
            }
            switch Int.random(in: 0..<400, using: &random) {
            case 0: now.milliseconds += Int64.random(in: -30_000...30_000, using: &random)
            case 1: head += Int64.random(in: 1...200, using: &random)
            case 2:
                // The latest commit failed: its few entries never were.
                for _ in 0..<Int.random(in: 0...5, using: &random)
                where model.sends.last?.sent.seq == head && head > 0 {
                    model.sends.removeLast()
                    head -= 1
                }
                window.forget(after: head)
            case 3:
                window = IdempotencyWindow(limits)
                for send in model.sends
                where send.sent.seq > head - Int64(limits.idempotencyMaximumEntries) {
                    window.insert(send.sent, clientID: send.clientID, user: send.user)
                }
            default: break
            }
            let bound =
                limits.idempotencyMaximumEntries + limits.idempotencyMaximumEntries / 32 + 1
            #expect(window.count <= bound, "seed \(seed)")
        }
    }

    @Test func aClockThatJumpsAYearForgetsNothingRecent() {
        var window = IdempotencyWindow(Limits())
        let then = Timestamp(milliseconds: 1_700_000_000_000)
        let first = Sent(seq: 1, roomSeq: 1, at: then)
        window.insert(first, clientID: "k", user: "u")
        let later = Timestamp(milliseconds: then.milliseconds + 31_536_000_000)
        window.insert(Sent(seq: 2, roomSeq: 2, at: later), clientID: "l", user: "u")
        #expect(window.answer(to: "k", of: "u", head: 99_999, now: later) == first)
        #expect(window.answer(to: "k", of: "u", head: 100_001, now: later) == nil)
        #expect(window.answer(to: "k", of: "u", head: 100_001, now: then) == first)
    }
}
