// SPDX-License-Identifier: MIT
internal import ChatCore
internal import Glibc
internal import Metrics
internal import Timing

/// What the writer's thread does with each group of commands. Lives on that thread alone.
///
/// ```
///                 a commit fails: back to what is stored (`recover`)
///            ┌──────────────────────────────────────────────────────► failed ──┐
///   writing ─┤ the write lock is not to be had within `lockTimeout`            │ each 250 ms
///      ▲     ├──────────────────────────────────────────────────────► locked ──┤ `probe`
///      │     │ the log is another, or shorter                                  │
///      │     └──────────────────────────────────────────────────────► replaced │ (for good)
///      └──────────────── probe written, lock had ──────────────────────────────┘
/// ```
///
/// In every state but `replaced`, what needs no writing is answered.
///
/// Invariants: between groups, `state` is exactly the log up to `state.head`, and the observer has been
/// told of every entry up to there, once. Nothing is decided but with SQLite's write lock held and the
/// log read to its end under it; so of several processes each decides on what all before it have
/// committed, however long it was stopped in between. `log` is nil only while the file cannot even be
/// read.
final class ChatWriter {
    private let path: String
    private let configuration: ChatStore.Configuration
    private let board: ChatBoard
    private let instruments: ChatStoreInstruments
    private let announcer: LogAnnouncer?
    private let epoch: StoreEpoch
    private weak var observer: (any CommitObserver)?

    private var log: ChatLog?
    private let turn: WriterTurn?
    private var state: ChatState
    private var tails: MessageTails
    /// The head when the projection was last written down, or tried to be.
    private var lastSave: Int64 = 0
    private var trouble: ChatStoreTrouble?
    /// Set while there is trouble that may end: when to probe next.
    private var nextProbe: Instant?
    private var lastWork: Instant
    /// The latest entry the observer knew when the file became unreadable.
    private var unreadableSince: Int64 = 0

    /// How long writes are refused before the disk is tried again.
    private static let probeInterval: Duration = .milliseconds(250)
    /// Records of the projection that may change before it is written down: how long commits wait for
    /// that, which is about 100 ms.
    private static let maxUnsavedChanges = 20_000

    init(
        path: String, configuration: ChatStore.Configuration, epoch: StoreEpoch, board: ChatBoard,
        instruments: ChatStoreInstruments, announcer: LogAnnouncer?,
        observer: (any CommitObserver)?
    ) throws(StoreError) {
        self.path = path
        self.configuration = configuration
        self.epoch = epoch
        self.board = board
        self.instruments = instruments
        self.announcer = announcer
        self.observer = observer
        turn = WriterTurn(log: path)
        state = ChatState(limits: configuration.limits)
        tails = MessageTails(
            length: configuration.limits.joinMessages, maxBytes: configuration.limits.pageBytes)
        lastWork = SystemClock.now()
        let log = try openLog()
        self.log = log
        makeDurable(log)
        try restore(from: log)
        board.replace(state.roomHeads, head: state.head)
    }

    private func openLog() throws(StoreError) -> ChatLog {
        let log = try ChatLog(path: path, mode: .readWrite)
        log.database.setBusyTimeout(configuration.lockTimeout)
        return log
    }

    /// Copies the write-ahead log into the file. What a crash, or a sync that failed, left in it may be
    /// whole in the system's cache and not on the disk: recovery takes it for committed, and a further
    /// sync would not write it, for its pages count as clean. Copied, it is written anew.
    private func makeDurable(_ log: ChatLog) {
        do throws(StoreError) {
            try log.database.checkpoint(.passive)
        } catch .busy {
            // Another process does so just now: it has been here before, and recovered nothing new.
        } catch {
            enter(.failed(error))
        }
    }

    // MARK: Groups

    /// How far a group has come.
    private enum Stage { case locking, reading, deciding }

    /// Decides and commits one group, and tells the observer.
    func process(_ group: ArraySlice<ChatStore.Submission>) {
        let start = SystemClock.now()
        lastWork = start
        if let nextProbe, start >= nextProbe { probe() }
        if trouble == nil, board.trouble?.trouble == .replaced { enter(.replaced) }
        guard let log, trouble != .replaced else {
            return refuse(group, .storageUnavailable, after: [])
        }
        guard trouble == nil else { return answerReaders(group, log) }
        let isReadOnly = group.allSatisfy(isAnsweredWithoutWriting)
        var items: [CommitItem] = []
        items.reserveCapacity(group.count * 2)
        var own: [LogEntry] = []
        var stage = Stage.locking
        var known = state.head
        var foreignCount = 0
        func run() throws(StoreError) {
            stage = .reading
            try readForeign(log, into: &items)
            known = state.head
            foreignCount = items.count
            stage = .deciding
            try decide(group, log, into: &items, &own)
        }
        do throws(StoreError) {
            if isReadOnly {
                try run()
            } else {
                try write(log) { () throws(StoreError) in
                    instruments.lockWait.observe(SystemClock.now() - start)
                    try run()
                    #if PLANTED_BUGS
                        tellEarly(items)
                    #endif
                }
            }
        } catch {
            if stage == .locking, error == .busy {
                instruments.lockFailures.increment()
                enter(.locked(holder: LockHolder.find(path: path)))
                return answerReaders(group, log)
            }
            instruments.failures.increment()
            enter(.failed(error))
            // What others committed is true all the same; what was decided here never happened.
            var truth = stage == .deciding ? Array(items.prefix(foreignCount)) : items
            recover(known: stage == .deciding ? known : state.head, into: &truth)
            return refuse(group, .storageUnavailable, after: truth)
        }
        if !own.isEmpty {
            instruments.commits.increment()
            instruments.entries.increment(by: own.count)
            instruments.groupSize.observe(Double(group.count))
            instruments.commitTime.observe(SystemClock.now() - start)
        }
        publish(items, wasTold: !isReadOnly)
        announcer?.announce(own)
        if state.head - lastSave >= configuration.snapshotInterval
            || state.changeCount > ChatWriter.maxUnsavedChanges
        {
            saveProjection()
        }
    }

    /// Nothing came for a while: look for other processes' entries, and use the time.
    func idle() {
        let now = SystemClock.now()
        if let nextProbe, now >= nextProbe { probe() }
        guard let log, trouble != .replaced else { return }
        var items: [CommitItem] = []
        do throws(StoreError) {
            try readForeign(log, into: &items)
        } catch {
            // Read them next time; a file that cannot be read shows itself in the next commit too.
        }
        publish(items)
        // A quiet second is a good time to make the next start short.
        if trouble == nil, state.head - lastSave >= 1000, now - lastWork > .seconds(1) {
            saveProjection()
        }
    }

    /// The last act before the thread ends.
    func finish() {
        if trouble == nil {
            saveProjection()
            epoch.note(head: state.head)
        }
        _ = try? log?.database.checkpoint(.truncate)
        log = nil
    }

    /// Runs `body` in a write transaction, in this process's turn among those that write the log.
    private func write(
        _ log: ChatLog, _ body: () throws(StoreError) -> Void
    ) throws(StoreError) {
        turn?.take()
        defer { turn?.pass() }
        try log.database.transaction { () throws(StoreError) in
            turn?.pass()
            try body()
        }
    }

    private func decide(
        _ group: ArraySlice<ChatStore.Submission>, _ log: ChatLog,
        into items: inout [CommitItem], _ own: inout [LogEntry]
    ) throws(StoreError) {
        let now = configuration.clock()
        for submission in group {
            let first = own.count
            let outcome = state.decide(
                submission.command, by: submission.actor, at: now, into: &own)
            try store(own[first...], log, into: &items)
            items.append(.outcome(submission.ticket, try complete(outcome, log)))
        }
        let receipts = state.takeReceipts(at: now)
        try store(receipts[...], log, into: &items)
        own += receipts
    }

    private func store(
        _ entries: ArraySlice<LogEntry>, _ log: ChatLog, into items: inout [CommitItem]
    ) throws(StoreError) {
        for entry in entries {
            try log.insert(entry)
            tails.append(entry)
            items.append(.entry(entry))
        }
    }

    /// Puts the latest messages into a room's detail: those up to its head, by the same connection
    /// that has just written them.
    private func complete(_ outcome: Outcome, _ log: ChatLog) throws(StoreError) -> Outcome {
        guard case .ok(.room(var detail)) = outcome, detail.summary.isJoined else { return outcome }
        let room = detail.summary.id
        if tails[room] == nil, let head = state.roomHead(room) {
            tails.hold(
                try log.messages(
                    in: room, before: .max, limit: configuration.limits.joinMessages,
                    maxBytes: configuration.limits.pageBytes, from: head
                ).messages,
                of: room)
        }
        detail.messages = tails[room] ?? []
        return .ok(.room(detail))
    }

    private func readForeign(_ log: ChatLog, into items: inout [CommitItem]) throws(StoreError) {
        let before = items.count
        try log.forEachEntry(after: state.head) { (entry) throws(StoreError) in
            state.apply(entry)
            tails.append(entry)
            items.append(.entry(entry))
            return true
        }
        let count = items.count - before
        #if PLANTED_BUGS
            if PlantedBug.active == .gapIgnored, count > 1 {
                items.removeSubrange(before..<(items.count - 1))
            }
        #endif
        if count > 0 { instruments.foreignEntries.increment(by: count) }
    }

    #if PLANTED_BUGS
        /// Tells what is not committed yet, and leaves a moment for something to go wrong.
        private func tellEarly(_ items: [CommitItem]) {
            let early = items.filter(isToldEarly)
            guard !early.isEmpty else { return }
            observer?.committed(early)
            usleep(2000)
        }

        private func isToldEarly(_ item: CommitItem) -> Bool {
            switch item {
            case .entry: PlantedBug.active == .announceBeforeCommit
            case .outcome: PlantedBug.active == .ackBeforeCommit
            }
        }
    #endif

    private func publish(_ items: [CommitItem], wasTold: Bool = false) {
        guard !items.isEmpty else { return }
        board.publish(items, from: state)
        instruments.rememberedAnswers.set(state.idempotencyCount)
        #if PLANTED_BUGS
            // What was told early is not told again.
            if wasTold {
                observer?.committed(items.filter { !isToldEarly($0) })
                return
            }
        #endif
        observer?.committed(items)
    }

    // MARK: Trouble

    private func enter(_ trouble: ChatStoreTrouble?) {
        self.trouble = trouble
        let now = SystemClock.now()
        nextProbe = trouble == nil || trouble == .replaced ? nil : now + ChatWriter.probeInterval
        board.set(trouble, now: now)
    }

    /// Whether a command is sure to append nothing: of the others, a session of who is in the lobby
    /// already. A storm of reconnections then never waits for the write lock, and goes on while the
    /// disk is full.
    private func isAnsweredWithoutWriting(_ submission: ChatStore.Submission) -> Bool {
        submission.command.isReadOnly
            || submission.command == .openSession && state.isMember(submission.actor.id, of: .lobby)
    }

    /// While nothing can be written: answers what needs no writing, refuses the rest.
    private func answerReaders(_ group: ArraySlice<ChatStore.Submission>, _ log: ChatLog) {
        let refusal: ChatError =
            if case .locked = trouble { .locked } else { .storageUnavailable }
        for submission in group {
            guard isAnsweredWithoutWriting(submission) else {
                refuse([submission], refusal, after: [])
                continue
            }
            var items: [CommitItem] = []
            var own: [LogEntry] = []
            do throws(StoreError) {
                try readForeign(log, into: &items)
                try decide([submission], log, into: &items, &own)
                publish(items)
            } catch {
                refuse([submission], .storageUnavailable, after: items)
            }
        }
    }

    private func refuse(
        _ group: ArraySlice<ChatStore.Submission>, _ error: ChatError, after items: [CommitItem]
    ) {
        instruments.refusals.increment(by: group.count)
        publish(items + group.map { .outcome($0.ticket, .refused(error)) })
    }

    /// Goes back to what is stored, which after a failed commit is the only truth. Entries after
    /// `known` are new to the observer and go into `items`: others have committed them meanwhile, or
    /// the commit that failed has after all been done (its fsync failed, and recovery found it whole).
    private func recover(known: Int64, into items: inout [CommitItem]) {
        tails.removeAll()
        guard let log else { return }
        var told = known
        do throws(StoreError) {
            try log.database.transaction(.deferred) { () throws(StoreError) in
                let snapshot = try log.loadSnapshot()
                state.reset(to: snapshot, keepingAnswersUpTo: known)
                lastSave = snapshot.seq
                try log.forEachEntry(after: min(snapshot.seq, known)) {
                    (entry) throws(StoreError) in
                    state.apply(entry)
                    guard entry.seq > known else { return true }
                    if entry.seq <= snapshot.seq { state.remember(entry) }
                    items.append(.entry(entry))
                    told = entry.seq
                    return true
                }
            }
            if state.head < known { enter(.replaced) }
        } catch {
            // Not even readable. Nothing is answered until it is; the probe opens it afresh.
            self.log = nil
            unreadableSince = told
        }
    }

    /// Tries whether the trouble is over.
    private func probe() {
        nextProbe = SystemClock.now() + ChatWriter.probeInterval
        do throws(StoreError) {
            if case .locked = trouble, let log {
                log.database.setBusyTimeout(.zero)
                defer { log.database.setBusyTimeout(configuration.lockTimeout) }
                try log.database.transaction { () throws(StoreError) in }
                return enter(nil)
            }
            // With the file opened anew: a connection that has met an I/O error may hold on to it.
            let fresh = try openLog()
            try fresh.database.transaction { () throws(StoreError) in try fresh.probe() }
            let isStateLost = log == nil
            log = fresh
            enter(nil)
            makeDurable(fresh)
            guard isStateLost else { return }
            var items: [CommitItem] = []
            recover(known: unreadableSince, into: &items)
            if log == nil { enter(.failed(.io(code: 0))) }
            publish(items)
        } catch {
            // Still no good; with the lock, somebody else may hold it by now.
            if case .locked = trouble {
                board.set(.locked(holder: LockHolder.find(path: path)), now: SystemClock.now())
            }
        }
    }

    // MARK: Projection

    /// Loads the projection, what is kept in memory of the latest entries, and the log after it.
    private func restore(from log: ChatLog) throws(StoreError) {
        let limits = configuration.limits
        try log.database.transaction(.deferred) { () throws(StoreError) in
            let snapshot = try log.loadSnapshot()
            state.reset(to: snapshot, keepingAnswersUpTo: 0)
            lastSave = snapshot.seq
            let depth = Int64(max(limits.idempotencyMaximumEntries, limits.replayDistance))
            let start = max(0, try log.head() - depth)
            try log.forEachOutline(after: start, through: snapshot.seq) { outline in
                board.remember(
                    seq: outline.seq, room: outline.room, kind: outline.kind, bytes: outline.bytes)
                guard outline.kind == .message, let clientID = outline.clientID else { return }
                state.remember(
                    clientID: clientID, of: outline.actor,
                    firstAnswer: Sent(
                        seq: outline.seq, roomSeq: outline.roomSeq, at: outline.at))
            }
            try log.forEachEntry(after: snapshot.seq) { (entry) throws(StoreError) in
                state.apply(entry)
                board.remember(
                    seq: entry.seq, room: entry.room, kind: entry.kind, bytes: entry.payload.count)
                return true
            }
        }
    }

    /// Writes the projection down, after reading the log to its end, so that the next start is short.
    /// A failure costs nothing but that.
    private func saveProjection() {
        guard let log, state.changeCount > 0 || state.head > lastSave else { return }
        let start = SystemClock.now()
        var items: [CommitItem] = []
        do throws(StoreError) {
            try write(log) { () throws(StoreError) in
                try readForeign(log, into: &items)
                try log.save(state.changes)
            }
            state.forgetChanges()
            instruments.projectionTime.observe(SystemClock.now() - start)
        } catch {
            // Tried again after as many entries; if the disk is full the next commit tells.
        }
        lastSave = state.head
        publish(items)
    }
}
