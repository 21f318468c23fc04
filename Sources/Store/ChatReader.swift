// SPDX-License-Identifier: MIT
package import ChatCore
internal import Reactor

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
/// commits. Read transactions are short: each page is one. Who has read little of late comes before who
/// has read much (`FairLines`), so that nobody's pages stand before everybody's.
package final class ChatReader: Sendable {
    /// Takes an answer on a reader's thread. Until the claim ends nothing else is read for the same
    /// asker, and only so much for all: whoever answers ends it when the answer is on its way.
    package typealias Completion<Value> =
        @Sendable (Result<Value, ChatError>, FairClaim) -> Void
    /// Gets a connection, or nil when there is none to be had; answers false when it has failed.
    private typealias Job = @Sendable (ChatLog?, FairClaim) -> Bool

    /// Who asks.
    private enum Asker: Hashable {
        case user(UserID)
        /// The other services, which follow the log.
        case services
    }

    private let board: ChatBoard
    /// Which history the log's numbers belong to.
    package let epoch: StoreEpoch
    private let limits: Limits
    private let jobs: FairQueue<Asker, Job>
    private let threads: [WorkerThread]

    /// Entries looked at for one page of `missed` at most: about a quarter of a second.
    package static let maxScan = 200_000
    /// Payload bytes of one page of `missed`, about: one entry more may come.
    package static let pageBytes = 256 << 10
    /// Entries whose rooms are looked up at once: a tenth of a millisecond, in which the writer waits.
    private static let trailStep: Int64 = 65_536
    /// Answers that may wait to be used, for each thread: enough to read on while a loop is busy, few
    /// enough for it to use them up in a few milliseconds.
    private static let answersPerThread = 4
    /// Receipts in one page of `missed`: the latest.
    private static let maxReceipts = 512

    /// - Parameters:
    ///   - store: the writer of this process, which knows the rooms' heads. It must have been opened.
    ///   - threads: how many reads go on at once.
    ///   - queueLimit: how many may wait; more are refused.
    package init(
        path: String, store: ChatStore, threads count: Int = 2, queueLimit: Int = 4096
    ) {
        board = store.board
        epoch = store.epoch
        limits = store.limits
        let jobs = FairQueue<Asker, Job>(
            limit: queueLimit, maxUnderWay: ChatReader.answersPerThread * count)
        self.jobs = jobs
        threads = (0..<count).map { index in
            WorkerThread(name: "chat-reader-\(index)") {
                var log: ChatLog?
                while let (job, claim) = jobs.next() {
                    // Opened when first needed, and again after trouble.
                    if log == nil { log = try? ChatLog(path: path, mode: .readOnly) }
                    if !job(log, claim) { log = nil }
                }
            }
        }
    }

    /// The messages of a room around a point: the latest with `roomSeq` < `before`, or the earliest
    /// with `roomSeq` > `after`, or the latest of all. At most `limit`, held to 1…`historyPage`, and
    /// fewer where they are long (`Limits.pageBytes`). Whether the asker may read the room is the caller's to
    /// know.
    /// - Parameter completion: called on a reader's thread.
    /// - Returns: false when too many reads wait; `completion` is not called then.
    package func history(
        for asker: UserID, room: RoomID, before: Int64? = nil, after: Int64? = nil, limit: Int,
        completion: @escaping Completion<HistoryPage>
    ) -> Bool {
        let limit = max(1, min(limit, limits.historyPage))
        let maxBytes = limits.pageBytes
        return read(for: asker, completion) { [board] (log) throws(StoreError) in
            guard let head = board.head(of: room) else {
                return HistoryPage(messages: [], hasMore: false)
            }
            if let after {
                return try log.messages(
                    in: room, after: after, limit: limit, maxBytes: maxBytes, from: head)
            }
            return try log.messages(
                in: room, before: before ?? .max, limit: limit, maxBytes: maxBytes, from: head)
        }
    }

    /// Puts a read in line.
    private func read<Value>(
        for asker: Asker, _ body: @escaping @Sendable (ChatLog) throws(StoreError) -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>, FairClaim) -> Void
    ) -> Bool {
        let job: Job = { log, claim in
            guard let log else {
                completion(.failure(.cannotOpen(code: 0)), claim)
                return false
            }
            do throws(StoreError) {
                completion(.success(try body(log)), claim)
                return true
            } catch {
                completion(.failure(error), claim)
                return false
            }
        }
        return jobs.append(job, by: asker)
    }

    /// The same for a client, who need not know what failed.
    private func read<Value>(
        for user: UserID, _ completion: @escaping Completion<Value>,
        _ body: @escaping @Sendable (ChatLog) throws(StoreError) -> Value
    ) -> Bool {
        read(for: .user(user), body) { answer, claim in
            completion(answer.mapError { _ in .storageUnavailable }, claim)
        }
    }

    /// Whether what happened in `rooms` with `after` < seq ≤ `through` is little enough to be sent to
    /// one who comes back: at most `Limits.replayEvents` of them and `replayBytes` of payload, receipts
    /// not counted, and none older than the store remembers the rooms of (`replayDistance`). Looks at
    /// memory only: two milliseconds for a million entries, next to nothing for a few thousand.
    package func canReplay(rooms: [RoomID], after: Int64, through: Int64) -> Bool {
        guard after < through else { return true }
        guard through - after <= Int64(limits.replayDistance) else { return false }
        let rooms = Set(rooms)
        var events = 0
        var bytes = 0
        var next = after
        while next < through {
            let end = min(through, next + ChatReader.trailStep)
            let found = board.withTrail {
                $0.find(rooms: rooms, after: next, through: end, limit: limits.replayEvents + 1)
            }
            guard let found, found.next > next + 1 else { return false }
            events += found.events.count
            bytes += found.bytes
            guard events <= limits.replayEvents, bytes <= limits.replayBytes else { return false }
            next = found.next - 1
        }
        return true
    }

    /// The entries of `rooms` with `after` < seq ≤ `through`, for who comes back or fell behind: a
    /// page, to be asked on after its `through` until it is complete. Of the receipts only the latest
    /// of each user and room in the page is given: they are latest-wins.
    /// - Parameters:
    ///   - limit: entries in the page at most, receipts not counted.
    ///   - maxBytes: payload bytes after which the page ends.
    ///   - completion: called on a reader's thread.
    /// - Returns: false when too many reads wait; `completion` is not called then.
    package func missed(
        for asker: UserID, rooms: Set<RoomID>, after: Int64, through: Int64, limit: Int,
        maxBytes: Int = ChatReader.pageBytes,
        completion: @escaping Completion<MissedPage>
    ) -> Bool {
        read(for: asker, completion) { [board] (log) throws(StoreError) in
            try ChatReader.missed(
                log, board, rooms, after, through, max(1, limit), max(1, maxBytes))
        }
    }

    /// The entries with `after` < seq ≤ `through` by which a user entered or left rooms: who comes back
    /// is owed each room for as long as they were in it.
    /// - Parameter completion: called on a reader's thread.
    /// - Returns: false when too many reads wait; `completion` is not called then.
    package func moves(
        of user: UserID, after: Int64, through: Int64,
        completion: @escaping Completion<[LogEntry]>
    ) -> Bool {
        read(for: user, completion) { [board] (log) throws(StoreError) in
            try ChatReader.moves(log, board, of: user, after, through)
        }
    }

    /// The entries after `after` in order, at most `limit`, and none after `maxBytes` of payload.
    /// Blocks the caller: for worker threads.
    /// - Throws: `busy` when too many reads wait; what reading meets.
    package func entries(
        after: Int64, limit: Int, maxBytes: Int = 4 << 20
    ) throws(StoreError) -> [LogEntry] {
        let answers = BlockingQueue<Result<[LogEntry], StoreError>>(limit: 1)
        let body: @Sendable (ChatLog) throws(StoreError) -> [LogEntry] = {
            (log) throws(StoreError) in
            var entries: [LogEntry] = []
            var bytes = 0
            try log.forEachEntry(after: after) { (entry) throws(StoreError) in
                entries.append(entry)
                bytes += entry.payload.count
                return entries.count < limit && bytes < maxBytes
            }
            return entries
        }
        let isAccepted = read(for: .services, body) { answer, _ in _ = answers.append(answer) }
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

    /// The same, as `missed` does it.
    private static func moves(
        _ log: ChatLog, _ board: ChatBoard, of user: UserID, _ after: Int64, _ through: Int64
    ) throws(StoreError) -> [LogEntry] {
        var found: [LogEntry] = []
        var next = after
        while next < through {
            let end = min(through, next + trailStep)
            let seqs = board.withTrail { $0.moves(after: next, through: end) }
            guard let seqs else {
                return try log.moves(of: user, after: after, through: through)
            }
            for seq in seqs {
                guard let entry = try log.entry(seq), ChatLog.isMove(entry, of: user) else {
                    continue
                }
                found.append(entry)
            }
            next = end
        }
        return found
    }

    /// What the rooms of the latest entries tell, else what the log does.
    private static func missed(
        _ log: ChatLog, _ board: ChatBoard, _ rooms: Set<RoomID>, _ after: Int64, _ through: Int64,
        _ limit: Int, _ maxBytes: Int
    ) throws(StoreError) -> MissedPage {
        var page = MissedPage(entries: [], through: after, isComplete: false)
        var bytes = 0
        var next = after
        while page.entries.count < limit, next < through {
            let end = min(through, next + trailStep)
            let count = limit - page.entries.count
            let found = board.withTrail {
                $0.find(rooms: rooms, after: next, through: end, limit: count)
            }
            // Older than what is remembered, or not yet published here.
            guard let found, found.next > next + 1 else {
                return try scan(log, rooms, after, through, limit, maxBytes)
            }
            for seq in found.events {
                // One entry at least, or there would be no getting past a long one.
                guard bytes < maxBytes else { return try complete(page, log, board, rooms, after) }
                guard let entry = try log.entry(seq) else { continue }
                bytes += entry.payload.count
                page.entries.append(entry)
                page.through = seq
            }
            next = found.next - 1
            page.through = next
        }
        page.isComplete = page.through >= through
        return try complete(page, log, board, rooms, after)
    }

    /// Adds the receipts of a page's range.
    private static func complete(
        _ page: MissedPage, _ log: ChatLog, _ board: ChatBoard, _ rooms: Set<RoomID>, _ after: Int64
    ) throws(StoreError) -> MissedPage {
        var page = page
        let receipts = board.withTrail {
            $0.receipts(
                rooms: rooms, after: after, through: page.through, limit: maxReceipts,
                scan: trailStep)
        }
        guard !receipts.isEmpty else { return page }
        var seen: Set<Reader> = []
        for seq in receipts {
            guard let entry = try log.entry(seq),
                seen.insert(Reader(room: entry.room, user: entry.actor)).inserted
            else { continue }
            page.entries.append(entry)
        }
        page.entries.sort { $0.seq < $1.seq }
        return page
    }

    private struct Reader: Hashable { let room: RoomID, user: UserID }

    /// The same by reading every entry there is.
    private static func scan(
        _ log: ChatLog, _ rooms: Set<RoomID>, _ after: Int64, _ through: Int64, _ limit: Int,
        _ maxBytes: Int
    ) throws(StoreError) -> MissedPage {
        var page = MissedPage(entries: [], through: after, isComplete: true)
        var receipts: [Reader: LogEntry] = [:]
        var scanned = 0
        var bytes = 0
        try log.scan(after: after, through: through, isWanted: rooms.contains) { seq, entry in
            guard page.entries.count < limit, scanned < maxScan, bytes < maxBytes else {
                page.isComplete = false
                return false
            }
            scanned += 1
            page.through = seq
            guard let entry, entry.kind.isEvent else { return true }
            if entry.kind == .receipt {
                receipts[Reader(room: entry.room, user: entry.actor)] = entry
            } else {
                bytes += entry.payload.count
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
