// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
package import Metrics
package import Reactor
internal import Synchronization
internal import Timing

/// Why a server could not start.
package enum ServerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The address cannot be listened on; `code` is the errno.
    case cannotListen(host: String, port: Int, code: Int32)

    package var description: String {
        switch self {
        case .cannotListen(let host, let port, let code):
            "cannot listen on \(host) port \(port): \(String(cString: strerror(code)))"
        }
    }
}

/// An HTTP/1.1 and WebSocket server: N event loops, each with a listener of its own on one port
/// (SO_REUSEPORT), and a pool of workers for handlers that block.
package final class Server: Sendable {
    package typealias StreamFactory = @Sendable (LoopServer) -> any StreamHandler

    package let configuration: ServerConfiguration
    let router: Router
    let admission: Admission
    let proxies: TrustedProxies
    let workers: WorkerPool
    let requests: Counter
    let refused: Counter
    let handshakeFailures: Counter
    private let fullHandshakes: Counter
    private let resumedHandshakes: Counter
    private let makeStreams: StreamFactory?
    private let state = Mutex(State())

    private struct State {
        var mailboxes: [Mailbox] = []
        var threads: [WorkerThread] = []
        var port = 0
    }

    /// - Parameters:
    ///   - streams: makes each loop's stream handler, on the loop's thread.
    package init(
        _ configuration: ServerConfiguration, router: Router, metrics: MetricsRegistry,
        streams: StreamFactory? = nil
    ) {
        self.configuration = configuration
        self.router = router
        makeStreams = streams
        proxies = TrustedProxies(configuration.trustedProxies)
        admission = Admission(
            total: configuration.maxConnections, perAddress: configuration.maxConnectionsPerAddress)
        workers = WorkerPool(
            name: "worker", threads: configuration.workers, limit: configuration.workerQueue)
        requests = metrics.counter(
            "http_requests_total", help: "Requests whose head and body were complete.")
        refused = metrics.counter(
            "http_connections_refused_total", help: "Connections closed at accept by a limit.")
        let handshakes = "TLS handshakes completed, by whether they continued an earlier session."
        fullHandshakes = metrics.counter(
            "tls_handshakes_total", help: handshakes, labels: ["resumed": "no"])
        resumedHandshakes = metrics.counter(
            "tls_handshakes_total", help: handshakes, labels: ["resumed": "yes"])
        handshakeFailures = metrics.counter(
            "tls_handshake_failures_total",
            help: "TLS handshakes refused or malformed, without those the client left.")
        let admission = admission
        metrics.gauge("http_connections", help: "Connections open now.") { Double(admission.count) }
    }

    /// The counter of completed handshakes of one kind.
    func handshakes(resumed: Bool) -> Counter { resumed ? resumedHandshakes : fullHandshakes }

    /// Mailboxes of the loops, in order; empty before `start`.
    package var mailboxes: [Mailbox] { state.withLock { $0.mailboxes } }

    /// The port listened on.
    package var port: Int { state.withLock { $0.port } }

    /// Binds, starts the loops and returns; connections that come before a loop turns wait in its
    /// listener's backlog.
    package func start() throws(ServerError) {
        var port = UInt16(configuration.port)
        var listeners: [Int32] = []
        // Listeners of one port share it with those of any process of this user: a second server would
        // start without a word and take every other connection. Without SO_REUSEPORT it is told.
        let probe = clinux_listen(configuration.host, &port, 1, 0)
        guard probe >= 0 else {
            throw .cannotListen(host: configuration.host, port: configuration.port, code: -probe)
        }
        _ = clinux_close(probe)
        for _ in 0..<max(1, configuration.loops) {
            let listener = clinux_listen(configuration.host, &port, 4096, 1)
            guard listener >= 0 else {
                for other in listeners { _ = clinux_close(other) }
                throw .cannotListen(
                    host: configuration.host, port: configuration.port, code: -listener)
            }
            listeners.append(listener)
        }
        let mailboxes = listeners.map { _ in Mailbox() }
        let threads = zip(listeners, mailboxes).enumerated().map { index, pair in
            let (listener, mailbox) = pair
            return WorkerThread(name: "loop-\(index)") { [self] in
                serve(on: EventLoop(index: index, mailbox: mailbox), listener: listener)
            }
        }
        state.withLock {
            $0.mailboxes = mailboxes
            $0.threads = threads
            $0.port = Int(port)
        }
    }

    private func serve(on loop: EventLoop, listener: Int32) {
        let server = LoopServer(loop: loop, server: self, listener: listener)
        loop.attachment = server
        server.streams = makeStreams?(server)
        server.start()
        loop.run()
    }

    /// Stops accepting, lets what is under way finish, and returns when every connection has gone or
    /// the time is up. `stop` still has to follow.
    /// - Returns: connections left.
    package func drain(timeout: Duration) -> Int {
        for mailbox in mailboxes { mailbox.post { ($0.attachment as? LoopServer)?.drain() } }
        let deadline = SystemClock.now() + timeout
        while admission.count > 0, SystemClock.now() < deadline { usleep(20_000) }
        return admission.count
    }

    /// Closes what is left and ends all threads. Blocks until they have ended.
    package func stop() {
        let threads = state.withLock { state in
            defer { state.threads = [] }
            return state.threads
        }
        for mailbox in mailboxes { mailbox.post { ($0.attachment as? LoopServer)?.end() } }
        for thread in threads { thread.join() }
        workers.stop()
    }
}

/// Counts connections over all loops: in all, and by address those that are not a trusted proxy's.
final class Admission: Sendable {
    private struct State {
        var count = 0
        var byAddress: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let total: Int
    private let perAddress: Int?

    init(total: Int, perAddress: Int?) {
        self.total = total
        self.perAddress = perAddress
    }

    var count: Int { state.withLock { $0.count } }

    /// Counts a connection in. False past either limit.
    func enter(_ peer: Peer) -> Bool {
        state.withLock { state in
            guard state.count < total else { return false }
            if let perAddress, !peer.isProxy {
                guard state.byAddress[peer.address, default: 0] < perAddress else { return false }
                state.byAddress[peer.address, default: 0] += 1
            }
            state.count += 1
            return true
        }
    }

    func leave(_ peer: Peer) {
        state.withLock { state in
            state.count -= 1
            guard perAddress != nil, !peer.isProxy, let count = state.byAddress[peer.address]
            else { return }
            state.byAddress[peer.address] = count > 1 ? count - 1 : nil
        }
    }
}
