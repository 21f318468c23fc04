// SPDX-License-Identifier: MIT
internal import EngineIOServer
package import HTTPServer
internal import Reactor

/// Ties Engine.IO to the chat on one loop.
package final class ChatStreams: StreamHandler {
    let chat: LoopChat
    private let engine: EngineServer

    /// Made by the server on each loop's own thread.
    package init(gateway: Gateway, server: LoopServer) {
        let chat = LoopChat(gateway: gateway, loop: server.loop)
        self.chat = chat
        gateway.serves(server.loop.mailbox)
        engine = EngineServer(
            gateway.configuration.engine, on: server,
            accepted: { ChatClient(connection: $0, chat: chat) },
            endOfTurn: { chat.endTurn() })
    }

    package func claims(path: String) -> Bool { engine.claims(path: path) }
    package func accept(_ exchange: Exchange) { engine.accept(exchange) }
    package func turnEnds() { engine.turnEnds() }
    package func drain() { engine.drain() }
    package func end() { engine.end() }
}
