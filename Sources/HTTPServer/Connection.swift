// SPDX-License-Identifier: MIT
internal import Bytes
internal import CLinux
internal import Glibc
internal import Metrics
internal import Reactor
internal import TLS
internal import Timing

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

    /// What is spoken on it.
    private enum Speech {
        case nothing
        case http(HTTPConversation)
        case webSocket(WebSocketChannel)
    }

    // In the order that leaves the least room between them: there are as many as clients.
    let server: LoopServer
    /// What stands between the descriptor and everything below; nil on a plain connection.
    private var secure: SecureTransport?
    /// HTTP's state is let go at the upgrade: most connections spend their lives as WebSockets.
    private var speech = Speech.nothing
    /// Bytes read but not yet parsed: the tail of a message, or requests behind the one being answered.
    var unread: [UInt8] = []
    private var outbox = Outbox()
    private var deadline = Instant.distantFuture
    /// What its reads have cost.
    private var ration = Ration()
    private let descriptor: Int32
    private var interest: Readiness = .readable
    /// Bytes it has counted among those held (`LoopServer.hold`).
    private var held: Int32 = 0
    private var timer = TimerID.none
    private(set) var registration: Registration?
    var phase: Phase
    /// Whether the peer is a proxy that has yet to say whom it speaks for.
    private var awaitsProxyHeader = false
    private(set) var isParsing = false
    private var isDirty = false
    /// Whether a send of ours waits in the loop's batch.
    private var isInBatch = false
    var closesAfterFlush = false
    /// Whether parsing waits for the peer to read what it has asked for.
    private var isStalled = false
    private(set) var peer: Peer
    /// Whether it waits in the line for its turn (`TurnShare`).
    private var waitsForTurn = false

    /// Unparsed bytes kept while a request is being answered; reading stops past it.
    private static let pipelineBytes = 64 * 1024
    /// Bytes read in one go: enough to make the system call cheap, and what one peer makes us keep when
    /// its turn is over before they are parsed.
    private static let readBytes = 64 * 1024
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
        speech = .http(HTTPConversation(on: self))
    }

    /// A connection that has lived on another loop.
    init(server: LoopServer, descriptor: Int32, continuing detached: DetachedConnection) {
        self.server = server
        self.descriptor = descriptor
        peer = detached.peer
        unread = detached.unread
        secure = detached.secure
        phase = .http
        speech = .http(HTTPConversation(on: self))
        secure?.move(to: server.wire)
    }

    /// The requests, until one of them makes it a WebSocket.
    var http: HTTPConversation? {
        if case .http(let conversation) = speech { conversation } else { nil }
    }

    private var channel: WebSocketChannel? {
        if case .webSocket(let channel) = speech { channel } else { nil }
    }

    /// Registers with the loop, which holds the connection from then on.
    /// - Returns: false when the kernel has no room; the descriptor is closed then.
    func open() -> Bool {
        registration = server.loop.register(descriptor, for: .readable, handler: self)
        guard registration != nil else {
            phase = .closed
            _ = clinux_close(descriptor)
            return false
        }
        server.server.loads.enter(server.loop.index)
        setDeadline(
            after: phase == .opening
                ? server.configuration.handshakeTimeout : server.configuration.idleTimeout)
        return true
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
        if !readiness.isDisjoint(with: .incoming) { read() }
    }

    private func read() {
        switch phase {
        // Past the turn's share of handshakes: the bytes stay where they are and are reported again.
        case .opening: if !server.takesHandshakeStep() { return }
        case .http, .webSocket:
            let now = server.loop.now
            let isCheap = ration.isCheap(now: now)
            let line = ration.line(now: now)
            if line == .long || server.isLate(isCheap: isCheap) { return wait(in: line) }
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
            http?.refuse(
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
                guard let count = http?.parse(UnsafeRawBufferPointer(rest)) else { return used }
                used += count
            case .webSocket:
                guard let count = channel?.parse(rest) else { return used }
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
        let kept = unread.count + (http?.heldBytes ?? 0) + (channel?.heldBytes ?? 0)
        let counted = Int32(clamping: max(0, kept - Connection.freeBytes))
        guard counted != held else { return }
        let hasRoom = server.hold(Int(counted - held))
        held = counted
        guard !hasRoom else { return }
        // What it has sent is let go of at once, or the next to ask would be refused for it, too.
        switch (phase, speech) {
        case (.webSocket, .webSocket(let channel)): channel.refuseMore()
        case (.http, .http(let conversation)): conversation.refuseMore()
        default: return
        }
        giveBackHeld()
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
        if !isReset, phase == .answering, http?.waitsForAbort != true, unread.isEmpty {
            closesAfterFlush = true
            watch(interest.subtracting(.readable))
            return
        }
        abort()
    }

    // MARK: Changing hands

    /// Goes on as a WebSocket: what HTTP needed is let go of.
    func becomeWebSocket(_ channel: WebSocketChannel) {
        phase = .webSocket
        speech = .webSocket(channel)
        cancelTimer()
        // Frames sent ahead of our 101: parsed once the delegate knows its channel.
        if !isParsing, !unread.isEmpty { wait() }
    }

    /// The WebSocket has said its last: the rest of what waits is sent, and the peer waited for.
    func webSocketEnded() {
        phase = .draining
        closesAfterFlush = true
        unread = []
        setDeadline(after: server.configuration.closeTimeout)
    }

    /// Ends the connection here without closing it. It stays counted.
    /// - Returns: nil when it is not between a request and its answer, or has bytes to send still.
    func takeApart() -> DetachedConnection? {
        guard phase == .answering, unsent == 0, let registration else { return nil }
        cancelTimer()
        server.loop.unregister(descriptor, registration)
        server.server.loads.leave(server.loop.index)
        giveBackHeld()
        self.registration = nil
        phase = .closed
        speech = .nothing
        defer {
            secure = nil
            unread = []
        }
        return DetachedConnection(
            descriptor: descriptor, unread: unread, peer: peer, secure: secure)
    }

    // MARK: Sending

    func enqueue(_ bytes: [UInt8]) {
        guard phase != .closed else { return }
        outbox.append(own: bytes)
        markDirty()
    }

    /// Queues a WebSocket frame that is not to wait for others.
    func enqueue(ahead frame: [UInt8]) {
        guard phase != .closed else { return }
        outbox.append(ahead: frame)
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
        if secure == nil, outbox.isEmpty, !isInBatch {
            if let batch = server.openBatch {
                isInBatch = true
                return batch.add(self, descriptor, shared, range)
            }
            let sent = clinux_send(
                descriptor, shared.memory.baseAddress.map { $0 + range.lowerBound }, range.count)
            if sent == range.count { return }
            // Why it took nothing is found out, and dealt with, by the flush.
            return resume(shared, range, sent: max(0, sent))
        }
        enqueue(shared: shared, range)
    }

    /// Goes on with what the kernel has taken the first `sent` bytes of, before all that waits.
    private func resume(_ shared: SharedBytes, _ range: Range<Int>, sent: Int) {
        outbox.prepend(shared: shared, range, sent: sent)
        markDirty()
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
        guard sent < filled else { return }
        resume(
            SharedBytes(UnsafeRawBufferPointer(rebasing: scratch[..<filled])), 0..<filled,
            sent: sent)
    }

    /// The kernel has taken all that was put by for this connection.
    func batchSent() { isInBatch = false }

    /// The kernel has taken only the first `sent` bytes: the rest goes before what was queued meanwhile.
    func batchLeft(_ bytes: SharedBytes, _ range: Range<Int>, sent: Int) {
        isInBatch = false
        guard phase != .closed else { return }
        resume(bytes, range, sent: sent)
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
        channel?.drained()
        if closesAfterFlush, phase != .answering { beginDraining() }
    }

    private func flushUnsent() -> Outbox.Progress {
        let most = phase == .webSocket ? Int(Server.notSentBytes) : .max
        guard let secure else {
            return outbox.flush(to: descriptor, most: most, scratch: server.scratch)
        }
        return outbox.flush(
            through: secure, to: descriptor, most: most, scratch: server.scratch)
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

    /// Reads on, where reading was stopped for the time of an answer. What is in line already comes
    /// first, or a peer that never stops asking would be read ahead of what it is answered.
    func readOn() {
        guard unread.count <= Connection.pipelineBytes, !isStalled, !waitsForTurn else { return }
        watch(interest.union(.readable))
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
        case .http where unread.isEmpty && http?.isBetweenRequests == true:
            if unsent > 0 {
                // Its answer is still leaving, with the promise of further ones: the end follows behind it.
                closesAfterFlush = true
            } else if http?.isNew == true {
                // Who has just connected is about to ask: it is answered, and told that this was the last.
                setDeadline(after: server.configuration.closeTimeout)
            } else {
                abort()
            }
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
        self.registration = nil
        // Who is cut off hears that it was us and not the network (RFC 8446 §6.1), if there is room.
        if let secure, secure.unsent == 0 { _ = secure.close(to: descriptor) }
        secure = nil
        _ = clinux_close(descriptor)
        server.server.admission.leave(peer)
        server.server.loads.leave(server.loop.index)
        giveBackHeld()
        outbox.removeAll()
        unread = []
        let speech = speech
        self.speech = .nothing
        switch speech {
        case .nothing: break
        case .http(let conversation): conversation.connectionClosed()
        case .webSocket(let channel): channel.connectionClosed()
        }
    }

    private func giveBackHeld() {
        _ = server.hold(-Int(held))
        held = 0
    }

    // MARK: Time

    /// Sets the one deadline of the connection; nil for none.
    func setDeadline(after timeout: Duration?) {
        guard let timeout else {
            deadline = .distantFuture
            return
        }
        deadline = server.loop.now + timeout
        server.loop.arm(&timer, self, by: deadline)
    }

    /// Takes the timer out of the wheel, which would keep a closed connection until it fires, and the
    /// room of an open one that needs it no more.
    private func cancelTimer() {
        deadline = .distantFuture
        server.loop.cancel(timer)
    }

    func timerFired(now: Instant) {
        guard phase != .closed, deadline != .distantFuture else { return }
        guard now >= deadline else { return server.loop.arm(&timer, self, by: deadline) }
        deadline = .distantFuture
        if phase == .http, http?.isInsideRequest == true, unsent == 0 {
            http?.refuse(
                .problem(
                    408, code: "request_timeout", detail: "The request did not arrive in time."))
        } else {
            abort()
        }
    }
}
