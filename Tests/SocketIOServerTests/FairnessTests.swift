// SPDX-License-Identifier: MIT
import Glibc
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

    @Test func theOldestMakesRoomAtTheLimitAndOnePastIt() {
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
