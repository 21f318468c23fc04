// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
internal import Metrics
package import Reactor
internal import TLS
internal import Timing
internal import WebSocket

/// Takes whole requests of one loop before the router sees them: Engine.IO lives here. One instance
/// a loop, made on the loop's own thread.
package protocol StreamHandler: AnyObject {
    /// Whether this path is the handler's.
    func claims(path: String) -> Bool
    /// Takes over a request whose path it claimed.
    func accept(_ exchange: Exchange)
    /// A request for a claimed path is refused with 413 because of its length, and its connection ends;
    /// it will not come to `accept`.
    /// - Parameter query: what stands behind `?` of its target.
    func bodyTooLarge(query: String)
    /// The loop's turn ends: the last moment to queue output before it is sent.
    func turnEnds()
    /// What the turn has queued is with the kernel, or waits for its socket.
    func turnSent()
    /// The server drains: finish, and let clients go over `drainTime` of the configuration.
    func drain()
    /// The loop ends: let everybody go now.
    func end()
}

extension StreamHandler {
    package func bodyTooLarge(query: String) {}
    package func turnSent() {}
}

/// The part of a server that lives on one loop: its listener and its connections.
package final class LoopServer {
    package let loop: EventLoop
    let server: Server
    package internal(set) var streams: (any StreamHandler)?
    /// Where an outbox gathers small segments for one send.
    let scratch: UnsafeMutableRawBufferPointer = .allocate(byteCount: 64 * 1024, alignment: 64)

    /// Performs the sends of a broadcast together, where the kernel can and the configuration wants it.
    private lazy var batch =
        configuration.sendBatches == .off ? nil : SendBatch(counting: server.sendBatches)
    /// The batch under way; nil when each connection is to send for itself.
    var openBatch: SendBatch? { isBatching ? batch : nil }
    private var isBatching = false

    /// What the TLS sessions of this loop read from and write to.
    private(set) lazy var wire = TLSWire()
    private(set) lazy var gzip = GzipEncoder()
    /// Steps of handshakes this turn may still take.
    private var handshakeSteps = LoopServer.handshakeStepsPerTurn
    /// A step costs up to a millisecond (an RSA signature), so that this bounds what a storm of
    /// connects adds to a turn; the others wait in the kernel for the next.
    private static let handshakeStepsPerTurn = 8

    private var share = TurnShare()
    /// Bytes of messages that are not whole yet (`ServerConfiguration.maxHeldBytes`).
    private var heldBytes = 0

    private let listeners: [Listener]
    /// Connections served by other processes whose TLS stays here.
    private var pumps: [ObjectIdentifier: ConnectionPump] = [:]
    /// Connections with something to send at the end of this turn.
    private var dirty: [Connection] = []
    private var dateSecond: Int64 = -1
    private var dateText = ""
    private(set) var isDraining = false

    init(loop: EventLoop, server: Server, listeners: [Int32]) {
        self.loop = loop
        self.server = server
        self.listeners = listeners.map { Listener($0) }
    }

    deinit { scratch.deallocate() }

    func start() {
        for listener in listeners {
            listener.server = self
            listener.registration = loop.register(
                listener.descriptor, for: .readable, handler: listener)
            precondition(listener.registration != nil, "no room to watch a listener at start")
        }
        loop.beforeSleep = { [unowned self] in flush() }
    }

    // MARK: Accepting

    /// One listening socket: a loop has its own, and after a take-over perhaps a few.
    private final class Listener: DescriptorHandler {
        let descriptor: Int32
        var registration: Registration?
        weak var server: LoopServer?

        init(_ descriptor: Int32) { self.descriptor = descriptor }

        func ready(_ readiness: Readiness) { server?.accept(from: self) }
    }

    private func accept(from listener: Listener) {
        // At most this many a turn, so that a storm of connects cannot starve those connected.
        for _ in 0..<64 {
            var address = [CChar](repeating: 0, count: 64)
            let descriptor = clinux_accept(listener.descriptor, &address, address.count)
            if descriptor == -EAGAIN { return }
            if descriptor == -EMFILE || descriptor == -ENFILE || descriptor == -ENOBUFS
                || descriptor == -ENOMEM
            {
                pause(listener)
                return
            }
            guard descriptor >= 0 else { continue }  // reset before we came to it
            let name = String(
                decoding: address.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            let peer = server.proxies.peer(name)
            guard server.admission.enter(peer) else {
                server.refused.increment()
                _ = clinux_close(descriptor)
                continue
            }
            let place = server.loads.place(cameTo: loop.index)
            if place == loop.index {
                take(descriptor, of: peer)
            } else {
                give(descriptor, of: peer, toLoop: place)
            }
            _ = share.lap(on: loop)
            if share.isLate(on: loop) { return }  // the listener is reported again
        }
    }

    /// Out of descriptors: without a pause the listener would be ready for ever and the loop spin.
    private func pause(_ listener: Listener) {
        guard let registration = listener.registration else { return }
        loop.modify(listener.descriptor, registration, for: [])
        _ = loop.schedule(AcceptPause(self, listener), at: loop.now + .milliseconds(100))
    }

    private final class AcceptPause: TimerTarget {
        private let server: LoopServer
        private let listener: Listener
        init(_ server: LoopServer, _ listener: Listener) {
            self.server = server
            self.listener = listener
        }
        func timerFired(now: Instant) {
            guard let registration = listener.registration else { return }
            server.loop.modify(listener.descriptor, registration, for: .readable)
        }
    }

    /// Runs something with the stream handler of another loop, on its thread, when its turn comes.
    package func onStreams(
        ofLoop index: Int, _ body: @escaping @Sendable (any StreamHandler) -> Void
    ) {
        let mailboxes = server.mailboxes
        guard mailboxes.indices.contains(index) else { return }
        mailboxes[index].post { loop in
            if let streams = (loop.attachment as? LoopServer)?.streams { body(streams) }
        }
    }

    /// How the whole server is set up.
    package var configuration: ServerConfiguration { server.configuration }

    /// Begins to serve a connection just accepted, which is counted already.
    private func take(_ descriptor: Int32, of peer: Peer) {
        server.loads.leave(loop.index)
        let connection = Connection(server: self, accepted: descriptor, peer: peer)
        guard connection.open() else { return server.admission.leave(peer) }
        if isDraining { connection.drain() }
    }

    /// Lets another loop serve a connection just accepted.
    private func give(_ descriptor: Int32, of peer: Peer, toLoop index: Int) {
        let accepted = DetachedConnection(
            descriptor: descriptor, unread: [], peer: peer, secure: nil)
        let server = server
        let posted = server.mailboxes[index].post { loop in
            guard let other = loop.attachment as? LoopServer, let descriptor = accepted.take()
            else { return }
            other.take(descriptor, of: peer)
        }
        // Its loop has ended, and with it the server is about to.
        if !posted {
            server.loads.leave(index)
            server.admission.leave(peer)
        }
    }

    /// Whether one more step of a handshake fits into this turn; counts it.
    func takesHandshakeStep() -> Bool {
        guard handshakeSteps > 0 else { return false }
        handshakeSteps -= 1
        return true
    }

    /// Goes on with a connection that came from another loop of this server, where it was counted.
    /// - Returns: nil when it cannot be watched; it is closed then, and still counted.
    func adopt(counted detached: DetachedConnection) -> Connection? {
        guard let descriptor = detached.take() else { return nil }
        let connection = Connection(server: self, descriptor: descriptor, continuing: detached)
        return connection.open() ? connection : nil
    }

    /// Keeps the TLS of a connection taken apart, and gives what can leave the process in its place.
    /// - Returns: nil when descriptors are short; the connection is closed then.
    func pump(_ detached: DetachedConnection) -> DetachedConnection? {
        guard let secure = detached.secure else {
            server.admission.leave(detached.peer)
            return detached
        }
        guard let descriptor = detached.take() else { return nil }
        var ends: (Int32, Int32) = (-1, -1)
        guard clinux_socketpair(&ends.0, &ends.1) == 0 else {
            _ = clinux_close(descriptor)
            server.admission.leave(detached.peer)
            return nil
        }
        guard
            let pump = ConnectionPump(
                server: self, descriptor: descriptor, peer: detached.peer, secure: secure,
                inner: ends.0)
        else {
            _ = clinux_close(ends.1)
            return nil
        }
        pumps[ObjectIdentifier(pump)] = pump
        var peer = detached.peer
        peer.isSecure = true
        return DetachedConnection(
            descriptor: ends.1, unread: detached.unread, peer: peer, secure: nil)
    }

    func forget(_ pump: ConnectionPump) { pumps[ObjectIdentifier(pump)] = nil }

    /// The connection registered under a name, if it still is.
    func connection(_ registration: Registration) -> Connection? {
        loop.handler(registration) as? Connection
    }

    // MARK: What is kept of messages under way

    private var spareCodec: MessageCodec?

    /// A codec for a channel that begins to read a message.
    func lendCodec() -> MessageCodec {
        defer { spareCodec = nil }
        return spareCodec ?? MessageCodec(limits: configuration.webSocket)
    }

    /// Takes a codec back whose message is done with.
    func takeBack(_ codec: MessageCodec) { spareCodec = codec }

    /// Counts bytes that are kept of a message which is not whole yet, or, negative, no more.
    /// - Returns: false when all peers together have more kept than the loop has room for. The bytes are
    ///   counted nevertheless, until they are given back.
    package func hold(_ bytes: Int) -> Bool {
        heldBytes += bytes
        return bytes <= 0
            || heldBytes <= max(configuration.maxHeldBytes / max(1, configuration.loops), 8 << 20)
    }

    // MARK: Sharing the turn

    /// Puts somebody at the end of a line: its turn comes in this turn of the loop or a later one.
    package func waitForTurn(_ taker: any TurnTaker) { waitForTurn(taker, in: .long) }

    func waitForTurn(_ taker: any TurnTaker, in line: Ration.Line) {
        share.wait(taker, in: line)
        loop.wake(at: loop.now)
    }

    /// Whether a read has to wait in line, by whether it may be expected to be cheap.
    func isLate(isCheap: Bool) -> Bool { share.isLate(isCheap: isCheap, on: loop) }

    /// To be asked behind each read.
    /// - Returns: what it has cost, in nanoseconds.
    func lap() -> Int64 { share.lap(on: loop) }

    private func serveLines() {
        var left = share.waiting
        guard left > 0 else { return }
        let end = TurnShare.end()
        repeat {
            share.next()?.takeTurn()
            left -= 1
        } while left > 0 && SystemClock.now().nanoseconds < end
        if share.waiting > 0 { loop.wake(at: loop.now) }
    }

    // MARK: Sending

    /// One for all connections of the loop that agreed on no context: what compression costs in memory
    /// does not grow with their number.
    private lazy var deflater = MessageDeflater(windowBits: 15, takesContext: false)

    func deflated(_ message: Span<UInt8>) -> [UInt8]? {
        guard message.count >= configuration.deflateThreshold else { return nil }
        var compressed: [UInt8] = []
        compressed.reserveCapacity(message.count)
        deflater.compress(message, into: &compressed)
        server.deflates.increment()
        let isWorthIt = compressed.count < message.count || configuration.deflateThreshold == 0
        return isWorthIt ? compressed : nil
    }

    func markDirty(_ connection: Connection) { dirty.append(connection) }

    private func flush() {
        handshakeSteps = LoopServer.handshakeStepsPerTurn
        serveLines()
        streams?.turnEnds()
        sendQueued()
        streams?.turnSent()
    }

    /// Gives what connections have queued to the kernel now, ahead of the end of the turn: answers before
    /// a broadcast that takes milliseconds.
    package func sendQueued() {
        // Flushing may close connections, whose delegates may queue more: until nothing is left.
        while !dirty.isEmpty {
            let batch = dirty
            dirty.removeAll(keepingCapacity: true)
            for connection in batch { connection.flush() }
        }
    }

    /// Performs what connections are given to send now (`WebSocketChannel.sendNow`) in one piece at the
    /// end.
    package func batchingSends(_ body: () -> Void) {
        guard let batch, !isBatching else { return body() }
        isBatching = true
        body()
        isBatching = false
        batch.submit()
    }

    /// The `date` field of this second.
    func date() -> String {
        let now = SystemClock.timestamp()
        if now.seconds != dateSecond {
            dateSecond = now.seconds
            dateText = now.httpDate
        }
        return dateText
    }

    // MARK: Ending

    /// Stops accepting and lets idle connections go; the rest end as they finish.
    func drain() {
        guard !isDraining else { return }
        isDraining = true
        for listener in listeners {
            guard let registration = listener.registration else { continue }
            // A successor may have the same socket: its epoll entry here would outlive our descriptor.
            loop.unregister(listener.descriptor, registration)
            listener.registration = nil
            _ = clinux_close(listener.descriptor)
        }
        streams?.drain()
        for connection in connections { connection.drain() }
    }

    /// The connections of this loop, which holds them.
    private var connections: [Connection] { loop.handlers.compactMap { $0 as? Connection } }

    func end() {
        drain()
        streams?.end()
        for connection in connections { connection.abort() }
        for pump in pumps.values { pump.end() }
        share.removeAll()
        streams = nil
        loop.stop()
    }
}
