// SPDX-License-Identifier: MIT
internal import HTTPClient
internal import Metrics
internal import Reactor
package import Store
internal import Locks
internal import Synchronization
package import Timing

/// What an operator should hear of the engine.
package enum DeliveryReport: Sendable, Hashable {
    /// The store refused a turn; the engine tries again each second and sends nothing meanwhile.
    case storeFailed(StoreError)
    case storeRecovered
    /// An endpoint was switched off: 410, or days of failures.
    case endpointDisabled(String)
}

/// Delivers what the store says is due.
///
/// ```
///             ┌───────────── finished ◄─────────────┐
///             ▼                                     │
/// store ◄─► dispatcher ──── jobs ────► workers (n) ─┴─► receivers
/// ```
///
/// One dispatcher thread owns the conversation with the store: each turn is one transaction that
/// writes down all attempts that ended and claims what is due, so that under load one fsync serves
/// many attempts. Workers only send. An attempt is in the store as under way before its first byte
/// leaves, so a process killed at any point sends it again with the same id and the same bytes, and at
/// most the attempts under way are doubled.
package final class DeliveryEngine: Sendable {
    package struct Configuration: Sendable {
        /// Attempts under way at once, each on a thread of its own that mostly waits.
        package var workers = 32
        package var limits = DeliveryLimits()
        package var schedule = RetrySchedule()
        /// How long deliveries that ended are kept.
        package var retention: Duration = .seconds(30 * 86_400)

        package init() {}
    }

    private struct State: Sendable {
        var jobs: [ClaimedDelivery] = []
        var finished: [FinishedAttempt] = []
        /// Jobs handed out whose end is not written down yet.
        var outstanding = 0
        var isWoken = false
        var isDraining = false
        var isStopped = false
    }

    private let store: NotificationStore
    private let sender: WebhookSender
    private let configuration: Configuration
    private let metrics: DeliveryMetrics
    private let now: @Sendable () -> Timestamp
    private let random: @Sendable () -> Double
    private let report: @Sendable (DeliveryReport) -> Void
    private let monitor = Monitor(State())
    private let isCancelled = Atomic(false)
    private let threads = Locked<[WorkerThread]>([])

    /// - Parameters:
    ///   - random: 0 to 1, for the jitter.
    ///   - report: called on the engine's thread.
    package init(
        store: NotificationStore, sender: WebhookSender,
        configuration: Configuration = Configuration(),
        metrics: DeliveryMetrics = DeliveryMetrics(MetricsRegistry()),
        now: @escaping @Sendable () -> Timestamp = { SystemClock.timestamp() },
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        report: @escaping @Sendable (DeliveryReport) -> Void = { _ in }
    ) {
        self.store = store
        self.sender = sender
        self.configuration = configuration
        self.metrics = metrics
        self.now = now
        self.random = random
        self.report = report
    }

    /// Starts the threads.
    package func start() {
        threads.withLock { threads in
            guard threads.isEmpty else { return }
            threads.append(WorkerThread(name: "webhook-main") { [self] in dispatch() })
            for index in 0..<configuration.workers {
                threads.append(WorkerThread(name: "webhook-\(index)") { [self] in work() })
            }
        }
    }

    /// Says that something new may be due. Cheap; from any thread.
    package func wake() { monitor.withLock { $0.isWoken = true } }

    /// Claims nothing more and waits until what is under way has ended and is written down.
    /// - Returns: false when `timeout` passed first.
    package func drain(timeout: Duration) -> Bool {
        monitor.withLock { $0.isDraining = true }
        return monitor.wait(until: SystemClock.now() + timeout) {
            $0.outstanding == 0 ? true : nil
        } ?? false
    }

    /// Ends the threads. What is under way is given up and will be sent again after the next start.
    package func stop() {
        isCancelled.store(true, ordering: .relaxed)
        monitor.withLock { $0.isStopped = true }
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in running { thread.join() }
    }

    // MARK: Dispatcher

    private struct Work {
        var finished: [FinishedAttempt]
        var capacity: Int
        var isStopped: Bool
    }

    private func dispatch() {
        var wakeAt = Instant(nanoseconds: 0)
        var purgeAt = SystemClock.now()
        var countAt = purgeAt
        var hasFailed = false
        while true {
            let isDue = { SystemClock.now() >= wakeAt }
            let work = monitor.wait(until: wakeAt) { state -> Work? in
                guard state.isWoken || !state.finished.isEmpty || state.isStopped || isDue() else {
                    return nil
                }
                state.isWoken = false
                let capacity =
                    state.isDraining || state.isStopped
                    ? 0 : configuration.workers - state.outstanding + state.finished.count
                defer { state.finished = [] }
                return Work(
                    finished: state.finished, capacity: capacity, isStopped: state.isStopped)
            }
            guard let work else { continue }
            do throws(StoreError) {
                if purgeAt <= SystemClock.now() {
                    try purge()
                    purgeAt = SystemClock.now() + .seconds(60)
                }
                if countAt <= SystemClock.now() {
                    try count()
                    countAt = SystemClock.now() + .seconds(10)
                }
                wakeAt = try turn(work)
                if hasFailed { report(.storeRecovered) }
                hasFailed = false
            } catch {
                // Nothing was written: what ended is kept and written with the next turn.
                monitor.withLock { $0.finished = work.finished + $0.finished }
                metrics.storeFailures.increment()
                if !hasFailed { report(.storeFailed(error)) }
                hasFailed = true
                if work.isStopped { return }
                let retryAt = SystemClock.now() + .seconds(1)
                _ = monitor.wait(until: retryAt) { $0.isStopped ? true : nil }
                wakeAt = retryAt
            }
            if work.isStopped { return }
        }
    }

    /// - Returns: when to look again if nothing happens before.
    private func turn(_ work: Work) throws(StoreError) -> Instant {
        let time = now()
        let turn = try store.turn(
            finished: work.finished, capacity: work.capacity, limits: configuration.limits,
            now: time)
        monitor.withLock { state in
            state.outstanding += turn.claims.count - work.finished.count
            state.jobs += turn.claims
            metrics.inFlight.set(state.outstanding)
        }
        for endpoint in turn.disabled {
            metrics.disabled.increment()
            report(.endpointDisabled(endpoint))
        }
        // Without room there is nothing to do before something ends, which wakes us. Five seconds at
        // most, so that a step of the civil clock is noticed; a millisecond at least, since a turn
        // that could not claim what is due must not spin.
        guard let due = turn.nextDue, work.capacity > turn.claims.count else {
            return SystemClock.now() + .seconds(5)
        }
        let wait = min(max(due.milliseconds - time.milliseconds, 1), 5000)
        return SystemClock.now() + .milliseconds(wait)
    }

    private func purge() throws(StoreError) {
        let before = Timestamp(
            milliseconds: now().milliseconds - configuration.retention.milliseconds)
        _ = try store.purge(endedBefore: before, limit: 500)
    }

    private func count() throws(StoreError) {
        let backlog = try store.backlog()
        metrics.queued.set(backlog.queued)
        let due = backlog.oldestDue.map { now().milliseconds - $0.milliseconds } ?? 0
        metrics.oldestDue.set(Int(max(0, due) / 1000))
    }

    // MARK: Workers

    private func work() {
        while true {
            let job = monitor.wait { state -> ClaimedDelivery?? in
                if state.isStopped { return .some(nil) }
                return state.jobs.isEmpty ? nil : .some(state.jobs.removeFirst())
            }
            guard let job, let job else { return }
            guard let finished = attempt(job) else { continue }
            monitor.withLock { $0.finished.append(finished) }
        }
    }

    /// Nil when the engine was stopped meanwhile: then the attempt counts as interrupted.
    private func attempt(_ job: ClaimedDelivery) -> FinishedAttempt? {
        let start = SystemClock.now()
        let sent = sender.send(
            id: job.id, body: job.body, attempt: job.attempts, to: job.endpoint, now: now(),
            isCancelled: { [self] in isCancelled.load(ordering: .relaxed) })
        if sent.result == .failed(.cancelled) { return nil }
        metrics.duration.observe(SystemClock.now() - start)
        let time = now()
        let verdict = DeliveryVerdict.of(
            sent.result, attempts: job.attempts, schedule: configuration.schedule,
            random: random(), now: time)
        count(verdict, job, time)
        var finished = FinishedAttempt(
            delivery: job.delivery, attempt: job.attempt, endpoint: job.endpoint.id,
            end: AttemptEnd(verdict), error: sent.result.error, peer: sent.peer,
            timings: sent.timings, response: sent.response)
        if case .status(let status, _) = sent.result { finished.status = status }
        return finished
    }

    private func count(_ verdict: DeliveryVerdict, _ job: ClaimedDelivery, _ time: Timestamp) {
        switch verdict {
        case .delivered:
            metrics.delivered.increment()
            metrics.delay.observe(
                .milliseconds(max(0, time.milliseconds - job.createdAt.milliseconds)))
        case .retry: metrics.failed.increment()
        case .dead, .gone: metrics.dead.increment()
        }
    }
}

extension AttemptEnd {
    init(_ verdict: DeliveryVerdict) {
        self =
            switch verdict {
            case .delivered: .delivered
            case .retry(let at): .retry(at: at)
            case .dead: .dead
            case .gone: .gone
            }
    }
}
