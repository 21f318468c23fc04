// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTP1
internal import Metrics
internal import Reactor
internal import WebSocket

/// The HTTP half of a connection's life: one request after the other, each answered before the next is
/// begun, until one of them makes it a WebSocket and this is let go.
final class HTTPConversation {
    /// Owns this.
    private unowned let connection: Connection
    private var parser: RequestParser
    private var head: RequestHead?
    private var body: [UInt8] = []
    private var exchange: Exchange?
    /// Requests answered so far: tells a late second answer from the first of the next request.
    private var serial = 0
    /// Whether the deadline is the one between requests, not one within.
    private var deadlineIsIdle = true

    /// Bytes of a body that is compressed on the loop: a few milliseconds' worth. Handlers that block
    /// have theirs compressed on their own thread, whatever its size.
    private static let compressedBytes = 256 * 1024

    init(on connection: Connection) {
        self.connection = connection
        parser = RequestParser(limits: connection.server.configuration.http)
    }

    private var server: LoopServer { connection.server }

    /// Bytes kept of a request that is not whole yet.
    var heldBytes: Int { body.count }
    /// Whether nothing has come of a next request.
    var isBetweenRequests: Bool { head == nil && body.isEmpty }
    /// Whether a request has begun to arrive, and is waited for.
    var isInsideRequest: Bool { !deadlineIsIdle }
    /// Whether no request has been answered yet.
    var isNew: Bool { serial == 0 }
    /// Whether somebody is to hear when the client goes before its answer.
    var waitsForAbort: Bool { exchange?.onAbort != nil }

    // MARK: Requests

    /// One step of the parser.
    /// - Returns: bytes used up; nil when more are needed.
    func parse(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let span = Span<UInt8>(_unsafeBytes: bytes)
        if deadlineIsIdle, !bytes.isEmpty {
            deadlineIsIdle = false
            connection.setDeadline(after: server.configuration.headerTimeout)
        }
        do {
            let step = try parser.next(in: span)
            switch step.event {
            case .needMore: return step.consumed > 0 ? step.consumed : nil
            case .head(let head):
                self.head = head
                connection.setDeadline(after: server.configuration.bodyTimeout)
                if head.expectsContinue, head.framing != .none {
                    var interim: [UInt8] = []
                    ResponseWriter.writeContinue(into: &interim)
                    connection.enqueue(interim)
                }
            case .body(let range): body.append(span.extracting(range))
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
        head.map { ($0.method, $0.path, $0.query) } ?? parser.refusedLine
    }

    private func requestIsWhole() {
        guard let head else { preconditionFailure("a request ended that never began") }
        self.head = nil
        let origin = server.server.proxies.origin(of: connection.peer, head.fields)
        var request = HTTPRequest(
            method: head.method, path: head.path, query: head.query, fields: head.fields,
            body: body, address: origin.address)
        request.isSecure = connection.isSecure || origin.isSecure
        request.forwardedHost = origin.host
        body = []
        begin(Exchange(request: request, head: head, connection: connection))
    }

    /// Offers a whole request to the stream handler, then to the router.
    func begin(_ exchange: Exchange) {
        self.exchange = exchange
        connection.phase = .answering
        connection.setDeadline(after: nil)
        server.server.requests.increment()
        // Who asks for an https resource has been promised that nobody reads along (RFC 9110 §7.4).
        if exchange.head.asksForHTTPS, !exchange.request.isSecure, !connection.peer.isProxy {
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

    // MARK: Answers

    /// An answer from any thread finds its way back by name: the connection itself never leaves.
    private func reply() -> Router.Reply {
        guard let registration = connection.registration else { return { _ in } }
        let mailbox = server.loop.mailbox
        let serial = serial
        return { response in
            mailbox.post { loop in
                guard let server = loop.attachment as? LoopServer,
                    let http = server.connection(registration)?.http, http.serial == serial
                else { return }
                http.exchange?.respond(response)
            }
        }
    }

    func finish(_ exchange: Exchange, with response: HTTPResponse) {
        guard connection.phase == .answering, exchange === self.exchange else { return }
        self.exchange = nil
        serial += 1
        let asked = response.fields.lists("connection", token: "close")
        let keepAlive =
            exchange.head.keepAlive && !asked && !connection.closesAfterFlush && !server.isDraining
        var response = response
        if server.configuration.compressesAnswers,
            response.body.count <= HTTPConversation.compressedBytes
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
        connection.phase = keepAlive ? .http : .draining
        connection.enqueue(bytes)
        if keepAlive {
            deadlineIsIdle = true
            connection.setDeadline(after: server.configuration.idleTimeout)
            if !connection.isParsing { connection.consumeUnread() }
            connection.readOn()
        } else {
            // Whatever was sent behind the last request is for nobody (RFC 9112 §9.6).
            connection.unread = []
            connection.closesAfterFlush = true
        }
    }

    /// Answers what cannot be understood, then ends: where the next request begins is unknown.
    func refuse(_ response: HTTPResponse) {
        var bytes: [UInt8] = []
        let sendsBody = ResponseWriter.write(
            status: response.status, reason: HTTPResponse.reason(response.status),
            fields: response.fields, bodyCount: response.body.count, keepAlive: false,
            isHead: requestLine?.method == "HEAD", date: server.date(), into: &bytes)
        if sendsBody { bytes.append(contentsOf: response.body) }
        connection.enqueue(bytes)
        connection.unread = []
        connection.closesAfterFlush = true
        connection.phase = .draining
    }

    /// Goes without what has come of a request, and ends.
    func refuseMore() {
        body = []
        refuse(
            .problem(
                503, code: "busy", detail: "Too much is being received; try again.",
                fields: ["retry-after": "1"]))
    }

    /// The connection is gone: whoever was to answer hears of it.
    func connectionClosed() {
        guard let exchange else { return }
        self.exchange = nil
        exchange.isAnswered = true
        let onAbort = exchange.onAbort
        exchange.onAbort = nil
        onAbort?()
    }

    // MARK: Upgrading

    /// Answers 101 and makes the connection a WebSocket.
    /// - Returns: nil when no request is being answered.
    func upgrade(
        fields: HTTPFields, deflate: DeflateParameters?, delegate: any WebSocketDelegate
    ) -> WebSocketChannel? {
        guard connection.phase == .answering else { return nil }
        var bytes: [UInt8] = []
        ResponseWriter.write(
            status: 101, reason: HTTPResponse.reason(101), fields: fields, bodyCount: nil,
            keepAlive: true, isHead: false, date: "", into: &bytes)
        connection.enqueue(bytes)
        let channel = WebSocketChannel(
            connection: connection, delegate: delegate, deflate: deflate)
        connection.becomeWebSocket(channel)
        return channel
    }

    // MARK: Handing over

    /// Gives connection and request to another loop of this server.
    func handOver(_ exchange: Exchange, toLoop index: Int) {
        if connection.isParsing {
            // What came behind the request is in `unread` only when the parser has returned.
            return afterParsing { $0.handOver($1, toLoop: index) }
        }
        let server = server.server
        let mailboxes = server.mailboxes
        guard index < mailboxes.count, let detached = connection.takeApart() else {
            return finish(
                exchange,
                with: .problem(
                    503, code: "busy", detail: "Try again.", fields: ["connection": "close"]))
        }
        let (request, head) = (exchange.request, exchange.head)
        let admission = server.admission
        let posted = mailboxes[index].post { loop in
            guard let server = loop.attachment as? LoopServer,
                let connection = server.adopt(counted: detached)
            else { return admission.leave(detached.peer) }
            connection.http?.begin(Exchange(request: request, head: head, connection: connection))
        }
        if !posted { admission.leave(detached.peer) }
    }

    /// Gives connection and request to another process (`Exchange.handOver`).
    func handOver(
        _ exchange: Exchange,
        to give: @escaping @Sendable (DetachedConnection, @escaping Exchange.GiveBack) -> Void
    ) {
        if connection.isParsing { return afterParsing { $0.handOver($1, to: give) } }
        let (request, head) = (exchange.request, exchange.head)
        let server = server
        guard let detached = connection.takeApart() else {
            exchange.isAnswered = true
            return begin(
                Exchange(request: request, head: head, connection: connection, isReturned: true))
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
                connection.http?.begin(
                    Exchange(
                        request: request, head: head, connection: connection, isReturned: true))
            }
            if !posted { admission.leave(peer) }
        }
    }

    /// Does something with the request under way once the parser has returned.
    private func afterParsing(
        _ body: @escaping @Sendable (HTTPConversation, Exchange) -> Void
    ) {
        guard let registration = connection.registration else { return }
        let serial = serial
        server.loop.mailbox.post { loop in
            guard let server = loop.attachment as? LoopServer,
                let http = server.connection(registration)?.http, http.serial == serial,
                let exchange = http.exchange
            else { return }
            body(http, exchange)
        }
    }
}
