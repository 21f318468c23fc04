// SPDX-License-Identifier: MIT
internal import Bytes
package import EngineIO
internal import HTTP1
package import HTTPServer
internal import Reactor
package import Timing
internal import WebSocket

/// Gets what arrives in one Engine.IO session. Called on the session's loop; spans are valid until
/// return.
package protocol EngineDelegate: AnyObject {
    func received(text: Span<UInt8>)
    func received(binary: Span<UInt8>)
    /// The session's own deadline, beside the heartbeat, has come.
    func deadlinePassed(now: Instant)
    /// The transport has taken everything that waited, as `tellWhenDrained` asked to hear.
    func drained()
    /// The last call: the session has ended, for whatever reason.
    func closed()
}

/// One Engine.IO session on its loop: performs what `EngineSession` says on the transport that is
/// current, and moves what waits from polling to WebSocket when the client upgrades.
package final class EngineConnection: WebSocketDelegate, TimerTarget, TurnTaker {
    /// With its loop, the session's id: a secret, as whoever knows it is the client.
    let key: SessionKey
    /// The client's address.
    package let address: String
    private unowned let server: EngineServer
    private var engine: EngineSession
    /// Whether the official JavaScript client opened the session, told from the request: it writes
    /// `EIO` before `transport` in its query; python-engineio writes it behind, always.
    package let isOfficialClient: Bool
    private(set) var isClosed = false
    private var timer = TimerID.none
    package var delegate: (any EngineDelegate)?
    /// The WebSocket that carries the session, once there is one.
    private var channel: WebSocketChannel?
    /// What takes the place of that until then; nil for who begins with a WebSocket.
    private var polling: Polling?

    /// What a session needs while it is polled: most are not, or not for long.
    private final class Polling {
        /// The WebSocket that asks to take over.
        var probe: WebSocketChannel?
        /// The poll that waits for something to send.
        var poll: Exchange?
        /// The POST whose packets are being read, over several turns where there are many.
        var posting: Posting?
        /// Packets that wait for a poll, in order.
        var queue = PollQueue()
        var isQueued = false
        /// Whether the delegate waits for a poll to take the queue.
        var wantsDrained = false

        func takePoll() -> Exchange? {
            defer { poll = nil }
            return poll
        }
    }

    private final class Posting {
        let exchange: Exchange
        var reader = PollPayloadReader()
        init(_ exchange: Exchange) { self.exchange = exchange }
    }

    /// The POST whose packets the delegate is being given; nil at all other times.
    package var upload: HTTPRequest? { polling?.posting?.exchange.request }

    /// When the delegate wants to be called; the earlier of this and the heartbeat's is scheduled.
    package var deadline = Instant.distantFuture {
        didSet { if deadline < oldValue { reschedule() } }
    }

    init(
        key: SessionKey, server: EngineServer, transport: Transport, request: HTTPRequest,
        firstPing: Duration
    ) {
        self.key = key
        self.server = server
        address = request.address
        isOfficialClient = EngineConnection.isOfficial(query: request.query)
        polling = transport == .polling ? Polling() : nil
        engine = EngineSession(
            transport: transport, configuration: server.configuration.engine,
            now: server.loop.now, firstPing: firstPing)
    }

    /// What python-engineio takes in one payload (`Payload.max_decode_packets`); one more ends its
    /// session.
    private static let packetsPerPoll = 16

    private static func isOfficial(query: String) -> Bool {
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            if pair.starts(with: "EIO=".utf8) { return true }
            if pair.starts(with: "transport=".utf8) { return false }
        }
        return false
    }

    /// Which transport carries the session now.
    package var transport: Transport { engine.transport }

    /// Bytes that wait for a slow client.
    package var queuedBytes: Int { channel?.queuedBytes ?? polling?.queue.count ?? 0 }

    /// Whether the transport would take more at once: nothing waits, and on polling a poll does.
    package var isWritable: Bool {
        guard !isClosed else { return false }
        if let channel { return channel.queuedBytes == 0 }
        return polling.map { $0.poll != nil && $0.queue.isEmpty } ?? false
    }

    /// Whether the client takes frames whose payload `deflated` made.
    package var takesDeflated: Bool { channel?.takesDeflated ?? false }

    /// Compresses a message for every client that takes it.
    /// - Returns: the payload of a WebSocket frame with RSV1 set; nil when it would not shrink.
    package func deflated(_ message: Span<UInt8>) -> [UInt8]? { channel?.deflated(message) }

    // MARK: Opening

    func open(on channel: WebSocketChannel) {
        self.channel = channel
        sendRaw(openPacket(upgrades: []))
        reschedule()
    }

    /// Opens on polling. The open packet goes alone, as the reference's does: some clients read nothing
    /// behind it.
    func open(answering exchange: Exchange, adding fields: HTTPFields) {
        var response = server.payload(openPacket(upgrades: [.websocket]), for: exchange.request)
        for field in fields.fields { response.fields.append(field.name, field.value) }
        exchange.respond(response)
        reschedule()
    }

    private func openPacket(upgrades: [Transport]) -> [UInt8] {
        var packet: [UInt8] = []
        EngineOpen.write(
            sid: server.id(of: self), upgrades: upgrades,
            configuration: server.configuration.engine, into: &packet)
        return packet
    }

    // MARK: Sending

    /// Sends one text message; `payload` without the Engine.IO type.
    package func send(text payload: [UInt8]) {
        guard !isClosed else { return }
        let type = EnginePacketType.message.rawValue
        if let channel { return channel.send(text: payload.span, behind: type) }
        var packet: [UInt8] = []
        packet.reserveCapacity(payload.count + 1)
        packet.append(type)
        packet.append(contentsOf: payload)
        sendRaw(packet)
    }

    /// Sends one binary message.
    package func send(binary payload: [UInt8]) {
        guard !isClosed else { return }
        if let channel {
            channel.send(binary: payload.span)
        } else {
            polling?.queue.append(binary: payload)
            becomeReady()
        }
    }

    /// Sends messages that are encoded already: on WebSocket their frames as they lie, on polling the
    /// packets inside.
    /// - Parameter message: the first that is sent.
    package func send(_ batch: FrameBatch, from message: Int = 0) {
        guard !isClosed else { return }
        if let channel {
            channel.send(frames: batch.frames, batch.range(from: message))
        } else {
            poll(batch, from: message)
        }
    }

    /// The same where nothing more is to be sent in this turn: at once where nothing waits before it.
    package func sendNow(_ batch: FrameBatch, from message: Int = 0) {
        guard !isClosed else { return }
        if let channel {
            channel.sendNow(frames: batch.frames, batch.range(from: message))
        } else {
            poll(batch, from: message)
        }
    }

    /// The same for several batches, which go to the kernel in one piece.
    package func sendNow(_ batches: [FrameBatch]) {
        guard !isClosed else { return }
        if let channel {
            channel.sendNow(frames: batches.map(\.frames))
        } else {
            for batch in batches { poll(batch, from: 0) }
        }
    }

    private func poll(_ batch: FrameBatch, from message: Int) {
        guard let polling else { return }
        batch.frames.withBytes { bytes in
            batch.forEachPacket(from: message) { packet in
                let payload = bytes.extracting(packet.payload)
                if packet.isBinary {
                    polling.queue.append(binary: payload)
                } else {
                    polling.queue.append(text: payload)
                }
            }
        }
        becomeReady()
    }

    /// Has the delegate told, once, when the transport has taken everything that waits now.
    package func tellWhenDrained() {
        guard !isClosed else { return }
        if let channel { return channel.tellWhenDrained() }
        guard let polling else { return }
        polling.wantsDrained = true
        // No poll will come to take what is not there.
        if polling.queue.isEmpty { markReady(polling) }
    }

    /// Sends one whole packet, type included.
    private func sendRaw(_ packet: [UInt8]) {
        guard !isClosed else { return }
        if let channel {
            channel.send(text: packet.span)
        } else {
            polling?.queue.append(text: packet)
            becomeReady()
        }
    }

    private func becomeReady() {
        if let polling, polling.poll != nil { markReady(polling) }
    }

    private func markReady(_ polling: Polling) {
        guard !polling.isQueued else { return }
        polling.isQueued = true
        server.markReady(self)
    }

    /// Answers the waiting poll with what has gathered, at the end of the loop's turn.
    func flushPoll() {
        guard let polling else { return }
        polling.isQueued = false
        if !polling.queue.isEmpty, let poll = polling.takePoll() {
            let packets = isOfficialClient ? Int.max : EngineConnection.packetsPerPoll
            poll.respond(server.payload(polling.queue.take(atMost: packets), for: poll.request))
        }
        if polling.wantsDrained, polling.queue.isEmpty {
            polling.wantsDrained = false
            delegate?.drained()
        }
    }

    // MARK: Polling

    func get(_ exchange: Exchange) {
        guard let polling, polling.poll == nil else {
            exchange.respond(server.refusal(.badRequest, for: exchange.request))
            return close(.protocolError)
        }
        if engine.releasesPolls, polling.queue.isEmpty {
            return exchange.respond(
                server.payload([EnginePacketType.noop.rawValue], for: exchange.request))
        }
        polling.poll = exchange
        exchange.onAbort = { [weak self] in
            self?.polling?.poll = nil
            self?.close(.closedByPeer)
        }
        if !polling.queue.isEmpty { flushPoll() }
    }

    func post(_ exchange: Exchange) {
        let request = exchange.request
        guard let polling, polling.posting == nil else {
            exchange.respond(server.refusal(.badRequest, for: request))
            return close(.protocolError)
        }
        guard request.body.count <= server.configuration.engine.maxPayload else {
            exchange.respondAndClose(
                HTTPResponse(status: 413, fields: server.crossOrigin(request)))
            return close(.protocolError)
        }
        // Protocol 4's polling bodies are text; an unanswered binary one was CVE-2026-59725.
        if request.fields["content-type"]?.lowercased().hasPrefix("application/octet-stream")
            == true
        {
            exchange.respond(server.refusal(.badRequest, for: request))
            return close(.protocolError)
        }
        polling.posting = Posting(exchange)
        takeTurn()
    }

    /// Reads packets of the POST under way. A body may hold half a million: they take the turns of a
    /// flood of frames.
    package func takeTurn() {
        guard let polling, let posting = polling.posting else { return }
        let request = posting.exchange.request
        var slice = WorkSlice()
        do {
            // What follows a packet that ended the session is for nobody.
            reading: while !isClosed {
                if slice.isUsedUp() { return server.waitForTurn(self) }
                switch try posting.reader.next(in: request.body.span) {
                case .packet(let type, let range):
                    received(type, payload: request.body.span.extracting(range), from: .current)
                case .binary(let bytes):
                    if step(.message, isProbe: false, from: .current) == .deliver {
                        delegate?.received(binary: bytes.span)
                    }
                case .end: break reading
                }
            }
        } catch {
            polling.posting = nil
            posting.exchange.respond(server.refusal(.badRequest, for: request))
            return close(.protocolError)
        }
        polling.posting = nil
        if channel != nil { self.polling = nil }
        var response = HTTPResponse(
            status: 200, fields: server.crossOrigin(request), body: Array("ok".utf8))
        response.fields.set("content-type", "text/html")
        response.fields.set("cache-control", "no-store")
        posting.exchange.respond(response)
    }

    // MARK: WebSocket

    /// A WebSocket opened with our id asks to take over.
    func adopt(probe channel: WebSocketChannel) {
        guard !isClosed, let polling, engine.probeOpened(now: server.loop.now) else {
            channel.delegate = nil
            return channel.close(code: 1000)
        }
        polling.probe = channel
        reschedule()
    }

    package func received(text: Span<UInt8>, on channel: WebSocketChannel) {
        let origin: EngineSession.Origin = channel === polling?.probe ? .probe : .current
        do {
            let (type, range) = try EngineCodec.decodeText(text)
            received(type, payload: text.extracting(range), from: origin)
        } catch {
            if origin == .probe { perform(.closeProbe) } else { close(.protocolError) }
        }
    }

    package func received(binary: Span<UInt8>, on channel: WebSocketChannel) {
        guard channel === self.channel else { return perform(.closeProbe) }
        if step(.message, isProbe: false, from: .current) == .deliver {
            delegate?.received(binary: binary)
        }
    }

    package func closed(_ channel: WebSocketChannel, code: UInt16?) {
        if channel === polling?.probe {
            polling?.probe = nil
            engine.probeClosed()
        } else if channel === self.channel {
            self.channel = nil
            close(.closedByPeer)
        }
    }

    package func drained(_ channel: WebSocketChannel) { delegate?.drained() }

    // MARK: Steps

    private func received(
        _ type: EnginePacketType, payload: Span<UInt8>, from origin: EngineSession.Origin
    ) {
        guard !isClosed else { return }
        let step = engine.received(
            type, isProbePayload: payload.equals("probe"), from: origin, now: server.loop.now)
        if step == .deliver { delegate?.received(text: payload) } else { perform(step) }
        // The timer stands at the end of the ping's timeout, which may lie behind the next ping.
        if type == .pong { reschedule() }
    }

    private func step(
        _ type: EnginePacketType, isProbe: Bool, from origin: EngineSession.Origin
    ) -> EngineSession.Step {
        guard !isClosed else { return .nothing }
        return engine.received(
            type, isProbePayload: isProbe, from: origin, now: server.loop.now)
    }

    private func perform(_ step: EngineSession.Step) {
        switch step {
        case .nothing, .deliver: break
        case .sendPing:
            let ping = [EnginePacketType.ping.rawValue]
            if let channel { channel.send(ahead: ping.span) } else { sendRaw(ping) }
        case .confirmProbe:
            polling?.probe?.send(text: Array("3probe".utf8).span)
            releasePoll()
        case .completeUpgrade:
            guard let polling else { return }
            // What waits goes over the new transport, and not by two ways at once: a noop ends the poll.
            if let poll = polling.takePoll() {
                poll.respond(server.payload([EnginePacketType.noop.rawValue], for: poll.request))
            }
            channel = polling.probe
            polling.probe = nil
            for packet in polling.queue.takePackets() {
                switch packet {
                case .text(let bytes): channel?.send(text: bytes.span)
                case .binary(let bytes): channel?.send(binary: bytes.span)
                }
            }
            if polling.wantsDrained {
                polling.wantsDrained = false
                channel?.tellWhenDrained()
            }
            if polling.posting == nil { self.polling = nil }
        case .closeProbe:
            let probe = polling?.probe
            polling?.probe = nil
            engine.probeClosed()
            probe?.delegate = nil
            probe?.close(code: 1000)
        case .close(let reason): close(reason)
        }
    }

    private func releasePoll() {
        guard let polling, let poll = polling.takePoll() else { return }
        if polling.queue.isEmpty { polling.queue.append(text: [EnginePacketType.noop.rawValue]) }
        poll.respond(server.payload(polling.queue.take(), for: poll.request))
    }

    // MARK: Time

    package func timerFired(now: Instant) { passTime(now: now) }

    /// Does what has come due, where something has.
    func catchUp(now: Instant) {
        if engine.nextDeadline <= now { passTime(now: now) }
    }

    private func passTime(now: Instant) {
        guard !isClosed else { return }
        while true {
            let step = engine.timePassed(now: now)
            if step == .nothing { break }
            perform(step)
            if isClosed { return }
        }
        if deadline <= now {
            deadline = .distantFuture
            delegate?.deadlinePassed(now: now)
            if isClosed { return }
        }
        reschedule()
    }

    private func reschedule() {
        guard !isClosed else { return }
        server.loop.arm(&timer, self, by: min(engine.nextDeadline, deadline))
    }

    // MARK: Ending

    /// Ends the session and tells the client as far as the transport allows.
    package func close(_ reason: EngineSession.CloseReason = .closedByPeer) {
        guard !isClosed else { return }
        isClosed = true
        server.loop.cancel(timer)
        server.forget(self)
        if let polling, let poll = polling.takePoll() {
            // The client's own close is answered with a noop; ours, with a close packet.
            let last: EnginePacketType = reason == .closedByPeer ? .noop : .close
            polling.queue.append(text: [last.rawValue])
            poll.respond(server.payload(polling.queue.take(), for: poll.request))
        }
        let channels = [channel, polling?.probe]
        channel = nil
        polling?.probe = nil
        for channel in channels.compactMap({ $0 }) {
            channel.delegate = nil
            if let code = reason.closeCode { channel.close(code: code) } else { channel.abort() }
        }
        let delegate = delegate
        self.delegate = nil
        delegate?.closed()
    }
}

extension EngineSession.CloseReason {
    /// What a WebSocket is told (RFC 6455 §7.4.1); nil for a peer that does not read it anyway.
    fileprivate var closeCode: UInt16? {
        switch self {
        case .closedByPeer: 1000
        case .goingAway: 1001
        case .protocolError: 1002
        case .unwelcome: 1008
        case .pingTimeout, .tooSlow: nil
        }
    }
}
