// SPDX-License-Identifier: MIT
import Glibc
import HTTP1
import HTTPServer
import Locks
import JSON
import Metrics
import Reactor
import Synchronization
import TestSupport
import Testing
import Timing
import WebSocket

/// A server on a free port, stopped when it goes.
final class Running {
    let server: Server
    var port: Int { server.port }

    init(
        loops: Int = 1, _ adjust: (inout ServerConfiguration) -> Void = { _ in },
        streams: Server.StreamFactory? = nil, routes: (inout Router) -> Void
    ) throws {
        var configuration = ServerConfiguration(port: 0, loops: loops, workers: 2)
        adjust(&configuration)
        var router = Router()
        routes(&router)
        server = Server(
            configuration, router: router, metrics: MetricsRegistry(), streams: streams)
        try server.start()
    }

    deinit { server.stop() }
}

@Suite struct ServerTests {
    private static func hello(_ router: inout Router) {
        router.on(
            "GET", "/hello/{name}", .immediate { .text("hello \($0.parameters["name"] ?? "")") })
        router.on("POST", "/echo", .immediate { HTTPResponse(status: 200, body: $0.body) })
        router.on(
            "GET", "/slow",
            .blocking { _ in
                usleep(50_000)
                return .text("slow")
            })
    }

    @Test func answersAndKeepsTheConnection() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        for name in ["a", "b"] {
            client.send("GET /hello/\(name) HTTP/1.1\r\nHost: x\r\n\r\n")
            let response = client.readResponse()
            #expect(response.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(response.body == "hello \(name)")
        }
    }

    @Test(
        "RFC 9112 §9.3.2: pipelined requests MUST be answered in their order, however long one takes"
    )
    func pipelinedRequestsAreAnsweredInOrder() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send(
            "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /hello/2 HTTP/1.1\r\nHost: x\r\n\r\n"
                + "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        #expect(client.readResponse().body == "slow")
        #expect(client.readResponse().body == "hello 2")
        #expect(client.readResponse().body == "abc")
    }

    @Test func bodiesCutAnywhereAreWhole() throws {
        let running = try Running(routes: Self.hello)
        let request = Array(
            ("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "4\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n").utf8)
        for cut in stride(from: 1, to: request.count, by: 7) {
            let client = RawClient(port: running.port)
            client.send(Array(request[..<cut]))
            usleep(2000)
            client.send(Array(request[cut...]))
            #expect(client.readResponse().body == "wikipedia")
        }
    }

    @Test("RFC 9112 §6.3: unrecoverable framing is answered with 400 and MUST end the connection")
    func refusesWhatItDoesNotUnderstandAndCloses() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        let answer = client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(answer.lowercased().contains("connection: close"))
    }

    @Test func unknownPathsAndMethods() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.readResponse().head.hasPrefix("HTTP/1.1 404 "))
        client.send("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        let refused = client.readResponse().head
        #expect(refused.hasPrefix("HTTP/1.1 405 "))
        #expect(refused.contains("allow: POST, OPTIONS\r\n"))
        client.send(
            "HEAD /hello/x HTTP/1.1\r\nHost: x\r\n\r\nGET /hello/y HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.read(until: "\r\n\r\n").contains("content-length: 7\r\n"))
        #expect(client.readResponse().body == "hello y")
    }

    @Test(
        "RFC 9112 §9.6: behind the answer to a request that says close, the connection MUST be closed"
    )
    func connectionCloseIsHonoured() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send("GET /hello/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(client.readToEnd().hasSuffix("hello a"))
    }

    @Test("RFC 9112 §9.6: requests behind one that says close MUST NOT be processed")
    func nothingBehindTheLastRequestIsAnswered() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send(
            "GET /hello/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                + "GET /hello/b HTTP/1.1\r\nHost: x\r\n\r\n")
        let all = client.readToEnd()
        #expect(all.hasSuffix("hello a"))
        #expect(all.split(separator: "HTTP/1.1 ").count == 1)
    }

    @Test func aClientThatAsksAndNeverReadsIsNotServedAhead() throws {
        let served = Atomic(0)
        let running = try Running { router in
            router.on(
                "GET", "/big",
                .immediate { _ in
                    served.add(1, ordering: .relaxed)
                    return HTTPResponse(status: 200, body: Array(repeating: 120, count: 65_536))
                })
        }
        let client = RawClient(port: running.port)
        let count = 500
        client.send(String(repeating: "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", count: count))
        usleep(200_000)
        // What the kernel's buffers take and a little more: 32 MB would be all of it.
        let ahead = served.load(ordering: .relaxed)
        #expect(ahead < count * 3 / 4, "\(ahead) of \(count) were served to nobody")
        for _ in 0..<count { #expect(client.readResponse().body.utf8.count == 65_536) }
    }

    @Test func aHalfClosedClientThatThenResetsIsLetGo() throws {
        let running = try Running { $0.on("GET", "/never", .deferred { _, _ in }) }
        do {
            let client = RawClient(port: running.port)
            client.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
            usleep(20_000)
            client.shutdownWrite()
            usleep(20_000)
            client.reset()
        }
        #expect(running.server.drain(timeout: .milliseconds(500)) == 0)
    }

    @Test func aHalfClosedClientStillGetsItsAnswer() throws {
        let running = try Running(routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdownWrite()
        #expect(client.readToEnd().hasSuffix("slow"))
    }

    @Test("RFC 9110 §15.5.9: a request that does not come in time is answered with 408 and the end")
    func headersThatTrickleAreCutOff() throws {
        let running = try Running({ $0.headerTimeout = .milliseconds(150) }, routes: Self.hello)
        let client = RawClient(port: running.port)
        client.send("GET /hello/a HTTP/1.1\r\n")
        #expect(client.readToEnd().hasPrefix("HTTP/1.1 408 "))
    }

    @Test func idleConnectionsEndSilently() throws {
        let running = try Running({ $0.idleTimeout = .milliseconds(150) }, routes: Self.hello)
        let client = RawClient(port: running.port)
        #expect(client.readToEnd() == "")
    }

    @Test func aFullWorkerQueueRefusesInsteadOfGrowing() throws {
        let gate = Atomic(false)
        let running = try Running({ $0.workerQueue = 1 }) { router in
            router.on(
                "GET", "/wait",
                .blocking { _ in
                    while !gate.load(ordering: .relaxed) { usleep(1000) }
                    return .text("done")
                })
        }
        let clients = (0..<6).map { _ in RawClient(port: running.port) }
        for client in clients {
            client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            usleep(20_000)
        }
        // Two run, one waits, three are refused at once.
        let refused = clients.suffix(3).map { $0.readResponse().head }
        #expect(
            refused.allSatisfy { $0.hasPrefix("HTTP/1.1 503 ") && $0.contains("retry-after: 1") })
        gate.store(true, ordering: .relaxed)
        #expect(clients.prefix(3).allSatisfy { $0.readResponse().body == "done" })
    }

    @Test func anAnswerMayComeFromAnyThreadAndOnlyOnce() throws {
        let threads = Locked<[WorkerThread]>([])
        defer { for thread in threads.withLock({ $0 }) { thread.join() } }
        let running = try Running { router in
            router.on(
                "GET", "/later",
                .deferred { _, reply in
                    let later = WorkerThread(name: "later") {
                        usleep(10_000)
                        reply(.text("first"))
                        reply(.text("second"))
                    }
                    threads.withLock { $0.append(later) }
                })
            router.on("GET", "/next", .immediate { _ in .text("next") })
        }
        let client = RawClient(port: running.port)
        client.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.readResponse().body == "first")
        #expect(client.readResponse().body == "next")
    }

    @Test func limitsByAddressCloseTheNextConnection() throws {
        let running = try Running({ $0.maxConnectionsPerAddress = 2 }, routes: Self.hello)
        let first = RawClient(port: running.port)
        let second = RawClient(port: running.port)
        for client in [first, second] {
            client.send("GET /hello/a HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.readResponse().body == "hello a")
        }
        #expect(RawClient(port: running.port).readToEnd() == "")
    }

    @Test func aPortThatIsTakenIsRefused() throws {
        let running = try Running(loops: 2, routes: Self.hello)
        #expect(
            throws: ServerError.cannotListen(
                host: "127.0.0.1", port: running.port, code: EADDRINUSE)
        ) {
            _ = try Running({ $0.port = running.port }, routes: Self.hello)
        }
    }

    @Test func drainLetsWhatIsUnderWayFinish() throws {
        let running = try Running({ $0.closeTimeout = .milliseconds(100) }, routes: Self.hello)
        let idle = RawClient(port: running.port)
        let busy = RawClient(port: running.port)
        idle.send("GET /hello/a HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = idle.readResponse()
        busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        usleep(10_000)
        #expect(running.server.drain(timeout: .seconds(2)) == 0)
        #expect(busy.readToEnd().hasSuffix("slow"))
        #expect(idle.readToEnd() == "")
    }
}

extension ServerTests {
    /// A drain waits until what was written has left: a reader that is slow, but reads, gets all of an
    /// answer far larger than the socket's buffers, and one that does not read costs the timeout only.
    @Test(arguments: [true, false])
    func drainLetsWhatWasWrittenLeave(isRead: Bool) throws {
        let size = 24 << 20
        let running = try Running({ $0.closeTimeout = .milliseconds(200) }) {
            $0.on(
                "GET", "/large",
                .immediate { _ in
                    HTTPResponse(status: 200, body: [UInt8](repeating: 0x61, count: size))
                })
        }
        let client = RawClient(port: running.port, receiveBuffer: 4096)
        client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        // Its head is here, so the rest is written or waits to be.
        _ = client.read(until: "\r\n\r\n")
        let server = running.server
        let left = Atomic(-1)
        let drain = WorkerThread(name: "drain") {
            left.store(server.drain(timeout: .seconds(isRead ? 20 : 1)), ordering: .releasing)
        }
        usleep(50_000)
        #expect(left.load(ordering: .acquiring) == -1, "it waits")
        if isRead { #expect(client.readToEnd().utf8.count == size) }
        drain.join()
        #expect(left.load(ordering: .acquiring) == (isRead ? 0 : 1))
    }
}

/// Takes everything below `/stream/`: upgrades to an echoing WebSocket, hands `/stream/over` to loop 1,
/// and keeps `/stream/wait` until `/stream/go`.
private final class EchoStreams: StreamHandler, WebSocketDelegate {
    private let server: LoopServer
    private var waiting: [Exchange] = []

    init(_ server: LoopServer) { self.server = server }

    func claims(path: String) -> Bool { path.hasPrefix("/stream/") }

    func accept(_ exchange: Exchange) {
        switch exchange.request.path {
        case "/stream/over":
            if server.loop.index == 1 {
                exchange.respond(.text("loop 1 \(exchange.request.body.count)"))
            } else {
                exchange.handOver(toLoop: 1)
            }
        case "/stream/wait":
            exchange.onAbort = { [unowned self] in waiting.removeAll() }
            waiting.append(exchange)
        case "/stream/go":
            let count = waiting.count
            for other in waiting { other.respond(.text("gone")) }
            waiting = []
            exchange.respond(.text("\(count)"))
        default:
            guard let answer = try? WebSocketHandshake.respond(to: exchange.head, deflate: nil)
            else {
                return exchange.respond(.text("no handshake", status: 400))
            }
            _ = exchange.upgrade(fields: answer.fields, deflate: answer.deflate, delegate: self)
        }
    }

    func turnEnds() {}
    func drain() {}
    func end() {}

    func received(text: Span<UInt8>, on channel: WebSocketChannel) { channel.send(text: text) }
    func received(binary: Span<UInt8>, on channel: WebSocketChannel) {
        channel.send(binary: binary)
    }
    func closed(_ channel: WebSocketChannel, code: UInt16?) {}
    func drained(_ channel: WebSocketChannel) {}
}

@Suite struct StreamTests {
    private func running(loops: Int = 1) throws -> Running {
        try Running(loops: loops, streams: { EchoStreams($0) }) { _ in }
    }

    @Test func aRequestForAnotherLoopIsHandedOverWithItsConnection() throws {
        let running = try running(loops: 2)
        // The kernel spreads connections over both listeners: some of these start on loop 0.
        for _ in 0..<16 {
            let client = RawClient(port: running.port)
            for _ in 0..<2 {
                client.send("POST /stream/over HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
                #expect(client.readResponse().body == "loop 1 2")
            }
        }
    }

    @Test func anExchangeWaitsUntilItIsAnswered() throws {
        let running = try running()
        let waiting = RawClient(port: running.port)
        let other = RawClient(port: running.port)
        waiting.send("GET /stream/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        usleep(20_000)
        other.send("GET /stream/go HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(other.readResponse().body == "1")
        #expect(waiting.readResponse().body == "gone")
    }

    @Test func aWaitingClientThatLeavesIsNoticed() throws {
        let running = try running()
        do {
            let waiting = RawClient(port: running.port)
            waiting.send("GET /stream/wait HTTP/1.1\r\nHost: x\r\n\r\n")
            usleep(20_000)
        }
        usleep(50_000)
        let other = RawClient(port: running.port)
        other.send("GET /stream/go HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(other.readResponse().body == "0")
    }

    @Test func webSocketMessagesComeBackAlsoWhenSentBeforeThe101() throws {
        let running = try running()
        let client = RawClient(port: running.port)
        var frame: [UInt8] = []
        FrameWriter.writeHeader(
            opcode: .text, length: 2, mask: MaskingKey(0x0403_0201), into: &frame)
        frame += [UInt8(ascii: "h") ^ 1, UInt8(ascii: "i") ^ 2]
        client.send(
            Array(
                ("GET /stream/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                    .utf8) + frame)
        let head = client.read(until: "\r\n\r\n")
        #expect(head.hasPrefix("HTTP/1.1 101 "))
        #expect(head.lowercased().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="))
        #expect(client.read(4) == [0x81, 2, UInt8(ascii: "h"), UInt8(ascii: "i")])
        client.send(frame)
        #expect(client.read(4) == [0x81, 2, UInt8(ascii: "h"), UInt8(ascii: "i")])
    }

    @Test(
        "RFC 9112 §2.2: a connection is the same wherever TCP cuts it: a pipeline, an upgrade, frames"
    )
    func whereverTheConnectionIsCut() throws {
        let running = try running()
        var bytes = Array(
            ("GET /stream/go HTTP/1.1\r\nHost: x\r\n\r\n"
                + "POST /stream/go HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "2;a\r\nab\r\n0\r\nT: r\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
                + "GET /stream/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                .utf8)
        for (opcode, payload) in [
            (Opcode.text, Array("hi".utf8)), (.ping, [7]), (.binary, [1, 2]), (.close, [3, 0xE8]),
        ] {
            FrameWriter.write(
                opcode: opcode, payload: payload.span, mask: MaskingKey(0x0403_0201), into: &bytes)
        }
        let frames: [UInt8] = [0x81, 2, 0x68, 0x69, 0x8A, 1, 7, 0x82, 2, 1, 2, 0x88, 2, 3, 0xE8]
        #expect(RawClient.answer(to: [bytes], port: running.port).suffix(15) == frames[...])
        let found = misreadings(of: bytes) { pieces in
            String(decoding: RawClient.answer(to: pieces, port: running.port), as: UTF8.self)
                .split(separator: "\r\n").filter { !$0.hasPrefix("date: ") }
        }
        #expect(found == [])
    }

    /// The codec of the loop is one client's while its message is unfinished, and everybody's otherwise.
    /// A client whose upgrade has been answered.
    private static func open(_ running: Running) -> RawClient {
        let client = RawClient(port: running.port)
        client.send(
            "GET /stream/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        _ = client.read(until: "\r\n\r\n")
        return client
    }

    /// What reads a message is lent from connection to connection: never with what broke one of them.
    @Test(
        arguments: [
            [0x81, 0x81, 0, 0, 0, 0, 0xC3],  // a character cut off
            [0x81, 0x81, 0, 0, 0, 0, 0xFF],  // no UTF-8
            [0x01, 0x81, 0, 0, 0, 0, 0xC3, 0x80, 0x80, 0, 0, 0, 0],  // the same in fragments
            [0x01, 0x81, 0, 0, 0, 0, 0x41, 0x81, 0x81, 0, 0, 0, 0, 0x41],  // one inside another
            [0x80, 0x81, 0, 0, 0, 0, 0x41],  // a continuation of nothing
            [0x83, 0x80, 0, 0, 0, 0], [0xC1, 0x80, 0, 0, 0, 0], [0x81, 1, 0x41],
            [0x88, 0x81, 0, 0, 0, 0, 0x03], [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED],
            [0x88, 0x83, 0, 0, 0, 0, 0x03, 0xE8, 0xC3],
        ] as [[UInt8]])
    func whatBreaksOneConnectionLeavesTheNextAlone(frames: [UInt8]) throws {
        let running = try running()
        let (broken, sound) = (Self.open(running), Self.open(running))
        broken.send(frames)
        #expect(broken.read().prefix(2) == [0x88, 2])
        for text in ["\u{3BA}\u{1F79}", "A"] {
            let bytes = Array(text.utf8)
            sound.send([0x81, 0x80 | UInt8(bytes.count), 0, 0, 0, 0] + bytes)
            #expect(sound.read(2 + bytes.count) == [0x81, UInt8(bytes.count)] + bytes)
        }
    }

    @Test func messagesInPiecesDoNotMixWithOthers() throws {
        let running = try running()
        /// A frame under the mask 0.
        func frame(_ first: UInt8, _ text: String) -> [UInt8] {
            [first, 0x80 | UInt8(text.utf8.count), 0, 0, 0, 0] + Array(text.utf8)
        }
        let (slow, cut, quick) = (
            Self.open(running), Self.open(running), Self.open(running)
        )
        slow.send(frame(0x01, "frag"))
        cut.send(Array(frame(0x81, "headless").prefix(9)))
        for word in ["one", "two"] {
            quick.send(frame(0x81, word))
            #expect(quick.read(5) == [0x81, 3] + Array(word.utf8))
        }
        slow.send(frame(0x89, "still"))
        #expect(slow.read(7) == [0x8A, 5] + Array("still".utf8))
        cut.send(Array(frame(0x81, "headless").dropFirst(9)))
        #expect(cut.read(10) == [0x81, 8] + Array("headless".utf8))
        quick.send(frame(0x88, ""))
        #expect(quick.read(2) == [0x88, 0])
        slow.send(frame(0x80, "ments"))
        #expect(slow.read(11) == [0x81, 9] + Array("fragments".utf8))
    }

    @Test func anUnmaskedFrameIsAProtocolError() throws {
        let running = try running()
        let client = Self.open(running)
        client.send([0x81, 1, 65])
        let close = client.read()
        #expect(Array(close.prefix(4)) == [0x88, 2, 0x03, 0xEA])
    }
}
