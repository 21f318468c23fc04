// SPDX-License-Identifier: MIT
package import ServiceRuntime
package import Store
package import Timing
package import Webhooks

/// What an owner may have and do.
package struct NotificationLimits: Sendable {
    package var endpointsPerOwner = 20
    /// Test calls an owner may make in a minute: each is a request of our choosing to a place of
    /// theirs, with its outcome told.
    package var testsPerMinute = 6
    package var maxBodyBytes = 64 << 10
    package var maxPage = 200
    /// How long the old secret signs too when the owner does not say.
    package var rotationOverlap: Duration = .seconds(86_400)
    package var maxRotationOverlap: Duration = .seconds(7 * 86_400)

    package init() {}
}

/// What the routes work with.
package struct NotificationContext: Sendable {
    package var store: NotificationStore
    package var sender: WebhookSender
    package var gate: BearerGate
    package var limits: NotificationLimits
    package var now: @Sendable () -> Timestamp
    /// Deliveries are due: `DeliveryEngine.wake`.
    package var wakeEngine: @Sendable () -> Void
    /// Alerts are due: `AlertForwarder.wake`.
    package var wakeForwarder: @Sendable () -> Void

    package init(
        store: NotificationStore, sender: WebhookSender, gate: BearerGate,
        limits: NotificationLimits = NotificationLimits(),
        now: @escaping @Sendable () -> Timestamp = { SystemClock.timestamp() },
        wakeEngine: @escaping @Sendable () -> Void = {},
        wakeForwarder: @escaping @Sendable () -> Void = {}
    ) {
        self.store = store
        self.sender = sender
        self.gate = gate
        self.limits = limits
        self.now = now
        self.wakeEngine = wakeEngine
        self.wakeForwarder = wakeForwarder
    }
}
