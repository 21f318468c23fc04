// SPDX-License-Identifier: MIT
package import ChatCore
package import EngineIOServer
package import Metrics
internal import SocketIOServer

/// How the gateway serves the chat.
package struct GatewayConfiguration: Sendable {
    /// This process among those that share the store.
    package var instance: String
    package var limits: Limits
    package var engine: EngineServerConfiguration
    /// From the transport's opening to CONNECT done. The reference server's default.
    package var connectTimeout: Duration = .seconds(45)
    /// How long a client that cannot be let in for the moment is tried again before it is told so.
    /// Shorter than `connectTimeout`, which would cut it off without a reason.
    package var signInPatience: Duration = .seconds(20)
    /// Bytes that may wait for one client before it is fed from the log instead, at its own pace. With a
    /// window on top, less than what stops the server from reading (256 KiB): who is slow answers pings.
    package var maxQueuedBytes = 128 << 10

    /// Bytes of publications that each loop remembers, for those who are a little behind (`RecentLog`).
    package var recentBytes = 16 << 20
    /// The longest that publications are gathered (`FlushWindow`).
    package var longestWindow = usualWindow
    package static let usualWindow = FlushWindow.longest

    var sockets: SocketServerConfiguration {
        var sockets = SocketServerConfiguration(engine: engine)
        sockets.connectTimeout = connectTimeout
        sockets.maxQueuedBytes = maxQueuedBytes
        sockets.longestWindow = longestWindow
        return sockets
    }

    /// Rate limits off: for load tests.
    package var isUnlimited = false
    /// Shared by the instances of one store; 32 random bytes.
    package var recoveryKey: [UInt8]
    /// Which history the log's numbers belong to (`StoreEpoch.id`): offsets carry a part of it.
    package var epoch: String

    package init(
        instance: String, limits: Limits = Limits(), engine: EngineServerConfiguration,
        recoveryKey: [UInt8], epoch: String
    ) {
        self.instance = instance
        self.limits = limits
        self.engine = engine
        self.recoveryKey = recoveryKey
        self.epoch = epoch
    }
}

/// What the gateway counts.
package struct GatewayMetrics: Sendable {
    private let registry: MetricsRegistry
    let clients: Gauge
    let requests: Counter
    let refusals: Counter
    let deliveries: Counter
    let publications: Counter
    let fellBehind: Counter
    let leftOut: Counter
    let announcements: Counter
    let pulls: Counter
    let gaps: Counter

    /// How long a loop gathers publications now.
    func flushWindow(loop: Int) -> Gauge {
        registry.gauge(
            "chat_flush_window_microseconds",
            help: "From the beginning of a loop's last flush to the earliest next; 0 below 1000.",
            labels: ["loop": "\(loop)"])
    }

    package init(_ registry: MetricsRegistry) {
        self.registry = registry
        clients = registry.gauge("chat_clients", help: "Socket.IO clients signed in now.")
        requests = registry.counter("chat_requests_total", help: "Events received from clients.")
        refusals = registry.counter("chat_refusals_total", help: "Requests answered with an error.")
        deliveries = registry.counter(
            "chat_deliveries_total", help: "Log events handed to clients' connections.")
        publications = registry.counter(
            "chat_publications_total", help: "Log events encoded for delivery.")
        announcements = registry.counter(
            "chat_announcements_total", help: "Commits that other instances have announced here.")
        pulls = registry.counter(
            "chat_log_pulls_total",
            help: "Announcements that told something new, so that the log was read at once.")
        gaps = registry.counter(
            "chat_log_gaps_total",
            help: "Announcements of entries that others not yet known come before: some got lost.")
        leftOut = registry.counter(
            "chat_live_events_left_out_total",
            help: "Typing in large rooms that was not told, as too much of it waited.")
        fellBehind = registry.counter(
            "chat_fell_behind_total",
            help: "Times a client was fed from the log because too much waited for it.")
    }
}
