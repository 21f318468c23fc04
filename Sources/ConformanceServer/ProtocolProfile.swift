// SPDX-License-Identifier: MIT
internal import EngineIO
internal import EngineIOServer
internal import HTTPServer
internal import JSON
internal import SocketIOServer

/// Profile `protocol`: what the suites of the two protocol documents talk to.
enum ProtocolProfile {
    static let engine = EngineConfiguration(
        pingInterval: .milliseconds(300), pingTimeout: .milliseconds(200), maxPayload: 1_000_000)

    static func streams(on server: LoopServer) -> any StreamHandler {
        let bare = EngineServer(
            .open(path: "/engine.io/", engine), on: server,
            accepted: { connection, _ in EngineEcho(connection) })
        var configuration = SocketServerConfiguration(engine: .open(path: "/socket.io/", engine))
        configuration.connectTimeout = .milliseconds(1000)
        let sockets = LoopSockets(configuration, on: server)
        sockets.serve("/") { socket in
            greeting(socket)
                .on("message") { arguments, _ in socket.emit("message-back", arguments) }
                .on("message-with-ack") { arguments, acknowledge in acknowledge(arguments) }
        }
        sockets.serve("/custom") { greeting($0) }
        return PathStreams([bare, sockets])
    }

    /// Tells each client what it came with.
    private static func greeting(_ socket: Socket) -> EventTable {
        let table = EventTable(socket)
        return table.onConnection { [unowned table] socket in
            socket.emit("auth", [table.auth ?? [:]])
        }
    }
}

extension EngineServerConfiguration {
    /// For pages of any origin, PUT too.
    static func open(path: String, _ engine: EngineConfiguration) -> EngineServerConfiguration {
        var origins = OriginPolicy(allowsAll: true)
        origins.methods = ["GET", "POST", "PUT"]
        return EngineServerConfiguration(path: path, engine: engine, origins: origins)
    }
}
