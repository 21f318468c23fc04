// SPDX-License-Identifier: MIT
import Glibc
import HTTPServer
import TestSupport
import Testing
import Timing

@testable import SocketIOServer

/// What one client may take of a loop while others wait.
@Suite struct FairnessTests {
    /// As many packets as the longest body holds, `first` before them.
    private static func flood(_ first: String, sid: String) -> String {
        let packet = "\u{1E}42[\"x\"]"
        let body = first + String(repeating: packet, count: 990_000 / packet.utf8.count)
        return "POST /socket.io/?EIO=4&transport=polling&sid=\(sid) HTTP/1.1\r\nHost: x\r\n"
            + "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            + body
    }

    private func hasAnswer(_ client: RawClient) -> Bool {
        var byte: UInt8 = 0
        return recv(client.descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) > 0
    }

    @Test func aBodyOfManyPacketsTakesTurnsWithOthers() throws {
        let harness = try SocketServerHarness()
        let greedy = WireClient.polling(port: harness.port)
        greedy.enter()
        let other = WireClient.webSocket(port: harness.port)
        other.enter()
        let raw = RawClient(port: harness.port)
        raw.send(Self.flood("421[\"5\"]", sid: greedy.sid))
        // The first packet is answered: the body is whole, and being read.
        #expect(greedy.next() == "431[\"five\"]")
        for number in 0..<3 {
            other.send("42\(number)[\"5\"]")
            #expect(other.next() == "43\(number)[\"five\"]")
        }
        #expect(!hasAnswer(raw))
        #expect(raw.readResponse().body == "ok")
    }

    @Test func aSecondBodyBesideOneThatIsBeingReadEndsTheSession() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.polling(port: harness.port)
        client.enter()
        let raw = RawClient(port: harness.port)
        raw.send(Self.flood("421[\"5\"]", sid: client.sid))
        #expect(client.next() == "431[\"five\"]")
        let (head, body) = client.request("POST", sid: client.sid, body: "42[\"x\"]")
        #expect(head.hasPrefix("HTTP/1.1 400 "))
        #expect(body == "{\"code\":3,\"message\":\"Bad request\"}")
        #expect(raw.readResponse().head.hasPrefix("HTTP/1.1 200 "))
        #expect(client.request("GET", sid: client.sid).head.hasPrefix("HTTP/1.1 400 "))
    }

    @Test func aPeerThatHangsUpUnderItsBodyLeavesNothingBehind() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.polling(port: harness.port)
        client.enter()
        var raw: RawClient? = RawClient(port: harness.port)
        raw?.send(Self.flood("421[\"5\"]", sid: client.sid))
        #expect(client.next() == "431[\"five\"]")
        raw?.reset()
        raw = nil
        let other = WireClient.webSocket(port: harness.port)
        other.enter()
        other.send("421[\"5\"]")
        #expect(other.next() == "431[\"five\"]")
    }
}

/// What all clients together may have the server keep of messages that are not whole.
@Suite struct HeldBytesTests {
    private static let whole = 1_000_000

    private func upgraded(_ harness: SocketServerHarness) -> RawClient {
        let raw = RawClient(port: harness.port)
        raw.send(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        _ = raw.read(until: "\r\n\r\n")
        _ = raw.read(until: "}")
        return raw
    }

    /// The first `sent` bytes of a frame's payload of a megabyte.
    private func frame(_ opcode: UInt8, sent: Int = HeldBytesTests.whole) -> [UInt8] {
        [0x80 | opcode, 0xFF, 0, 0, 0, 0, 0, 0x0F, 0x42, 0x40, 0, 0, 0, 0]
            + [UInt8](repeating: UInt8(ascii: "4"), count: sent)
    }

    @Test func framesNotWholeAreHeldUpToTheLoopsRoom() throws {
        let harness = try SocketServerHarness(serverAdjust: { $0.maxHeldBytes = 8 << 20 })
        let clients = (0..<9).map { _ in upgraded(harness) }
        // Eight megabytes and a bit are 8 MiB. Which of them is too much depends on whose bytes come last.
        for client in clients { client.send(frame(1, sent: Self.whole - 1)) }
        let answers = clients.map { $0.readWaiting() }
        // 1013, try again later.
        #expect(answers.filter { $0.hasSuffix("\u{3}\u{FFFD}") }.count == 1)
        #expect(answers.filter(\.isEmpty).count == 8)
        // Who asks for little is served all the same.
        let other = WireClient.webSocket(port: harness.port)
        other.enter()
        other.send("421[\"5\"]")
        #expect(other.next() == "431[\"five\"]")
    }

    @Test func bodiesNotWholeAreHeldUpToTheLoopsRoom() throws {
        let harness = try SocketServerHarness(serverAdjust: { $0.maxHeldBytes = 8 << 20 })
        let clients = (0..<9).map { _ in RawClient(port: harness.port) }
        for client in clients {
            client.send(
                "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n"
                    + "Content-Length: 1000000\r\n\r\n"
                    + String(repeating: "4", count: Self.whole - 1))
        }
        let answers = clients.map { $0.readWaiting() }
        #expect(answers.filter { $0.hasPrefix("HTTP/1.1 503 ") }.count == 1)
        #expect(answers.filter(\.isEmpty).count == 8)
    }

    @Test func attachmentsOfPacketsNotWholeAreHeldUpToTheLoopsRoom() throws {
        let harness = try SocketServerHarness(serverAdjust: { $0.maxHeldBytes = 8 << 20 })
        let clients = (0..<3).map { _ in upgraded(harness) }
        for client in clients {
            client.send(WireClient.frame("40"))
            _ = client.read(until: "welcome")
            let marks = (0..<4).map { "{\"_placeholder\":true,\"num\":\($0)}" }
            client.send(WireClient.frame("454-[\"x\",\(marks.joined(separator: ","))]"))
            for _ in 0..<3 { client.send(frame(2)) }
        }
        let answers = clients.map { $0.readWaiting() }
        // 1001: it may come back.
        #expect(answers.filter { $0.hasSuffix("\u{3}\u{FFFD}") }.count == 1)
        let other = WireClient.webSocket(port: harness.port)
        other.enter()
        other.send("421[\"5\"]")
        #expect(other.next() == "431[\"five\"]")
    }
}

extension RawClient {
    /// What there is after a moment's silence, as text.
    fileprivate func readWaiting() -> String {
        var silence = timeval(tv_sec: 0, tv_usec: 300_000)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &silence, socklen_t(MemoryLayout<timeval>.size))
        var bytes: [UInt8] = []
        while true {
            let more = read()
            if more.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += more
        }
    }
}

@Suite struct PendingAcksTests {
    private final class Log {
        var missing: [Int] = []
    }

    private let acks = PendingAcks()
    private let log = Log()

    private func add(_ ids: some Sequence<Int>, deadline: Int64 = .max) {
        for id in ids {
            let missing = acks.add(id, deadline: Instant(nanoseconds: deadline)) { [log] answer in
                if answer == nil { log.missing.append(id) }
            }
            missing?(nil)
        }
    }

    @Test func anAnswerIsTakenOnce() {
        add([7])
        #expect(acks.take(7) != nil)
        #expect(acks.take(7) == nil)
        #expect(acks.take(8) == nil)
    }

    @Test("Socket.IO 5, Limits: answers that a client owes, at the limit and one past it")
    func theOldestMakesRoomAtTheLimitAndOnePastIt() {
        add(0..<PendingAcks.capacity)
        #expect(log.missing.isEmpty)
        add([PendingAcks.capacity])
        #expect(log.missing == [0])
        // Answered ones have made room already.
        _ = acks.take(1)
        add([PendingAcks.capacity + 1])
        #expect(log.missing == [0])
        add([PendingAcks.capacity + 2])
        #expect(log.missing == [0, 2])
        #expect(acks.count == PendingAcks.capacity)
    }

    @Test func whatIsAnsweredOutOfOrderIsForgotten() {
        // One stays for ever, so that the order never empties by itself.
        add([0])
        for id in 1..<100_000 {
            add([id])
            #expect(acks.take(id) != nil)
        }
        #expect(acks.orderCount <= 2 * PendingAcks.capacity)
        #expect(acks.count == 1)
        #expect(acks.take(0) != nil)
        #expect(acks.orderCount == 0)
    }

    @Test func whoseTimeIsUpIsTakenOutInOrderAndTheOthersStay() {
        add([1, 2], deadline: 20)
        add([3], deadline: 10)
        add([4], deadline: 30)
        #expect(acks.nextDeadline == Instant(nanoseconds: 10))
        for answered in acks.takeExpired(now: Instant(nanoseconds: 9)) { answered(nil) }
        #expect(log.missing.isEmpty)
        for answered in acks.takeExpired(now: Instant(nanoseconds: 20)) { answered(nil) }
        #expect(log.missing == [1, 2, 3])
        #expect(acks.nextDeadline == Instant(nanoseconds: 30))
        for answered in acks.takeAll() { answered(nil) }
        #expect(log.missing == [1, 2, 3, 4])
        #expect(acks.nextDeadline == .distantFuture)
    }
}
