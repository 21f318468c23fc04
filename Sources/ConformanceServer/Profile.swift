// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import EngineIO
internal import HTTPServer
internal import Metrics

/// What the server can be: each is what one family of test suites asks for.
enum Profile: String, CaseIterable, ExpressibleByArgument {
    /// The Engine.IO and Socket.IO protocol suites.
    case `protocol`
    /// The Socket.IO client's own tests.
    case support
    /// The Engine.IO client's own tests.
    case engine
    /// Any WebSocket suite.
    case echo

    /// A server that has not been started. One loop: what suites look at must not hang on which loop
    /// the kernel gave a connection to.
    func server(port: Int) -> Server {
        var configuration = ServerConfiguration(port: port, workers: 1)
        // All clients of a suite come from one address.
        configuration.maxConnectionsPerAddress = nil
        switch self {
        case .echo: EchoStreams.configure(&configuration)
        case .engine: configuration.maxMessageBytes = EngineProfile.configuration.maxPayload
        case .protocol: configuration.maxMessageBytes = ProtocolProfile.engine.maxPayload
        case .support: configuration.maxMessageBytes = SupportProfile.engine.maxPayload
        }
        return Server(configuration, router: Router(), metrics: MetricsRegistry()) { server in
            switch self {
            case .echo: EchoStreams()
            case .engine: EngineProfile.streams(on: server)
            case .protocol: ProtocolProfile.streams(on: server)
            case .support: SupportProfile.streams(on: server)
            }
        }
    }
}
