// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
package import Metrics
package import Reactor
internal import Locks
internal import Timing

/// Why a server could not start.
package enum ServerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The address cannot be listened on; `code` is the errno.
    case cannotListen(host: String, port: Int, code: Int32)
    /// io_uring is asked for, and the kernel has none or does not allow it.
    case noRing(code: Int32)

    package var description: String {
        switch self {
        case .cannotListen(let host, let port, let code):
            "cannot listen on \(host) port \(port): \(String(cString: strerror(code)))"
        case .noRing(let code):
            "io_uring is asked for and cannot be had: \(String(cString: strerror(code)))"
        }
    }
}

/// An HTTP/1.1 and WebSocket server: N event loops, each with a listener of its own on one port
/// (SO_REUSEPORT) and as many connections as the others (`LoopLoads`), and a pool of workers for
/// handlers that block.
package final class Server: Sendable {
    package typealias StreamFactory = @Sendable (LoopServer) -> any StreamHandler

    package let configuration: ServerConfiguration
    let router: Router
    let admission: Admission
    let loads: LoopLoads
    let proxies: TrustedProxies
    let workers: WorkerPool
    let requests: Counter
    let deflates: Counter
    let sendBatches: Counter
    let refused: Counter
    let handshakeFailures: Counter
    let malformedProxyHeaders: Counter
    private let fullHandshakes: Counter
    private let resumedHandshakes: Counter
    private let makeStreams: StreamFactory?
    private let state = Locked(State())

    private struct State {
        var mailboxes: [Mailbox] = []
        var threads: [WorkerThread] = []
        var port = 0
        var listeners: [Int32] = []
        /// Whether the listeners are being closed: no duplicates any more.
        var isEnding = false
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
        proxies = TrustedProxies(
            configuration.trustedProxies, field: configuration.forwardingField)
        admission = Admission(
            total: configuration.maxConnections, perAddress: configuration.maxConnectionsPerAddress)
        loads = LoopLoads(loops: max(1, configuration.loops))
        workers = WorkerPool(
            name: "worker", threads: configuration.workers, limit: configuration.workerQueue)
        deflates = metrics.counter(
            "websocket_deflates_total",
            help: "Messages compressed; a broadcast counts once for all its receivers.")
        sendBatches = metrics.counter(
            "websocket_send_batches_total",
            help: "System calls that sent a broadcast to many connections at once (io_uring).")
        requests = metrics.counter(
            "http_requests_total", help: "Requests whose head and body were complete.")
        refused = metrics.counter(
            "http_connections_refused_total", help: "Connections closed at accept by a limit.")
        let handshakes = "TLS handshakes completed, by whether they continued an earlier session."
        fullHandshakes = metrics.counter(
            "tls_handshakes_total", help: handshakes, labels: ["resumed": "no"])
        malformedProxyHeaders = metrics.counter(
            "http_proxy_header_failures_total",
            help: "Connections from trusted proxies closed for a missing or malformed PROXY header."
        )
        resumedHandshakes = metrics.counter(
            "tls_handshakes_total", help: handshakes, labels: ["resumed": "yes"])
        handshakeFailures = metrics.counter(
            "tls_handshake_failures_total",
            help: "TLS handshakes refused or malformed, without those the client left.")
        let (admission, loads) = (admission, loads)
        metrics.gauge("http_connections", help: "Connections open now.") { Double(admission.count) }
        for loop in loads.all.indices {
            metrics.gauge(
                "http_loop_connections", help: "Connections that an event loop serves now.",
                labels: ["loop": "\(loop)"]
            ) { Double(loads.all[loop]) }
        }
    }

    /// The counter of completed handshakes of one kind.
    func handshakes(resumed: Bool) -> Counter { resumed ? resumedHandshakes : fullHandshakes }

    /// Bytes of a connection that the kernel takes before it has sent them (`TCP_NOTSENT_LOWAT`), and
    /// that a WebSocket gives it at once where more waits. What waits here instead may be overtaken by a
    /// ping, and is shared with other connections: to one who reads a kilobyte a second, a ping behind
    /// the megabytes the kernel would buffer comes hours late.
    static let notSentBytes: Int32 = 8 * 1024

    /// Mailboxes of the loops, in order; empty before `start`.
    package var mailboxes: [Mailbox] { state.withLock { $0.mailboxes } }

    /// The port listened on.
    package var port: Int { state.withLock { $0.port } }

    /// Binds, starts the loops and returns; connections that come before a loop turns wait in its
    /// listener's backlog.
    /// - Parameter inherited: listening sockets of the configured address that another process had;
    ///   owned from here, spread over the loops. Empty: new ones are made.
    package func start(inheriting inherited: [Int32] = []) throws(ServerError) {
        if configuration.sendBatches == .on, let code = SendBatch.obstacle {
            throw .noRing(code: code)
        }
        var port = UInt16(configuration.port)
        var listeners = inherited
        if inherited.isEmpty { try probe(&port) }
        for _ in 0..<max(0, max(1, configuration.loops) - inherited.count) {
            let listener = clinux_listen(configuration.host, &port, 4096, 1)
            guard listener >= 0 else {
                for other in listeners { _ = clinux_close(other) }
                throw .cannotListen(
                    host: configuration.host, port: configuration.port, code: -listener)
            }
            listeners.append(listener)
        }
        for listener in listeners { clinux_bound_unsent(listener, Server.notSentBytes) }
        let mailboxes = (0..<max(1, configuration.loops)).map { _ in Mailbox() }
        let threads = mailboxes.enumerated().map { index, mailbox in
            let own = stride(from: index, to: listeners.count, by: mailboxes.count).map {
                listeners[$0]
            }
            return WorkerThread(name: "loop-\(index)") { [self] in
                serve(on: EventLoop(index: index, mailbox: mailbox), listeners: own)
            }
        }
        state.withLock {
            $0.mailboxes = mailboxes
            $0.threads = threads
            $0.port = Int(port)
            $0.listeners = listeners
        }
    }

    private func probe(_ port: inout UInt16) throws(ServerError) {
        // Listeners of one port share it with those of any process of this user: a second server would
        // start without a word and take every other connection. Without SO_REUSEPORT it is told.
        let probe = clinux_listen(configuration.host, &port, 1, 0)
        guard probe >= 0 else {
            throw .cannotListen(host: configuration.host, port: configuration.port, code: -probe)
        }
        _ = clinux_close(probe)
    }

    /// Duplicates of the listening sockets, for a process that takes over; empty when this server
    /// listens elsewhere or has begun to end.
    package func duplicateListeners(host: String, port: Int) -> [Int32] {
        state.withLock { state in
            guard !state.isEnding, host == configuration.host, port == state.port else { return [] }
            return state.listeners.map { fcntl($0, F_DUPFD_CLOEXEC, 0) }.filter { $0 >= 0 }
        }
    }

    /// Goes on with a connection of another process's, on one of the loops. Past the limits on
    /// connections it is closed.
    package func adopt(_ detached: DetachedConnection, onLoop index: Int) {
        let mailboxes = mailboxes
        guard mailboxes.indices.contains(index), admission.enter(detached.peer) else {
            return refused.increment()
        }
        let admission = admission
        let posted = mailboxes[index].post { loop in
            guard let server = loop.attachment as? LoopServer,
                let connection = server.adopt(counted: detached)
            else { return admission.leave(detached.peer) }
            connection.consumeUnread()
        }
        if !posted { admission.leave(detached.peer) }
    }

    private func serve(on loop: EventLoop, listeners: [Int32]) {
        attach(loop, listeners: listeners)
        loop.run()
    }

    private func attach(_ loop: EventLoop, listeners: [Int32]) {
        let server = LoopServer(loop: loop, server: self, listeners: listeners)
        loop.attachment = server
        server.streams = makeStreams?(server)
        server.start()
    }

    /// Serves on the caller's own loop, which the caller turns, instead of `start`: without a port and
    /// without threads. Connections come by `adopt`. What fuzzing drives.
    package func attach(to loop: EventLoop) {
        state.withLock { $0.mailboxes = [loop.mailbox] }
        attach(loop, listeners: [])
    }

    /// Stops accepting, lets what is under way finish, and returns when every connection has gone or
    /// the time is up. `stop` still has to follow.
    /// - Returns: connections left.
    package func drain(timeout: Duration) -> Int {
        state.withLock { $0.isEnding = true }
        for mailbox in mailboxes { mailbox.post { ($0.attachment as? LoopServer)?.drain() } }
        let deadline = SystemClock.now() + timeout
        while admission.count > 0, SystemClock.now() < deadline { usleep(20_000) }
        return admission.count
    }

    /// Closes what is left and ends all threads. Blocks until they have ended.
    package func stop() {
        let threads = state.withLock { state in
            defer { state.threads = [] }
            state.isEnding = true
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

    private let state = Locked(State())
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

    /// Counts a connection as another peer's than it was counted in as. False past the limit of that
    /// peer's address; it stays counted as before then.
    func replace(_ peer: Peer, by other: Peer) -> Bool {
        guard enter(other) else { return false }
        leave(peer)
        return true
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
