// SPDX-License-Identifier: MIT
internal import JSON
package import OAuth
internal import Locks
package import Timing

/// Who waits for the log to grow: long polls, and the announcements on the bus. Knows the head of the log
/// from commits of this process, and from `tick` what others (chatctl) have committed.
package final class AuthLogFeed: Sendable {
    private struct Waiter {
        let after: Int64
        let deadline: Instant
        let wake: @Sendable () -> Void
    }

    private struct State {
        var head: Int64
        var waiters: [Waiter] = []
        var isDraining = false
        var announce: (@Sendable ([AuthLogEntry]) -> Void)?
    }

    /// More long polls than this are answered at once.
    private static let maxWaiters = 256

    private let store: any AuthStore
    private let clock: @Sendable () -> Instant
    private let state: Locked<State>

    package init(
        store: any AuthStore, clock: @escaping @Sendable () -> Instant = { SystemClock.now() }
    ) throws(AuthStoreFailure) {
        self.store = store
        self.clock = clock
        let head = try store.read { (reader) throws(AuthStoreFailure) in try reader.logHead() }
        state = Locked(State(head: head))
        store.onCommit { [weak self] entries in self?.take(entries) }
    }

    /// Asks to be given every new entry once, in order; one listener only.
    package func onEntries(_ announce: @escaping @Sendable ([AuthLogEntry]) -> Void) {
        state.withLock { $0.announce = announce }
    }

    /// Calls `wake` once: when the log has grown past `seq`, or the time is over. At once when it has
    /// already, or when there is nothing to wait for.
    func whenPast(_ seq: Int64, within duration: Duration, wake: @escaping @Sendable () -> Void) {
        let isWaiting = state.withLock { state in
            guard duration > .zero, state.head == seq, !state.isDraining,
                state.waiters.count < AuthLogFeed.maxWaiters
            else { return false }
            state.waiters.append(
                Waiter(after: seq, deadline: clock() + duration, wake: wake))
            return true
        }
        if !isWaiting { wake() }
    }

    /// To be called about once a second: ends waits that are over and looks for entries that another
    /// process committed.
    package func tick() throws(AuthStoreFailure) {
        let known = state.withLock { $0.head }
        let foreign = try store.read { (reader) throws(AuthStoreFailure) in
            try reader.logHead() > known ? try reader.logEntries(after: known, limit: 1000) : []
        }
        if !foreign.isEmpty { take(foreign) }
        let now = clock()
        let over = state.withLock { state in
            let over = state.waiters.filter { $0.deadline <= now }
            state.waiters.removeAll { $0.deadline <= now }
            return over
        }
        for waiter in over { waiter.wake() }
    }

    /// Answers all who wait, and whoever comes later at once; for shutdown.
    package func drain() {
        let waiters = state.withLock { state in
            state.isDraining = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.wake() }
    }

    private func take(_ entries: [AuthLogEntry]) {
        let (ripe, fresh, announce) = state.withLock { state in
            // A tick may have seen what a commit of ours is about to report.
            let fresh = entries.filter { $0.seq > state.head }
            state.head = max(state.head, fresh.last?.seq ?? 0)
            let head = state.head
            let ripe = state.waiters.filter { $0.after < head }
            state.waiters.removeAll { $0.after < head }
            return (ripe, fresh, state.announce)
        }
        if !fresh.isEmpty { announce?(fresh) }
        for waiter in ripe { waiter.wake() }
    }

    /// The announcement of entries on the bus, of the same shape as the chat log's: entries that would
    /// make it longer than 64 KiB are left out, and readers pull them.
    package static func announcement(_ entries: [AuthLogEntry], instance: String) -> [UInt8] {
        guard let first = entries.first, let last = entries.last else { return [] }
        var body: JSONObject = [
            "instance": .string(instance), "first": .int(first.seq), "last": .int(last.seq),
            "entries": .array(entries.map(\.json)),
        ]
        let full = JSONValue.object(body).bytes
        guard full.count > 65_536 else { return full }
        body["entries"] = []
        return JSONValue.object(body).bytes
    }
}
