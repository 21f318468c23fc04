// SPDX-License-Identifier: MIT
import EngineIOServer
import HTTPServer
import JSON
import Metrics
import SocketIOServer
import TestSupport
import Testing

/// Handlers that ask to hear when all is taken, of who has nothing waiting.
@Suite struct DrainedTests {
    /// Asks again so many times before it says so.
    private final class Patient: SocketHandler {
        private let socket: Socket
        private var left = 20

        init(_ socket: Socket) { self.socket = socket }

        func connecting(_ socket: Socket, auth: Range<Int>?, in packet: Span<UInt8>) {
            socket.accept(id: "s")
        }

        func received(_ event: SocketEvent, in packet: Span<UInt8>) { socket.tellWhenDrained() }

        func drained() {
            left -= 1
            if left > 0 {
                socket.tellWhenDrained()
            } else {
                socket.emit("patient", SocketArguments([.bool(true)]))
            }
        }

        func disconnected(_ reason: Socket.Ending) {}
        func fellBehind(_ socket: Socket) {}
    }

    /// On a loop where nothing else happens, and whose wheel turns it each ten seconds.
    @Test(arguments: [true, false]) func eachIsHeardAtOnce(polling: Bool) throws {
        let server = Server(
            ServerConfiguration(port: 0, loops: 1, workers: 1), router: Router(),
            metrics: MetricsRegistry(),
            streams: { loop in
                let sockets = LoopSockets(
                    SocketServerConfiguration(engine: EngineServerConfiguration()), on: loop)
                sockets.serve("/") { Patient($0) }
                return sockets
            })
        try server.start()
        defer { server.stop() }
        let client =
            polling ? WireClient.polling(port: server.port) : .webSocket(port: server.port)
        client.send("40")
        #expect(client.next()?.hasPrefix("40{") == true)
        client.send("42[\"ask\"]")
        #expect(client.event("patient") != nil)
    }
}
