// SPDX-License-Identifier: MIT
internal import EngineIO
internal import JSON
internal import SocketIOServer

/// An application that uses what a Socket.IO server offers, so that every path has somebody who takes it.
enum Application {
    static func serve(on sockets: LoopSockets, recovers: Bool) {
        sockets.serve("/", recovery: recovers ? LocalRecovery(maxEvents: 32) : nil) { socket in
            let namespace = socket.namespace
            return EventTable(socket)
                .onConnection { $0.emit("welcome") }
                .on("echo") { arguments, acknowledge in
                    acknowledge(arguments)
                    acknowledge(arguments)
                    socket.emit("echoed", arguments)
                }
                .on("join") { arguments, _ in
                    if socket.rooms.count < 8 { socket.join(arguments[0]?.string ?? "") }
                }
                .on("leave") { arguments, _ in socket.leave(arguments[0]?.string ?? "") }
                .on("shout") { arguments, _ in
                    namespace.broadcast(
                        "heard", arguments, to: [arguments[0]?.string ?? "", "a"],
                        except: [socket.id])
                }
                .on("tell") { arguments, _ in
                    namespace.broadcast("told", arguments)
                    socket.emitVolatile("maybe")
                    socket.emit("after")
                }
                .on("question") { arguments, acknowledge in
                    namespace.broadcast(
                        "question", arguments, to: ["a"], except: [socket.id],
                        timeout: .milliseconds(200)
                    ) { answers, missing in acknowledge([.int(Int64(answers.count + missing))]) }
                }
                .on("ask") { arguments, _ in
                    socket.emit("asked", arguments, timeout: .milliseconds(500)) { answer in
                        socket.emit("got", answer ?? ["nothing"])
                    }
                }
                .on("binary") { arguments, _ in
                    var answer = SocketArguments()
                    answer.append(binary: arguments.binary(0) ?? [0, 1, 255])
                    namespace.broadcast("bytes", answer)
                }
                .on("out") { _, _ in socket.disconnect() }
                .on("away") { _, _ in socket.closeTransport(.goingAway) }
                .on("thrown") { _, _ in socket.disconnect(closing: .unwelcome) }
        }
        sockets.serve("/guarded") { socket in
            EventTable(socket)
                .use { table, next in
                    next(table.auth?["key"]?.string == "right" ? nil : .init("wrong key"))
                }
                .onConnection { $0.emit("in") }
        }
    }
}
