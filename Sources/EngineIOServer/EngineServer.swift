// SPDX-License-Identifier: MIT
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
/// A session's id names its owner (`SessionName`). A request that the kernel gave to another loop, or
/// a balancer to another instance, is handed over with its connection, so polling needs no sticky
/// balancing.
package final class EngineServer: StreamHandler {
    package let configuration: EngineServerConfiguration
    private let server: LoopServer
    var loop: EventLoop { server.loop }
    private var sessions = SessionTable()
    /// Sessions by the address they were opened from. A polling session outlives its connection, so
    /// the limit on connections does not bound them.
    private var sessionsByAddress: [String: Int] = [:]
    /// Sessions whose poll can be answered at the end of this turn.
    private var readyPolls: [EngineConnection] = []
    private let accepted: (EngineConnection, HTTPRequest) -> any EngineDelegate
    private var isDraining = false

    /// - Parameters:
    ///   - accepted: makes the delegate of a new session, with the request that opens it; called
    ///     before anything arrives.
    package init(
        _ configuration: EngineServerConfiguration, on server: LoopServer,
        accepted: @escaping (EngineConnection, HTTPRequest) -> any EngineDelegate
    ) {
        precondition(configuration.maxSessions <= SessionKey.places)
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
        let name = query.sid.flatMap { SessionName($0) }
        // A session whose time is up ends before it is asked, however coarse the timer.
        name.flatMap { find($0) }?.catchUp(now: loop.now)
        let session = name.flatMap { find($0) }
        if session == nil, let owner = name?.owner, handOver(exchange, to: owner) {
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
        guard let name = EngineQuery.parse(query).sid.flatMap({ SessionName($0) }) else { return }
        if let session = find(name) { return session.close(.protocolError) }
        // A session of another process goes on until its heartbeat ends it: the body was refused here.
        guard name.owner.instance == configuration.instance, name.owner.loop != loop.index
        else { return }
        server.onStreams(ofLoop: name.owner.loop) { $0.bodyTooLarge(query: query) }
    }

    package func turnEnds() {
        guard !readyPolls.isEmpty else { return }
        let ready = readyPolls
        readyPolls.removeAll(keepingCapacity: true)
        for connection in ready { connection.flushPoll() }
    }

    /// What became ready while others were served is not to wait for the next turn's cause.
    package func turnSent() {
        if !readyPolls.isEmpty { loop.wake(at: loop.now) }
    }

    package func drain() {
        guard !isDraining else { return }
        isDraining = true
        Drain(self, over: server.configuration.drainTime).step(now: loop.now)
    }

    package func end() {
        isDraining = true
        for session in sessions.all { session.close(.goingAway) }
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
            left = server.sessions.all
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
        // Heartbeats of a storm of connects are spread over the last fifth of the interval.
        let interval = configuration.engine.pingInterval.nanoseconds
        let firstPing = Duration.nanoseconds(interval - Int64.random(in: 0...interval / 5))
        let connection = EngineConnection(
            key: sessions.nextKey(), server: self, transport: transport,
            request: exchange.request, firstPing: firstPing)
        var channel: WebSocketChannel?
        if transport == .websocket {
            channel = upgrade(exchange, adding: configuration.firstFields, delegate: connection)
            if channel == nil { return }
        }
        sessions.add(connection)
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

    private var owner: SessionOwner {
        SessionOwner(instance: configuration.instance, loop: loop.index)
    }

    /// The session of a name, if it is one of this loop's.
    private func find(_ name: SessionName) -> EngineConnection? {
        name.owner == owner ? sessions[name.key] : nil
    }

    /// A session's id as its client is told it.
    func id(of connection: EngineConnection) -> String {
        SessionName(owner: owner, key: connection.key).text
    }

    func markReady(_ connection: EngineConnection) { readyPolls.append(connection) }

    func waitForTurn(_ connection: EngineConnection) { server.waitForTurn(connection) }

    func forget(_ connection: EngineConnection) {
        guard sessions.remove(connection) else { return }
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
