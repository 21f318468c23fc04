// SPDX-License-Identifier: MIT
internal import Bus
internal import ChatCore
internal import HTTPServer
internal import Logging
internal import NotificationAPI
internal import ServiceRuntime
internal import Store
internal import Timing
internal import Webhooks

/// The options of this service, besides those that all services share.
enum NotificationSettings {
    static let port = SettingKey.port(
        "NOTIFICATION_PORT", default: 3003, help: "TCP port to listen on.")
    static let dataDirectory = SettingKey.path(
        "NOTIFICATION_DATA_DIR", default: "./data/notification",
        help: "Folder of the database and of the key that seals webhook secrets.")
    static let chatURL = SettingKey.url(
        "CHAT_URL", default: "http://127.0.0.1:3001",
        help: "Where this service reaches ChatService.")
    static let authURL = SettingKey.url(
        "AUTH_URL", default: "http://127.0.0.1:3002",
        help: "Where this service reaches AuthService.")
    static let issuer = SettingKey.url(
        "AUTH_ISSUER", default: "", help: "The issuer that tokens name; AUTH_URL when empty.")
    static let secret = SettingKey.secret(
        "NOTIFICATION_SERVICE_SECRET", help: "This service's secret at AuthService.")
    static let allowedNetworks = SettingKey.networks(
        "NOTIFICATION_ALLOW_NETWORKS",
        help: "Networks that webhooks may reach though they are not global.")
    static let allowsHTTP = SettingKey.bool(
        "NOTIFICATION_ALLOW_HTTP", help: "Lets webhooks go to http:// too: for development.")

    static let keys: [any SettingDeclaration] = [
        port, dataDirectory, chatURL, authURL, issuer, secret, allowedNetworks, allowsHTTP,
    ]
}

ServiceHost.run(
    .init(
        name: "NotificationService",
        summary: "Turns events of the chat and of sign-in into signed webhooks."),
    name: "notification", keys: NotificationSettings.keys
) { context in
    let settings = context.settings
    let log = context.logger
    let (chatURL, authURL) = (
        settings[NotificationSettings.chatURL], settings[NotificationSettings.authURL]
    )
    guard let secret = settings[NotificationSettings.secret] else {
        Usage.refuse(
            "NOTIFICATION_SERVICE_SECRET or NOTIFICATION_SERVICE_SECRET_FILE is missing")
    }
    let allowed = settings[NotificationSettings.allowedNetworks]
    if !allowed.isEmpty {
        log.warning(
            "webhooks may reach networks that are not global",
            metadata: ["networks": "\(allowed)"])
    }

    let directory = settings[NotificationSettings.dataDirectory]
    try DataDirectory.prepare(directory)
    let keeper = SecretKeeper(key: try SecretKeyFile.load("\(directory)/secrets.key"))
    let store = try NotificationStore(
        path: "\(directory)/notification.db", now: SystemClock.timestamp())

    let redisURL = settings[CommonSettings.redisURL]
    let bus: (any Bus)? =
        redisURL.isEmpty
        ? nil
        : try context.blaming(CommonSettings.redisURL) {
            try RedisBus(url: redisURL, metrics: context.metrics)
        }

    let issuer = settings[NotificationSettings.issuer]
    var link = TokenAuthority.Configuration(
        url: authURL, issuer: issuer.isEmpty ? authURL : issuer, audience: "notification",
        clientID: "notification-service", secret: secret.exposed)
    link.authoritiesFile = context.authoritiesFile
    let authority = TokenAuthority(link, log: log)
    func credential(_ audience: String, _ scope: String) -> ServiceCredential {
        ServiceCredential(
            token: { try? authority.serviceToken(audience: audience, scope: scope) },
            drop: { authority.dropServiceToken(audience: audience, scope: scope) })
    }

    // Our own services and Redis stay closed to webhooks even where their network is allowed.
    let ownPorts = OwnPorts.of(
        urls: [chatURL, authURL, redisURL], port: settings[NotificationSettings.port])
    let policy = URLPolicy(
        allowsHTTP: settings[NotificationSettings.allowsHTTP],
        addresses: AddressPolicy(allowed: allowed, refusedPorts: ownPorts))
    let sender = WebhookSender(
        policy: policy, keeper: keeper, userAgent: "chat-webhooks/\(Build.version)")
    let engine = DeliveryEngine(
        store: store, sender: sender, metrics: DeliveryMetrics(context.metrics),
        report: { DeliveryLog.write($0, to: log) })
    let forwarder = AlertForwarder(
        store: store, url: chatURL, credential: credential("chat", "internal:alert"),
        authoritiesFile: context.authoritiesFile, log: log)
    let followers = [(LogSource.chat, chatURL), (LogSource.auth, authURL)].map {
        (source, url) -> LogFollower in
        var following = LogFollower.Configuration(source: source, url: url)
        following.authoritiesFile = context.authoritiesFile
        return LogFollower(
            following, store: store,
            credential: credential(source.rawValue, "internal:log"), bus: bus,
            metrics: context.metrics, log: log, wakeEngine: { engine.wake() })
    }

    var router = Router()
    NotificationRoutes.add(
        to: &router,
        context: NotificationContext(
            store: store, sender: sender, gate: authority.gate(realm: "notification"),
            wakeEngine: { engine.wake() }, wakeForwarder: { forwarder.wake() }))
    var checks = [
        HealthCheck("auth") {
            authority.isReady ? .ok : .failed("tokens cannot be checked at the moment")
        }
    ]
    for (source, follower) in zip(LogSource.allCases, followers) {
        checks.append(
            HealthCheck("\(source.rawValue)-log") {
                follower.status.trouble.map { .degraded($0) } ?? .ok
            })
    }
    if let bus {
        checks.append(HealthCheck("redis") { bus.isConnected ? .ok : .degraded("not connected") })
    }

    return ServiceParts(
        server: context.serverConfiguration(port: settings[NotificationSettings.port], workers: 8),
        router: router, checks: checks,
        started: { _ in
            authority.start()
            engine.start()
            forwarder.start()
            for follower in followers { follower.start() }
        },
        draining: {
            for follower in followers { follower.requestStop() }
            for follower in followers { follower.stop() }
            forwarder.stop()
            // Below the time after which whoever asked us to stop kills us.
            if !engine.drain(timeout: .seconds(5)) {
                log.notice("attempts under way are given up and made again after the next start")
            }
        },
        stopped: {
            engine.stop()
            authority.stop()
            bus?.stop()
        }, drainTimeout: .seconds(2))
}
