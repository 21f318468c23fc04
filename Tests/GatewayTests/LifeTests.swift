// SPDX-License-Identifier: MIT
import ChatCore
import EngineIO
import Gateway
import Glibc
import HTTPServer
import JSON
import Reactor
import SocketIO
import Store
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

    /// The official clients send what they have gathered as soon as CONNECT is answered, while the last
    /// pages of what they missed are still on their way.
    @Test(arguments: CatchUpTests.memories)
    func whoAsksWhileItsReplayIsUnderWayIsAnswered(memory: Int) throws {
        let harness = try Harness {
            $0.recentBytes = memory
            $0.isUnlimited = true
        }
        let ada = try harness.client("ada")
        do { _ = try harness.client("bob") }
        let count = 700
        for number in 1...count {
            ada.tell("message:send", ["room": "lobby", "text": .string("\(number)")])
        }
        _ = ada.ask("room:list", [:])
        let bob = WireClient.polling(port: harness.port)
        bob.send(
            "40{\"token\":\"\(harness.token("bob"))\",\"cursor\":\"0-01234567\",\"recovery\":true}")
        #expect(bob.next()?.hasPrefix("40{") == true)
        // Its poll has brought one page: the next is made when that has been taken.
        let answer = bob.ask("message:send", ["room": "lobby", "text": "mine"])
        #expect(answer["ok"]?.bool == true)
        var received: [String] = []
        while received.last != "mine", let text = bob.event("message")?["text"]?.string {
            received.append(text)
        }
        let isWhole = received == (1...count).map(String.init) + ["mine"]
        #expect(isWhole, "\(received.count) came, the last \(received.last ?? "")")
    }

    /// Each CONNECT is owed its `session`, whoever is slow: without end to who takes none of them.
    @Test func whoConnectsAgainAndAgainWithoutReadingIsLetGo() throws {
        let harness = try Harness { $0.maxQueuedBytes = 4096 }
        let ada = WireClient.polling(port: harness.port)
        let token = harness.token("ada")
        var rounds = 0
        var head = ""
        repeat {
            rounds += 1
            head = ada.request("POST", sid: ada.sid, body: "40{\"token\":\"\(token)\"}").head
            // Its `session` is queued by then.
            _ = eventually { harness.metric("chat_clients") == 1 }
            usleep(20_000)
            if head.hasPrefix("HTTP/1.1 200 ") {
                head = ada.request("POST", sid: ada.sid, body: "41").head
            }
        } while head.hasPrefix("HTTP/1.1 200 ") && rounds < 200
        #expect(head.hasPrefix("HTTP/1.1 400 "))
        #expect(rounds > 2 && rounds < 60, "\(rounds) sessions wait")
    }

    /// What one device's user does elsewhere comes as an event, whatever it is doing itself just then.
    @Test func aJoinElsewhereIsToldToWhoIsJoiningSomethingElse() throws {
        let harness = try Harness()
        let owner = try harness.client("owner")
        let garden = owner.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        let pond = owner.ask("room:create", ["name": "pond"])["room"]?["id"] ?? .null
        let phone = try harness.client("ada")
        let desk = try harness.client("ada")
        // Nothing is committed before both have asked.
        let path = harness.databasePath
        let holder = WorkerThread(name: "holder") {
            let other = try? SQLiteDatabase(path: path)
            try? other?.execute("BEGIN IMMEDIATE")
            usleep(600_000)
            try? other?.execute("ROLLBACK")
        }
        usleep(200_000)
        desk.tell("room:join", ["room": garden])
        usleep(100_000)
        let answer = phone.ask("room:join", ["room": pond])
        holder.join()
        #expect(answer["room"]?["id"] == pond)
        let joined = phone.event("member")
        #expect(joined?["action"]?.string == "joined")
        #expect(joined?["room"] == garden)
        // And of its own join it has the answer.
        _ = owner.ask("message:send", ["room": pond, "text": "welcome"])
        let next = phone.event("message")
        #expect(next?["text"]?.string == "welcome")
        #expect(next?["roomSeq"]?.int == (answer["room"]?["head"]?.int ?? -2) + 1)
    }

    /// More rooms entered and left than are remembered for one client: it starts anew, and is told so.
    @Test func whoMovedTooOftenIsNotRecovered() throws {
        let harness = try Harness {
            $0.isUnlimited = true
            $0.limits.messagesPerSecond = 100_000
        }
        let ada = try harness.client("ada")
        let garden = ada.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        let bob = try harness.client("bob")
        func cursor() -> String { "\(harness.store.head)-01234567" }
        func isRecovered(from cursor: String) -> Bool? {
            let other = WireClient.webSocket(port: harness.port)
            other.connect(token: harness.token("bob"), more: ",\"cursor\":\"\(cursor)\"")
            return other.session["recovered"]?.bool
        }
        let few = cursor()
        for _ in 0..<20 {
            bob.tell("room:join", ["room": garden])
            bob.tell("room:leave", ["room": garden])
        }
        _ = bob.ask("room:list", [:])
        #expect(isRecovered(from: few) == true)
        let many = cursor()
        for round in 0..<2100 {
            bob.tell("room:join", ["room": garden])
            bob.tell("room:leave", ["room": garden])
            if round % 100 == 99 {
                _ = bob.ask("room:list", [:])
                bob.forget()
            }
        }
        #expect(isRecovered(from: many) == false)
    }

    /// A token ends while its client does not take what it missed, too.
    @Test func aTokenEndsDuringAReplay() throws {
        let harness = try Harness { $0.isUnlimited = true }
        let ada = try harness.client("ada")
        do { _ = try harness.client("bob") }
        for number in 1...700 {
            ada.tell("message:send", ["room": "lobby", "text": .string("\(number)")])
        }
        _ = ada.ask("room:list", [:])
        let bob = WireClient.polling(port: harness.port)
        let token = harness.token("bob", expiresIn: .seconds(1))
        bob.send("40{\"token\":\"\(token)\",\"cursor\":\"0-01234567\"}")
        #expect(eventually { harness.metric("chat_clients") == 2 })
        // Ten seconds of grace, in which it never polls.
        #expect(eventually(within: .seconds(20)) { harness.metric("chat_clients") == 1 })
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
