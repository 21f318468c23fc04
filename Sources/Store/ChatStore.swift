// SPDX-License-Identifier: MIT
internal import Bytes
package import ChatCore
package import Metrics
internal import Reactor
internal import Locks
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
/// command is committed alone at once; `gather` lets them gather longer. Several processes on one host may share the file: each reads
/// the others' entries inside its write transaction, so there is one order and every process sees all
/// of it (`ChatWriter`), and they take turns (`WriterTurn`).
///
/// When the disk is full or fails, commands are refused with `storage_unavailable`, what was decided
/// and not stored is forgotten, and a probe each quarter of a second brings writing back. When another
/// process does not let go of the write lock, they are refused with `busy` (`ChatStoreTrouble`).
package final class ChatStore: Sendable {
    /// How a store is set up. The defaults suit production.
    package struct Configuration: Sendable {
        package var limits = Limits()
        /// Commands that may wait before `submit` refuses: at 20,000 a second, not quite a second.
        package var queueLimit = 16_384
        /// How long a command may have to wait, by the writer's pace of late, before `submit` refuses:
        /// on a slow disk long before the queue is full.
        package var waitLimit: Duration = .seconds(2)
        /// Commands in one commit at most, which bounds how long one commit takes (about 10 ms).
        package var groupLimit = 1024
        /// How long to wait for another process to let go of the write lock. Longer than a healthy
        /// process ever holds it, which is while it writes its projection down.
        package var lockTimeout: Duration = .seconds(2)
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
    private let instruments: ChatStoreInstruments
    /// Which history this log's numbers belong to.
    package let epoch: StoreEpoch
    let board: ChatBoard
    private let threads = Locked<[WorkerThread]>([])
    private let isStopping = Atomic<Bool>(false)
    /// Nanoseconds from the beginning of a group to that of the next, where it is not full before.
    private let gathering = Atomic<Int64>(0)
    /// Commands for which the writer does not wait for more: beside them a commit itself costs little.
    private static let gathered = 64
    private let tendingEnd = BlockingQueue<Never>(limit: 0)

    /// Opens or creates the log at `path` and restores the state: when this returns, commands may be
    /// submitted and everything committed before is in `head`.
    /// - Parameters:
    ///   - observer: told of every group on the writer's thread. Held weakly: the caller keeps it.
    ///   - announcer: tells other processes of this one's entries.
    ///   - epoch: of the log at `path`, where it is known already.
    /// - Throws: what opening meets; `schemaTooNew` for a file of a newer version.
    package init(
        path: String, observer: any CommitObserver, announcer: LogAnnouncer? = nil,
        epoch known: StoreEpoch? = nil, configuration: Configuration = Configuration(),
        metrics: MetricsRegistry = MetricsRegistry()
    ) throws(StoreError) {
        self.path = path
        self.configuration = configuration
        let epoch = if let known { known } else { try StoreEpoch(log: path) }
        self.epoch = epoch
        // The next power of two holds a round number of entries.
        let depth = max(1, configuration.limits.replayDistance - 1)
        let board = ChatBoard(trailLength: 1 << (Int.bitWidth - depth.leadingZeroBitCount))
        self.board = board
        let queue = BlockingQueue<Submission>(limit: configuration.queueLimit)
        self.queue = queue
        let instruments = ChatStoreInstruments(metrics)
        self.instruments = instruments
        metrics.gauge(
            "chat_store_queue_length", help: "Commands waiting for the writer."
        ) { Double(queue.count) }
        metrics.gauge(
            "chat_store_head", help: "Commit number of the latest entry."
        ) { Double(board.head) }
        metrics.gauge(
            "chat_store_available", help: "1 when the log takes writes, else 0."
        ) { board.isAvailable ? 1 : 0 }

        // The writer's connection and state are born on its thread and never leave it.
        let opened = BlockingQueue<StoreError?>(limit: 1)
        let writer = WorkerThread(name: "chat-writer") { [self, weak observer] in
            do throws(StoreError) {
                let writer = try ChatWriter(
                    path: path, configuration: configuration, epoch: epoch, board: board,
                    instruments: instruments, announcer: announcer, observer: observer)
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
    /// - Returns: false when the queue is full, the wait in it would be too long, or the store stops;
    ///   nothing happened then, and the client is to be told `busy` as it stands in `busy`.
    package func submit(_ command: Command, actor: Actor, ticket: Ticket) -> Bool {
        let groups = queue.count / configuration.groupLimit
        if groups > 0,
            board.expectedWait(groups: groups, now: SystemClock.now()) > configuration.waitLimit
        {
            return false
        }
        return queue.append(Submission(command: command, actor: actor, ticket: ticket))
    }

    /// The refusal for what `submit` did not take: come back when what waits now will have been
    /// committed, by the writer's pace of late; between a tenth of a second and ten.
    package var busy: ChatError {
        let groups = queue.count / configuration.groupLimit + 1
        let wait = board.expectedWait(groups: groups, now: SystemClock.now())
        var error = ChatError.busy
        error.retryAfterMs = Int(min(max(wait.milliseconds, 100), 10_000))
        return error
    }

    /// Lets a group gather for so long after the last one began, unless 64 commands wait before. For
    /// when what is committed would have to wait anyway: each commit, however little is in it, costs the
    /// processor a tenth of a millisecond.
    package func gather(for duration: Duration) {
        gathering.store(max(0, duration.nanoseconds), ordering: .relaxed)
    }

    /// Another process says that it has committed: read its entries now instead of at the next poll.
    package func catchUp() { queue.wake() }

    /// `seq` of the latest entry the observer was told of.
    package var head: Int64 { board.head }

    /// Whether the log takes writes. While false, commands that would write are refused.
    package var isAvailable: Bool { board.isAvailable }

    var limits: Limits { configuration.limits }

    /// Commands that wait for the writer.
    var queueLength: Int { queue.count }

    /// Why the log takes no writes, and for how long it has not; nil when it does.
    package var trouble: (trouble: ChatStoreTrouble, duration: Duration)? {
        board.trouble.map { ($0.trouble, SystemClock.now() - $0.since) }
    }

    /// Commits what was submitted, writes the projection down, and ends the threads. Outcomes of what
    /// was submitted before are delivered before this returns.
    package func stop() {
        guard !isStopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        queue.close()
        tendingEnd.close()
        for thread in threads.withLock({ $0 }) { thread.join() }
        epoch.close()
    }

    /// The writer's thread.
    private func run(_ writer: ChatWriter) {
        var group: [Submission] = []
        while queue.swap(into: &group, waitingAtMost: configuration.pollInterval) {
            let began = SystemClock.now()
            if group.isEmpty { writer.idle() }
            var rest = group[...]
            while !rest.isEmpty {
                board.groupBegan(SystemClock.now())
                writer.process(rest.prefix(configuration.groupLimit))
                board.groupEnded(SystemClock.now())
                rest = rest.dropFirst(configuration.groupLimit)
            }
            group.removeAll(keepingCapacity: true)
            let gathering = gathering.load(ordering: .relaxed)
            if gathering > 0 {
                queue.wait(
                    for: ChatStore.gathered, until: began + .nanoseconds(gathering))
            }
        }
        writer.finish()
    }

    /// The thread beside the writer's.
    private func tendLog() {
        let tender = LogTender(
            path: path, instruments: instruments, board: board, epoch: epoch)
        var none: [Never] = []
        while tendingEnd.swap(into: &none, waitingAtMost: configuration.checkpointInterval) {
            tender.tend()
        }
    }
}
