// SPDX-License-Identifier: MIT
internal import Bus
internal import Bytes
internal import ChatCore
internal import Crypto
internal import EngineIOServer
internal import Gateway
internal import Glibc
internal import HTTPServer
internal import Instances
internal import Logging
internal import Metrics
internal import ServiceRuntime
internal import Store

private enum Keys {
    static let port = SettingKey.port("CHAT_PORT", default: 3001, help: "TCP port; 0 for any.")
    static let dataDirectory = SettingKey.path(
        "CHAT_DATA_DIR", default: "./data/chat", help: "Where chat.db lives.")
    static let loops = SettingKey.int(
        "CHAT_LOOPS", default: 0, in: 0...64, unit: "LOOPS",
        help: "Event loops, one thread each; 0 for one a core.")
    static let webRoot = SettingKey.path(
        "CHAT_WEB_ROOT", default: "", help: "The built web client; without it none is served.")
    static let origins = SettingKey.list(
        "CHAT_ALLOWED_ORIGINS", placeholder: "ORIGIN,ORIGIN",
        help: "Pages of other origins that may connect; the service's own always may.")
    static let messageBytes = SettingKey.int(
        "CHAT_MESSAGE_BYTES", default: Limits().messageBytes, in: 1...65_536, unit: "BYTES",
        help: "UTF-8 bytes a message may have.")
    static let rate = SettingKey.int(
        "CHAT_MESSAGES_PER_SECOND", default: Limits().messagesPerSecond, in: 1...100_000,
        unit: "COUNT", help: "Requests a second one user may make; five seconds' worth at once.")
    static let authURL = SettingKey.url(
        "AUTH_URL", default: "http://127.0.0.1:3002", help: "AuthService, service to service.")
    static let issuer = SettingKey.url(
        "AUTH_ISSUER", default: "", help: "The issuer that tokens name; AUTH_URL when empty.")
    static let secret = SettingKey.secret(
        "CHAT_SERVICE_SECRET", help: "This service's credential at AuthService.")

    static let compression = SettingKey.bool(
        "CHAT_COMPRESSION",
        help: "Compress messages for clients that take it: less traffic, more CPU.")
    static let ring = SettingKey<SendBatches>.choice(
        "CHAT_IO_URING", default: .auto,
        help: "Send broadcasts through io_uring: where the kernel allows it, surely, or never.")
    static let flushWindow = SettingKey.duration(
        "CHAT_FLUSH_WINDOW", default: GatewayConfiguration.usualWindow,
        in: .zero ... .milliseconds(200),
        help:
            "How long broadcasts gather at most under load, commits half of it; 0ms never gathers.")
    static let takeOver = SettingKey.bool(
        "CHAT_TAKE_OVER",
        help: "Take the listening sockets of the instance on this port, which then drains and ends."
    )

    static let all: [any SettingDeclaration] = [
        port, dataDirectory, loops, webRoot, origins, messageBytes, rate, authURL, issuer, secret,
        compression, ring, flushWindow, takeOver,
    ]
}

ServiceHost.run(
    Settings.Program(name: "ChatService", summary: "Real-time rooms over Socket.IO."),
    name: "chat", keys: Keys.all
) { context in
    let settings = context.settings
    guard let secret = settings[Keys.secret] else {
        throw SettingProblem("CHAT_SERVICE_SECRET or CHAT_SERVICE_SECRET_FILE must be set")
    }
    let directory = settings[Keys.dataDirectory]
    try DataDirectory.prepare(directory)

    let issuer = settings[Keys.issuer].isEmpty ? settings[Keys.authURL] : settings[Keys.issuer]
    var link = TokenAuthority.Configuration(
        url: settings[Keys.authURL], issuer: issuer, audience: "chat",
        clientID: "chat-service", secret: secret.exposed)
    link.authoritiesFile = context.authoritiesFile
    let authority = TokenAuthority(link, log: context.logger)
    let mesh = try InstanceMesh(directory: "\(directory)/instances", metrics: context.metrics)
    let cluster = Cluster(mesh, log: context.logger)
    let redis = settings[CommonSettings.redisURL]
    let bus: any Bus =
        redis.isEmpty
        ? InstanceBus(mesh, metrics: context.metrics)
        : ClusterBus(
            local: InstanceBus(mesh),
            broker: try context.blaming(CommonSettings.redisURL) {
                try RedisBus(url: redis, metrics: context.metrics)
            })
    let instance = Hex.string(SecureRandom.bytes(8))

    let path = "\(directory)/chat.db"
    let epoch = try StoreEpoch(log: path)
    switch epoch.origin {
    case .kept, .created: break
    case .copied, .wentBack, .transient:
        context.logger.warning(
            "the log was restored or moved: clients start from a snapshot",
            metadata: ["cause": "\(epoch.origin)", "head": "\(epoch.base)"])
    }

    var configuration = GatewayConfiguration(
        instance: instance,
        engine: EngineServerConfiguration(
            origins: OriginPolicy(allowed: Set(settings[Keys.origins]))),
        recoveryKey: try RecoveryKey.load(from: directory, epoch: epoch.id), epoch: epoch.id)
    configuration.engine.instance = mesh.number
    configuration.engine.handOver = cluster.handOver
    configuration.engine.compresses = settings[Keys.compression]
    configuration.limits.messageBytes = settings[Keys.messageBytes]
    configuration.limits.messagesPerSecond = settings[Keys.rate]
    configuration.longestWindow = settings[Keys.flushWindow]
    configuration.isUnlimited = settings[CommonSettings.unlimited]
    let gateway = Gateway(
        configuration, authority: authority, bus: bus, metrics: context.metrics)
    var storage = ChatStore.Configuration()
    storage.limits = configuration.limits
    let store = try ChatStore(
        path: path, observer: gateway,
        announcer: LogAnnouncer(bus: bus, instance: instance, epoch: epoch.id), epoch: epoch,
        configuration: storage, metrics: context.metrics)
    let reader = ChatReader(path: path, store: store)
    gateway.attach(store: store, reader: reader)

    var router = Router()
    ChatRoutes(gateway: gateway).add(to: &router)
    let web = settings[Keys.webRoot]
    if !web.isEmpty {
        try WebClient(root: web, issuer: issuer, version: Build.version).add(to: &router)
    }
    let loops =
        settings[Keys.loops] > 0 ? settings[Keys.loops] : sysconf(Int32(_SC_NPROCESSORS_ONLN))
    var server = context.serverConfiguration(port: settings[Keys.port], loops: loops)
    server.maxMessageBytes = configuration.engine.maxPayload
    server.sendBatches = settings[Keys.ring]
    let takesOver = settings[Keys.takeOver]
    var parts = ServiceParts(
        server: server, router: router,
        checks: [
            HealthCheck("store") {
                store.trouble.map {
                    .failed("\($0.trouble), for \($0.duration.components.seconds) s")
                }
                    ?? .ok
            },
            HealthCheck("auth") {
                authority.isReady ? .ok : .degraded("AuthService has not been heard of lately")
            },
            HealthCheck("bus") { bus.isConnected ? .ok : .degraded("Redis is away") },
        ],
        streams: { ChatStreams(gateway: gateway, server: $0) },
        started: { server in
            gateway.start()
            if !takesOver { authority.start() }
            cluster.serve(server)
        },
        draining: { gateway.drain() },
        stopped: {
            authority.stop()
            gateway.stop()
            reader.stop()
            store.stop()
            bus.stop()
            mesh.stop()
        })
    if takesOver {
        parts.inherited = {
            // Who takes over must be able to serve from the first connection on.
            authority.start()
            return cluster.listeners(host: server.host, port: server.port) { authority.isReady }
        }
    }
    return parts
}
