// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import HTTP1
internal import HTTPServer
internal import Reactor
internal import Store
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

    private let lastSerial = Atomic(0)
    private let waiters = Mutex<[Waiter]>([])
    private let pool = WorkerPool(name: "log-feed", threads: 2, limit: 256)
    /// Services that may wait at once; more are answered at once.
    private static let maxWaiters = 128

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
        let woken = waiters.withLock { waiters in
            defer { waiters = [] }
            return waiters
        }
        for waiter in woken { answer(waiter, reader, mayWait: false) }
    }

    /// Answers those whose wait is over.
    func expire(_ reader: ChatReader, now: Instant) {
        let due = waiters.withLock { waiters in
            let due = waiters.filter { $0.deadline <= now }
            if !due.isEmpty { waiters.removeAll { $0.deadline <= now } }
            return due
        }
        for waiter in due { answer(waiter, reader, mayWait: false) }
    }

    func stop() { pool.stop() }

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
                waiter.reply(LogFeed.page(entries, after: waiter.after))
            } catch {
                waiter.reply(ChatError.storageUnavailable.response)
            }
        }
        if !accepted { waiter.reply(ChatError.busy.response) }
    }

    private func register(_ waiter: Waiter) -> Bool {
        waiters.withLock { waiters in
            guard waiters.count < LogFeed.maxWaiters else { return false }
            waiters.append(waiter)
            return true
        }
    }

    /// False when somebody else has taken the waiter and answers it.
    private func unregister(_ waiter: Waiter) -> Bool {
        waiters.withLock { waiters in
            guard let index = waiters.firstIndex(where: { $0.serial == waiter.serial }) else {
                return false
            }
            waiters.remove(at: index)
            return true
        }
    }

    private static func page(_ entries: [LogEntry], after: Int64) -> HTTPResponse {
        var body: [UInt8] = []
        body.append(
            "{\"source\":\"chat\",\"after\":\(after),\"head\":\(entries.last?.seq ?? after)")
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
