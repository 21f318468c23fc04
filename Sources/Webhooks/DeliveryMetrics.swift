// SPDX-License-Identifier: MIT
package import Metrics

/// What the engine counts.
package struct DeliveryMetrics: Sendable {
    let delivered: Counter
    let failed: Counter
    let dead: Counter
    let disabled: Counter
    let storeFailures: Counter
    let inFlight: Gauge
    let queued: Gauge
    let oldestDue: Gauge
    let duration: Histogram
    let delay: Histogram

    package init(_ registry: MetricsRegistry) {
        let attempts = "webhook_attempts_total"
        let help = "Attempts that ended, by what came of them."
        delivered = registry.counter(attempts, help: help, labels: ["outcome": "delivered"])
        failed = registry.counter(attempts, help: help, labels: ["outcome": "retry"])
        dead = registry.counter(attempts, help: help, labels: ["outcome": "dead"])
        disabled = registry.counter(
            "webhook_endpoints_disabled_total", help: "Endpoints switched off by their answers.")
        storeFailures = registry.counter(
            "webhook_store_failures_total", help: "Turns of the engine that the store refused.")
        inFlight = registry.gauge("webhook_in_flight", help: "Attempts under way.")
        queued = registry.gauge(
            "webhook_queued", help: "Deliveries that wait, as counted every ten seconds.")
        oldestDue = registry.gauge(
            "webhook_oldest_due_seconds",
            help: "How long the delivery longest due has been due, as of the same count.")
        duration = registry.histogram(
            "webhook_attempt_seconds", help: "From the start of an attempt to its end.")
        delay = registry.histogram(
            "webhook_delivery_delay_seconds",
            help: "From the recording of an event to its delivery, retries included.")
    }
}
