// SPDX-License-Identifier: MIT
package import HTTP1
package import WebSocket

/// One request under way on an event loop, for whoever answers it later on that same loop: the long
/// poll, the upgrade. Answered at most once; what comes after the first answer, or after the client
/// has gone, is dropped.
package final class Exchange {
    package let request: HTTPRequest
    /// What the client asked to be upgraded to, if it did.
    package let head: RequestHead
    /// Called once when the client goes away before the answer. Set by whoever keeps the exchange.
    package var onAbort: (() -> Void)?
    /// Nil once answered, or when the client has gone: until then each holds the other.
    private(set) var connection: Connection?
    var isAnswered = false { didSet { if isAnswered { connection = nil } } }
    /// Whether it was given to another process that did not take it: it is to be answered here.
    package let isReturned: Bool

    init(
        request: HTTPRequest, head: RequestHead, connection: Connection, isReturned: Bool = false
    ) {
        self.request = request
        self.isReturned = isReturned
        self.head = head
        self.connection = connection
    }

    /// Whether an answer would still reach the client.
    package var isOpen: Bool { !isAnswered }

    /// Sends the answer and lets the connection go on to its next request.
    package func respond(_ response: HTTPResponse) {
        guard !isAnswered, let connection else { return }
        isAnswered = true
        onAbort = nil
        connection.http?.finish(self, with: response)
    }

    /// Answers and ends the connection, whatever the client wished.
    package func respondAndClose(_ response: HTTPResponse) {
        var response = response
        response.fields.set("connection", "close")
        respond(response)
    }

    /// Answers a WebSocket handshake: 101 and a channel, or why there is none and the end of the
    /// connection.
    /// - Parameters:
    ///   - deflate: what is wanted of permessage-deflate; nil to speak none.
    ///   - fields: added to the 101.
    /// - Returns: nil when the handshake is refused or the client has gone.
    package func upgrade(
        deflate: DeflatePolicy?, adding fields: HTTPFields = [:], delegate: any WebSocketDelegate
    ) -> WebSocketChannel? {
        do {
            var answer = try WebSocketHandshake.respond(to: head, deflate: deflate)
            for field in fields.fields { answer.fields.append(field.name, field.value) }
            return upgrade(fields: answer.fields, deflate: answer.deflate, delegate: delegate)
        } catch {
            var response = HTTPResponse.problem(
                error.status, code: "bad_websocket_handshake", detail: error.detail)
            for field in error.fields.fields { response.fields.set(field.name, field.value) }
            respondAndClose(response)
            return nil
        }
    }

    /// Answers 101 and turns the connection into a WebSocket.
    /// - Parameters:
    ///   - fields: what `WebSocketHandshake.respond` made, with anything to be added.
    /// - Returns: nil when the client has gone.
    package func upgrade(
        fields: HTTPFields, deflate: DeflateParameters?, delegate: any WebSocketDelegate
    ) -> WebSocketChannel? {
        guard !isAnswered, let connection else { return nil }
        isAnswered = true
        onAbort = nil
        return connection.http?.upgrade(fields: fields, deflate: deflate, delegate: delegate)
    }

    /// Gives connection and request to another loop of the same server, where the request is offered
    /// to that loop's stream handler as if it had arrived there.
    package func handOver(toLoop index: Int) {
        guard !isAnswered, let connection else { return }
        isAnswered = true
        onAbort = nil
        connection.http?.handOver(self, toLoop: index)
    }

    /// Takes the connection back when another process did not want it. From any thread, with the
    /// descriptor that was taken.
    package typealias GiveBack = @Sendable (_ descriptor: Int32) -> Void

    /// Gives connection and request to another process: the request, as bytes again, is the first of
    /// what is unread. Where TLS keeps its keys here, one end of a socket pair leaves in the connection's
    /// place. One that has bytes to send still is offered here again as one that was returned.
    /// - Parameter give: takes the descriptor out and sends it on its way, or gives it back; called on
    ///   this loop, at once or at the end of its turn.
    package func handOver(
        to give: @escaping @Sendable (DetachedConnection, @escaping GiveBack) -> Void
    ) {
        guard !isAnswered, let connection else { return }
        isAnswered = true
        onAbort = nil
        connection.http?.handOver(self, to: give)
    }
}
