// SPDX-License-Identifier: MIT
internal import HTTPClient
internal import JSON
package import Logging
internal import Reactor
package import Store
internal import Locks
internal import Synchronization
package import Timing
internal import Webhooks

/// Passes alerts on to ChatService, which shows each id once. What could not be passed on is tried
/// again, over restarts too, until the alert's time is up.
package final class AlertForwarder: Sendable {
    private struct State: Sendable {
        var isWoken = true
        var isStopped = false
    }

    private let store: NotificationStore
    private let url: String
    private let authoritiesFile: String?
    private let credential: ServiceCredential
    private let log: Logger?
    private let now: @Sendable () -> Timestamp
    private let monitor = Monitor(State())
    private let isStopped = Atomic(false)
    private let thread = Locked<WorkerThread?>(nil)

    /// - Parameters:
    ///   - url: base URL of ChatService, without a slash at its end.
    ///   - authoritiesFile: PEM, trusted in place of the system's.
    package init(
        store: NotificationStore, url: String, credential: ServiceCredential,
        authoritiesFile: String? = nil, log: Logger? = nil,
        now: @escaping @Sendable () -> Timestamp = { SystemClock.timestamp() }
    ) {
        self.store = store
        self.url = url
        self.credential = credential
        self.authoritiesFile = authoritiesFile
        self.log = log
        self.now = now
    }

    package func start() {
        thread.withLock { thread in
            guard thread == nil else { return }
            thread = WorkerThread(name: "alerts") { [self] in run() }
        }
    }

    /// Says that an alert was stored. From any thread.
    package func wake() { monitor.withLock { $0.isWoken = true } }

    package func stop() {
        isStopped.store(true, ordering: .relaxed)
        monitor.withLock { $0.isStopped = true }
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    private func run() {
        while !isStopped.load(ordering: .relaxed) {
            do throws(StoreError) {
                for alert in try store.dueAlerts(now: now(), limit: 100) {
                    if isStopped.load(ordering: .relaxed) { return }
                    try forward(alert)
                }
            } catch {
                log?.error("alerts cannot be read", metadata: ["cause": "\(error)"])
            }
            _ = monitor.wait(until: SystemClock.now() + .milliseconds(500)) { state -> Bool? in
                defer { state.isWoken = false }
                return state.isWoken || state.isStopped ? true : nil
            }
        }
    }

    private func forward(_ alert: AlertRecord) throws(StoreError) {
        switch post(alert) {
        case .some(200..<300):
            try store.closeAlert(number: alert.number)
        case .some(let status) where [400, 413, 422].contains(status):
            // It will never be taken; webhooks have it all the same.
            log?.error(
                "alert refused", metadata: ["alert": "\(alert.id)", "status": "\(status)"])
            try store.closeAlert(number: alert.number)
        case let status:
            if status == 401 { credential.drop() }
            let delay = Duration.milliseconds(250 << min(alert.attempts, 7))
            try store.postponeAlert(number: alert.number, until: now() + delay)
        }
    }

    /// The status, or nil when none came.
    private func post(_ alert: AlertRecord) -> Int? {
        guard let token = credential.token(),
            case .object(var body)? = try? JSONValue(parsing: alert.body)
        else { return nil }
        // What is left of its time: an alert that waited must not outlive what its sender meant.
        let left = (alert.expiresAt.milliseconds - now().milliseconds + 999) / 1000
        body["ttl"] = .int(max(1, left))
        let request = Request(
            method: "POST", url: "\(url)/internal/alerts",
            fields: [
                ("authorization", "Bearer \(token)"), ("content-type", "application/json"),
            ], body: JSONValue.object(body).bytes, connectTimeout: .seconds(2),
            totalTimeout: .seconds(10), authoritiesFile: authoritiesFile,
            isCancelled: { [self] in isStopped.load(ordering: .relaxed) })
        return try? perform(request).status
    }
}
