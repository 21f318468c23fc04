// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import HTTP1
internal import HTTPServer
internal import Reactor
internal import Store
internal import Locks
internal import Synchronization
internal import Timing

/// The log as other services pull it (`GET /internal/log`): pages, and long polls that end with the
/// next commit.
final class LogFeed: Sendable {
    private struct Waiter: Sendable {
        let serial: Int
        let after: Int64
        let limit: Int
        let deadline: Instant
        let reply: Router.Reply
    }

    private struct State {
        var waiters: [Waiter] = []
        var isDraining = false
        var ticker: WorkerThread?
    }

    private let lastSerial = Atomic(0)
    private let state = Locked(State())
    private let isStopping = Atomic(false)
    private let pool = WorkerPool(name: "log-feed", threads: 2, limit: 256)
    /// Services that may wait at once; more are answered at once.
    private static let maxWaiters = 128
    /// How late a wait may end: it is given in whole seconds.
    private static let tick: Duration = .milliseconds(100)

    /// Begins to end the waits that are over.
    func start(_ reader: ChatReader) {
        let ticker = WorkerThread(name: "log-feed-clock") { [self] in
            while !isStopping.load(ordering: .relaxed) {
                SystemClock.sleep(LogFeed.tick)
                expire(reader, now: SystemClock.now())
            }
        }
        state.withLock { $0.ticker = ticker }
    }

    /// Answers with the entries after a position, or when there are some, or after `wait`.
    func read(
        _ reader: ChatReader, after: Int64, limit: Int, wait: Duration,
        reply: @escaping Router.Reply
    ) {
        let waiter = Waiter(
            serial: lastSerial.add(1, ordering: .relaxed).newValue, after: after, limit: limit,
            deadline: SystemClock.now() + wait, reply: reply)
        answer(waiter, reader, mayWait: wait > .zero)
    }

    /// New entries are in the log.
    func committed(_ reader: ChatReader) {
        answerAll(reader) { _ in }
    }

    /// Answers all who wait, and whoever comes later at once: a stop need not wait for them.
    func drain(_ reader: ChatReader) { answerAll(reader) { $0.isDraining = true } }

    /// Ends the threads.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        let ticker = state.withLock { state in
            defer { state.ticker = nil }
            return state.ticker
        }
        ticker?.join()
        pool.stop()
    }

    private func answerAll(_ reader: ChatReader, _ change: (inout State) -> Void) {
        let woken = state.withLock { state in
            change(&state)
            defer { state.waiters = [] }
            return state.waiters
        }
        // A commit told late may be one they have seen: they go on waiting then.
        for waiter in woken { answer(waiter, reader, mayWait: true) }
    }

    /// Answers those whose wait is over.
    private func expire(_ reader: ChatReader, now: Instant) {
        let due = state.withLock { state in
            let due = state.waiters.filter { $0.deadline <= now }
            if !due.isEmpty { state.waiters.removeAll { $0.deadline <= now } }
            return due
        }
        for waiter in due { answer(waiter, reader, mayWait: false) }
    }

    private func answer(_ waiter: Waiter, _ reader: ChatReader, mayWait: Bool) {
        let accepted = pool.submit { [self] in
            do {
                // Registered before reading: a commit in between finds the waiter or is found by it.
                if mayWait, register(waiter) {
                    guard try !reader.entries(after: waiter.after, limit: 1).isEmpty,
                        unregister(waiter)
                    else { return }
                }
                let entries = try reader.entries(after: waiter.after, limit: waiter.limit)
                waiter.reply(LogFeed.page(entries, after: waiter.after, reader))
            } catch {
                waiter.reply(ChatError.storageUnavailable.response)
            }
        }
        if !accepted { waiter.reply(ChatError.busy.response) }
    }

    private func register(_ waiter: Waiter) -> Bool {
        state.withLock { state in
            guard !state.isDraining, state.waiters.count < LogFeed.maxWaiters else { return false }
            state.waiters.append(waiter)
            return true
        }
    }

    /// False when somebody else has taken the waiter and answers it.
    private func unregister(_ waiter: Waiter) -> Bool {
        state.withLock { state in
            guard let index = state.waiters.firstIndex(where: { $0.serial == waiter.serial })
            else { return false }
            state.waiters.remove(at: index)
            return true
        }
    }

    /// `head` is the log's own, which tells a reader how far behind it is; entries just read may be
    /// newer. `epoch` says which history the numbers are of: another means that the log was restored,
    /// and that entries after `epochBase` are others than before.
    private static func page(
        _ entries: [LogEntry], after: Int64, _ reader: ChatReader
    ) -> HTTPResponse {
        var body: [UInt8] = []
        let head = max(reader.head, entries.last?.seq ?? 0)
        body.append("{\"source\":\"chat\",\"epoch\":\"\(reader.epoch.id)\"")
        body.append(",\"epochBase\":\(reader.epoch.base),\"after\":\(after),\"head\":\(head)")
        body.append(",\"entries\":[")
        for (index, entry) in entries.enumerated() {
            if index > 0 { body.append(",") }
            entry.writeLogJSON(into: &body)
        }
        body.append("]}")
        return HTTPResponse(
            status: 200,
            fields: ["content-type": "application/json", "cache-control": "no-store"], body: body)
    }
}
