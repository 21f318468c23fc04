// SPDX-License-Identifier: MIT
internal import Bytes
package import ChatCore
internal import Glibc
package import Metrics
internal import Reactor
internal import Synchronization
package import Timing

/// The chat's log and the one thread that writes it.
///
/// ```
/// loops ──submit──► bounded queue ──► writer: BEGIN IMMEDIATE
///                                             read what other processes committed, apply it
///                                             decide each command, insert its entries
///                                             COMMIT: one fsync for all of them
///                                             tell the observer, announce on the bus
/// ```
///
/// While a commit waits for its fsync the next group gathers, so groups grow with the load and a lone
/// command is committed alone at once. Several processes on one host may share the file: each reads
/// the others' entries inside its write transaction, so there is one order and every process sees all
/// of it.
///
/// When the disk is full or fails, commands are refused with `storage_unavailable`, what was decided
/// and not stored is forgotten, and a probe each quarter of a second brings writing back.
package final class ChatStore: Sendable {
    /// How a store is set up. The defaults suit production.
    package struct Configuration: Sendable {
        package var limits = Limits()
        /// Commands that may wait before `submit` refuses: at 20,000 a second, not quite a second.
        package var queueLimit = 16_384
        /// Commands in one commit at most, which bounds how long one commit takes (about 10 ms).
        package var groupLimit = 1024
        /// How often other processes' entries are looked for while nothing else happens.
        package var pollInterval: Duration = .milliseconds(200)
        /// How often the write-ahead log is copied into the file.
        package var checkpointInterval: Duration = .milliseconds(500)
        /// Entries after which the projection is written down even under load. Reading this many again
        /// after a crash takes about a second.
        package var snapshotInterval: Int64 = 200_000
        /// Where entries get their time from.
        package var clock: @Sendable () -> Timestamp = { SystemClock.timestamp() }

        package init() {}
    }

    struct Submission: Sendable {
        let command: Command
        let actor: Actor
        let ticket: Ticket
    }

    private let path: String
    private let configuration: Configuration
    private let queue: BlockingQueue<Submission>
    let board = ChatBoard()
    private let threads = Mutex<[WorkerThread]>([])
    private let isStopping = Atomic<Bool>(false)
    private let tendingEnd = BlockingQueue<Never>(limit: 0)
    /// What the next commits are to fail with. Tests set it; release builds do not contain it.
    #if DEBUG
        let injectedFailure = Mutex<StoreError?>(nil)
    #endif

    /// Opens or creates the log at `path` and restores the state: when this returns, commands may be
    /// submitted and everything committed before is in `head`.
    /// - Parameters:
    ///   - observer: told of every group on the writer's thread. Held weakly: the caller keeps it.
    ///   - announcer: tells other processes of this one's entries.
    /// - Throws: what opening meets; `schemaTooNew` for a file of a newer version.
    package init(
        path: String, observer: any CommitObserver, announcer: LogAnnouncer? = nil,
        configuration: Configuration = Configuration(), metrics: MetricsRegistry = MetricsRegistry()
    ) throws(StoreError) {
        self.path = path
        self.configuration = configuration
        let queue = BlockingQueue<Submission>(limit: configuration.queueLimit)
        self.queue = queue
        let instruments = ChatStoreInstruments(metrics)
        metrics.gauge(
            "chat_store_queue_length", help: "Commands waiting for the writer."
        ) { Double(queue.count) }
        metrics.gauge(
            "chat_store_head", help: "Commit number of the latest entry."
        ) { [board] in Double(board.head) }
        metrics.gauge(
            "chat_store_available", help: "1 when the log takes writes, else 0."
        ) { [board] in board.isAvailable ? 1 : 0 }

        // The writer's connection and state are born on its thread and never leave it.
        let opened = BlockingQueue<StoreError?>(limit: 1)
        let writer = WorkerThread(name: "chat-writer") { [self, weak observer] in
            do throws(StoreError) {
                let writer = try ChatWriter(
                    path: path, configuration: configuration, board: board,
                    instruments: instruments, announcer: announcer, observer: observer)
                #if DEBUG
                    writer.injectedFailure = { self.injectedFailure.withLock { $0 } }
                #endif
                _ = opened.append(nil)
                run(writer)
            } catch {
                _ = opened.append(error)
            }
        }
        if let failure = opened.next(), let failure {
            writer.join()
            throw failure
        }
        let tender = WorkerThread(name: "chat-wal") { [self] in tendLog() }
        threads.withLock { $0 = [writer, tender] }
    }

    /// Hands a command to the writer. The outcome comes to the observer with `ticket`.
    /// - Returns: false when the queue is full or the store stops; nothing happened then, and the
    ///   client is to be told `busy`.
    package func submit(_ command: Command, actor: Actor, ticket: Ticket) -> Bool {
        queue.append(Submission(command: command, actor: actor, ticket: ticket))
    }

    /// Another process says that it has committed: read its entries now instead of at the next poll.
    package func catchUp() { queue.wake() }

    /// `seq` of the latest entry the observer was told of.
    package var head: Int64 { board.head }

    /// Whether the log takes writes. While false, commands that would write are refused.
    package var isAvailable: Bool { board.isAvailable }

    /// Commits what was submitted, writes the projection down, and ends the threads. Outcomes of what
    /// was submitted before are delivered before this returns.
    package func stop() {
        guard !isStopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        queue.close()
        tendingEnd.close()
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    /// The writer's thread.
    private func run(_ writer: ChatWriter) {
        var group: [Submission] = []
        while queue.swap(into: &group, waitingAtMost: configuration.pollInterval) {
            if group.isEmpty { writer.idle() }
            var rest = group[...]
            while !rest.isEmpty {
                writer.process(rest.prefix(configuration.groupLimit))
                rest = rest.dropFirst(configuration.groupLimit)
            }
            group.removeAll(keepingCapacity: true)
        }
        writer.finish()
    }

    /// The thread that copies the write-ahead log into the file, so that no commit has to. A passive
    /// pass takes most of it without stopping anybody; only when the log has grown in spite of that
    /// does a short blocking pass let it start over.
    private func tendLog() {
        var none: [Never] = []
        var database: SQLiteDatabase?
        while tendingEnd.swap(into: &none, waitingAtMost: configuration.checkpointInterval) {
            let bytes = walBytes
            guard bytes > 4 << 20 else { continue }
            do throws(StoreError) {
                let connection =
                    if let database { database } else { try SQLiteDatabase(path: path) }
                database = connection
                try connection.checkpoint(.passive)
                if bytes > 64 << 20 { try connection.checkpoint(.restart) }
            } catch {
                // Busy, or the disk is in trouble, which the writer reports; a new try comes anyway.
                database = nil
            }
        }
    }

    private var walBytes: Int {
        var info = stat()
        return stat(path + "-wal", &info) == 0 ? Int(info.st_size) : 0
    }
}

/// What the writer counts.
struct ChatStoreInstruments: Sendable {
    let commits: Counter
    let entries: Counter
    let foreignEntries: Counter
    let refusals: Counter
    let failures: Counter
    let groupSize: Histogram
    let commitTime: Histogram

    init(_ metrics: MetricsRegistry) {
        commits = metrics.counter(
            "chat_store_commits_total", help: "Groups committed, each with one fsync.")
        entries = metrics.counter(
            "chat_store_entries_total", help: "Log entries committed by this process.")
        foreignEntries = metrics.counter(
            "chat_store_foreign_entries_total", help: "Log entries read from other processes.")
        refusals = metrics.counter(
            "chat_store_refusals_total", help: "Commands refused because the log took no writes.")
        failures = metrics.counter(
            "chat_store_failures_total", help: "Commits that failed.")
        groupSize = metrics.histogram(
            "chat_store_group_commands", help: "Commands in a commit.", buckets: Histogram.counts)
        commitTime = metrics.histogram(
            "chat_store_commit_seconds", help: "From taking a group to the end of its fsync.")
    }
}
