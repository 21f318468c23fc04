// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
internal import Glibc
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import Metrics
internal import Reactor
internal import SocketIO
internal import SocketIOServer
internal import Timing
internal import WebSocket

/// A server of one loop, its clients, and the time they share.
final class Stage {
    private final class Time {
        var now = Instant(nanoseconds: 1_000_000_000)
    }

    private let time: Time
    private let loop: EventLoop
    private let server: Server
    private var clients: [Client?] = [nil, nil, nil, nil]
    private var sids: [[UInt8]] = []
    private var privateIDs: [[UInt8]] = []

    init(compresses: Bool, recovers: Bool) {
        let time = Time()
        self.time = time
        loop = EventLoop(index: 0, clock: { time.now })
        server = Server(
            {
                // Small bounds, so that a script of a few kilobytes reaches them.
                var configuration = ServerConfiguration(port: 0, loops: 1, workers: 0)
                configuration.http.maxBodyBytes = 4096
                configuration.http.maxFieldBytes = 1024
                configuration.maxMessageBytes = 2048
                configuration.deflateThreshold = 0
                return configuration
            }(), router: Stage.routes, metrics: MetricsRegistry(),
            streams: { loop in
                var configuration = SocketServerConfiguration(engine: EngineServerConfiguration())
                configuration.engine.engine.maxPayload = 2048
                configuration.engine.maxSessions = 8
                configuration.engine.compresses = compresses
                configuration.maxQueuedBytes = 8192
                configuration.limits.maxAttachmentBytes = 1024
                let sockets = LoopSockets(configuration, on: loop)
                Application.serve(on: sockets, recovers: recovers)
                return sockets
            })
        server.attach(to: loop)
    }

    private static var routes: Router {
        var router = Router()
        router.on("GET", "/text/{name}", .immediate { .text("hello " + $0.path) })
        router.on("POST", "/echo", .immediate { HTTPResponse(status: 200, body: $0.body) })
        return router
    }

    private var sockets: LoopSockets? { (loop.attachment as? LoopServer)?.streams as? LoopSockets }

    func perform(_ step: Script.Step) {
        switch step {
        case .write(let index, let bytes):
            if clients[index] == nil { connect(index) }
            clients[index]?.write(filledIn(bytes))
        case .read(let index): read(index)
        case .shutDown(let index): clients[index]?.shutDown()
        case .close(let index): close(index)
        case .wait(let quarters):
            time.now = time.now + .milliseconds(250 * quarters)
        }
        turn()
        // What is queued for clients that do not read is bounded, whatever they ask for: the queue of
        // each, what may come on top of it in one turn, and the kernel's.
        for socket in sockets?.namespace("/")?.sockets ?? [] {
            precondition(socket.queuedBytes < 64 * 8192, "what waits for a client is bounded")
        }
    }

    /// Everybody goes, and time with them: then nothing is left, and what was written was sound.
    func end() {
        for index in clients.indices { close(index) }
        for _ in 0..<8 {
            time.now = time.now + .seconds(30)
            turn()
        }
        precondition(sockets?.sessionCount == 0, "a session outlives its client's silence")
        precondition(server.drain(timeout: .zero) == 0, "a connection is counted that is gone")
        server.stop()
        turn()
        loop.run()
    }

    /// As often as one thing leads to another in what a turn leaves to the next, in the time that takes.
    private func turn() {
        for _ in 0..<3 {
            loop.turn(waiting: 0)
            time.now = time.now + .milliseconds(5)
        }
    }

    private func connect(_ index: Int) {
        guard let (client, descriptor) = Client.pair() else { return }
        clients[index] = client
        server.adopt(
            DetachedConnection(
                descriptor: descriptor, unread: [], address: "192.0.2.\(index)", isProxy: false,
                isSecure: false), onLoop: 0)
        turn()
    }

    private func read(_ index: Int) {
        guard let client = clients[index] else { return }
        let bytes = client.read()
        keep(Stage.values(of: "\"sid\":\"", count: 24, in: bytes), in: &sids)
        keep(Stage.values(of: "\"pid\":\"", count: 20, in: bytes), in: &privateIDs)
    }

    private func close(_ index: Int) {
        guard let client = clients[index] else { return }
        // Reading lets the server write on: until it has nothing more to say.
        for _ in 0..<4 {
            read(index)
            turn()
        }
        read(index)
        client.close()
        clients[index] = nil
        client.check()
        turn()
    }

    private func keep(_ found: [[UInt8]], in list: inout [[UInt8]]) {
        for value in found where list.count < 4 && !list.contains(value) { list.append(value) }
    }

    /// Values of that length behind a mark, closed by a quotation mark.
    private static func values(of mark: String, count: Int, in bytes: [UInt8]) -> [[UInt8]] {
        let mark = Array(mark.utf8)
        var found: [[UInt8]] = []
        var index = 0
        while index + mark.count + count < bytes.count {
            let end = index + mark.count + count
            if bytes[index] == mark[0], bytes[index..<index + mark.count].elementsEqual(mark),
                bytes[end] == UInt8(ascii: "\"")
            {
                found.append(Array(bytes[index + mark.count..<end]))
                index = end
            }
            index += 1
        }
        return found
    }

    private func filledIn(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(UInt8(ascii: "$")) else { return bytes }
        let values = sids + Array(repeating: [], count: 4 - sids.count) + privateIDs
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count,
                values.indices.contains(Int(bytes[index + 1]) - 0x30)
            {
                output += values[Int(bytes[index + 1]) - 0x30]
                index += 2
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return output
    }
}
