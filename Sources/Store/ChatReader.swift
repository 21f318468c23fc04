// SPDX-License-Identifier: MIT
package import ChatCore
internal import Reactor
internal import Synchronization

/// A page of a room's messages, ascending by `roomSeq`.
package struct HistoryPage: Hashable, Sendable {
    package var messages: [LogEntry]
    /// Whether there are more in the direction asked for.
    package var hasMore: Bool
}

/// What somebody missed, ascending by `seq`.
package struct MissedPage: Hashable, Sendable {
    package var entries: [LogEntry]
    /// Everything up to this `seq` has been looked at; go on after it.
    package var through: Int64
    /// Whether that is all there was to look at.
    package var isComplete: Bool
}

/// Reads the log on threads of its own, each with its own read-only connection, while the writer
/// commits. Read transactions are short: each page is one.
package final class ChatReader: Sendable {
    private typealias Job = @Sendable (ChatLog?) -> Void

    private let board: ChatBoard
    private let limits: Limits
    private let jobs: BlockingQueue<Job>
    private let threads: [WorkerThread]

    /// Entries looked at for one page of `missed` at most: about a quarter of a second.
    package static let maxScan = 200_000

    /// - Parameters:
    ///   - store: the writer of this process, which knows the rooms' heads. It must have been opened.
    ///   - threads: how many reads go on at once.
    ///   - queueLimit: how many may wait; more are refused.
    package init(
        path: String, store: ChatStore, limits: Limits = Limits(), threads count: Int = 2,
        queueLimit: Int = 4096
    ) {
        board = store.board
        self.limits = limits
        let jobs = BlockingQueue<Job>(limit: queueLimit)
        self.jobs = jobs
        threads = (0..<count).map { index in
            WorkerThread(name: "chat-reader-\(index)") {
                var log: ChatLog?
                while let job = jobs.next() {
                    // Opened when first needed, and again after trouble.
                    if log == nil { log = try? ChatLog(path: path, mode: .readOnly) }
                    job(log)
                }
            }
        }
    }

    /// The messages of a room around a point: the latest with `roomSeq` < `before`, or the earliest
    /// with `roomSeq` > `after`, or the latest of all. At most `limit`, held to 1…`historyPage`.
    /// Whether the asker may read the room is the caller's to know.
    /// - Parameter completion: called on a reader's thread.
    /// - Returns: false when too many reads wait; `completion` is not called then.
    package func history(
        room: RoomID, before: Int64? = nil, after: Int64? = nil, limit: Int,
        completion: @escaping @Sendable (Result<HistoryPage, ChatError>) -> Void
    ) -> Bool {
        let limit = max(1, min(limit, limits.historyPage))
        return jobs.append { [board] log in
            guard let log else { return completion(.failure(.storageUnavailable)) }
            do throws(StoreError) {
                guard let head = board.head(of: room) else {
                    return completion(.success(HistoryPage(messages: [], hasMore: false)))
                }
                // One more than wanted tells whether there are more.
                var messages: [LogEntry]
                let hasMore: Bool
                if let after {
                    messages = try log.messages(
                        in: room, after: after, limit: limit + 1, from: head)
                    hasMore = messages.count > limit
                    if hasMore { messages.removeLast() }
                } else {
                    messages = try log.messages(
                        in: room, before: before ?? .max, limit: limit + 1, from: head)
                    hasMore = messages.count > limit
                    if hasMore { messages.removeFirst() }
                }
                completion(.success(HistoryPage(messages: messages, hasMore: hasMore)))
            } catch {
                completion(.failure(.storageUnavailable))
            }
        }
    }

    /// The entries of `rooms` with `after` < seq ≤ `through`, for who comes back or fell behind.
    /// Of the receipts only the latest of each user and room is given: they are latest-wins.
    /// - Parameters:
    ///   - limit: entries in the page at most, receipts not counted.
    ///   - completion: called on a reader's thread.
    /// - Returns: false when too many reads wait; `completion` is not called then.
    package func missed(
        rooms: Set<RoomID>, after: Int64, through: Int64, limit: Int,
        completion: @escaping @Sendable (Result<MissedPage, ChatError>) -> Void
    ) -> Bool {
        jobs.append { log in
            guard let log else { return completion(.failure(.storageUnavailable)) }
            do throws(StoreError) {
                completion(
                    .success(try ChatReader.missed(log, rooms, after, through, max(1, limit))))
            } catch {
                completion(.failure(.storageUnavailable))
            }
        }
    }

    /// The entries with `after` < seq ≤ `through` by which a user entered or left rooms: who comes back
    /// is owed each room for as long as they were in it.
    /// - Parameter completion: called on a reader's thread.
    /// - Returns: false when too many reads wait; `completion` is not called then.
    package func moves(
        of user: UserID, after: Int64, through: Int64,
        completion: @escaping @Sendable (Result<[LogEntry], ChatError>) -> Void
    ) -> Bool {
        jobs.append { log in
            guard let log else { return completion(.failure(.storageUnavailable)) }
            do throws(StoreError) {
                completion(.success(try log.moves(of: user, after: after, through: through)))
            } catch {
                completion(.failure(.storageUnavailable))
            }
        }
    }

    /// The entries after `after` in order, at most `limit`. Blocks the caller: for worker threads.
    /// - Throws: `busy` when too many reads wait; what reading meets.
    package func entries(after: Int64, limit: Int) throws(StoreError) -> [LogEntry] {
        let answers = BlockingQueue<Result<[LogEntry], StoreError>>(limit: 1)
        let isAccepted = jobs.append { log in
            guard let log else {
                _ = answers.append(.failure(.cannotOpen(code: 0)))
                return
            }
            do throws(StoreError) {
                var entries: [LogEntry] = []
                try log.forEachEntry(after: after) { (entry) throws(StoreError) in
                    entries.append(entry)
                    return entries.count < limit
                }
                _ = answers.append(.success(entries))
            } catch {
                _ = answers.append(.failure(error))
            }
        }
        guard isAccepted, let answer = answers.next() else { throw .busy }
        return try answer.get()
    }

    /// The log's head as this process knows it.
    package var head: Int64 { board.head }

    /// Answers what waits, then ends the threads. Once.
    package func stop() {
        jobs.close()
        for thread in threads { thread.join() }
    }

    private static func missed(
        _ log: ChatLog, _ rooms: Set<RoomID>, _ after: Int64, _ through: Int64, _ limit: Int
    ) throws(StoreError) -> MissedPage {
        struct Reader: Hashable { let room: RoomID, user: UserID }
        var page = MissedPage(entries: [], through: after, isComplete: true)
        var receipts: [Reader: LogEntry] = [:]
        var scanned = 0
        try log.scan(after: after, through: through, isWanted: rooms.contains) { seq, entry in
            guard page.entries.count < limit, scanned < maxScan else {
                page.isComplete = false
                return false
            }
            scanned += 1
            page.through = seq
            guard let entry else { return true }
            if entry.kind == .receipt {
                receipts[Reader(room: entry.room, user: entry.actor)] = entry
            } else {
                page.entries.append(entry)
            }
            return true
        }
        if page.isComplete { page.through = max(after, through) }
        if !receipts.isEmpty {
            page.entries.append(contentsOf: receipts.values)
            page.entries.sort { $0.seq < $1.seq }
        }
        return page
    }
}
