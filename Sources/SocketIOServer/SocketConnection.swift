// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
package import HTTPServer
internal import SocketIO
internal import Timing

/// The request that opened a client's session: what the reference calls the handshake.
package typealias SocketHandshake = HTTPRequest

/// One client's Engine.IO session as Socket.IO sees it: reads its packets and brings them to the
/// sockets of its namespaces.
///
/// Source: Socket.IO protocol 5. What the protocol has no place for ends the transport: an event
/// before CONNECT, a second CONNECT, a client's CONNECT_ERROR, anything malformed.
final class SocketConnection: EngineDelegate {
    private(set) var engine: EngineConnection?
    /// Kept apart: where it is not kept, it takes no room.
    private let opening: Opening?

    private final class Opening {
        let handshake: SocketHandshake
        init(_ handshake: SocketHandshake) { self.handshake = handshake }
    }

    var handshake: SocketHandshake? { opening?.handshake }
    private unowned let server: LoopSockets
    /// Nil between packets, when the loop lends its own.
    private var decoder: PacketDecoder?
    /// Until when a client without any namespace may stay.
    private var connectDeadline: Instant
    /// Sockets connecting or connected: one nearly always.
    private var sockets = Few<Socket>()
    /// Whether a CONNECT was accepted on this transport: from then on, a DISCONNECT for a namespace
    /// that is not joined may have crossed ours on the way.
    private var hasJoined = false
    /// Bytes waiting that the client did not ask for.
    private var forgiven: Int32 = 0

    init(engine: EngineConnection, server: LoopSockets, handshake: SocketHandshake?) {
        self.engine = engine
        self.server = server
        opening = handshake.map { Opening($0) }
        connectDeadline = server.now + server.configuration.connectTimeout
        engine.deadline = connectDeadline
    }

    /// Bytes that may wait before a socket has fallen behind.
    var maxQueuedBytes: Int { server.configuration.maxQueuedBytes }

    // MARK: EngineDelegate

    func received(text: Span<UInt8>) {
        guard !isGreedy else { return close(.tooSlow) }
        do {
            var parts = EventArguments.Parts()
            let lent = decoder ?? server.lendDecoder()
            let step = try lent.decoder.text(text, parts: &parts)
            done(with: lent)
            switch step {
            case .packet(let packet): try received(packet, parts, in: text, attachments: [])
            case .awaitingAttachments:
                // Attachments are kept until all are there: not for somebody who has not signed in.
                guard sockets.contains(where: \.isConnected) else {
                    throw SocketError.unexpectedBinary
                }
            // Only an attachment makes one whole.
            case .binaryPacket: throw SocketError.unexpectedText
            }
        } catch {
            close(.protocolError)
        }
    }

    func received(binary: Span<UInt8>) {
        guard !isGreedy else { return close(.tooSlow) }
        do {
            var parts = EventArguments.Parts()
            let lent = decoder ?? server.lendDecoder()
            let step = try lent.decoder.binary(binary.array(), parts: &parts)
            done(with: lent)
            guard case .binaryPacket(let packet, let text, let attachments) = step else { return }
            try received(packet, parts, in: text.span, attachments: attachments)
            server.takeBack(text: text, attachments: attachments)
        } catch {
            close(.protocolError)
        }
    }

    /// Keeps a decoder while attachments are due, and counts what it keeps of them.
    private func done(with lent: PacketDecoder) {
        if lent.decoder.isAwaitingAttachments {
            decoder = lent
        } else {
            decoder = nil
            server.takeBack(lent)
        }
        let more = lent.decoder.heldBytes - lent.counted
        lent.counted += more
        if more != 0, !server.hold(more) { close(.goingAway) }
    }

    func drained() {
        for socket in sockets where socket.wantsDrained {
            socket.wantsDrained = false
            socket.handler?.drained()
        }
    }

    func deadlinePassed(now: Instant) {
        if !sockets.contains(where: \.isConnected), connectDeadline <= now {
            return close(.protocolError)
        }
        for socket in sockets { socket.timePassed(now: now) }
        rearm()
    }

    func closed() {
        engine = nil
        if let decoder { _ = server.hold(-decoder.counted) }
        decoder = nil
        for socket in sockets { socket.end(.transportEnded) }
    }

    // MARK: Packets

    private func received(
        _ packet: SocketPacket, _ parts: EventArguments.Parts, in text: Span<UInt8>,
        attachments: [[UInt8]]
    ) throws(SocketError) {
        guard let socket = sockets.first(where: { $0.namespace.name == packet.namespace }) else {
            switch packet.type {
            case .connect: return connect(packet, in: text)
            case .disconnect where hasJoined: return
            default: throw .invalidPayload
            }
        }
        switch packet.type {
        case .event, .binaryEvent:
            guard socket.isConnected, let name = parts.name else { throw .invalidPayload }
            socket.handler?.received(
                SocketEvent(
                    name: name, arguments: parts.arguments, ackID: packet.ackID,
                    attachments: attachments),
                in: text)
        case .ack, .binaryAck:
            guard socket.isConnected, let id = packet.ackID else { throw .invalidPayload }
            socket.answered(
                id, SocketArguments(parts.arguments, in: text, attachments: attachments))
        case .disconnect: socket.end(.clientLeft)
        case .connect, .connectError: throw .invalidPayload
        }
    }

    private func connect(_ packet: SocketPacket, in text: Span<UInt8>) {
        guard let namespace = server.namespace(packet.namespace) else {
            var reply: [UInt8] = []
            SocketEncoder.connectError(
                namespace: packet.namespace, message: "Invalid namespace", data: nil, into: &reply)
            engine?.send(text: reply)
            return
        }
        // What a namespace sends at first is forgiven who is slow. Who joins again and again without taking
        // any of it would be forgiven without end.
        guard (engine?.queuedBytes ?? 0) <= 2 * maxQueuedBytes else { return close(.tooSlow) }
        let socket = Socket(namespace: namespace, connection: self)
        sockets.append(socket)
        namespace.connect(socket, auth: packet.data, in: text)
    }

    // MARK: Sockets

    func accepted() {
        hasJoined = true
        rearm()
    }

    func forget(_ socket: Socket) {
        if let place = sockets.firstIndex(where: { $0 === socket }) { sockets.remove(at: place) }
        guard !sockets.contains(where: \.isConnected) else { return }
        connectDeadline = server.now + server.configuration.connectTimeout
        rearm()
    }

    /// Asks the session for a call at the earliest deadline.
    func rearm() {
        guard let engine else { return }
        var deadline = Instant.distantFuture
        var isConnected = false
        for socket in sockets {
            deadline = min(deadline, socket.nextDeadline)
            isConnected = isConnected || socket.isConnected
        }
        engine.deadline = isConnected ? deadline : min(deadline, connectDeadline)
    }

    /// Forgives what waits now.
    func forgive() { forgiven = Int32(clamping: engine?.queuedBytes ?? 0) }

    /// Lets the client go when far more waits than it may keep waiting: answers come later than the
    /// requests, and a read may hold many.
    func letGoIfGreedy() {
        if isGreedy { close(.tooSlow) }
    }

    /// Whether far more waits than a client may keep waiting: it asks, and does not take the answers.
    private var isGreedy: Bool {
        guard let engine else { return true }
        return engine.queuedBytes - Int(forgiven) > 16 * maxQueuedBytes
    }

    private func close(_ reason: EngineSession.CloseReason) { engine?.close(reason) }
}
