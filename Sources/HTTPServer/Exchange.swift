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
    weak var connection: Connection?
    var isAnswered = false

    init(request: HTTPRequest, head: RequestHead, connection: Connection) {
        self.request = request
        self.head = head
        self.connection = connection
    }

    /// Whether an answer would still reach the client.
    package var isOpen: Bool { !isAnswered && connection != nil }

    /// Sends the answer and lets the connection go on to its next request.
    package func respond(_ response: HTTPResponse) {
        guard !isAnswered else { return }
        isAnswered = true
        onAbort = nil
        connection?.finish(self, with: response)
    }

    /// Answers and ends the connection, whatever the client wished.
    package func respondAndClose(_ response: HTTPResponse) {
        var response = response
        response.fields.set("connection", "close")
        respond(response)
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
        return connection.upgrade(fields: fields, deflate: deflate, delegate: delegate)
    }

    /// Gives connection and request to another loop of the same server, where the request is offered
    /// to that loop's stream handler as if it had arrived there.
    package func handOver(toLoop index: Int) {
        guard !isAnswered, let connection else { return }
        isAnswered = true
        onAbort = nil
        connection.handOver(self, toLoop: index)
    }
}
