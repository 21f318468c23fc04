// SPDX-License-Identifier: MIT
internal import ChatCore
internal import Glibc
internal import Metrics
internal import Timing

/// What the writer's thread does with each group of commands. Lives on that thread alone.
///
/// ```
///            commit fails: forget what was not stored (`recover`)
///   writing ───────────────────────────────────────────────────► refusing
///      ▲                                                            │ each 250 ms
///      └──────────────────── probe written ─────────────────────────┘
/// ```
///
/// Invariant: between groups, `state` is exactly the log up to `state.head`, and the observer has been
/// told of every entry up to there, once. `log` is nil only while the file cannot even be read.
final class ChatWriter {
    private let path: String
    private let configuration: ChatStore.Configuration
    private let board: ChatBoard
    private let instruments: ChatStoreInstruments
    private let announcer: LogAnnouncer?
    private weak var observer: (any CommitObserver)?

    private var log: ChatLog?
    private var state: ChatState
    private var tails: MessageTails
    /// The head when the projection was last written down, or tried to be.
    private var lastSave: Int64 = 0
    /// Set while writes are refused: when to probe next.
    private var nextProbe: Instant?
    /// When another process's entry was last seen.
    private var lastForeign: Instant?
    private var lastWork: Instant
    /// What the next commit is to fail with, in tests.
    var injectedFailure: () -> StoreError? = { nil }

    /// How long writes are refused before the disk is tried again.
    private static let probeInterval: Duration = .milliseconds(250)

    init(
        path: String, configuration: ChatStore.Configuration, board: ChatBoard,
        instruments: ChatStoreInstruments, announcer: LogAnnouncer?,
        observer: (any CommitObserver)?
    ) throws(StoreError) {
        self.path = path
        self.configuration = configuration
        self.board = board
        self.instruments = instruments
        self.announcer = announcer
        self.observer = observer
        state = ChatState(limits: configuration.limits)
        tails = MessageTails(length: configuration.limits.joinMessages)
        lastWork = SystemClock.now()
        let log = try ChatLog(path: path, mode: .readWrite)
        self.log = log
        try restore(from: log)
        board.replace(state.roomHeads, head: state.head)
    }

    // MARK: Groups

    /// Decides and commits one group, and tells the observer.
    func process(_ group: ArraySlice<ChatStore.Submission>) {
        lastWork = SystemClock.now()
        if let nextProbe, lastWork >= nextProbe { probe() }
        guard let log else { return refuse(group, .storageUnavailable, after: []) }
        guard nextProbe == nil else { return answerReaders(group, log) }
        let isReadOnly = group.allSatisfy(isAnsweredWithoutWriting)
        var items: [CommitItem] = []
        items.reserveCapacity(group.count * 2)
        var own: [LogEntry] = []
        var hasDecided = false
        var known = state.head
        var foreignCount = 0
        func run() throws(StoreError) {
            try readForeign(log, into: &items)
            known = state.head
            foreignCount = items.count
            hasDecided = true
            try decide(group, log, into: &items, &own)
        }
        do throws(StoreError) {
            if isReadOnly {
                try run()
            } else {
                letOthersWrite()
                try log.database.transaction { () throws(StoreError) in
                    try run()
                    #if PLANTED_BUGS
                        tellEarly(items)
                    #endif
                    if let failure = injectedFailure() { throw failure }
                }
            }
        } catch {
            instruments.failures.increment()
            // What others committed is true all the same; what was decided here never happened.
            var truth = hasDecided ? Array(items.prefix(foreignCount)) : items
            if !hasDecided, error == .busy { return refuse(group, .busy, after: truth) }
            nextProbe = SystemClock.now() + ChatWriter.probeInterval
            board.isAvailable = false
            recover(known: hasDecided ? known : state.head, into: &truth)
            return refuse(group, .storageUnavailable, after: truth)
        }
        if !own.isEmpty {
            instruments.commits.increment()
            instruments.entries.increment(by: own.count)
            instruments.groupSize.observe(Double(group.count))
            instruments.commitTime.observe(SystemClock.now() - lastWork)
        }
        publish(items, wasTold: !isReadOnly)
        announcer?.announce(own)
        if state.head - lastSave >= configuration.snapshotInterval { saveProjection() }
    }

    /// Nothing came for a while: look for other processes' entries, and use the time.
    func idle() {
        let now = SystemClock.now()
        if let nextProbe, now >= nextProbe { probe() }
        guard let log else { return }
        var items: [CommitItem] = []
        do throws(StoreError) {
            try readForeign(log, into: &items)
        } catch {
            // Read them next time; a file that cannot be read shows itself in the next commit too.
        }
        publish(items)
        // A quiet second is a good time to make the next start short.
        if nextProbe == nil, state.head - lastSave >= 1000, now - lastWork > .seconds(1) {
            saveProjection()
        }
    }

    /// The last act before the thread ends.
    func finish() {
        if nextProbe == nil { saveProjection() }
        _ = try? log?.database.checkpoint(.truncate)
        log = nil
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
                    in: room, before: .max, limit: configuration.limits.joinMessages, from: head),
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
        if count > 0 {
            lastForeign = SystemClock.now()
            instruments.foreignEntries.increment(by: count)
        }
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
        board.publish(
            items.lazy.compactMap { item in
                if case .entry(let entry) = item { entry } else { nil }
            }, from: state)
        #if PLANTED_BUGS
            // What was told early is not told again.
            if wasTold {
                observer?.committed(items.filter { !isToldEarly($0) })
                return
            }
        #endif
        observer?.committed(items)
    }

    /// A process that commits without pause would leave the others only the moment between two of its
    /// transactions, which SQLite's polling for the lock mostly misses.
    private func letOthersWrite() {
        if let lastForeign, lastWork - lastForeign < .seconds(2) { usleep(300) }
    }

    // MARK: Failure

    /// Whether a command is sure to append nothing: of the others, a session of who is in the lobby
    /// already. A storm of reconnections then never waits for the write lock, and goes on while the
    /// disk is full.
    private func isAnsweredWithoutWriting(_ submission: ChatStore.Submission) -> Bool {
        submission.command.isReadOnly
            || submission.command == .openSession && state.isMember(submission.actor.id, of: .lobby)
    }

    /// While nothing can be written: answers what needs no writing, refuses the rest.
    private func answerReaders(_ group: ArraySlice<ChatStore.Submission>, _ log: ChatLog) {
        for submission in group {
            guard isAnsweredWithoutWriting(submission) else {
                refuse([submission], .storageUnavailable, after: [])
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

    /// Goes back to what is stored. Entries after `known` that others have committed meanwhile are new
    /// to the observer and go into `items`.
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
                    if entry.seq > known {
                        items.append(.entry(entry))
                        told = entry.seq
                    }
                    return true
                }
            }
        } catch {
            // Not even readable. Nothing is answered until it is; the probe opens it afresh.
            self.log = nil
            unreadableSince = told
        }
    }

    /// The latest entry the observer knew when the file became unreadable.
    private var unreadableSince: Int64 = 0

    /// Tries whether the disk takes writes again, with the file opened anew: a connection that has met
    /// an I/O error may hold on to it.
    private func probe() {
        nextProbe = SystemClock.now() + ChatWriter.probeInterval
        if let failure = injectedFailure() {
            _ = failure
            return
        }
        do throws(StoreError) {
            let fresh = try ChatLog(path: path, mode: .readWrite)
            try fresh.database.transaction { () throws(StoreError) in try fresh.probe() }
            let isStateLost = log == nil
            log = fresh
            var items: [CommitItem] = []
            if isStateLost { recover(known: unreadableSince, into: &items) }
            guard log != nil else { return }
            nextProbe = nil
            board.isAvailable = true
            publish(items)
        } catch {
            // Still no good.
        }
    }

    // MARK: Projection

    /// Loads the projection, the repetitions to know, and the log after it.
    private func restore(from log: ChatLog) throws(StoreError) {
        let limits = configuration.limits
        try log.database.transaction(.deferred) { () throws(StoreError) in
            let snapshot = try log.loadSnapshot()
            state.reset(to: snapshot, keepingAnswersUpTo: 0)
            lastSave = snapshot.seq
            let answers = try log.firstAnswers(
                through: snapshot.seq,
                since: Timestamp(
                    milliseconds: configuration.clock().milliseconds
                        - limits.idempotencyWindow.milliseconds),
                minimum: limits.idempotencyMinimumCount, maximum: limits.idempotencyMaximumCount)
            for (user, clientID, answer) in answers {
                state.remember(clientID: clientID, of: user, firstAnswer: answer)
            }
            try log.forEachEntry(after: snapshot.seq) { (entry) throws(StoreError) in
                state.apply(entry)
                return true
            }
        }
    }

    /// Writes the projection down, after reading the log to its end, so that the next start is short.
    /// A failure costs nothing but that.
    private func saveProjection() {
        guard let log, state.changeCount > 0 || state.head > lastSave else { return }
        var items: [CommitItem] = []
        do throws(StoreError) {
            try log.database.transaction { () throws(StoreError) in
                try readForeign(log, into: &items)
                try log.save(state.changes)
            }
            state.forgetChanges()
        } catch {
            // Tried again after as many entries; if the disk is full the next commit tells.
        }
        lastSave = state.head
        publish(items)
    }
}
