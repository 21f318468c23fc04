// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import Reactor
internal import SocketIOServer
internal import Timing

/// Profile `support`: what the Socket.IO client's own tests talk to, and room for more of one's own.
struct SupportProfile {
    static let engine = EngineConfiguration(
        pingInterval: .milliseconds(2000), pingTimeout: .milliseconds(20_000),
        maxPayload: 1_000_000)

    private let loop: EventLoop

    static func streams(on server: LoopServer) -> any StreamHandler {
        var configuration = SocketServerConfiguration(engine: .open(path: "/socket.io/", engine))
        configuration.connectTimeout = .milliseconds(45_000)
        configuration.keepsHandshake = true
        configuration.engine.compresses = true
        // `flood` is asked for by suites, and not a client's fault.
        configuration.maxQueuedBytes = 64 << 20
        let sockets = LoopSockets(configuration, on: server)
        SupportProfile(loop: server.loop).serve(on: sockets)
        return sockets
    }

    private func serve(on sockets: LoopSockets) {
        sockets.serve("/", recovery: LocalRecovery()) { socket in
            let table = delayed(socket).use { _, next in
                let fails = socket.handshake?.queryValue("fail") != nil
                next(fails ? .init("Auth failed (main namespace)") : nil)
            }
            addBasics(table, socket)
            addBinary(table, socket)
            addRooms(table, socket)
            return table
        }
        for name in ["/valid", "/asd", "/timeout_socket"] {
            sockets.serve(name, recovery: LocalRecovery()) { delayed($0) }
        }
        sockets.serve("/foo", recovery: LocalRecovery()) { socket in
            delayed(socket).on("getId") { _, acknowledge in acknowledge([.string(socket.id)]) }
        }
        sockets.serve("/abc", recovery: LocalRecovery()) { socket in
            let table = delayed(socket)
            return table.onConnection { [unowned table] socket in
                socket.emit("handshake", [handshake(of: socket, table)])
            }
        }
        sockets.serve("/no", recovery: LocalRecovery()) { socket in
            delayed(socket).use { $1(.init("Auth failed (custom namespace)")) }
        }
        sockets.serve("/no-data", recovery: LocalRecovery()) { socket in
            delayed(socket).use { $1(.init("denied", data: ["code": 42])) }
        }
    }

    // MARK: Joining

    /// A table whose handshake takes 10 ms.
    private func delayed(_ socket: Socket) -> EventTable {
        EventTable(socket).use { [loop] _, next in
            _ = loop.schedule(Later { next(nil) }, at: loop.now + .milliseconds(10))
        }
    }

    private final class Later: TimerTarget {
        private let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
        func timerFired(now: Instant) { body() }
    }

    /// What the client came with. A query parameter that is there twice is a list.
    private func handshake(of socket: Socket, _ table: EventTable) -> JSONValue {
        let request = socket.handshake
        let text = request?.query ?? ""
        var query = JSONObject()
        for (name, value) in FormURLEncoded.pairs(text) {
            switch query[name] {
            case nil: query[name] = .string(value)
            case .array(let values)?: query[name] = .array(values + [.string(value)])
            case let first?: query[name] = [first, .string(value)]
            }
        }
        let url = (request?.path ?? "") + (text.isEmpty ? "" : "?\(text)")
        return [
            "query": .object(query), "auth": table.auth ?? [:],
            "headers": .headers(request?.fields ?? [:]), "address": .string(socket.address),
            "url": .string(url),
        ]
    }

    // MARK: Events

    private func addBasics(_ table: EventTable, _ socket: Socket) {
        func date() -> JSONValue { .string(SystemClock.timestamp().rfc3339) }
        table.answer("hi", with: "hi", [])
        table.answer("false", with: "false", [false])
        table.add("echo") { arguments, acknowledge in acknowledge(arguments) }
        table.add("mirror") { arguments, _ in socket.emit("mirrored", arguments) }
        table.add("ack") { _, _ in
            socket.emit("ack") { answer in
                if answer?[0] == 5, answer?[1] == ["test": true] { socket.emit("got it") }
            }
        }
        table.add("getAckDate") { _, acknowledge in acknowledge([date()]) }
        table.add("getDate") { _, _ in socket.emit("takeDate", [date()]) }
        table.add("getDateObj") { _, _ in socket.emit("takeDateObj", [["date": date()]]) }
        table.add("getUtf8") { _, _ in
            for text in ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"] {
                socket.emit("takeUtf8", [.string(text)])
            }
        }
        table.add("getHandshake") { [unowned table] _, acknowledge in
            acknowledge([handshake(of: socket, table)])
        }
        table.add("getId") { _, acknowledge in acknowledge([.string(socket.id)]) }
        table.add("transport") { _, acknowledge in
            acknowledge([.string(socket.transport?.rawValue ?? "")])
        }
        table.add("disconnectMe") { arguments, _ in
            socket.disconnect(closing: arguments[0] == true ? .closedByPeer : nil)
        }
        table.add("flood") { arguments, _ in
            // As much as a test may want, and no more than the machine has.
            let (count, size) = (arguments[0]?.int ?? 0, arguments[1]?.int ?? 0)
            guard (0...1_000_000).contains(count), (0...1_000_000).contains(size),
                count * size <= 256 << 20
            else { return }
            let filling = JSONValue.string(String(repeating: "x", count: Int(size)))
            for number in 0..<count { socket.emit("drop", [.int(number), filling]) }
        }
    }

    private func addBinary(_ table: EventTable, _ socket: Socket) {
        var bytes = SocketArguments()
        bytes.append(binary: Array("asdfasdf".utf8))
        table.answer("doge", with: "doge", bytes)
        table.answer("getbin", with: "takebin", bytes)
        table.answer("buffa", with: "buffack") { $0.binary(0) != nil }
        table.answer("blob", with: "back") { $0.binary(0) != nil }
        for name in ["jsonbuff", "jsonblob"] {
            table.answer(name, with: "\(name)-ack") {
                $0[0]?["hello"] == "lol" && $0.binary(0, "message") != nil
                    && $0[0]?["goodbye"] == "gotcha"
            }
        }
        var order: [String] = []
        for name in ["abuff1", "blob1", "blob2"] {
            table.add(name) { arguments, _ in
                let isRight =
                    name == "blob2" ? arguments[0] == "second" : arguments.binary(0) != nil
                if isRight { order.append(name) }
            }
        }
        table.answer("abuff2", with: "abuff2-ack") { _ in order.contains("abuff1") }
        table.answer("blob3", with: "blob3-ack") {
            $0.binary(0) != nil && order.filter { $0 != "abuff1" }.suffix(2) == ["blob1", "blob2"]
        }
    }

    private func addRooms(_ table: EventTable, _ socket: Socket) {
        let namespace = socket.namespace
        func rooms() -> SocketArguments { [.array(socket.rooms.map { .string($0.id) })] }
        table.add("join") { arguments, acknowledge in
            // As many as a test may want: what a client may join is the application's to bound.
            if socket.rooms.count < 100 { arguments[0]?.string.map { socket.join($0) } }
            acknowledge(rooms())
        }
        table.add("leave") { arguments, acknowledge in
            arguments[0]?.string.map { socket.leave($0) }
            acknowledge(rooms())
        }
        table.add("toRoom") { arguments, _ in
            guard let room = arguments[0]?.string else { return }
            namespace.broadcast("fromRoom", arguments, to: [room], except: [socket.id])
        }
        table.add("toAll") { arguments, _ in namespace.broadcast("fromAll", arguments) }
        table.add("toOthers") { arguments, _ in
            namespace.broadcast("fromOthers", arguments, except: [socket.id])
        }
        table.add("askRoom") { arguments, acknowledge in
            guard let room = arguments[0]?.string else { return }
            namespace.broadcast(
                "question", [arguments[1] ?? nil], to: [room], timeout: .seconds(1)
            ) { answers, missing in
                acknowledge([
                    missing == 0 ? "ok" : "timeout", .array(answers.map { $0[0] ?? nil }),
                ])
            }
        }
    }
}

extension EventTable {
    /// `on` for a statement.
    fileprivate func add(_ event: String, _ handler: @escaping Handler) { _ = on(event, handler) }

    /// Answers an event by another.
    fileprivate func answer(
        _ event: String, with reply: String, _ arguments: SocketArguments = [],
        when isRight: @escaping (SocketArguments) -> Bool = { _ in true }
    ) {
        add(event) { [socket] received, _ in
            if isRight(received) { socket.emit(reply, arguments) }
        }
    }
}
