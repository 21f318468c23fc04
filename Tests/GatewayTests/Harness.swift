// SPDX-License-Identifier: MIT
import ChatCore
import EngineIO
import EngineIOServer
import Gateway
import HTTPServer
import JSON
import JWT
import Metrics
import ServiceRuntime
import Store
import Synchronization
import TestSupport
import Timing

/// A bus that goes nowhere: one process needs none.
final class NoBus: Bus {
    let isConnected = true
    func publish(_ channel: String, _ payload: [UInt8]) {}
    func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {}
    func stop() {}
}

/// A whole ChatService but for its process: store, gateway and server on a free port, with keys of
/// its own.
final class Harness {
    let server: Server
    let gateway: Gateway
    let store: ChatStore
    let authority: TokenAuthority
    let metrics = MetricsRegistry()
    private let reader: ChatReader
    private let directory: TemporaryDirectory
    private let signer: AccessTokenSigner

    #if DEBUG
        /// What the store writes on, to be made to fail; release builds have no such seam.
        let disk: DiskFaults
    #endif

    var port: Int { server.port }
    var databasePath: String { directory.file("chat.db") }

    init(
        loops: Int = 1, engine: EngineConfiguration = EngineConfiguration(),
        bus: any Bus = NoBus(), authority other: TokenAuthority? = nil,
        adjust: (inout GatewayConfiguration) -> Void = { _ in },
        store adjustStore: (inout ChatStore.Configuration) -> Void = { _ in },
        server adjustServer: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        directory = try TemporaryDirectory()
        let key = try SigningKey(kid: "test", secret: Array(repeating: 7, count: 32))
        signer = AccessTokenSigner(key: key)
        authority =
            try other
            ?? TokenAuthority(
                fixed: AccessTokenVerifier(
                    issuer: "http://auth.test", audience: "chat", keys: [key]))
        var configuration = GatewayConfiguration(
            instance: "test", engine: EngineServerConfiguration(engine: engine),
            recoveryKey: Array(repeating: 9, count: 32),
            epoch: "0123456789abcdef0123456789abcdef")
        adjust(&configuration)
        gateway = Gateway(configuration, authority: authority, bus: bus, metrics: metrics)
        var storage = ChatStore.Configuration()
        storage.limits = configuration.limits
        adjustStore(&storage)
        #if DEBUG
            disk = DiskFaults.under(directory.file("chat.db"))
        #endif
        store = try ChatStore(
            path: directory.file("chat.db"), observer: gateway, configuration: storage)
        reader = ChatReader(path: directory.file("chat.db"), store: store)
        gateway.attach(store: store, reader: reader)
        var router = Router()
        ChatRoutes(gateway: gateway).add(to: &router)
        let gateway = gateway
        var serverConfiguration = ServerConfiguration(port: 0, loops: loops, workers: 2)
        adjustServer(&serverConfiguration)
        server = Server(
            serverConfiguration, router: router, metrics: metrics,
            streams: { ChatStreams(gateway: gateway, server: $0) })
        try server.start()
        gateway.start()
    }

    deinit {
        server.stop()
        gateway.stop()
        store.stop()
    }

    /// The value of a metric without labels.
    func metric(_ name: String) -> Double? {
        metrics.exposition().split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
    }

    func token(
        _ name: String, session: String = "s", expiresIn: Duration = .seconds(600),
        scope: [String] = ["chat"], named: String? = nil
    ) -> String {
        let now = SystemClock.timestamp()
        let isPerson = scope.contains("chat")
        return signer.sign(
            AccessTokenClaims(
                issuer: "http://auth.test", audience: "chat",
                subject: isPerson ? "u_\(name)" : "client:\(name)",
                clientID: isPerson ? "web" : name,
                expiresAt: now + expiresIn, issuedAt: now, tokenID: "j\(name)",
                sessionID: isPerson ? session : nil, scope: scope, name: named ?? name))
    }

    /// A client that has connected and read its `session`.
    func client(_ name: String, polling: Bool = false) throws -> WireClient {
        let client = polling ? WireClient.polling(port: port) : WireClient.webSocket(port: port)
        client.connect(token: token(name))
        return client
    }
}
