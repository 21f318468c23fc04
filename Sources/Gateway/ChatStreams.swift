// SPDX-License-Identifier: MIT
package import HTTPServer
internal import Reactor
internal import SocketIOServer

/// Ties Socket.IO to the chat on one loop.
package final class ChatStreams: StreamHandler {
    let chat: LoopChat
    private let sockets: LoopSockets

    /// Made by the server on each loop's own thread.
    package init(gateway: Gateway, server: LoopServer) {
        sockets = LoopSockets(gateway.configuration.sockets, on: server)
        chat = LoopChat(gateway: gateway, sockets: sockets)
        gateway.serves(server.loop.mailbox)
    }

    package func claims(path: String) -> Bool { sockets.claims(path: path) }
    package func accept(_ exchange: Exchange) { sockets.accept(exchange) }
    package func bodyTooLarge(query: String) { sockets.bodyTooLarge(query: query) }

    package func turnEnds() {
        chat.turnEnds()
        sockets.turnEnds()
    }

    package func turnSent() { sockets.turnSent() }
    package func drain() { sockets.drain() }
    package func end() { sockets.end() }
}
