// SPDX-License-Identifier: MIT
internal import Bytes
package import ChatCore
internal import HTTPClient
internal import JSON
package import Logging
package import Metrics
internal import Reactor
package import Store
internal import Locks
internal import Synchronization
internal import Timing
internal import Webhooks

/// A bearer token for another service, from a cache that can be told that it was refused.
package struct ServiceCredential: Sendable {
    /// Blocks; nil when there is none to be had now.
    package var token: @Sendable () -> String?
    package var drop: @Sendable () -> Void

    package init(token: @escaping @Sendable () -> String?, drop: @escaping @Sendable () -> Void) {
        self.token = token
        self.drop = drop
    }
}

/// Follows one service's log and turns its entries into deliveries, each once.
///
/// ```
/// announcement on the bus ──► next in order? ── yes ─► apply ─► watermark, deliveries (one transaction)
///                                  │ no                  ▲
/// nothing heard for a second ──────┴──► pull the log ────┘      without a bus: long poll
/// ```
///
/// The log is the truth and an announcement only a faster way to the same entries, so a bus that
/// drops, repeats or reorders costs time and nothing else. One thread, which blocks.
package final class LogFollower: Sendable {
    package struct Configuration: Sendable {
        package var source: LogSource
        /// Base URL of the service, without a slash at its end.
        package var url: String
        /// Entries asked for at once.
        package var page = 500
        /// How long the service may hold an empty answer back.
        package var waitSeconds = 20
        /// The pause between pulls where announcements come too.
        package var checkInterval: Duration = .seconds(1)
        /// The pause after an empty answer that was not held back.
        package var pollInterval: Duration = .milliseconds(250)

        /// A PEM file with the authorities that the service's certificate is trusted by, in place of the
        /// system's.
        package var authoritiesFile: String?

        package init(source: LogSource, url: String) {
            self.source = source
            self.url = url
        }
    }

    /// How the follower is doing, for health checks.
    package struct Status: Sendable, Hashable {
        package var watermark: Int64 = 0
        package var head: Int64 = 0
        /// The log was read to its head, and the last pull succeeded.
        package var isCurrent = false
        /// A word for what is wrong; nil when nothing is.
        package var trouble: String?
    }

    private struct Inbox: Sendable {
        var announcements: [[UInt8]] = []
        var isStopped = false
    }

    private enum PullError: Error {
        case noToken
        case unreachable(String)
        case refused(Int)
        case malformed
        /// The log is shorter than what was taken in of it, and names no epoch by which to tell since
        /// when: its store was replaced by an older one.
        case wentBack
        case store(StoreError)
    }

    private let configuration: Configuration
    private let store: NotificationStore
    private let credential: ServiceCredential
    private let bus: (any Bus)?
    private let log: Logger?
    private let wakeEngine: @Sendable () -> Void
    private let inbox = Monitor(Inbox())
    private let isStopped = Atomic(false)
    private let state = Locked(Status())
    private let thread = Locked<WorkerThread?>(nil)
    /// The epoch of the log as last heard, once one was.
    private let epoch = Locked<String?>(nil)
    private let restores: Counter
    private let applied: Counter
    private let created: Counter

    /// - Parameters:
    ///   - bus: nil for none; then the log is long-polled.
    ///   - wakeEngine: called when deliveries were made.
    package init(
        _ configuration: Configuration, store: NotificationStore, credential: ServiceCredential,
        bus: (any Bus)?, metrics: MetricsRegistry, log: Logger? = nil,
        wakeEngine: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.store = store
        self.credential = credential
        self.bus = bus
        self.log = log
        self.wakeEngine = wakeEngine
        let source = configuration.source.rawValue
        applied = metrics.counter(
            "notification_entries_total", help: "Log entries taken in.", labels: ["source": source])
        restores = metrics.counter(
            "notification_log_restores_total",
            help: "Times a log was found restored from a backup.", labels: ["source": source])
        created = metrics.counter(
            "notification_deliveries_total", help: "Deliveries made of log entries.",
            labels: ["source": source])
        metrics.gauge(
            "notification_log_watermark", help: "The last entry of the log taken in.",
            labels: ["source": source]
        ) { [weak self] in Double(self?.status.watermark ?? 0) }
        metrics.gauge(
            "notification_log_lag", help: "Entries of the log not taken in yet, as last seen.",
            labels: ["source": source]
        ) { [weak self] in
            guard let status = self?.status else { return 0 }
            return Double(max(0, status.head - status.watermark))
        }
    }

    package var status: Status { state.withLock { $0 } }

    /// Starts the thread and, where there is a bus, listens to it.
    package func start() {
        let channel =
            configuration.source == .chat ? BusChannel.chatLog : BusChannel.authLog
        bus?.subscribe(channel) { [inbox] payload in
            // A full inbox drops: the entries are in the log.
            inbox.withLock { if $0.announcements.count < 256 { $0.announcements.append(payload) } }
        }
        thread.withLock { thread in
            guard thread == nil else { return }
            let name = "log-\(configuration.source.rawValue)"
            thread = WorkerThread(name: name) { [self] in run() }
        }
    }

    /// Asks the thread to end; a pull under way is given up within a second.
    package func requestStop() {
        isStopped.store(true, ordering: .relaxed)
        inbox.withLock { $0.isStopped = true }
    }

    /// Asks the thread to end and waits until it has.
    package func stop() {
        requestStop()
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    private func run() {
        var failures = 0
        while !isStopped.load(ordering: .relaxed) {
            do throws(PullError) {
                try step()
                if failures > 0 { log?.notice("log followed again", metadata: label) }
                failures = 0
            } catch {
                let word = LogFollower.word(error)
                state.withLock {
                    $0.trouble = word
                    $0.isCurrent = false
                }
                if failures == 0, !isStopped.load(ordering: .relaxed) {
                    log?.warning(
                        "log cannot be followed",
                        metadata: label.merging(["cause": "\(word)"]) { $1 })
                }
                failures += 1
                pause(.milliseconds(100 << min(failures - 1, 6)))
            }
        }
    }

    private var label: Logger.Metadata { ["source": "\(configuration.source.rawValue)"] }

    /// Hears or asks once, and applies what came.
    private func step() throws(PullError) {
        let isCurrent = state.withLock { $0.isCurrent }
        guard isCurrent, bus?.isConnected == true else {
            try pull(wait: isCurrent ? configuration.waitSeconds : 0)
            return
        }
        let heard = inbox.wait(until: SystemClock.now() + configuration.checkInterval) {
            inbox -> [[UInt8]]? in
            if inbox.isStopped { return [] }
            guard !inbox.announcements.isEmpty else { return nil }
            defer { inbox.announcements = [] }
            return inbox.announcements
        }
        var needsPull = heard == nil
        for payload in heard ?? [] where try !apply(announcement: payload) { needsPull = true }
        if needsPull { try pull(wait: 0) }
    }

    /// False when the entries have to be pulled: some are missing, or they were too many to send.
    private func apply(announcement payload: [UInt8]) throws(PullError) -> Bool {
        guard let announcement = LogAnnouncement(payload) else { return true }
        let isKnown = state.withLock { state in
            state.head = max(state.head, announcement.last)
            return announcement.last <= state.watermark
        }
        if isKnown, announcement.epoch == epoch.withLock({ $0 }) { return true }
        guard let list = (try? JSONValue(parsing: payload))?["entries"]?.array else { return false }
        let entries = list.compactMap { configuration.source.entry($0) }
        // Of another history: only the log itself says where that begins.
        guard announcement.epoch == epoch.withLock({ $0 }) else { return false }
        // Whether other processes' entries lie in between is not said, so count.
        guard entries.count == list.count,
            Int64(entries.count) == announcement.last - announcement.first + 1
        else { return false }
        return try take(after: announcement.first - 1, entries)
    }

    private func pull(wait: Int) throws(PullError) {
        guard let token = credential.token() else { throw .noToken }
        let after = try stored { () throws(StoreError) in
            try store.watermark(of: configuration.source.rawValue)
        }
        let start = SystemClock.now()
        let request = Request(
            url: "\(configuration.url)/internal/log?after=\(after)&limit=\(configuration.page)"
                + "&wait=\(wait)",
            fields: [("authorization", "Bearer \(token)"), ("accept", "application/json")],
            connectTimeout: .seconds(2), totalTimeout: .seconds(wait + 10),
            maxResponseBytes: 64 << 20, authoritiesFile: configuration.authoritiesFile,
            isCancelled: { [self] in isStopped.load(ordering: .relaxed) })
        let response: Response
        do throws(HTTPClientError) {
            response = try perform(request)
        } catch {
            throw .unreachable(error.label)
        }
        if response.status == 401 { credential.drop() }
        guard response.status == 200 else { throw .refused(response.status) }
        guard let page = try? response.json(), let head = page["head"]?.int,
            let list = page["entries"]?.array
        else { throw .malformed }
        if let named = page["epoch"]?.string, named != epoch.withLock({ $0 }) {
            // The page was asked for by the watermark of another history: ask again by the right one.
            return try enter(named, base: page["epochBase"]?.int ?? 0, after: after, head: head)
        }
        guard head >= after else { throw .wentBack }
        let entries = list.compactMap { configuration.source.entry($0) }
        guard entries.count == list.count else { throw .malformed }
        _ = try take(after: after, entries)
        state.withLock { state in
            state.head = max(head, state.watermark)
            state.watermark = max(state.watermark, after)
            state.isCurrent = state.watermark >= head
            state.trouble = nil
        }
        if list.isEmpty, wait > 0, SystemClock.now() - start < .milliseconds(200) {
            pause(configuration.pollInterval)
        }
    }

    /// The log is of an epoch that was not heard of before, at all or in this process.
    private func enter(
        _ named: String, base: Int64, after: Int64, head: Int64
    ) throws(PullError) {
        let source = configuration.source.rawValue
        let watermark = try stored { () throws(StoreError) in
            try store.enter(
                source: source, epoch: named, base: base,
                tellsMemberships: configuration.source == .chat)
        }
        epoch.withLock { $0 = named }
        if watermark < after {
            restores.increment()
            log?.warning(
                "the log was restored from a backup",
                metadata: label.merging(["from": "\(after)", "to": "\(base)"]) { $1 })
        }
        state.withLock { state in
            state.watermark = watermark
            state.head = head
            state.isCurrent = false
        }
    }

    /// False when entries are missing before these.
    private func take(after: Int64, _ entries: [SourceEntry]) throws(PullError) -> Bool {
        guard !entries.isEmpty else { return true }
        let result = try stored { () throws(StoreError) in
            try store.apply(
                source: configuration.source.rawValue, after: after, entries, rules: .webhooks,
                now: SystemClock.timestamp())
        }
        applied.increment(by: result.applied)
        created.increment(by: result.deliveries)
        state.withLock { $0.watermark = result.watermark }
        if result.deliveries > 0 { wakeEngine() }
        return !result.hasGap
    }

    private func stored<Result>(
        _ body: () throws(StoreError) -> Result
    ) throws(PullError) -> Result {
        do throws(StoreError) {
            return try body()
        } catch {
            throw .store(error)
        }
    }

    private func pause(_ duration: Duration) {
        _ = inbox.wait(until: SystemClock.now() + duration) { $0.isStopped ? true : nil }
    }

    private static func word(_ error: PullError) -> String {
        switch error {
        case .noToken: "no service token"
        case .unreachable(let word): word
        case .refused(let status): "status \(status)"
        case .malformed: "malformed answer"
        case .wentBack: "the log went back"
        case .store(let error): "\(error)"
        }
    }
}
