// SPDX-License-Identifier: MIT
import ChatCore
import EngineIO
import Gateway
import HTTPServer
import JSON
import SocketIO
import TestSupport
import Testing
import Timing

/// Clients that sign in twice, are slow, or greedy; and the end of the server.
@Suite struct LifeTests {
    // MARK: Sessions on one connection

    @Test func anAnswerToTheSessionBeforeIsNotTakenForThisOnes() throws {
        let harness = try Harness()
        // What ada is in shows whose snapshot was taken.
        let ada = try harness.client("ada")
        _ = ada.ask("room:create", ["name": "den", "visibility": "private"])
        let client = WireClient.polling(port: harness.port)
        // In one body, so that no answer can come in between.
        let packets = [
            "40{\"token\":\"\(harness.token("ada"))\"}", "41",
            "40{\"token\":\"\(harness.token("bob"))\"}",
        ]
        _ = client.request("POST", sid: client.sid, body: packets.joined(separator: "\u{1E}"))
        let reply = client.next()
        #expect(reply?.hasPrefix("40{\"sid\"") == true)
        let session = client.event("session")
        #expect(session?["user"]?["name"]?.string == "bob")
        #expect(session?["rooms"]?.array?.count == 1)
        #expect(client.ask("room:list", [:])["ok"]?.bool == true)
    }

    @Test func afterDisconnectTheClientMustConnectInTime() throws {
        let harness = try Harness { $0.connectTimeout = .milliseconds(200) }
        let ada = try harness.client("ada")
        #expect(ada.ask("room:list", [:])["ok"]?.bool == true)
        ada.send("41")
        #expect(ada.next() == nil)
    }

    @Test func attachmentsBeforeSigningInEndTheSession() throws {
        let harness = try Harness()
        let client = WireClient.polling(port: harness.port)
        #expect(
            client.request(
                "POST", sid: client.sid, body: "451-[\"x\",{\"_placeholder\":true,\"num\":0}]"
            )
            .head.hasPrefix("HTTP/1.1 200 "))
        _ = client.request("POST", sid: client.sid, body: "bAQID")
        #expect(client.request("GET", sid: client.sid).head.hasPrefix("HTTP/1.1 400 "))
    }

    @Test func aSwappedTokensNameIsTheNameFromThenOn() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let renamed = harness.token("ada", named: "countess")
        #expect(ada.ask("auth:refresh", ["token": .string(renamed)])["ok"]?.bool == true)
        _ = ada.ask("message:send", ["room": "lobby", "text": "x"])
        #expect(ada.event("message")?["user"]?["name"]?.string == "countess")
    }

    @Test func theRateIsTheUsersNotTheConnections() throws {
        let harness = try Harness { $0.limits.messagesPerSecond = 1 }
        var refused = 0
        for _ in 0..<4 {
            let ada = try harness.client("ada")
            for _ in 0..<4 where ada.ask("room:list", [:])["ok"]?.bool == false { refused += 1 }
        }
        #expect(refused >= 6)
    }

    // MARK: Slow clients

    @Test func aReplayLargerThanTheBoundIsNoReasonToLetGo() throws {
        let harness = try Harness {
            $0.maxQueuedBytes = 2000
            $0.isUnlimited = true
        }
        let ada = try harness.client("ada")
        // What is replayed is what came while he was in the room.
        do { _ = try harness.client("bob") }
        var texts: [String] = []
        for number in 0..<40 {
            texts.append("\(number) " + String(repeating: "x", count: 200))
            _ = ada.ask("message:send", ["room": "lobby", "text": .string(texts[number])])
        }
        let bob = WireClient.polling(port: harness.port)
        bob.send(
            "40{\"token\":\"\(harness.token("bob"))\",\"cursor\":\"0-01234567\","
                + "\"recovery\":true}")
        texts.append("live")
        _ = ada.ask("message:send", ["room": "lobby", "text": "live"])
        var received: [String] = []
        while received.last != "live", let text = bob.event("message")?["text"]?.string {
            received.append(text)
        }
        #expect(received == texts)
    }

    /// Pages of the log are read with the rooms of today; what each moment's rooms brought must come.
    @Test(arguments: CatchUpTests.memories)
    func whoIsBehindGetsWhatItsRoomsBroughtWhileItWasIn(memory: Int) throws {
        let harness = try Harness {
            $0.recentBytes = memory
            $0.maxQueuedBytes = 2000
            $0.isUnlimited = true
        }
        let ada = try harness.client("ada")
        let garden = ada.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        let pond = ada.ask("room:create", ["name": "pond"])["room"]?["id"] ?? .null
        let bob = try harness.client("bob", polling: true)
        #expect(bob.ask("room:join", ["room": garden])["ok"]?.bool == true)
        let other = try harness.client("bob")
        func say(_ room: JSONValue, _ text: String) {
            _ = ada.ask("message:send", ["room": room, "text": .string(text)])
        }
        for number in 0..<20 { say("lobby", "\(number)" + String(repeating: "x", count: 200)) }
        #expect(harness.metric("chat_fell_behind_total") ?? 0 >= 1)
        say(garden, "before leaving")
        say(pond, "before joining")
        #expect(other.ask("room:leave", ["room": garden])["ok"]?.bool == true)
        say(garden, "after leaving")
        #expect(other.ask("room:join", ["room": pond])["ok"]?.bool == true)
        say(pond, "after joining")
        say("lobby", "end")
        var seen: [String] = []
        var last: Int64 = 0
        while seen.last != "end", let packet = bob.next() {
            guard let (name, argument) = WireClient.event(packet), let seq = argument["seq"]?.int
            else { continue }
            if name == "session" { continue }
            #expect(seq > last)
            last = seq
            if argument["room"] != "lobby" || argument["text"]?.string == "end" {
                seen.append(argument["text"]?.string ?? argument["action"]?.string ?? "")
            }
        }
        #expect(
            Array(seen.drop { $0 == "joined" })
                == ["before leaving", "left", "joined", "after joining", "end"])
    }

    @Test func whoAsksAndNeverPollsIsLetGo() throws {
        let harness = try Harness {
            $0.maxQueuedBytes = 2000
            $0.limits.messagesPerSecond = 1000
        }
        let bob = try harness.client("bob", polling: true)
        let asks = (1...100).map { "42\($0)[\"room:list\",{}]" }.joined(separator: "\u{1E}")
        _ = bob.request("POST", sid: bob.sid, body: asks)
        #expect(
            eventually {
                bob.request("POST", sid: bob.sid, body: "421[\"room:list\",{}]").head
                    .hasPrefix("HTTP/1.1 400 ")
            })
    }

    @Test func oneAddressCannotTakeAllSessions() throws {
        let harness = try Harness(server: { $0.maxConnectionsPerAddress = 20 })
        var refused = 0
        for _ in 0..<25 {
            let raw = RawClient(port: harness.port)
            raw.send("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
            if raw.readResponse().head.hasPrefix("HTTP/1.1 503 ") { refused += 1 }
        }
        #expect(refused == 5)
    }

    // MARK: The end

    @Test func aDrainLetsClientsGoOneAfterAnotherToComeBack() throws {
        let harness = try Harness(server: { $0.drainTime = .milliseconds(800) })
        let clients = try (0..<8).map { try harness.client("user\($0)") }
        let polling = try harness.client("poller", polling: true)
        _ = polling
        let start = SystemClock.now()
        _ = harness.server.drain(timeout: .zero)
        var ends: [Duration] = []
        for client in clients {
            while let packet = client.next() { #expect(!packet.hasPrefix("41")) }
            ends.append(SystemClock.now() - start)
        }
        // Nine sessions in eight ticks: two a tick, so the eighth ends in the fourth tick at the
        // earliest, 300 ms after the first.
        #expect(ends.max() ?? .zero > .milliseconds(250))
    }

    @Test func anOrderlyCloseSaysGoingAway() throws {
        let harness = try Harness(server: { $0.drainTime = .zero })
        let raw = RawClient(port: harness.port)
        raw.send(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        _ = raw.read(until: "}")
        _ = harness.server.drain(timeout: .zero)
        #expect(raw.read() == [0x88, 2, 0x03, 0xE9])
    }
}
