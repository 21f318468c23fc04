// SPDX-License-Identifier: MIT
internal import Glibc
package import HTTPServer
package import Logging
package import Metrics
internal import Reactor
internal import Synchronization
internal import TLS

/// What a service is built from.
package struct ServiceContext: Sendable {
    package let settings: Settings
    /// Labelled with the service's short name.
    package let logger: Logger
    package let metrics: MetricsRegistry
    /// What TLS_CERT_FILE and TLS_KEY_FILE hold; nil when the service speaks plain HTTP.
    var tls: TLSCredentials?

    /// The authorities to trust in calls to our other services; nil for the system's.
    package var authoritiesFile: String? {
        let path = settings[CommonSettings.authorities]
        return path.isEmpty ? nil : path
    }

    /// Whether the service speaks HTTPS itself.
    package var isSecure: Bool { tls != nil }

    /// How the server listens: host, port, trusted proxies and limits as the common options say.
    /// Without limits when `UNLIMITED` is set.
    package func serverConfiguration(port: Int, loops: Int = 1, workers: Int = 4)
        -> ServerConfiguration
    {
        var configuration = ServerConfiguration(
            host: settings[CommonSettings.host], port: port, loops: loops, workers: workers)
        configuration.trustedProxies = settings[CommonSettings.trustedProxies]
        configuration.forwardingField = settings[CommonSettings.forwardedField]
        configuration.readsProxyHeaders = settings[CommonSettings.proxyProtocol]
        configuration.tls = tls
        if settings[CommonSettings.unlimited] { configuration.maxConnectionsPerAddress = nil }
        return configuration
    }

    /// Makes something of an option whose text only its user can judge.
    /// - Throws: `SettingProblem` that names the option and says what `body` threw.
    package func blaming<Value, Result>(
        _ key: SettingKey<Value>, _ body: () throws -> Result
    ) throws(SettingProblem) -> Result {
        do {
            return try body()
        } catch {
            throw SettingProblem("\(key.name) is \(error)")
        }
    }
}

/// What a service hands over to be run.
package struct ServiceParts {
    package var server: ServerConfiguration
    package var router: Router
    /// What `/readyz` looks at.
    package var checks: [HealthCheck]
    /// Makes the handler of upgraded and polled streams; nil for plain HTTP.
    package var streams: Server.StreamFactory?
    /// Called before the server listens: listening sockets of a process that this one takes the place
    /// of, or none. May block.
    package var inherited: () -> [Int32] = { [] }
    /// Called once the server listens.
    package var started: (Server) -> Void
    /// Called when the service begins to drain, before the server stops accepting: sends clients away
    /// and finishes commits. May block for as long as that takes, within `drainTimeout`.
    package var draining: () -> Void
    /// Called when all loops have ended: closes stores and buses.
    package var stopped: () -> Void
    /// How long connections may take to finish. Below the 10 s after which `chatctl up`, and Docker by
    /// default, kill what they asked to stop.
    package var drainTimeout: Duration

    package init(
        server: ServerConfiguration, router: Router, checks: [HealthCheck] = [],
        streams: Server.StreamFactory? = nil, started: @escaping (Server) -> Void = { _ in },
        draining: @escaping () -> Void = {}, stopped: @escaping () -> Void = {},
        drainTimeout: Duration = .seconds(8)
    ) {
        self.server = server
        self.router = router
        self.checks = checks
        self.streams = streams
        self.started = started
        self.draining = draining
        self.stopped = stopped
        self.drainTimeout = drainTimeout
    }
}

/// The life of a service's process.
///
/// ```
/// options ─► log ─► build ─► listen ─► SIGTERM or SIGINT ─► drain ─► stop ─► exit 0
///    │               │         │                              │
///    └► exit 64      └────┬────┘                              └► second signal: exit at once
///                         └► exit 1, one line says why
/// ```
package enum ServiceHost {
    /// Pipes the standard input's end to a stop: how `chatctl up` makes sure that no service outlives
    /// it, however it ends.
    private static let supervised = SettingKey.bool(
        "SUPERVISED", help: "Stop when standard input ends, as it does when a supervisor dies.")

    /// Runs a service and exits with it. To be called first in a program: before it, no thread may
    /// have started.
    /// - Parameters:
    ///   - name: the short name in logs and health answers: `chat`.
    ///   - keys: the service's own options; the common ones are added.
    ///   - build: makes the parts. A `SettingProblem` it throws is one line on standard error and exit
    ///     code 64: options that are wrong only together. Whatever else it throws is logged, exit code 1.
    package static func run(
        _ program: Settings.Program, name: String, keys: [any SettingDeclaration],
        build: (ServiceContext) throws -> ServiceParts
    ) -> Never {
        Heap.givesBackLargeBlocks()
        Signals.prepare()
        let settings = Settings.load(
            program: program, keys: keys + CommonSettings.keys + [supervised])
        ServiceLog.bootstrap(
            format: settings[CommonSettings.logFormat], level: settings[CommonSettings.logLevel])
        let metrics = MetricsRegistry()
        ProcessMetrics.register(in: metrics)
        let context = context(settings, name: name, program, metrics)
        if let credentials = context.tls {
            Signals.prepareHangUps()
            CertificateKeeper.watch(credentials, context.logger, metrics)
        }
        if settings[supervised] { stopWhenInputEnds() }
        if settings[CommonSettings.unlimited] {
            context.logger.warning("rate and connection limits are OFF: for load tests only")
        }
        do {
            let parts = try build(context)
            try serve(parts, name: name, context)
        } catch let problem as SettingProblem {
            StandardStreams.error("\(program.name): \(problem.reason)\n")
            exit(Settings.usageExitCode)
        } catch {
            context.logger.critical("cannot start", metadata: ["error": "\(error)"])
            exit(1)
        }
        exit(0)
    }

    /// What can be told of the common options before anything is built.
    private static func context(
        _ settings: Settings, name: String, _ program: Settings.Program, _ metrics: MetricsRegistry
    ) -> ServiceContext {
        do throws(SettingProblem) {
            if settings[CommonSettings.proxyProtocol],
                settings[CommonSettings.trustedProxies].isEmpty
            {
                throw SettingProblem(
                    "PROXY_PROTOCOL needs TRUSTED_PROXIES: nobody else is believed")
            }
            return ServiceContext(
                settings: settings, logger: Logger(label: name), metrics: metrics,
                tls: try CertificateKeeper.load(settings))
        } catch {
            StandardStreams.error("\(program.name): \(error.reason)\n")
            exit(Settings.usageExitCode)
        }
    }

    private static func serve(
        _ parts: ServiceParts, name: String, _ context: ServiceContext
    ) throws(ServerError) {
        let logger = context.logger
        let isDraining = Flag()
        var router = parts.router
        let accepting = HealthCheck("server") { isDraining.isSet ? .failed("draining") : .ok }
        HealthRoutes.add(
            to: &router, service: name, metrics: context.metrics,
            checks: [accepting] + parts.checks)
        let server = Server(
            parts.server, router: router, metrics: context.metrics, streams: parts.streams)
        try server.start(inheriting: parts.inherited())
        parts.started(server)
        logger.info(
            "listening",
            metadata: [
                "host": "\(parts.server.host)", "port": "\(server.port)",
                "scheme": parts.server.tls == nil ? "http" : "https", "version": "\(Build.version)",
            ])

        let signal = Signals.waitForStop()
        Signals.exitOnNext()
        logger.info("draining", metadata: ["signal": "\(signal)"])
        isDraining.set()
        parts.draining()
        let left = server.drain(timeout: parts.drainTimeout)
        server.stop()
        parts.stopped()
        logger.info("stopped", metadata: ["connectionsCut": "\(left)"])
    }

    private static func stopWhenInputEnds() {
        _ = WorkerThread(name: "lifeline") {
            var byte: UInt8 = 0
            while true {
                let count = read(STDIN_FILENO, &byte, 1)
                if count > 0 || count < 0 && errno == EINTR { continue }
                return Signals.requestStop()
            }
        }
    }
}

/// A fact that becomes true once.
private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
