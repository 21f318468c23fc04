// SPDX-License-Identifier: MIT
import EngineIO
import EngineIOServer
import HTTPServer
import JSON
import Metrics
import Reactor
import SocketIOServer
import TestSupport
import Timing

/// A Socket.IO server of one loop on a free port, with every feature in use.
///
/// - `/`: `in one turn` publishes 1 and 2, sends them on, answers, publishes 3; `echo` answers its acknowledgement with its arguments or sends them back; `join`, `leave`;
///   `shout` to a room, `tell` to all, `others` to all but the sender; `question` gathers answers from
///   a room; `ask` asks the sender; `out` and `away` end it; `flood`.
/// - `/guarded`: needs `auth.key`, checked a moment later.
final class SocketServerHarness {
    let server: Server
    private let metrics = MetricsRegistry()
    var port: Int { server.port }

    init(
        recovery: @escaping @Sendable () -> LocalRecovery? = { nil },
        adjust: @escaping @Sendable (inout SocketServerConfiguration) -> Void = { _ in },
        serverAdjust: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        var serverConfiguration = ServerConfiguration(port: 0, loops: 1, workers: 1)
        serverAdjust(&serverConfiguration)
        server = Server(
            serverConfiguration, router: Router(), metrics: metrics,
            streams: { loop in
                var configuration = SocketServerConfiguration(engine: EngineServerConfiguration())
                adjust(&configuration)
                let sockets = LoopSockets(configuration, on: loop)
                SocketServerHarness.serve(on: sockets, recovery: recovery())
                return sockets
            })
        try server.start()
    }

    deinit { server.stop() }

    /// The value of a counter without labels; 0 when there is none.
    func metric(_ name: String) -> Double {
        metrics.exposition().split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) } ?? 0
    }

    private static func serve(on sockets: LoopSockets, recovery: LocalRecovery?) {
        sockets.serve("/", recovery: recovery) { socket in
            let namespace = socket.namespace
            return EventTable(socket)
                .onConnection { $0.emit("welcome") }
                .on("echo") { arguments, acknowledge in
                    acknowledge(arguments)
                    socket.emit("echoed", arguments)
                }
                .on("twice") { arguments, acknowledge in
                    acknowledge(arguments)
                    acknowledge(arguments)
                }
                .on("join") { arguments, acknowledge in
                    socket.join(arguments[0]?.string ?? "")
                    acknowledge(SocketArguments(socket.rooms.map { .string($0.id) }))
                }
                .on("leave") { arguments, acknowledge in
                    socket.leave(arguments[0]?.string ?? "")
                    acknowledge(SocketArguments(socket.rooms.map { .string($0.id) }))
                }
                .on("shout") { arguments, _ in
                    namespace.broadcast(
                        "heard", arguments, to: [arguments[0]?.string ?? ""], except: [socket.id])
                }
                .on("tell") { arguments, _ in
                    namespace.broadcast("told", arguments)
                    // What is sent behind a broadcast arrives behind it.
                    socket.emit("after")
                }
                .on("in one turn") { _, acknowledge in
                    func publish(_ number: Int64, _ room: String) {
                        let argument = JSONValue.object(["n": .int(number)]).bytes
                        namespace.publish(
                            Publication(event: "turn", argument: argument, order: number),
                            in: room)
                    }
                    publish(2, "a")
                    publish(1, "b")
                    socket.flushNow()
                    socket.flushNow()
                    acknowledge(["behind"])
                    publish(3, "b")
                }
                .on("two rooms") { arguments, _ in
                    namespace.broadcast("once", to: ["a", "b"])
                }
                .on("question") { arguments, acknowledge in
                    namespace.broadcast(
                        "question", arguments, to: ["a"], except: [socket.id],
                        timeout: .milliseconds(200)
                    ) { answers, missing in
                        acknowledge([
                            .int(Int64(missing)),
                            .array(answers.map { $0[0] ?? .null }),
                        ])
                    }
                }
                .on("ask") { arguments, _ in
                    socket.emit("asked", arguments, timeout: .milliseconds(100)) { answer in
                        socket.emit("got", answer ?? ["nothing"])
                    }
                }
                .on("volatile") { _, _ in socket.emitVolatile("maybe") }
                .on("out") { _, _ in socket.disconnect() }
                .on("away") { _, _ in socket.closeTransport(.goingAway) }
                .on("5") { _, acknowledge in acknowledge(["five"]) }
        }
        // The handler is kept by the sockets: it must not keep them.
        sockets.serve("/guarded") { [unowned sockets] socket in
            EventTable(socket)
                .use { table, next in
                    Later.run(on: sockets, after: .milliseconds(10)) {
                        let isWelcome = table.auth?["key"]?.string == "right"
                        next(isWelcome ? nil : .init("wrong key", data: ["code": 42]))
                    }
                }
                .use { _, next in next(nil) }
                .onConnection { $0.emit("in") }
        }
    }
}

/// Runs a closure on the loop a little later, once.
private final class Later: TimerTarget {
    private let body: () -> Void
    private init(_ body: @escaping () -> Void) { self.body = body }
    func timerFired(now: Instant) { body() }

    static func run(on sockets: LoopSockets, after delay: Duration, _ body: @escaping () -> Void) {
        _ = sockets.loop.schedule(Later(body), at: sockets.loop.now + delay)
    }
}

extension WireClient {
    /// Joins a namespace and gives the answer.
    func join(_ namespace: String = "", auth: String = "") -> String {
        send("40\(namespace.isEmpty ? "" : namespace + ",")\(auth)")
        return next() ?? ""
    }

    /// Joins the main namespace and reads the welcome.
    /// - Returns: the socket's id and its private id.
    @discardableResult
    func enter(auth: String = "") -> (id: String, privateID: String?) {
        let reply = join(auth: auth)
        let value = try? JSONValue(parsing: Array(reply.dropFirst(2).utf8))
        _ = next()
        return (value?["sid"]?.string ?? "", value?["pid"]?.string)
    }
}
