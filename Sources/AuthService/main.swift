// SPDX-License-Identifier: MIT
internal import AuthAPI
internal import Bus
internal import ChatCore
internal import Crypto
internal import Glibc
internal import HTTPServer
internal import Logging
internal import Metrics
internal import OAuth
internal import Reactor
internal import ServiceRuntime
internal import Store
internal import Locks
internal import Synchronization
internal import Timing

/// Does something once a second until told to stop.
final class Ticker: Sendable {
    private let isStopping = Atomic(false)
    private let thread = Locked<WorkerThread?>(nil)

    func start(_ tick: @escaping @Sendable (_ second: Int) -> Void) {
        let worker = WorkerThread(name: "ticker") { [self] in
            var second = 0
            while !isStopping.load(ordering: .relaxed) {
                usleep(1_000_000)
                second += 1
                tick(second)
            }
        }
        thread.withLock { $0 = worker }
    }

    func stop() {
        isStopping.store(true, ordering: .relaxed)
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }
}

/// The clients this deployment has: the web client, and the two services with their secrets.
func registerClients(_ server: AuthorizationServer, _ settings: Settings, secrets: String) throws {
    let uris = settings[AuthOptions.redirectURIs]
    if let uri = uris.first(where: { !RedirectURI.isRegistrable($0) }) {
        throw SettingProblem(
            "AUTH_WEB_REDIRECT_URIS: \(uri) is neither https nor http on this machine")
    }
    try server.register(
        Client(
            id: "web", name: "Chat", redirectURIs: uris,
            grantTypes: [.authorizationCode, .refreshToken],
            scopes: ["chat", "notifications", "alerts"], isFirstParty: true))
    for (id, name, audience, scopes) in [
        ("chat-service", "ChatService", Audience.chat, ["internal:log"]),
        (
            "notification-service", "NotificationService", .notification,
            ["internal:log", "internal:alert"]
        ),
    ] {
        let secret = try AuthDirectory.serviceSecret(id, in: secrets)
        try server.register(
            Client(
                id: id, name: name, secretHash: SHA256.digest(secret),
                grantTypes: [.clientCredentials], scopes: scopes, isFirstParty: true,
                audience: audience))
    }
}

/// Builds the service from its options.
func build(_ context: ServiceContext) throws -> ServiceParts {
    let settings = context.settings
    let log = context.logger
    let data = settings[AuthOptions.dataDirectory]
    if context.isSecure, !settings[AuthOptions.issuer].hasPrefix("https:") {
        // Its cookies would lack Secure, and the page would not find its own form.
        throw SettingProblem("AUTH_ISSUER must be an https:// address when TLS_CERT_FILE is set")
    }
    let keyFile = settings[AuthOptions.masterKeyFile]
    let secrets = settings[AuthOptions.secretsDirectory]
    let isThrottled = !settings[CommonSettings.unlimited]
    let (server, store) = try AuthDirectory.open(
        data, masterKeyFile: keyFile.isEmpty ? nil : keyFile,
        issuer: settings[AuthOptions.issuer], isThrottled: isThrottled,
        now: SystemClock.timestamp())
    try registerClients(server, settings, secrets: secrets.isEmpty ? data + "/../secrets" : secrets)

    let feed = try AuthLogFeed(store: store)
    var checks: [HealthCheck] = []
    let redis = settings[CommonSettings.redisURL]
    let bus: RedisBus? =
        redis.isEmpty
        ? nil
        : try context.blaming(CommonSettings.redisURL) {
            try RedisBus(url: redis, metrics: context.metrics)
        }
    if let bus {
        let instance = SecureRandom.token(bytes: 6)
        feed.onEntries { entries in
            bus.publish(
                BusChannel.authLog, AuthLogFeed.announcement(entries, instance: instance))
        }
        checks.append(
            HealthCheck("redis") {
                bus.isConnected ? .ok : .degraded("not connected; readers pull the log")
            })
    }

    // Logins may take every core but never more; the queue is what two cores hash in a second.
    let hashing = WorkerPool(name: "hashing", threads: 2, limit: 64)
    let background = WorkerPool(name: "polls", threads: 4, limit: 1024)
    var options = AuthAPI.Options()
    options.isRegistrationOpen = settings[AuthOptions.registration] == .open
    options.isThrottled = isThrottled
    var router = Router()
    AuthAPI(
        server: server, feed: feed, options: options, hashing: { hashing.submit($0) },
        background: { background.submit($0) }, log: log
    ).add(to: &router)

    let usable = StoreFlag()
    checks.append(HealthCheck("store") { usable.check })
    let ticker = Ticker()
    // Sixteen workers: writers that wait for the disk together share one commit.
    var configuration = context.serverConfiguration(
        port: settings[AuthOptions.port], workers: 16)
    // Its pages hold a form token beside what the request brought.
    configuration.compressesAnswers = false
    return ServiceParts(
        server: configuration,
        router: router, checks: checks,
        started: { _ in
            ticker.start { second in
                do throws(AuthStoreFailure) {
                    try feed.tick()
                    if second % 3600 == 0 {
                        try server.maintain(now: SystemClock.timestamp())
                    } else if second % 30 == 0 {
                        try server.reloadKeys()
                    }
                    usable.set(nil)
                } catch {
                    usable.set("\(error)")
                    log.error("store failed", metadata: ["cause": "\(error)"])
                }
            }
        }, draining: { feed.drain() },
        stopped: {
            ticker.stop()
            hashing.stop()
            background.stop()
            bus?.stop()
            store.close()
        })
}

/// What the ticker last found of the store.
final class StoreFlag: Sendable {
    private let problem = Locked<String?>(nil)
    func set(_ text: String?) { problem.withLock { $0 = text } }
    var check: HealthCheck.State { problem.withLock { $0.map { .failed($0) } ?? .ok } }
}

ServiceHost.run(
    Settings.Program(
        name: "AuthService",
        summary: "OAuth 2.0 authorization server: accounts, sessions, tokens, revocation."),
    name: "auth", keys: AuthOptions.keys, build: build)
