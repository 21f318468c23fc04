// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
internal import HTTPServer

/// Profile `engine`: what the Engine.IO client's own tests talk to.
enum EngineProfile {
    static let configuration = EngineConfiguration(
        pingInterval: .milliseconds(500), maxPayload: 100)

    static func streams(on server: LoopServer) -> any StreamHandler {
        EngineServer(
            EngineServerConfiguration(
                path: "/engine.io/", engine: configuration,
                origins: OriginPolicy(allowsAll: true)),
            on: server, accepted: { connection, _ in Host(connection) })
    }

    /// Greets, and knows three words beside the echo.
    private final class Host: EngineEcho {
        override init(_ connection: EngineConnection) {
            super.init(connection)
            connection.send(text: Array("hi".utf8))
        }

        override func received(text: Span<UInt8>) {
            switch text.string() {
            case "give binary": connection.send(binary: [0, 1, 2, 3, 4])
            case "give utf8":
                connection.send(text: Array("пойду спать всем спокойной ночи".utf8))
            default: super.received(text: text)
            }
        }
    }
}
