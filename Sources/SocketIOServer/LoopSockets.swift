// SPDX-License-Identifier: MIT
package import EngineIOServer
package import HTTPServer
package import Reactor
package import SocketIO
internal import Timing

/// How Socket.IO is served.
package struct SocketServerConfiguration: Sendable {
    package var engine: EngineServerConfiguration
    /// From the transport's opening, or the last namespace's end, to CONNECT done. The reference
    /// server's default.
    package var connectTimeout: Duration = .seconds(45)
    package var limits = SocketLimits()
    /// Bytes that may wait for one client before its sockets have fallen behind. Sixteen times as many
    /// end the connection of a client that goes on asking.
    package var maxQueuedBytes = 128 << 10
    /// The longest that publications are gathered.
    package var longestWindow = FlushWindow.longest
    /// Whether sockets keep the request that opened their session.
    package var keepsHandshake = false

    package init(engine: EngineServerConfiguration) { self.engine = engine }
}

/// Socket.IO on one loop: its namespaces, over the Engine.IO sessions of that loop.
///
///     let sockets = LoopSockets(configuration, on: server)
///     sockets.serve("/chat") { socket in ChatHandler(socket) }
package final class LoopSockets: StreamHandler {
    package let configuration: SocketServerConfiguration
    package let loop: EventLoop
    /// Called after each flush of what was published in rooms, with the number of deliveries: counted by
    /// publication and receiver.
    package var flushed: (_ deliveries: Int) -> Void = { _ in }
    /// How long publications are gathered now.
    package private(set) var window: FlushWindow
    private let server: LoopServer
    private var engine: EngineServer?
    private var namespaces: [String: LocalNamespace] = [:]
    /// Namespaces with publications that have not been sent.
    private var waiting: [LocalNamespace] = []
    /// The flush whose output is on its way to the kernel.
    private var underWay: (start: Instant, sent: Flush)?

    /// Made on the loop's own thread.
    package init(_ configuration: SocketServerConfiguration, on server: LoopServer) {
        self.configuration = configuration
        window = FlushWindow(longest: configuration.longestWindow)
        loop = server.loop
        self.server = server
        engine = EngineServer(
            configuration.engine, on: server,
            accepted: { [unowned self] connection, request in
                SocketConnection(
                    engine: connection, server: self,
                    handshake: configuration.keepsHandshake ? request : nil)
            })
    }

    var now: Instant { loop.now }

    /// See `LoopServer.hold`.
    func hold(_ bytes: Int) -> Bool { server.hold(bytes) }

    private var spareDecoder: PacketDecoder?

    /// A decoder for a connection that gets a packet.
    func lendDecoder() -> PacketDecoder {
        defer { spareDecoder = nil }
        return spareDecoder ?? PacketDecoder(limits: configuration.limits)
    }

    /// Takes a decoder back that awaits no attachments.
    func takeBack(_ decoder: PacketDecoder) { spareDecoder = decoder }

    /// Takes back the buffers of a binary packet that is dealt with, for the next one.
    func takeBack(text: [UInt8], attachments: [[UInt8]]) {
        spareDecoder?.decoder.takeBack(text: text, attachments: attachments)
    }

    /// Serves a namespace, from now on. Names that are not served are refused with
    /// `Invalid namespace`.
    /// - Parameter recovery: of this namespace alone; nil where nothing is recovered, or the
    ///   application does it.
    @discardableResult
    package func serve(
        _ name: String, recovery: LocalRecovery? = nil,
        _ makeHandler: @escaping LocalNamespace.MakeHandler
    ) -> LocalNamespace {
        let namespace = LocalNamespace(
            name: name, server: self, recovery: recovery, makeHandler: makeHandler)
        namespaces[name] = namespace
        return namespace
    }

    /// The namespace of that name, if it is served.
    package func namespace(_ name: String) -> LocalNamespace? { namespaces[name] }

    /// Engine.IO sessions open on this loop.
    package var sessionCount: Int { engine?.sessionCount ?? 0 }

    // MARK: Publications

    /// What a flush has handed to connections.
    struct Flush {
        var frames = 0
        var receivers = 0
    }

    /// Notes that a namespace has publications to be sent.
    func awaits(_ namespace: LocalNamespace) { waiting.append(namespace) }

    /// Receivers up to which a flush costs less than a second system call for those who get an answer
    /// in the same turn.
    private static let smallAudience = 16

    private func flush() {
        guard !waiting.isEmpty else { return }
        let start = SystemClock.now()
        if let end = window.wait(at: start) { return loop.wake(at: end) }
        let namespaces = waiting
        waiting.removeAll(keepingCapacity: true)
        if namespaces.contains(where: { $0.hasAudience(over: LoopSockets.smallAudience) }) {
            server.sendQueued()
        }
        var sent = Flush()
        server.batchingSends {
            for namespace in namespaces { namespace.flush(&sent) }
        }
        underWay = (start, sent)
        flushed(sent.frames)
    }

    // MARK: StreamHandler

    package func claims(path: String) -> Bool { engine?.claims(path: path) ?? false }
    package func accept(_ exchange: Exchange) { engine?.accept(exchange) }
    package func bodyTooLarge(query: String) { engine?.bodyTooLarge(query: query) }

    package func turnEnds() {
        flush()
        engine?.turnEnds()
    }

    package func turnSent() {
        engine?.turnSent()
        guard let (start, sent) = underWay else { return }
        underWay = nil
        window.flushed(
            from: start, to: SystemClock.now(), frames: sent.frames, receivers: sent.receivers)
    }

    package func drain() { engine?.drain() }
    package func end() { engine?.end() }
}
