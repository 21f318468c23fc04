// SPDX-License-Identifier: MIT
internal import DequeModule
internal import Timing

/// Remembers the first answer to each `clientId` of each sender, so that a repetition gets the same
/// answer and changes nothing.
///
/// Kept: everything younger than `Limits.idempotencyWindow`, and the youngest
/// `idempotencyMinimumCount` however old; never more than `idempotencyMaximumCount`. Insertions come in
/// `seq` order, so the oldest leave from the front.
struct IdempotencyWindow: Sendable {
    /// 128 bits of keyed hash (two SipHashes with the process's own random key) instead of two strings:
    /// a quarter of the memory, and nobody can aim for a collision.
    private struct Key: Hashable {
        let high: Int
        let low: Int

        init(_ user: UserID, _ clientID: String) {
            var first = Hasher()
            first.combine(UInt8(1))
            first.combine(user)
            first.combine(clientID)
            high = first.finalize()
            var second = Hasher()
            second.combine(UInt8(2))
            second.combine(clientID)
            second.combine(user)
            low = second.finalize()
        }
    }

    private var answers: [Key: Sent] = [:]
    private var order = Deque<Key>()
    private let windowMilliseconds: Int64
    private let minimumCount: Int
    private let maximumCount: Int

    init(_ limits: Limits) {
        windowMilliseconds = limits.idempotencyWindow.milliseconds
        minimumCount = limits.idempotencyMinimumCount
        maximumCount = limits.idempotencyMaximumCount
    }

    /// How many answers are remembered.
    var count: Int { answers.count }

    func answer(to clientID: String, of user: UserID) -> Sent? { answers[Key(user, clientID)] }

    /// Remembers an answer and forgets what has become too old by `answer.at`. A key that is there
    /// keeps its first answer.
    mutating func insert(_ answer: Sent, clientID: String, user: UserID) {
        let key = Key(user, clientID)
        guard answers[key] == nil else { return }
        answers[key] = answer
        order.append(key)
        let oldest = answer.at.milliseconds - windowMilliseconds
        while let first = order.first, let sent = answers[first] {
            let isOverfull = order.count > maximumCount
            let isStale = order.count > minimumCount && sent.at.milliseconds < oldest
            guard isOverfull || isStale else { break }
            order.removeFirst()
            answers[first] = nil
        }
    }

    /// Forgets the answers that a failed commit took back: those of entries after `seq`.
    mutating func forget(after seq: Int64) {
        while let last = order.last, let sent = answers[last], sent.seq > seq {
            order.removeLast()
            answers[last] = nil
        }
    }
}
