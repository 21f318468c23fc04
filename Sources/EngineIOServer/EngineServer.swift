// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import EngineIO
package import HTTP1
package import HTTPServer
internal import JSON
internal import Reactor
internal import Timing
package import WebSocket

/// How Engine.IO is served under one path.
package struct EngineServerConfiguration: Sendable {
    /// With slashes at both ends, such as `/socket.io/`.
    package var path: String
    package var engine: EngineConfiguration
    package var origins: OriginPolicy
    /// Sessions one loop holds; more are refused with 503.
    package var maxSessions: Int
    /// permessage-deflate as far as it is offered to clients; nil switches it off, as the reference
    /// does, since each compressing connection holds memory.
    package var deflate: DeflatePolicy?
    /// Fields of the first answer of each session, such as cookies.
    package var firstFields: HTTPFields = [:]
    /// The server's own rule for handshakes; nil when the client may come in, else what it is told.
    package var refusal: @Sendable (HTTPRequest) -> String? = { _ in nil }

    /// This process's number among those that share its sessions' clients, below 256.
    package var instance = 0
    /// Brings a request to the instance of its session, connection and all, or gives it back at once or
    /// later. Nil: there are no others.
    package var handOver: HandOver?

    package typealias HandOver =
        @Sendable (
            _ connection: DetachedConnection, _ owner: SessionOwner,
            _ giveBack: @escaping Exchange.GiveBack
        ) -> Void

    /// Whether messages are compressed without context: one deflater a loop serves all clients, and a
    /// broadcast is compressed once for all of them.
    package var compresses: Bool {
        get { deflate != nil }
        set {
            deflate =
                newValue
                ? DeflatePolicy(serverNoContextTakeover: true, clientNoContextTakeover: true) : nil
        }
    }

    /// Bytes of one polling body or WebSocket message of a client's.
    package var maxPayload: Int { engine.maxPayload }

    package init(
        path: String = "/socket.io/", engine: EngineConfiguration = EngineConfiguration(),
        origins: OriginPolicy = OriginPolicy(), maxSessions: Int = 20_000
    ) {
        self.path = path
        self.engine = engine
        self.origins = origins
        self.maxSessions = maxSessions
    }
}

/// Which web pages may speak to the server. Browsers do not hold WebSockets to the same origin, so
/// the server must (RFC 6455 §10.2).
package struct OriginPolicy: Sendable {
    /// Origins allowed beside the server's own, such as `https://chat.example`.
    package var allowed: Set<String>
    /// Any page may connect: for test servers and public read-only ones.
    package var allowsAll: Bool
    /// What pages of those origins are told they may ask with; Engine.IO needs no more than these.
    package var methods = ["GET", "POST"]

    package init(allowed: Set<String> = [], allowsAll: Bool = false) {
        self.allowed = allowed
        self.allowsAll = allowsAll
    }

    package enum Verdict: Sendable { case sameOrigin, allowed, forbidden }

    /// Judges a request. No `origin` field: not a page, so the rule is not about it.
    package func judge(_ request: HTTPRequest) -> Verdict {
        guard let origin = request.fields["origin"] else { return .sameOrigin }
        if request.isSameOrigin(origin) { return .sameOrigin }
        return allowsAll || allowed.contains(origin) ? .allowed : .forbidden
    }
}

/// Engine.IO on one loop: handshakes, and requests brought to their sessions.
///
/// A session's id names its owner (`SessionOwner`). A request that the kernel gave to another loop, or
/// a balancer to another instance, is handed over with its connection, so polling needs no sticky
/// balancing.
package final class EngineServer: StreamHandler {
    package let configuration: EngineServerConfiguration
    private let server: LoopServer
    var loop: EventLoop { server.loop }
    private var sessions: [Substring: EngineConnection] = [:]
    /// Sessions by the address they were opened from. A polling session outlives its connection, so
    /// the limit on connections does not bound them.
    private var sessionsByAddress: [String: Int] = [:]
    /// Sessions whose poll can be answered at the end of this turn.
    private var readyPolls: [EngineConnection] = []
    private var lastQuery = ""
    private let accepted: (EngineConnection, HTTPRequest) -> any EngineDelegate
    private var isDraining = false

    /// - Parameters:
    ///   - accepted: makes the delegate of a new session, with the request that opens it; called
    ///     before anything arrives.
    package init(
        _ configuration: EngineServerConfiguration, on server: LoopServer,
        accepted: @escaping (EngineConnection, HTTPRequest) -> any EngineDelegate
    ) {
        self.configuration = configuration
        self.server = server
        self.accepted = accepted
    }

    /// Sessions open on this loop.
    package var sessionCount: Int { sessions.count }

    // MARK: StreamHandler

    package func claims(path: String) -> Bool {
        path == configuration.path || path == configuration.path.dropLast()
    }

    package func accept(_ exchange: Exchange) {
        let request = exchange.request
        let query = EngineQuery.parse(request.query)
        if request.method == "OPTIONS" { return preflight(exchange) }
        guard configuration.origins.judge(request) != .forbidden else {
            return refuse(exchange, .forbidden)
        }
        // A session whose time is up ends before it is asked, however coarse the timer.
        query.sid.flatMap { sessions[$0] }?.catchUp(now: loop.now)
        let session = query.sid.flatMap { sessions[$0] }
        if session == nil, let owner = query.sid.flatMap({ SessionOwner(of: $0) }),
            handOver(exchange, to: owner)
        {
            return
        }
        let isUpgrade = exchange.head.upgradesToWebSocket
        let reason = query.sid == nil ? configuration.refusal(request) : nil
        if let refusal = EngineRefusal.first(
            for: query, method: request.method, isUpgrade: isUpgrade,
            sessionTransport: session?.transport, isAllowed: reason == nil)
        {
            return refuse(exchange, refusal, message: refusal == .forbidden ? reason : nil)
        }
        guard let session else {
            return handshake(transport: isUpgrade ? .websocket : .polling, exchange)
        }
        switch (isUpgrade, request.method) {
        case (true, _):
            if let channel = upgrade(exchange, delegate: session) { session.adopt(probe: channel) }
        case (false, "GET"): session.get(exchange)
        case (false, "POST"): session.post(exchange)
        default: refuse(exchange, .badRequest)
        }
    }

    package func bodyTooLarge(query: String) {
        guard let sid = EngineQuery.parse(query).sid else { return }
        if let session = sessions[sid] { return session.close(.protocolError) }
        // A session of another process goes on until its heartbeat ends it: the body was refused here.
        guard let owner = SessionOwner(of: sid), owner.instance == configuration.instance,
            owner.loop != loop.index
        else { return }
        server.onStreams(ofLoop: owner.loop) { $0.bodyTooLarge(query: query) }
    }

    package func turnEnds() {
        guard !readyPolls.isEmpty else { return }
        let ready = readyPolls
        readyPolls.removeAll(keepingCapacity: true)
        for connection in ready { connection.flushPoll() }
    }

    package func drain() {
        guard !isDraining else { return }
        isDraining = true
        Drain(self, over: server.configuration.drainTime).step(now: loop.now)
    }

    package func end() {
        isDraining = true
        for session in Array(sessions.values) { session.close(.goingAway) }
    }

    /// Closes a share of the sessions each tenth of a second. Their transports are closed, not their
    /// namespaces: that makes stock clients come back by themselves.
    private final class Drain: TimerTarget {
        private static let tick = Duration.milliseconds(100)
        private let server: EngineServer
        private var left: [EngineConnection]
        private let share: Int

        init(_ server: EngineServer, over time: Duration) {
            self.server = server
            left = Array(server.sessions.values)
            let ticks = max(1, Int(time.nanoseconds / Drain.tick.nanoseconds))
            share = (left.count + ticks - 1) / ticks
        }

        func step(now: Instant) {
            for session in left.suffix(share) { session.close(.goingAway) }
            left.removeLast(min(share, left.count))
            if !left.isEmpty { _ = server.loop.schedule(self, at: now + Drain.tick) }
        }

        func timerFired(now: Instant) { step(now: now) }
    }

    // MARK: Requests

    private func handshake(transport: Transport, _ exchange: Exchange) {
        guard !isDraining, sessions.count < configuration.maxSessions, hasRoom(for: exchange) else {
            return exchange.respondAndClose(
                .problem(
                    503, code: "busy", detail: "The server takes no new sessions now.",
                    fields: ["retry-after": "2"]))
        }
        let id = SessionOwner(instance: configuration.instance, loop: loop.index).makeID()
        // Heartbeats of a storm of connects are spread over the last fifth of the interval.
        let interval = configuration.engine.pingInterval.nanoseconds
        let firstPing = Duration.nanoseconds(interval - Int64.random(in: 0...interval / 5))
        let connection = EngineConnection(
            id: id, server: self, transport: transport,
            request: exchange.request, firstPing: firstPing)
        var channel: WebSocketChannel?
        if transport == .websocket {
            channel = upgrade(exchange, adding: configuration.firstFields, delegate: connection)
            if channel == nil { return }
        }
        sessions[id[...]] = connection
        sessionsByAddress[connection.address, default: 0] += 1
        if let channel {
            connection.open(on: channel)
        } else {
            connection.open(answering: exchange, adding: configuration.firstFields)
        }
        connection.delegate = accepted(connection, exchange.request)
    }

    private func upgrade(
        _ exchange: Exchange, adding fields: HTTPFields = [:], delegate: any WebSocketDelegate
    ) -> WebSocketChannel? {
        var fields = fields
        for field in crossOrigin(exchange.request).fields { fields.append(field.name, field.value) }
        return exchange.upgrade(
            deflate: configuration.deflate, adding: fields, delegate: delegate)
    }

    // MARK: Answers

    private func refuse(
        _ exchange: Exchange, _ refusal: EngineRefusal, message: String? = nil
    ) {
        guard exchange.head.upgradesToWebSocket else {
            return exchange.respond(
                self.refusal(refusal, message: message, for: exchange.request))
        }
        // As the reference refuses an upgrade: always 400, the message is all of the body.
        var response = HTTPResponse(
            status: 400, fields: crossOrigin(exchange.request),
            body: Array((message ?? refusal.message).utf8))
        response.fields.set("content-type", "text/html")
        exchange.respondAndClose(response)
    }

    func refusal(
        _ refusal: EngineRefusal, message: String? = nil, for request: HTTPRequest
    ) -> HTTPResponse {
        var response = HTTPResponse(
            status: refusal.status, fields: crossOrigin(request),
            body: refusal.body(message: message ?? refusal.message))
        response.fields.set("content-type", "application/json")
        response.fields.set("cache-control", "no-store")
        return response
    }

    /// A poll's answer.
    func payload(_ body: [UInt8], for request: HTTPRequest) -> HTTPResponse {
        var response = HTTPResponse(status: 200, fields: crossOrigin(request), body: body)
        response.fields.set("content-type", "text/plain; charset=UTF-8")
        response.fields.set("cache-control", "no-store")
        return response
    }

    /// The CORS fields of an answer to a page of another origin that is allowed.
    func crossOrigin(_ request: HTTPRequest) -> HTTPFields {
        guard configuration.origins.judge(request) == .allowed,
            let origin = request.fields["origin"]
        else { return [:] }
        return [
            "access-control-allow-origin": origin, "access-control-allow-credentials": "true",
            "vary": "Origin",
        ]
    }

    private func preflight(_ exchange: Exchange) {
        guard configuration.origins.judge(exchange.request) == .allowed else {
            return refuse(exchange, .forbidden)
        }
        var response = HTTPResponse(status: 204, fields: crossOrigin(exchange.request))
        response.fields.set(
            "access-control-allow-methods",
            configuration.origins.methods.joined(separator: ", "))
        response.fields.set(
            "access-control-allow-headers",
            exchange.request.fields["access-control-request-headers"] ?? "content-type")
        response.fields.set("access-control-max-age", "600")
        exchange.respond(response)
    }

    // MARK: Sessions

    /// The query in the storage of the last session's where they are equal, as those of one kind of
    /// client over WebSocket are.
    func interned(_ query: String) -> String {
        if query != lastQuery { lastQuery = query }
        return lastQuery
    }

    func markReady(_ connection: EngineConnection) { readyPolls.append(connection) }

    func waitForTurn(_ connection: EngineConnection) { server.waitForTurn(connection) }

    func forget(_ connection: EngineConnection) {
        guard sessions.removeValue(forKey: connection.id[...]) != nil else { return }
        let count = sessionsByAddress[connection.address, default: 1]
        sessionsByAddress[connection.address] = count > 1 ? count - 1 : nil
    }

    private func hasRoom(for exchange: Exchange) -> Bool {
        guard let limit = server.configuration.maxConnectionsPerAddress else { return true }
        return sessionsByAddress[exchange.request.address, default: 0] < limit
    }

    /// Brings a request to the owner of its session; false when that would be here, or nowhere.
    private func handOver(_ exchange: Exchange, to owner: SessionOwner) -> Bool {
        guard !exchange.isReturned else { return false }
        if owner.instance == configuration.instance {
            guard owner.loop != loop.index, owner.loop < server.configuration.loops else {
                return false
            }
            exchange.handOver(toLoop: owner.loop)
            return true
        }
        guard let handOver = configuration.handOver else { return false }
        exchange.handOver { connection, giveBack in handOver(connection, owner, giveBack) }
        return true
    }
}

/// Where a session lives.
///
/// A session id is 24 characters, URL-safe base64 of 18 bytes: instance, loop, and 16 bytes from the
/// system's random source, so that knowing the owner does not help to guess it.
package struct SessionOwner: Hashable, Sendable {
    /// The process, by its number among those that share a data directory.
    package let instance: Int
    /// The event loop in it.
    package let loop: Int

    init(instance: Int, loop: Int) {
        self.instance = instance
        self.loop = loop
    }

    /// What a well-formed id says; nil for any other.
    init?(of sid: Substring) {
        guard sid.utf8.count == 24, let bytes = Base64.decode(Array(sid.utf8), alphabet: .url)
        else { return nil }
        self.init(instance: Int(bytes[0]), loop: Int(bytes[1]))
    }

    /// A new id of a session that lives here.
    func makeID() -> String {
        Base64.string(
            [UInt8(truncatingIfNeeded: instance), UInt8(truncatingIfNeeded: loop)]
                + SecureRandom.bytes(16), alphabet: .url)
    }
}
