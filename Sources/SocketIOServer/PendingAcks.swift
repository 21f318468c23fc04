// SPDX-License-Identifier: MIT
internal import DequeModule
internal import Timing

/// The answers one client owes. All it does takes the same time however many there are, but for those
/// whose time is up: what a client makes the server ask must not cost more the less it answers.
final class PendingAcks {
    typealias Answered = (SocketArguments?) -> Void

    /// Past it the oldest counts as missing: a client that makes us ask and never answers would be
    /// remembered for ever.
    static let capacity = 1024

    private struct Pending {
        let deadline: Instant
        let answered: Answered
    }

    private var pending: [Int: Pending] = [:]
    /// The ids in the order they were asked, which is theirs; answered ones stay until they are at the
    /// front, or half of all.
    private var order = Deque<Int>()
    /// No deadline is earlier; the one it was may have been answered.
    private(set) var nextDeadline = Instant.distantFuture

    var count: Int { pending.count }
    /// Ids remembered, answered ones among them.
    var orderCount: Int { order.count }

    /// - Returns: what is to be told that its answer is missing, to make room.
    func add(_ id: Int, deadline: Instant, _ answered: @escaping Answered) -> Answered? {
        var missing: Answered?
        if pending.count >= PendingAcks.capacity {
            while missing == nil, let oldest = order.popFirst() {
                missing = pending.removeValue(forKey: oldest)?.answered
            }
        } else if order.count >= 2 * PendingAcks.capacity {
            order.removeAll { pending[$0] == nil }
        }
        pending[id] = Pending(deadline: deadline, answered: answered)
        order.append(id)
        nextDeadline = min(nextDeadline, deadline)
        return missing
    }

    /// Takes out what waits for an answer; nil when nothing does.
    func take(_ id: Int) -> Answered? {
        guard let found = pending.removeValue(forKey: id) else { return nil }
        if pending.isEmpty {
            order.removeAll(keepingCapacity: order.count <= 16)
            nextDeadline = .distantFuture
        }
        return found.answered
    }

    /// Takes out what has waited for its whole time, the longest first.
    func takeExpired(now: Instant) -> [Answered] {
        guard nextDeadline <= now else { return [] }
        var expired: [Answered] = []
        nextDeadline = .distantFuture
        for id in order {
            guard let found = pending[id] else { continue }
            if found.deadline <= now {
                expired.append(found.answered)
                pending[id] = nil
            } else {
                nextDeadline = min(nextDeadline, found.deadline)
            }
        }
        order.removeAll { pending[$0] == nil }
        return expired
    }

    /// Takes out everything.
    func takeAll() -> [Answered] {
        defer {
            pending = [:]
            order = []
            nextDeadline = .distantFuture
        }
        return order.compactMap { pending[$0]?.answered }
    }
}
