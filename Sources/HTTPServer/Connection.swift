// SPDX-License-Identifier: MIT
internal import Bytes
internal import CLinux
internal import Glibc
internal import HTTP1
internal import Metrics
internal import Reactor
internal import TLS
internal import Timing
internal import WebSocket

/// One accepted TCP connection: owns the descriptor, performs what the protocol machines say, and
/// decides nothing itself.
///
///   opening (PROXY header, then TLS handshake; skipped where neither is due)
///     ▼
///     ┌── HTTP ◄──────────┐
///     │   │ request whole │ respond
///     │   ▼               │
///     │  answering ───────┘        upgrade
///     │   └────────────────────────────────► WebSocket
///     ▼ last response sent                       │ close frames exchanged
///   draining ◄───────────────────────────────────┘
///     ▼ peer's end, or closeTimeout
///   closed
///
/// Lives on one loop; `handOver` ends it here and begins another there on the same descriptor.
final class Connection: DescriptorHandler, TimerTarget, TurnTaker {
    enum Phase { case opening, http, answering, webSocket, draining, closed }

    let server: LoopServer
    private(set) var peer: Peer
    private let descriptor: Int32
    /// What stands between the descriptor and everything below; nil on a plain connection.
    private var secure: SecureTransport?
    private(set) var registration: Registration?
    private(set) var phase: Phase

    /// What is kept while it speaks HTTP.
    private var http: HTTPState?
    /// Whether the peer is a proxy that has yet to say whom it speaks for.
    private var awaitsProxyHeader = false
    /// Bytes read but not yet parsed: the tail of a message, or requests behind the one being answered.
    private var unread: [UInt8] = []
    private var isParsing = false
    private var channel: WebSocketChannel?

    private(set) var outbox = Outbox()
    private var isDirty = false
    /// Whether a send of ours waits in the loop's batch.
    private var isInBatch = false
    private var interest: Readiness = .readable
    private var closesAfterFlush = false
    /// Whether parsing waits for the peer to read what it has asked for.
    private var isStalled = false
    /// Whether it waits in the line for its turn (`TurnShare`).
    private var waitsForTurn = false
    /// What its reads have cost.
    private var ration = Ration()
    /// Bytes it has counted among those held (`LoopServer.hold`).
    private var held = 0

    private var deadline = Instant.distantFuture
    private var timer: (id: TimerID, at: Instant)?

    /// Let go at the upgrade: most connections spend their lives as WebSockets, and there are many.
    private final class HTTPState {
        var parser: RequestParser
        var head: RequestHead?
        var body: [UInt8] = []
        var exchange: Exchange?
        /// Requests answered so far: tells a late second answer from the first of the next request.
        var serial = 0
        /// Whether the deadline is the one between requests, not one within.
        var deadlineIsIdle = true

        init(limits: HTTPLimits) { parser = RequestParser(limits: limits) }
    }

    /// Unparsed bytes kept while a request is being answered; reading stops past it.
    private static let pipelineBytes = 64 * 1024
    /// Bytes of a body that is compressed on the loop: a few milliseconds' worth. Handlers that block
    /// have theirs compressed on their own thread, whatever its size.
    private static let compressedBytes = 256 * 1024
    /// Bytes read in one go: enough to make the system call cheap, and what one peer makes us keep when
    /// its turn is over before they are parsed.
    private static let readBytes = 64 * 1024
    /// Bytes given to the parser in one go where they may be compressed, and inflate to a thousand times
    /// as many.
    private static let inflatedBytes = 128
    /// Bytes of a message under way that are not counted among those held.
    private static let freeBytes = 16 * 1024
    /// Unsent bytes past which nothing more is read or parsed, so that a peer that asks and never reads
    /// holds this much and one answer, not whatever its requests multiply into.
    private static let unsentBytes = 256 * 1024

    /// A connection just accepted.
    init(server: LoopServer, accepted descriptor: Int32, peer: Peer) {
        self.server = server
        self.descriptor = descriptor
        self.peer = peer
        awaitsProxyHeader = server.configuration.readsProxyHeaders && peer.isProxy
        phase = server.configuration.tls == nil && !awaitsProxyHeader ? .http : .opening
        http = HTTPState(limits: server.configuration.http)
    }

    /// A connection that has lived on another loop.
    init(server: LoopServer, descriptor: Int32, continuing detached: DetachedConnection) {
        self.server = server
        self.descriptor = descriptor
        peer = detached.peer
        unread = detached.unread
        secure = detached.secure
        phase = .http
        http = HTTPState(limits: server.configuration.http)
        secure?.move(to: server.wire)
    }

    /// Registers with the loop. Nil when the kernel has no room; the descriptor is closed then.
    func open() -> Registration? {
        registration = server.loop.register(descriptor, for: .readable, handler: self)
        if registration == nil {
            phase = .closed
            _ = clinux_close(descriptor)
        } else {
            setDeadline(
                after: phase == .opening
                    ? server.configuration.handshakeTimeout : server.configuration.idleTimeout)
        }
        return registration
    }

    /// Whether the client's bytes are encrypted on their way to us or to the proxy that speaks for it.
    var isSecure: Bool { secure != nil || peer.isSecure }

    /// Bytes that wait because the socket is full.
    var unsent: Int { outbox.count + (secure?.unsent ?? 0) }

    // MARK: Readiness

    func ready(_ readiness: Readiness) {
        if readiness.contains(.writable) { flush() }
        guard phase != .closed else { return }
        // Epoll reports a connection dead in both directions whether asked to or not: with reading off
        // that would be said again at once, for ever.
        if !readiness.isDisjoint(with: .hangUp), !interest.contains(.readable) { return abort() }
        if !readiness.isDisjoint(with: [.readable, .hangUp]) { read() }
    }

    private func read() {
        switch phase {
        // Past the turn's share of handshakes: the bytes stay where they are and are reported again.
        case .opening: if !server.takesHandshakeStep() { return }
        case .http, .webSocket:
            let now = server.loop.now
            if !ration.isCheap(now: now) {
                let line = ration.line(now: now)
                if line == .long || server.isLate { return wait(in: line) }
            }
        case .answering, .draining, .closed: break
        }
        receive()
        countHeld()
        noteRead()
    }

    private func noteRead() {
        ration.note(cost: server.lap(), now: server.loop.now)
    }

    private func receive() {
        let isPlain = secure == nil && (phase != .opening || server.configuration.tls == nil)
        let buffer = isPlain ? server.loop.readBuffer : server.wire.input
        let count = clinux_recv(
            descriptor, buffer.baseAddress, min(buffer.count, Connection.readBytes))
        if count == -Int(EAGAIN) { return }
        guard count > 0 else { return peerEnded(isReset: count < 0) }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        if phase == .draining { return }
        if awaitsProxyHeader { return readProxyHeader(bytes) }
        if isPlain { received(bytes) } else { decrypt(bytes) }
    }

    // MARK: PROXY protocol

    private func readProxyHeader(_ bytes: UnsafeMutableRawBufferPointer) {
        unread.append(contentsOf: bytes)
        let arrived = unread
        let header: ProxyHeader
        let consumed: Int
        do throws(ProxyHeader.Failure) {
            let span = arrived.span
            guard case .header(let found, let count) = try ProxyHeader.parse(span) else {
                return
            }
            (header, consumed) = (found, count)
        } catch {
            server.server.malformedProxyHeaders.increment()
            return abort()
        }
        awaitsProxyHeader = false
        if let client = server.server.proxies.peer(header) {
            // Counted per address from here on: until now it was the proxy's.
            guard server.server.admission.replace(peer, by: client) else {
                server.server.refused.increment()
                return abort()
            }
            peer = client
        } else {
            peer.isSecure = header.isSecure
        }
        var rest = Array(arrived[consumed...])
        unread = []
        let isPlain = server.configuration.tls == nil
        if isPlain {
            phase = .http
            setDeadline(after: server.configuration.idleTimeout)
        }
        guard !rest.isEmpty else { return }
        rest.withUnsafeMutableBytes { isPlain ? received($0) : decrypt($0) }
    }

    /// Takes bytes of the layers above TLS: in the loop's buffer, gone after this turn.
    private func received(_ bytes: UnsafeMutableRawBufferPointer) {
        switch phase {
        case .opening, .draining, .closed: return
        case .http, .webSocket:
            if unread.isEmpty {
                let used = consume(bytes)
                if used < bytes.count, phase != .closed, phase != .draining {
                    unread.append(contentsOf: bytes[used...])
                }
            } else {
                unread.append(contentsOf: bytes)
                consumeUnread()
            }
        case .answering:
            unread.append(contentsOf: bytes)
            if unread.count > Connection.pipelineBytes { watch(interest.subtracting(.readable)) }
        }
    }

    // MARK: TLS

    private func decrypt(_ ciphertext: UnsafeMutableRawBufferPointer) {
        guard let secure = secure ?? beginHandshake(ciphertext) else { return }
        let buffer = server.loop.readBuffer
        let (count, status) = secure.receive(UnsafeRawBufferPointer(ciphertext), into: buffer)
        // A peer that makes us speak and does not read (key updates without end) is let go.
        guard secure.push(to: descriptor) != .failed, secure.unsent <= Connection.unsentBytes
        else { return abort() }
        if secure.unsent > 0 { markDirty() }
        if case .failed = status { return failed(secure) }
        if phase == .opening, secure.isEstablished {
            server.server.handshakes(resumed: secure.isResumed).increment()
            phase = .http
            setDeadline(after: server.configuration.idleTimeout)
        }
        if count > 0 { received(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])) }
        if status == .peerClosed, phase != .closed { peerEnded(isReset: false) }
    }

    private func beginHandshake(_ bytes: UnsafeMutableRawBufferPointer) -> SecureTransport? {
        // A TLS record begins with 22; a letter is a request in the clear, and its sender can be told.
        if (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(bytes[0]) {
            phase = .http
            refuse(
                .problem(400, code: "tls_required", detail: "This port speaks HTTPS only."))
            return nil
        }
        guard let session = server.configuration.tls?.makeSession(on: server.wire) else {
            abort()
            return nil
        }
        let secure = SecureTransport(session, on: server.wire)
        self.secure = secure
        return secure
    }

    /// The alert is sent. A handshake that failed gets the time to read it: closing at once could reset
    /// the connection under it.
    private func failed(_ secure: SecureTransport) {
        guard phase == .opening else { return abort() }
        server.server.handshakeFailures.increment()
        phase = .draining
        closesAfterFlush = true
        markDirty()
    }

    /// Parses what was read before and waited.
    func consumeUnread() {
        guard !unread.isEmpty else { return }
        var bytes = unread
        unread = []
        let used = bytes.withUnsafeMutableBytes { consume($0) }
        guard phase != .closed, phase != .draining else { return }
        if used < bytes.count {
            bytes.removeFirst(used)
            unread = unread.isEmpty ? bytes : bytes + unread
        }
    }

    /// Parses as far as the bytes and the phase allow.
    /// - Returns: bytes used up.
    private func consume(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        isParsing = true
        defer { isParsing = false }
        var used = 0
        var slice = WorkSlice()
        while used <= bytes.count {
            if unsent > Connection.unsentBytes {
                stall()
                return used
            }
            if used < bytes.count, slice.isUsedUp(isDear: channel?.inflates ?? false) {
                wait()
                return used
            }
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[used...])
            switch phase {
            case .http:
                guard let count = parseHTTP(UnsafeRawBufferPointer(rest)) else { return used }
                used += count
            case .webSocket:
                guard let count = parseWebSocket(rest) else { return used }
                used += count
            case .opening, .answering, .draining, .closed: return used
            }
        }
        return used
    }

    /// Goes to the end of a line, and reads nothing more before its turn.
    private func wait(in line: Ration.Line = .long) {
        guard phase == .http || phase == .webSocket, !waitsForTurn else { return }
        waitsForTurn = true
        watch(interest.subtracting(.readable))
        server.waitForTurn(self, in: line)
    }

    func takeTurn() {
        waitsForTurn = false
        if phase == .http || phase == .webSocket, !isStalled {
            if unread.isEmpty { receive() } else { consumeUnread() }
            countHeld()
        }
        noteRead()
        if phase == .http || phase == .webSocket, !isStalled, !waitsForTurn {
            watch(interest.union(.readable))
        }
    }

    /// Counts what is kept of messages that are not whole, and ends the connection when all connections
    /// together have the loop keep too much.
    private func countHeld() {
        guard phase != .closed else { return }
        let kept =
            unread.count + (http?.body.count ?? 0) + (channel?.receiver.heldBytes ?? 0)
        let counted = max(0, kept - Connection.freeBytes)
        guard counted != held else { return }
        let hasRoom = server.hold(counted - held)
        held = counted
        guard !hasRoom else { return }
        // What it has sent is let go of at once, or the next to ask would be refused for it, too.
        if phase == .webSocket {
            closeWebSocket(code: 1013, reason: "")
            channel?.receiver.end()
            return giveBackHeld()
        }
        guard phase == .http else { return }
        http?.body = []
        giveBackHeld()
        refuse(
            .problem(
                503, code: "busy", detail: "Too much is being received; try again.",
                fields: ["retry-after": "1"]))
    }

    /// Asks nothing more of a peer that does not read.
    private func stall() {
        guard phase == .http || phase == .webSocket else { return }
        isStalled = true
        watch(interest.subtracting(.readable))
    }

    private func resume() {
        isStalled = false
        guard phase == .http || phase == .webSocket, !waitsForTurn else { return }
        if unread.isEmpty { watch(interest.union(.readable)) } else { wait() }
    }

    private func peerEnded(isReset: Bool) {
        // A half-closed peer still gets the answer under way; everything else ends here.
        if !isReset, phase == .answering, http?.exchange?.onAbort == nil, unread.isEmpty {
            closesAfterFlush = true
            watch(interest.subtracting(.readable))
            return
        }
        abort()
    }

    // MARK: HTTP

    /// One step of the parser. Nil: more bytes are needed.
    private func parseHTTP(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let span = Span<UInt8>(_unsafeBytes: bytes)
        guard let http else { return nil }
        if http.deadlineIsIdle, !bytes.isEmpty {
            http.deadlineIsIdle = false
            setDeadline(after: server.configuration.headerTimeout)
        }
        do {
            let step = try http.parser.next(in: span)
            switch step.event {
            case .needMore: return step.consumed > 0 ? step.consumed : nil
            case .head(let head):
                http.head = head
                setDeadline(after: server.configuration.bodyTimeout)
                if head.expectsContinue, head.framing != .none {
                    var interim: [UInt8] = []
                    ResponseWriter.writeContinue(into: &interim)
                    enqueue(interim)
                }
            case .body(let range): http.body.append(span.extracting(range))
            case .end: requestIsWhole()
            }
            return step.consumed
        } catch {
            tellStreams(of: error)
            refuse(.problem(error.status, code: error.code, detail: error.detail))
            return nil
        }
    }

    /// A stream whose peer sends more than anybody takes has to hear of it: the request never comes.
    private func tellStreams(of error: HTTPError) {
        guard error == .bodyTooLarge, let streams = server.streams,
            let line = requestLine, streams.claims(path: line.path)
        else { return }
        streams.bodyTooLarge(query: line.query)
    }

    /// That of the request that is being read, as far as it has been.
    private var requestLine: (method: String, path: String, query: String)? {
        http?.head.map { ($0.method, $0.path, $0.query) } ?? http?.parser.refusedLine
    }

    private func requestIsWhole() {
        guard let http, let head = http.head else {
            preconditionFailure("a request ended that never began")
        }
        http.head = nil
        let origin = server.server.proxies.origin(of: peer, head.fields)
        var request = HTTPRequest(
            method: head.method, path: head.path, query: head.query, fields: head.fields,
            body: http.body, address: origin.address)
        request.isSecure = isSecure || origin.isSecure
        request.forwardedHost = origin.host
        http.body = []
        begin(Exchange(request: request, head: head, connection: self))
    }

    /// Offers a whole request to the stream handler, then to the router.
    func begin(_ exchange: Exchange) {
        http?.exchange = exchange
        phase = .answering
        setDeadline(after: nil)
        server.server.requests.increment()
        // Who asks for an https resource has been promised that nobody reads along (RFC 9110 §7.4).
        if exchange.head.asksForHTTPS, !exchange.request.isSecure, !peer.isProxy {
            return exchange.respond(
                .problem(
                    421, code: "misdirected_request", detail: "What is https is served over TLS."))
        }
        if let streams = server.streams, streams.claims(path: exchange.request.path) {
            return streams.accept(exchange)
        }
        let match = server.server.router.match(
            method: exchange.request.method, path: exchange.request.path)
        guard case .handler(let handler, let parameters) = match else {
            return exchange.respond(
                Router.refusal(
                    match, method: exchange.request.method, path: exchange.request.path))
        }
        var request = exchange.request
        request.parameters = parameters
        switch handler {
        case .immediate(let run): exchange.respond(run(request))
        case .blocking(let run):
            let reply = reply()
            let compresses = server.configuration.compressesAnswers
            let accepted = server.server.workers.submit { [request] in
                var response = run(request)
                if compresses { response.compress(for: request, with: GzipEncoder.init()) }
                reply(response)
            }
            if !accepted {
                exchange.respond(
                    .problem(
                        503, code: "busy", detail: "Too many requests wait; try again.",
                        fields: ["retry-after": "1"]))
            }
        case .deferred(let run): run(request, reply())
        }
    }

    /// An answer from any thread finds its way back by name: the connection itself never leaves.
    private func reply() -> Router.Reply {
        guard let registration else { return { _ in } }
        let mailbox = server.loop.mailbox
        let serial = http?.serial ?? 0
        return { response in
            mailbox.post { loop in
                guard let server = loop.attachment as? LoopServer,
                    let connection = server.connection(registration), let http = connection.http,
                    http.serial == serial
                else { return }
                http.exchange?.respond(response)
            }
        }
    }

    func finish(_ exchange: Exchange, with response: HTTPResponse) {
        guard phase == .answering, let http, exchange === http.exchange else { return }
        http.exchange = nil
        http.serial += 1
        let asked = response.fields.lists("connection", token: "close")
        let keepAlive = exchange.head.keepAlive && !asked && !closesAfterFlush && !server.isDraining
        var response = response
        if server.configuration.compressesAnswers, response.body.count <= Connection.compressedBytes
        {
            response.compress(for: exchange.request, with: server.gzip)
        }
        var bytes: [UInt8] = []
        var fields = response.fields
        fields.remove("connection")
        // Who names a protocol to upgrade to lists that (RFC 9110 §7.8, §15.5.22).
        if response.status == 426 { fields.append("connection", "upgrade") }
        let sendsBody = ResponseWriter.write(
            status: response.status, reason: HTTPResponse.reason(response.status), fields: fields,
            bodyCount: response.body.count, keepAlive: keepAlive,
            isHead: exchange.request.method == "HEAD", date: server.date(),
            minorVersion: exchange.head.minorVersion, into: &bytes)
        if sendsBody { bytes.append(contentsOf: response.body) }
        phase = keepAlive ? .http : .draining
        enqueue(bytes)
        if keepAlive {
            http.deadlineIsIdle = true
            setDeadline(after: server.configuration.idleTimeout)
            if !isParsing { consumeUnread() }
            // What is in line already comes first, or a peer that never stops asking would be read ahead
            // of what it is answered.
            if unread.count <= Connection.pipelineBytes, !isStalled, !waitsForTurn {
                watch(interest.union(.readable))
            }
        } else {
            // Whatever was sent behind the last request is for nobody (RFC 9112 §9.6).
            unread = []
            closesAfterFlush = true
        }
    }

    /// Answers what cannot be understood, then ends: where the next request begins is unknown.
    private func refuse(_ response: HTTPResponse) {
        var bytes: [UInt8] = []
        let sendsBody = ResponseWriter.write(
            status: response.status, reason: HTTPResponse.reason(response.status),
            fields: response.fields, bodyCount: response.body.count, keepAlive: false,
            isHead: requestLine?.method == "HEAD", date: server.date(), into: &bytes)
        if sendsBody { bytes.append(contentsOf: response.body) }
        enqueue(bytes)
        unread = []
        closesAfterFlush = true
        phase = .draining
    }

    // MARK: Handing over

    func handOver(_ exchange: Exchange, toLoop index: Int) {
        if isParsing {
            // What came behind the request is in `unread` only when the parser has returned.
            return afterParsing { $0.handOver($1, toLoop: index) }
        }
        let mailboxes = server.server.mailboxes
        guard index < mailboxes.count, let detached = takeApart() else {
            return finish(
                exchange,
                with: .problem(
                    503, code: "busy", detail: "Try again.", fields: ["connection": "close"]))
        }
        let (request, head) = (exchange.request, exchange.head)
        let admission = server.server.admission
        let posted = mailboxes[index].post { loop in
            guard let server = loop.attachment as? LoopServer,
                let connection = server.adopt(counted: detached)
            else { return admission.leave(detached.peer) }
            connection.begin(Exchange(request: request, head: head, connection: connection))
        }
        if !posted { admission.leave(detached.peer) }
    }

    func handOver(
        _ exchange: Exchange,
        to give: @escaping @Sendable (DetachedConnection, @escaping Exchange.GiveBack) -> Void
    ) {
        if isParsing { return afterParsing { $0.handOver($1, to: give) } }
        let (request, head) = (exchange.request, exchange.head)
        guard let detached = takeApart() else {
            exchange.isAnswered = true
            return begin(
                Exchange(request: request, head: head, connection: self, isReturned: true))
        }
        let (admission, mailbox) = (server.server.admission, server.loop.mailbox)
        // Where TLS stays here, what leaves is one end of a socket pair. Out of descriptors for that,
        // the connection is closed.
        guard let plain = server.pump(detached), let descriptor = plain.take() else { return }
        let (peer, unread) = (plain.peer, plain.unread)
        let passed = DetachedConnection(
            descriptor: descriptor, unread: head.bytes(body: request.body) + unread, peer: peer,
            secure: nil)
        give(passed) { descriptor in
            let returned = DetachedConnection(
                descriptor: descriptor, unread: unread, peer: peer, secure: nil)
            guard admission.enter(peer) else { return }
            let posted = mailbox.post { loop in
                guard let server = loop.attachment as? LoopServer,
                    let connection = server.adopt(counted: returned)
                else { return admission.leave(peer) }
                connection.begin(
                    Exchange(
                        request: request, head: head, connection: connection, isReturned: true))
            }
            if !posted { admission.leave(peer) }
        }
    }

    /// Does something with the request under way once the parser has returned.
    private func afterParsing(_ body: @escaping @Sendable (Connection, Exchange) -> Void) {
        guard let registration else { return }
        let serial = http?.serial
        server.loop.mailbox.post { loop in
            guard let server = loop.attachment as? LoopServer,
                let connection = server.connection(registration), let http = connection.http,
                http.serial == serial, let exchange = http.exchange
            else { return }
            body(connection, exchange)
        }
    }

    /// Ends the connection here without closing it. It stays counted.
    /// - Returns: nil when it is not between a request and its answer, or has bytes to send still.
    func takeApart() -> DetachedConnection? {
        guard phase == .answering, unsent == 0, let registration else { return nil }
        cancelTimer()
        server.loop.unregister(descriptor, registration)
        server.forget(registration)
        giveBackHeld()
        self.registration = nil
        phase = .closed
        http = nil
        defer {
            secure = nil
            unread = []
        }
        return DetachedConnection(
            descriptor: descriptor, unread: unread, peer: peer, secure: secure)
    }

    // MARK: WebSocket

    func upgrade(
        fields: HTTPFields, deflate: DeflateParameters?, delegate: any WebSocketDelegate
    ) -> WebSocketChannel? {
        guard phase == .answering else { return nil }
        http = nil
        var bytes: [UInt8] = []
        ResponseWriter.write(
            status: 101, reason: HTTPResponse.reason(101), fields: fields, bodyCount: nil,
            keepAlive: true, isHead: false, date: "", into: &bytes)
        phase = .webSocket
        enqueue(bytes)
        let channel = WebSocketChannel(
            connection: self, delegate: delegate, limits: server.configuration.webSocket,
            deflate: deflate)
        self.channel = channel
        if !isParsing, !unread.isEmpty {
            // Frames sent ahead of our 101: parsed once the delegate knows its channel.
            wait()
        }
        return channel
    }

    private func parseWebSocket(_ bytes: UnsafeMutableRawBufferPointer) -> Int? {
        guard let channel else { return nil }
        var window = channel.inflates ? min(bytes.count, Connection.inflatedBytes) : bytes.count
        while true {
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[..<window])
            if let used = parseWebSocket(part, channel) { return used }
            // A header at the window's end, or a message that is given where it lies, needs more of it.
            guard window < bytes.count, phase == .webSocket else { return nil }
            window = min(2 * window, bytes.count)
        }
    }

    private func parseWebSocket(
        _ bytes: UnsafeMutableRawBufferPointer, _ channel: WebSocketChannel
    ) -> Int? {
        do {
            var writable = MutableSpan<UInt8>(_unsafeBytes: bytes)
            let step = try channel.receiver.next(in: &writable)
            let read = Span<UInt8>(_unsafeBytes: UnsafeRawBufferPointer(bytes))
            switch step.event {
            case .needMore: return step.consumed > 0 ? step.consumed : nil
            case .text(.range(let range)):
                channel.delegate?.received(text: read.extracting(range), on: channel)
            case .text(.assembled(let message)):
                channel.delegate?.received(text: message.span, on: channel)
            case .binary(.range(let range)):
                channel.delegate?.received(binary: read.extracting(range), on: channel)
            case .binary(.assembled(let message)):
                channel.delegate?.received(binary: message.span, on: channel)
            case .ping(let range):
                var frame: [UInt8] = []
                FrameWriter.write(opcode: .pong, payload: read.extracting(range), into: &frame)
                if !channel.isClosing { enqueue(frame) }
            case .pong: break
            case .close(let code, _):
                peerClosed(channel, code: code)
                return nil
            }
            return step.consumed
        } catch {
            closeWebSocket(code: error.closeCode, reason: "")
            return nil
        }
    }

    /// Queues our close frame and stops delivering (RFC 6455 §5.5.1).
    func closeWebSocket(code: UInt16, reason: String) {
        guard phase == .webSocket, let channel, !channel.isClosing else { return }
        var frame: [UInt8] = []
        FrameWriter.close(code: code, reason: reason, into: &frame)
        enqueue(frame)
        endWebSocket(channel, code: code)
    }

    private func peerClosed(_ channel: WebSocketChannel, code: UInt16?) {
        if !channel.isClosing {
            var frame: [UInt8] = []
            if let code {
                FrameWriter.close(code: code, reason: "", into: &frame)
            } else {
                let nothing: [UInt8] = []
                FrameWriter.write(opcode: .close, payload: nothing.span, into: &frame)
            }
            enqueue(frame)
        }
        endWebSocket(channel, code: code)
    }

    private func endWebSocket(_ channel: WebSocketChannel, code: UInt16?) {
        channel.isClosing = true
        phase = .draining
        closesAfterFlush = true
        unread = []
        setDeadline(after: server.configuration.closeTimeout)
        tellClosed(channel, code: code)
    }

    private func tellClosed(_ channel: WebSocketChannel, code: UInt16?) {
        let delegate = channel.delegate
        channel.delegate = nil
        delegate?.closed(channel, code: code)
    }

    // MARK: Sending

    func enqueue(_ bytes: [UInt8]) {
        guard phase != .closed else { return }
        outbox.append(own: bytes)
        markDirty()
    }

    func enqueue(shared: SharedBytes, _ range: Range<Int>) {
        guard phase != .closed else { return }
        outbox.append(shared: shared, range)
        markDirty()
    }

    /// Gives bytes to the kernel without a queue between, where nothing waits before them; what it does
    /// not take is queued.
    func sendNow(_ shared: SharedBytes, _ range: Range<Int>) {
        guard phase == .webSocket else { return }
        var sent = 0
        if secure == nil, outbox.isEmpty, !isInBatch {
            if let batch = server.openBatch {
                isInBatch = true
                return batch.add(self, descriptor, shared, range)
            }
            sent = clinux_send(
                descriptor, shared.memory.baseAddress.map { $0 + range.lowerBound }, range.count)
            if sent == range.count { return }
            // Why it took nothing is found out, and dealt with, by the flush.
            sent = max(0, sent)
        }
        enqueue(shared: shared, range.lowerBound + sent..<range.upperBound)
    }

    /// The same for several pieces, gathered for one system call where they are not too long for that.
    func sendNow(_ pieces: [SharedBytes]) {
        guard phase == .webSocket else { return }
        let scratch = server.scratch
        let total = pieces.reduce(0) { $0 + $1.count }
        guard secure == nil, outbox.isEmpty, !isInBatch, total <= scratch.count, total > 0 else {
            for piece in pieces { enqueue(shared: piece, 0..<piece.count) }
            return
        }
        if let batch = server.openBatch {
            isInBatch = batch.add(self, descriptor, gathering: pieces, total: total)
            return
        }
        var filled = 0
        for piece in pieces {
            UnsafeMutableRawBufferPointer(rebasing: scratch[filled...]).copyMemory(
                from: piece.memory)
            filled += piece.count
        }
        let sent = max(0, clinux_send(descriptor, scratch.baseAddress, filled))
        if sent < filled { enqueue(Array(scratch[sent..<filled])) }
    }

    /// The kernel has taken all that was put by for this connection.
    func batchSent() { isInBatch = false }

    /// The kernel has left a part: it goes before what was queued meanwhile.
    func batchLeft(_ bytes: SharedBytes, _ range: Range<Int>) {
        isInBatch = false
        guard phase != .closed else { return }
        outbox.prepend(shared: bytes, range)
        markDirty()
    }

    func markDirty() {
        guard !isDirty else { return }
        isDirty = true
        server.markDirty(self)
    }

    func flush() {
        isDirty = false
        guard phase != .closed else { return }
        if unsent > 0 {
            let before = unsent
            let progress = flushUnsent()
            if isStalled, unsent <= Connection.unsentBytes / 2 { resume() }
            switch progress {
            case .failed: return abort()
            case .blocked:
                if phase != .opening, unsent < before || !interest.contains(.writable) {
                    setDeadline(after: server.configuration.writeTimeout)
                }
                return watch(interest.union(.writable))
            case .empty:
                if interest.contains(.writable) {
                    watch(interest.subtracting(.writable))
                    if phase == .webSocket { setDeadline(after: nil) }
                }
            }
        }
        if let channel, channel.wantsDrained, !channel.isClosing {
            channel.wantsDrained = false
            channel.delegate?.drained(channel)
        }
        if closesAfterFlush, phase != .answering { beginDraining() }
    }

    private func flushUnsent() -> Outbox.Progress {
        guard let secure else { return outbox.flush(to: descriptor, scratch: server.scratch) }
        return outbox.flush(through: secure, to: descriptor, scratch: server.scratch)
    }

    /// Everything is sent: end our half and wait for the peer's, so that no reset overtakes the
    /// last bytes (RFC 9112 §9.6).
    private func beginDraining() {
        phase = .draining
        switch secure?.close(to: descriptor) {
        case .failed: return abort()
        case .blocked: return watch(interest.union(.writable))  // comes back here from `flush`
        case .empty, nil: break
        }
        closesAfterFlush = false
        _ = clinux_shutdown_write(descriptor)
        watch(.readable)
        setDeadline(after: server.configuration.closeTimeout)
    }

    private func watch(_ wanted: Readiness) {
        guard wanted != interest, let registration else { return }
        interest = wanted
        server.loop.modify(descriptor, registration, for: wanted)
    }

    // MARK: Ending

    /// Lets go of the connection when nothing is under way on it.
    func drain() {
        switch phase {
        case .opening: abort()
        case .http
        where http?.head == nil && http?.body.isEmpty == true && unread.isEmpty && unsent == 0:
            // Who has just connected is about to ask: it is answered, and told that this was the last.
            if http?.serial == 0 {
                setDeadline(after: server.configuration.closeTimeout)
            } else {
                abort()
            }
        // Its answer is still leaving, with the promise of further ones: the end follows behind it.
        case .http where http?.head == nil && http?.body.isEmpty == true && unread.isEmpty:
            closesAfterFlush = true
        default: break
        }
    }

    /// Closes at once and tells whoever waited.
    func abort() {
        guard phase != .closed, let registration else { return }
        // The descriptor's number may be another's right after.
        if isInBatch { server.openBatch?.submit() }
        phase = .closed
        cancelTimer()
        server.loop.unregister(descriptor, registration)
        server.forget(registration)
        self.registration = nil
        // Who is cut off hears that it was us and not the network (RFC 8446 §6.1), if there is room.
        if let secure, secure.unsent == 0 { _ = secure.close(to: descriptor) }
        secure = nil
        _ = clinux_close(descriptor)
        server.server.admission.leave(peer)
        giveBackHeld()
        outbox.removeAll()
        unread = []
        if let exchange = http?.exchange {
            http?.exchange = nil
            exchange.isAnswered = true
            let onAbort = exchange.onAbort
            exchange.onAbort = nil
            onAbort?()
        }
        if let channel {
            self.channel = nil
            channel.connection = nil
            if !channel.isClosing {
                channel.isClosing = true
                tellClosed(channel, code: nil)
            }
        }
    }

    private func giveBackHeld() {
        _ = server.hold(-held)
        held = 0
    }

    // MARK: Time

    /// Sets the one deadline of the connection. The timer in the wheel is left where it is when it
    /// fires before the new deadline, and asks again then: most deadlines move without touching it.
    private func setDeadline(after timeout: Duration?) {
        guard let timeout else {
            deadline = .distantFuture
            return
        }
        deadline = server.loop.now + timeout
        if let timer {
            if timer.at <= deadline { return }
            server.loop.cancel(timer.id)
        }
        timer = (server.loop.schedule(self, at: deadline), deadline)
    }

    /// Takes the timer out of the wheel, which would keep a closed connection until it fires.
    private func cancelTimer() {
        deadline = .distantFuture
        if let timer { server.loop.cancel(timer.id) }
        timer = nil
    }

    func timerFired(now: Instant) {
        timer = nil
        guard phase != .closed, deadline != .distantFuture else { return }
        guard now >= deadline else {
            timer = (server.loop.schedule(self, at: deadline), deadline)
            return
        }
        deadline = .distantFuture
        if phase == .http, http?.deadlineIsIdle == false, unsent == 0 {
            refuse(
                .problem(
                    408, code: "request_timeout", detail: "The request did not arrive in time."))
        } else {
            abort()
        }
    }
}
