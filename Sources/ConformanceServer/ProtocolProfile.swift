// SPDX-License-Identifier: MIT
internal import EngineIO
internal import EngineIOServer
internal import HTTPServer

/// Profile `protocol`: what the suites of the two protocol documents talk to.
enum ProtocolProfile {
    static let engine = EngineConfiguration(
        pingInterval: .milliseconds(300), pingTimeout: .milliseconds(200), maxPayload: 1_000_000)

    static func streams(on server: LoopServer) -> any StreamHandler {
        EngineServer(
            EngineServerConfiguration(
                path: "/engine.io/", engine: engine, origins: OriginPolicy(allowsAll: true)),
            on: server, accepted: { connection, _ in EngineEcho(connection) })
    }
}
