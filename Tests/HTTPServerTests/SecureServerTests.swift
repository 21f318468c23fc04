// SPDX-License-Identifier: MIT
import Bytes
import Glibc
import HTTP1
import Metrics
import Reactor
import Locks
import TLS
import TestSupport
import Testing
import WebSocket

@testable import HTTPServer

/// Echoes what arrives on a WebSocket at `/ws`, and hands every request to the loop its query names.
final class LoopEcho: StreamHandler {
    private let server: LoopServer

    /// Less than stops the server from reading.
    static let flood = (0..<11).map { [UInt8](repeating: UInt8(ascii: "a") + $0, count: 20_000) }

    init(_ server: LoopServer) { self.server = server }

    private final class Echo: WebSocketDelegate {
        /// Echoes; `flood` is answered with `LoopEcho.flood`, `urgent` ahead of what waits.
        func received(text: Span<UInt8>, on channel: WebSocketChannel) {
            if text.equals("flood") {
                for message in LoopEcho.flood { channel.send(text: message.span) }
            } else if text.equals("urgent") {
                channel.send(ahead: text)
            } else {
                channel.send(text: text)
            }
        }
        func received(binary: Span<UInt8>, on channel: WebSocketChannel) {
            channel.send(binary: binary)
        }
        func closed(_ channel: WebSocketChannel, code: UInt16?) {}
        func drained(_ channel: WebSocketChannel) {}
    }

    func claims(path: String) -> Bool { ["/ws", "/loop", "/away"].contains(path) }

    func accept(_ exchange: Exchange) {
        if exchange.request.path == "/away" {
            guard let next = Neighbour.port.withLock({ $0 }) else {
                return exchange.respond(
                    .text("here \(exchange.request.isSecure) \(exchange.request.body.count)"))
            }
            Neighbour.port.withLock { $0 = nil }
            exchange.handOver { detached, _ in next.adopt(detached, onLoop: 0) }
            return
        }
        if exchange.request.path == "/loop" {
            let wanted = Int(exchange.request.queryValue("index") ?? "") ?? 0
            guard wanted == server.loop.index else { return exchange.handOver(toLoop: wanted) }
            return exchange.respond(.text("loop \(wanted) \(exchange.request.isSecure)"))
        }
        guard let answer = try? WebSocketHandshake.respond(to: exchange.head, deflate: nil) else {
            return exchange.respondAndClose(.text("no", status: 400))
        }
        _ = exchange.upgrade(fields: answer.fields, deflate: nil, delegate: Echo())
    }

    func turnEnds() {}
    func drain() {}
    func end() {}
}

/// Stands for another process: a server of its own, to which one connection is handed over.
private enum Neighbour {
    static let port = Locked<Server?>(nil)
}

@Suite(.serialized) struct DetachTests {
    @Test(arguments: [false, true])
    func aConnectionGoesToAnotherServerWithItsRequestAndStays(isSecure: Bool) throws {
        let folder = try TemporaryDirectory()
        let made = try TestCertificate(in: folder)
        let credentials = try TLSCredentials([
            CertificateFiles(certificate: made.certificate, key: made.key)
        ])
        func routes(_ router: inout Router) {
            router.on(
                "GET", "/large",
                .immediate { _ in
                    HTTPResponse(status: 200, body: Array(repeating: 7, count: 2_000_000))
                })
        }
        let first = try Running(
            { if isSecure { $0.tls = credentials } }, streams: { LoopEcho($0) }, routes: routes)
        let second = try Running(streams: { LoopEcho($0) }, routes: routes)
        Neighbour.port.withLock { $0 = second.server }
        let peer = TLSPeer()
        let raw = RawClient(port: first.port)
        func exchange(until isDone: ([UInt8]) -> Bool) -> [UInt8] {
            var all: [UInt8] = []
            while !isDone(all) {
                if isSecure { raw.send(peer.take()) }
                let bytes = raw.read()
                if bytes.isEmpty { break }
                if isSecure {
                    peer.feed(bytes)
                    all += peer.read()
                } else {
                    all += bytes
                }
            }
            return all
        }
        func say(_ text: String) {
            if isSecure { peer.write(Array(text.utf8)) } else { raw.send(text) }
        }
        if isSecure { _ = exchange { _ in peer.isEstablished } }
        say(
            "POST /away HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        let answer = exchange { String(decoding: $0, as: UTF8.self).hasSuffix(" 3") }
        #expect(String(decoding: answer, as: UTF8.self).hasSuffix("here \(isSecure) 3"))
        #expect(second.server.admission.count == 1)
        #expect(first.server.admission.count == (isSecure ? 1 : 0))

        // It lives on, both ways, also with more than the kernel holds.
        say("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        let large = exchange { _ in false }
        #expect(large.suffix(2_000_000).allSatisfy { $0 == 7 })
        #expect(large.count > 2_000_000)
        #expect(raw.hasEnded)
        if isSecure { #expect(peer.sawClose) }
        raw.shutdownWrite()
        #expect(eventually { first.server.admission.count + second.server.admission.count == 0 })
    }
}

@Suite struct SecureServerTests {
    private let folder: TemporaryDirectory
    private let credentials: TLSCredentials

    init() throws {
        folder = try TemporaryDirectory()
        let made = try TestCertificate(in: folder)
        credentials = try TLSCredentials([
            CertificateFiles(certificate: made.certificate, key: made.key)
        ])
    }

    private func start(
        loops: Int = 1, _ adjust: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> Running {
        try Running(
            loops: loops,
            {
                $0.tls = credentials
                adjust(&$0)
            }, streams: { LoopEcho($0) }
        ) { router in
            router.on("GET", "/secure", .immediate { .text("secure: \($0.isSecure)") })
            router.on("POST", "/echo", .immediate { HTTPResponse(status: 200, body: $0.body) })
            router.on(
                "GET", "/large",
                .immediate { _ in
                    HTTPResponse(status: 200, body: (0..<3_000_000).map { UInt8($0 & 255) })
                })
        }
    }

    @Test(arguments: [TLSPeer.Version.tls12, .tls13])
    func answersOverTLSAndKeepsTheConnection(version: TLSPeer.Version) throws {
        let running = try start()
        let client = SecureClient(port: running.port, TLSPeer(version: version))
        for _ in 0..<2 {
            client.send("GET /secure HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.read(until: "true").hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    @Test func largeBodiesGoThroughBothWays() throws {
        let running = try start()
        let client = SecureClient(port: running.port)
        client.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        let answer = client.readToEnd()
        #expect(answer.suffix(3_000_000).elementsEqual((0..<3_000_000).map { UInt8($0 & 255) }))
        #expect(client.peer.sawClose)
        #expect(client.raw.hasEnded)

        let second = SecureClient(port: running.port)
        let body = [UInt8](repeating: 120, count: 900_000)
        second.send(
            Array(
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\nConnection: close\r\n\r\n"
                    .utf8) + body)
        #expect(second.readToEnd().suffix(900_000).elementsEqual(body))
    }

    @Test func aSlowReaderGetsEverythingAndStopsNobody() throws {
        let running = try start()
        let slow = SecureClient(port: running.port)
        slow.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        usleep(50_000)
        let other = SecureClient(port: running.port)
        other.send("GET /secure HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(other.read(until: "true").contains("true"))
        #expect(
            slow.readToEnd().suffix(3_000_000).elementsEqual(
                (0..<3_000_000).map { UInt8($0 & 255) }))
    }

    @Test func webSocketsEcho() throws {
        let running = try start()
        let client = SecureClient(port: running.port)
        client.send(
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 101 "))
        for word in ["first", "second"] {
            var frame: [UInt8] = []
            frame += [0x81, 0x80 | UInt8(word.utf8.count), 0, 0, 0, 0] + Array(word.utf8)
            client.send(frame)
            #expect(client.read(until: word).hasSuffix(word))
        }
        // Our close frame, the server's, close_notify, the end.
        client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])
        let rest = client.readToEnd()
        #expect(rest == [0x88, 0x02, 0x03, 0xE8])
        #expect(client.peer.sawClose)
        #expect(client.raw.hasEnded)
    }

    /// What is half in a record, or half with the kernel, stays whole.
    @Test func anUrgentMessageOvertakesWholeOnesOnly() throws {
        let running = try start()
        let client = SecureClient(
            port: running.port, TLSPeer(serverName: "localhost"), receiveBuffer: 4096)
        client.send(
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 101 "))
        for word in ["flood", "urgent"] {
            client.send([0x81, 0x80 | UInt8(word.utf8.count), 0, 0, 0, 0] + Array(word.utf8))
            usleep(50_000)
        }
        var bytes: [UInt8] = []
        let total = LoopEcho.flood.reduce(0) { $0 + $1.count + 4 } + 8
        repeat { bytes += client.peer.read() } while bytes.count < total && client.receive()
        bytes += client.peer.read()
        #expect(bytes.count == total)
        var messages: [[UInt8]] = []
        var offset = 0
        while let end = FrameWriter.endOfFrame(at: offset, in: bytes.span) {
            let header = end - offset > 125 ? 4 : 2
            messages.append(Array(bytes[offset + header..<end]))
            offset = end
        }
        let place = try #require(messages.firstIndex(of: Array("urgent".utf8)))
        #expect((1..<LoopEcho.flood.count).contains(place), "it came at \(place)")
        messages.remove(at: place)
        #expect(messages == LoopEcho.flood)
    }

    @Test func aConnectionGoesToAnotherLoopAndBack() throws {
        let running = try start(loops: 2)
        for _ in 0..<4 {
            let client = SecureClient(port: running.port)
            for index in [0, 1, 1, 0] {
                client.send("GET /loop?index=\(index) HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(client.read(until: "true").hasSuffix("loop \(index) true"))
            }
        }
    }

    @Test func aRequestInTheClearIsTold() throws {
        let running = try start()
        let client = RawClient(port: running.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        let answer = client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(answer.contains("tls_required"))
        #expect(client.hasEnded)
    }

    @Test func nonsenseEndsTheConnection() throws {
        let running = try start()
        let client = RawClient(port: running.port)
        client.send([UInt8](repeating: 0, count: 32))
        _ = client.readToEnd()
        #expect(client.hasEnded)
    }

    @Test func refusedProtocolsHearTheAlert() throws {
        let running = try start()
        let client = SecureClient(port: running.port, TLSPeer(protocols: ["h2"]))
        #expect(!client.peer.isEstablished)
        #expect(client.peer.failure?.contains("no application protocol") == true)
    }

    @Test(arguments: [0, 1, 200])
    func aHandshakeThatDoesNotEndIsEnded(bytes: Int) throws {
        let running = try start { $0.handshakeTimeout = .milliseconds(200) }
        let hello = TLSPeer(serverName: "localhost").take()
        let client = RawClient(port: running.port)
        client.send(Array(hello.prefix(bytes)))
        #expect(client.read() == [])
        #expect(client.hasEnded)
    }

    @Test func anIdleConnectionIsEndedWithCloseNotify() throws {
        let running = try start { $0.idleTimeout = .milliseconds(200) }
        let client = SecureClient(port: running.port)
        #expect(client.readToEnd() == [])
        #expect(client.peer.sawClose)
        #expect(client.raw.hasEnded)
    }

    @Test func closeNotifyOfThePeerEndsAnIdleConnection() throws {
        let running = try start()
        let client = SecureClient(port: running.port)
        client.send("GET /secure HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = client.read(until: "true")
        client.peer.close()
        client.raw.send(client.peer.take())
        _ = client.readToEnd()
        #expect(client.peer.sawClose)
        #expect(client.raw.hasEnded)
    }

    @Test func aPeerThatMakesTheServerTalkAndDoesNotReadIsLetGo() throws {
        let running = try start()
        let client = SecureClient(
            port: running.port, TLSPeer(version: .tls13), receiveBuffer: 4096)
        client.send("GET /secure HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = client.read(until: "true")
        // Each is answered by a record of its own, and nobody reads.
        let isLetGo = eventually(within: .seconds(30)) {
            for _ in 0..<2000 { client.peer.updateKeys() }
            client.raw.send(client.peer.take())
            return running.server.admission.count == 0
        }
        #expect(isLetGo)
    }

    @Test func aStormOfHandshakesIsServedToTheEnd() throws {
        let running = try start()
        let hellos = (0..<60).map { _ in (TLSPeer(), RawClient(port: running.port)) }
        for (peer, raw) in hellos { raw.send(peer.take()) }
        for (peer, raw) in hellos {
            while !peer.isEstablished {
                let bytes = raw.read()
                #expect(!bytes.isEmpty)
                if bytes.isEmpty { break }
                peer.feed(bytes)
                raw.send(peer.take())
            }
            #expect(peer.isEstablished)
        }
    }
}
