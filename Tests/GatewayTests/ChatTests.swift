// SPDX-License-Identifier: MIT
import ChatCore
import EngineIO
import Gateway
import HTTP1
import HTTPServer
import JSON
import JWT
import ServiceRuntime
import TestSupport
import Testing
import Timing

@Suite struct ChatTests {
    @Test(arguments: [false, true])
    func aMessageReachesEveryMemberInOrder(polling: Bool) throws {
        let harness = try Harness(loops: 2)
        let ada = try harness.client("ada", polling: polling)
        let bob = try harness.client("bob", polling: polling)
        #expect(ada.session["user"]?["name"]?.string == "ada")
        #expect(ada.session["rooms"]?.array?.first?["id"]?.string == "lobby")
        var acks: [JSONValue] = []
        for number in 1...5 {
            acks.append(
                ada.ask(
                    "message:send",
                    [
                        "room": "lobby", "text": .string("hello \(number)"),
                        "clientId": .string("c\(number)"),
                    ]))
        }
        #expect(acks.allSatisfy { $0["ok"]?.bool == true })
        for number in 1...5 {
            let message = try #require(bob.event("message"))
            #expect(message["text"]?.string == "hello \(number)")
            #expect(message["user"]?["name"]?.string == "ada")
            #expect(message["seq"] == acks[number - 1]["seq"])
            #expect(message["roomSeq"] == acks[number - 1]["roomSeq"])
            #expect(message["id"] == acks[number - 1]["id"])
        }
        let own = try #require(ada.event("message"))
        #expect(own["clientId"]?.string == "c1")
    }

    @Test func aRepeatedSendGetsTheFirstAnswerAndNothingElse() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        let send: JSONValue = ["room": "lobby", "text": "once", "clientId": "c1"]
        let first = ada.ask("message:send", send)
        #expect(ada.ask("message:send", send) == first)
        _ = ada.ask("message:send", ["room": "lobby", "text": "after"])
        #expect(bob.event("message")?["text"]?.string == "once")
        #expect(bob.event("message")?["text"]?.string == "after")
    }

    @Test func joiningIsAtomic() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        let room = ada.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        for number in 1...3 {
            _ = ada.ask("message:send", ["room": room, "text": .string("m\(number)")])
        }
        let joined = bob.ask("room:join", ["room": "garden"])
        #expect(joined["messages"]?.array?.map { $0["text"]?.string } == ["m1", "m2", "m3"])
        let head = try #require(joined["head"]?.int)
        _ = ada.ask("message:send", ["room": room, "text": "next"])
        let live = try #require(bob.event("message"))
        #expect(live["text"]?.string == "next")
        #expect(live["roomSeq"]?.int == head + 1)
        #expect(ada.event("member")?["action"]?.string == "joined")
    }

    @Test func leavingEndsDelivery() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        let room = ada.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        _ = bob.ask("room:join", ["room": room])
        #expect(bob.ask("room:leave", ["room": room])["ok"]?.bool == true)
        _ = ada.ask("message:send", ["room": room, "text": "secret"])
        _ = ada.ask("message:send", ["room": "lobby", "text": "open"])
        #expect(bob.event("message")?["text"]?.string == "open")
        let refused = bob.ask("message:send", ["room": room, "text": "x"])
        #expect(refused["error"]?["code"]?.string == "not_member")
    }

    @Test func privateRoomsShowThemselvesToTheInvitedOnly() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        let room =
            ada.ask("room:create", ["name": "den", "visibility": "private"])["room"]?["id"] ?? .null
        #expect(bob.ask("room:join", ["room": room])["error"]?["code"]?.string == "not_found")
        #expect(ada.ask("member:invite", ["room": room, "user": "bob"])["ok"]?.bool == true)
        #expect(bob.event("member")?["action"]?.string == "invited")
        #expect(bob.ask("room:join", ["room": room])["ok"]?.bool == true)
    }

    @Test func historyPagesAscendAndEnd() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        for number in 1...7 {
            _ = ada.ask("message:send", ["room": "lobby", "text": .string("\(number)")])
        }
        let last = ada.ask("history:fetch", ["room": "lobby", "limit": 3])
        #expect(last["messages"]?.array?.map { $0["text"]?.string } == ["5", "6", "7"])
        #expect(last["hasMore"]?.bool == true)
        let before = last["messages"]?.array?.first?["roomSeq"] ?? .null
        let rest = ada.ask("history:fetch", ["room": "lobby", "before": before, "limit": 200])
        #expect(rest["messages"]?.array?.map { $0["text"]?.string } == ["1", "2", "3", "4"])
        #expect(rest["hasMore"]?.bool == false)
    }

    @Test func readingIsToldToTheRoom() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        let sent = ada.ask("message:send", ["room": "lobby", "text": "hi"])
        let read = bob.ask("message:read", ["room": "lobby", "roomSeq": sent["roomSeq"] ?? .null])
        #expect(read["unread"]?.int == 0)
        let receipt = try #require(ada.event("receipt"))
        #expect(receipt["user"]?["name"]?.string == "bob")
        #expect(receipt["roomSeq"] == sent["roomSeq"])
    }

    @Test func typingReachesTheOthersOnly() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        ada.tell("typing", ["room": "lobby", "on": true])
        #expect(bob.event("typing")?["user"]?["name"]?.string == "ada")
        _ = ada.ask("message:send", ["room": "lobby", "text": "x"])
        var names: [String] = []
        while let packet = ada.next(), let (name, _) = WireClient.event(packet) {
            names.append(name)
            if name == "message" { break }
        }
        #expect(!names.contains("typing"))
    }

    /// More than get it in one turn: in order, once, and not who it is about.
    @Test func typingReachesACrowd() throws {
        let harness = try Harness(server: { $0.maxConnectionsPerAddress = nil })
        let ada = try harness.client("ada")
        let crowd = try (0..<300).map { try harness.client("member\($0)") }
        ada.tell("typing", ["room": "lobby", "on": true])
        ada.tell("typing", ["room": "lobby", "on": false])
        _ = ada.ask("message:send", ["room": "lobby", "text": "between"])
        for (index, member) in crowd.enumerated() {
            #expect(member.event("typing")?["on"]?.bool == true, "member \(index)")
            #expect(member.event("typing")?["on"]?.bool == false, "member \(index)")
        }
        ada.tell("typing", ["room": "lobby", "on": true])
        for (index, member) in crowd.enumerated() {
            #expect(member.event("typing")?["on"]?.bool == true, "member \(index)")
        }
        var names: Set<String> = []
        while let packet = ada.next(), let (name, _) = WireClient.event(packet) {
            names.insert(name)
            if name == "message" { break }
        }
        #expect(!names.contains("typing"))
    }

    @Test func presenceIsTold() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        #expect(bob.ask("presence:set", ["state": "away"])["ok"]?.bool == true)
        var states: [String: String] = [:]
        while states["bob"] != "away", let presence = ada.event("presence") {
            for change in presence["changes"]?.array ?? [] {
                states[change["name"]?.string ?? ""] = change["state"]?.string
            }
        }
        #expect(states["bob"] == "away")
    }

    @Test(arguments: [
        ("message:send", #"{"room":"lobby"}"#, "bad_request"),
        ("message:send", #"{"room":1,"text":"x"}"#, "bad_request"),
        ("message:send", #"{"room":"lobby","text":"   "}"#, "bad_request"),
        ("message:send", #"{"room":"nowhere","text":"x"}"#, "not_found"),
        ("message:send", #"[]"#, "bad_request"), ("message:send", #""text""#, "bad_request"),
        (
            "message:send", #"{"room":"lobby","text":"\#(String(repeating: "x", count: 4001))"}"#,
            "too_large"
        ),
        ("message:read", #"{"room":"lobby","roomSeq":-1}"#, "bad_request"),
        ("history:fetch", #"{"room":"lobby","limit":0}"#, "bad_request"),
        ("history:fetch", #"{"room":"lobby","limit":201}"#, "bad_request"),
        ("history:fetch", #"{"room":"lobby","before":1,"after":1}"#, "bad_request"),
        ("room:create", #"{"name":""}"#, "bad_request"),
        ("room:create", #"{"name":"x","visibility":"secret"}"#, "bad_request"),
        ("room:leave", #"{"room":"lobby"}"#, "forbidden"),
        ("presence:set", #"{"state":"offline"}"#, "bad_request"),
        ("auth:refresh", #"{"token":"x"}"#, "forbidden"), ("nonsense", "{}", "unknown_event"),
    ])
    func badRequestsAreRefusedByCodeAndEndNothing(_ event: String, _ json: String, _ code: String)
        throws
    {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let answer = ada.ask(event, try JSONValue(parsing: Array(json.utf8)))
        #expect(answer["ok"]?.bool == false)
        #expect(answer["error"]?["code"]?.string == code)
        #expect(ada.ask("room:list", [:])["ok"]?.bool == true)
    }

    @Test(arguments: ["421[5]", "421[-1,{}]", "421[12]", #"421[""]"#])
    func aNumberNamesNoEventOfOurs(_ packet: String) throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        ada.send(packet)
        var answer = ada.next()
        while let event = answer, event.hasPrefix("42") { answer = ada.next() }
        #expect(answer?.hasPrefix("431[") == true)
        #expect(answer?.contains("\"ok\":false") == true)
    }

    @Test func anOutcomeForAClientThatHasGoneHarmsNobody() throws {
        let harness = try Harness()
        let other = try harness.client("other")
        for _ in 0..<20 {
            let ada = try harness.client("ada")
            ada.send(#"421["message:send",{"room":"nowhere","text":"x"}]"#)
            ada.send(#"422["history:fetch",{"room":"lobby"}]"#)
            ada.send("1")
        }
        #expect(other.ask("room:list", [:])["ok"]?.bool == true)
    }

    @Test func tooManyRequestsAreToldWhenToComeBack() throws {
        let harness = try Harness { $0.limits.messagesPerSecond = 2 }
        let ada = try harness.client("ada")
        var refused: JSONValue = .null
        for _ in 0..<20 where refused.isNull {
            let answer = ada.ask("room:list", [:])
            if answer["ok"]?.bool == false { refused = answer["error"] ?? .null }
        }
        #expect(refused["code"]?.string == "rate_limited")
        #expect((refused["retryAfterMs"]?.int ?? 0) > 0)
    }
}

@Suite struct SignInTests {
    @Test(arguments: ["", "x", "a.b.c"])
    func aWrongTokenIsRefusedAndMayTryAgain(token: String) throws {
        let harness = try Harness()
        let client = WireClient.webSocket(port: harness.port)
        client.connect(token: token)
        let refusal = try #require(client.early.first)
        #expect(refusal.hasPrefix("44"))
        let code = token.isEmpty ? "unauthorized" : "invalid_token"
        let value = try JSONValue(parsing: Array(refusal.dropFirst(2).utf8))
        #expect(value["message"]?.string == code)
        #expect(value["data"]?["code"]?.string == code)
        client.connect(token: harness.token("ada"))
        #expect(client.session["user"]?["name"]?.string == "ada")
    }

    @Test func anExpiredTokenSaysSo() throws {
        let harness = try Harness()
        let client = WireClient.webSocket(port: harness.port)
        client.connect(token: harness.token("ada", expiresIn: .seconds(-60)))
        #expect(client.early.first?.contains("\"token_expired\"") == true)
    }

    @Test func aServicesTokenIsNoPersons() throws {
        let harness = try Harness()
        let token = harness.token("notification-service", scope: ["internal:log"])
        let client = WireClient.webSocket(port: harness.port)
        client.connect(token: token)
        #expect(client.early.first?.contains("\"insufficient_scope\"") == true)
        let raw = RawClient(port: harness.port)
        for (path, status) in [("/api/v1/rooms", 403), ("/internal/log", 200)] {
            raw.send("GET \(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(token)\r\n\r\n")
            #expect(raw.readResponse().head.hasPrefix("HTTP/1.1 \(status) "))
        }
    }

    @Test func aTokenNearItsEndIsWarnedOfAndMayBeSwapped() throws {
        let harness = try Harness()
        let ada = WireClient.webSocket(port: harness.port)
        ada.connect(token: harness.token("ada", expiresIn: .seconds(30)))
        #expect(ada.event("auth:expiring")?["expiresAt"] != nil)
        let other = harness.token("ada", session: "another")
        #expect(
            ada.ask("auth:refresh", ["token": .string(other)])["error"]?["code"]?.string
                == "forbidden")
        let fresh = harness.token("ada")
        #expect(ada.ask("auth:refresh", ["token": .string(fresh)])["ok"]?.bool == true)
    }

    @Test func aRevocationEndsTheSession() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = WireClient.webSocket(port: harness.port)
        bob.connect(token: harness.token("bob", session: "other"))
        harness.authority.revoke(.session(id: "s"), until: .init(seconds: 4_000_000_000))
        #expect(ada.event("auth:expired") != nil)
        #expect(bob.ask("room:list", [:])["ok"]?.bool == true)
        let again = WireClient.webSocket(port: harness.port)
        again.connect(token: harness.token("ada"))
        #expect(again.early.first?.contains("\"token_revoked\"") == true)
    }

    @Test func anotherNamespaceIsRefusedAndTheTransportStays() throws {
        let harness = try Harness()
        let client = WireClient.webSocket(port: harness.port)
        client.send("40/admin,")
        #expect(client.next() == #"44/admin,{"message":"Invalid namespace"}"#)
        client.connect(token: harness.token("ada"))
        #expect(client.session["user"] != nil)
    }

    @Test(arguments: ["42[\"x\"]", "4abc", "42{}", "45-[]", "3", "1", "x"])
    func whatBreaksTheProtocolEndsThatConnectionOnly(_ packet: String) throws {
        let harness = try Harness()
        let other = try harness.client("other")
        let client = WireClient.webSocket(port: harness.port)
        client.send(packet)
        if packet != "3" { #expect(client.next() == nil) }
        #expect(other.ask("room:list", [:])["ok"]?.bool == true)
    }
}

@Suite struct RecoveryTests {
    private func resume(
        _ harness: Harness, _ name: String, pid: String, offset: Int64, mark: String = "-01234567"
    ) -> WireClient {
        let client = WireClient.webSocket(port: harness.port)
        client.connect(
            token: harness.token(name),
            more: ",\"pid\":\"\(pid)\",\"offset\":\"\(offset)\(mark)\"")
        return client
    }

    /// A number is a place in one history only: after a restore it names another entry, and who comes
    /// back with it would miss what lies before without a sign.
    @Test(
        arguments: [
            ("-01234567", true), ("-89abcdef", false), ("", false), ("-", false),
            ("-01234567x", false),
        ])
    func aCursorHoldsInItsOwnHistoryOnly(_ mark: String, _ isGood: Bool) throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let seq = try #require(try harness.client("bob").session["seq"]?.int)
        _ = ada.ask("message:send", ["room": "lobby", "text": "missed"])
        let back = WireClient.webSocket(port: harness.port)
        back.connect(token: harness.token("bob"), more: ",\"cursor\":\"\(seq)\(mark)\"")
        #expect(back.session["recovered"]?.bool == isGood)
        #expect(back.session["epoch"]?.string == "01234567")
        let missed = back.early.compactMap { WireClient.event($0)?.argument["text"]?.string }
        #expect(missed == (isGood ? ["missed"] : []))
    }

    /// The private id proves the history; the number beside it may be bare, but not of another.
    @Test(arguments: [("-01234567", true), ("", true), ("-89abcdef", false)])
    func anOffsetOfAnotherHistoryIsNotRecovered(_ mark: String, _ isGood: Bool) throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let bob = try harness.client("bob")
        let pid = bob.connectReply["pid"]?.string ?? ""
        #expect(bob.session["recovered"]?.bool == false)
        _ = ada.ask("message:send", ["room": "lobby", "text": "missed"])
        let back = resume(
            harness, "bob", pid: pid, offset: bob.session["seq"]?.int ?? 0, mark: mark)
        #expect((back.connectReply["pid"]?.string == pid) == isGood)
        #expect(back.session["recovered"]?.bool == isGood)
        #expect(back.early.isEmpty == !isGood)
    }

    @Test func missedMessagesComeBehindConnectAndOnce() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        var offset: Int64 = 0
        var pid = ""
        var sid = ""
        do {
            let bob = try harness.client("bob")
            pid = bob.connectReply["pid"]?.string ?? ""
            sid = bob.connectReply["sid"]?.string ?? ""
            offset = bob.session["seq"]?.int ?? 0
        }
        for number in 1...3 {
            _ = ada.ask("message:send", ["room": "lobby", "text": .string("\(number)")])
        }
        let back = resume(harness, "bob", pid: pid, offset: offset)
        #expect(back.connectReply["pid"]?.string == pid)
        #expect(back.connectReply["sid"]?.string == sid)
        #expect(back.beforeConnect == 0)
        #expect(
            back.early.compactMap { WireClient.event($0)?.argument["text"]?.string } == [
                "1", "2", "3",
            ])
        _ = ada.ask("message:send", ["room": "lobby", "text": "4"])
        #expect(back.event("message")?["text"]?.string == "4")
    }

    /// What a device missed of rooms that another device entered and left meanwhile.
    @Test func eachRoomIsReplayedForAsLongAsTheUserWasInIt() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        func room(_ name: String) throws -> JSONValue {
            let answer = ada.ask(
                "room:create", ["name": .string(name), "visibility": "public"])
            return try #require(answer["room"]?["id"])
        }
        func say(_ text: String, in room: JSONValue) {
            _ = ada.ask("message:send", ["room": room, "text": .string(text)])
        }
        let (left, entered) = (try room("left"), try room("entered"))
        let phone = try harness.client("bob")
        _ = phone.ask("room:join", ["room": left])
        var (pid, offset) = ("", Int64(0))
        do {
            let laptop = try harness.client("bob")
            pid = laptop.connectReply["pid"]?.string ?? ""
            offset = laptop.session["seq"]?.int ?? 0
        }
        say("1", in: left)
        say("not for bob", in: entered)
        _ = phone.ask("room:leave", ["room": left])
        _ = phone.ask("room:join", ["room": entered])
        say("not for bob", in: left)
        say("2", in: entered)
        let back = resume(harness, "bob", pid: pid, offset: offset)
        #expect(back.connectReply["pid"]?.string == pid)
        let told = back.early.compactMap { WireClient.event($0)?.argument }.map {
            $0["text"]?.string ?? $0["action"]?.string
        }
        #expect(told == ["1", "left", "joined", "2"])
    }

    @Test func anotherUsersPrivateIdRecoversNothing() throws {
        let harness = try Harness()
        let pid = try harness.client("ada").connectReply["pid"]?.string ?? ""
        let eve = resume(harness, "eve", pid: pid, offset: 0)
        #expect(eve.connectReply["pid"]?.string != pid)
        #expect(eve.early.isEmpty)
    }

    @Test func anOffsetTooFarBackIsSaidPlainly() throws {
        let harness = try Harness { $0.limits.replayEvents = 2 }
        let ada = try harness.client("ada")
        let pid = ada.connectReply["pid"]?.string ?? ""
        for number in 1...5 {
            _ = ada.ask("message:send", ["room": "lobby", "text": .string("\(number)")])
        }
        let back = resume(harness, "ada", pid: pid, offset: 1)
        #expect(back.connectReply["pid"]?.string != pid)
        #expect(back.early.isEmpty)
    }
}

@Suite struct TransportTests {
    @Test func theUpgradeLosesNothing() throws {
        let harness = try Harness(loops: 2)
        let ada = try harness.client("ada")
        let bob = try harness.client("bob", polling: true)
        let socket = WireClient.webSocket(
            port: harness.port, sid: bob.sid, query: "EIO=4&transport=websocket")
        socket.send("2probe")
        #expect(socket.next() == "3probe")
        _ = ada.ask("message:send", ["room": "lobby", "text": "between"])
        socket.send("5")
        _ = ada.ask("message:send", ["room": "lobby", "text": "after"])
        #expect(socket.event("message")?["text"]?.string == "between")
        #expect(socket.event("message")?["text"]?.string == "after")
        #expect(bob.request("GET", sid: bob.sid).head.hasPrefix("HTTP/1.1 400 "))
    }

    @Test(arguments: [
        ("GET", "EIO=4", 0), ("GET", "EIO=4&transport=abc", 0),
        ("GET", "EIO=4&transport=polling&sid=abc", 1),
        ("POST", "EIO=4&transport=polling", 2), ("GET", "EIO=4&transport=websocket", 3),
        ("GET", "EIO=3&transport=polling", 5), ("GET", "transport=polling", 5),
    ])
    func refusalsHaveTheirCodes(_ method: String, _ query: String, _ code: Int) throws {
        let harness = try Harness()
        let raw = RawClient(port: harness.port)
        raw.send("\(method) /socket.io/?\(query) HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        let answer = raw.readResponse()
        #expect(answer.head.hasPrefix("HTTP/1.1 400 "))
        #expect(try JSONValue(parsing: Array(answer.body.utf8))["code"]?.int == Int64(code))
    }

    @Test(arguments: [
        ("http://evil.test", 403), ("null", 403), ("http://x", 200), ("http://x.evil.test", 403),
    ])
    func foreignOriginsAreRefused(_ origin: String, _ status: Int) throws {
        let harness = try Harness()
        let raw = RawClient(port: harness.port)
        raw.send(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nOrigin: \(origin)\r\n\r\n"
        )
        #expect(raw.readResponse().head.hasPrefix("HTTP/1.1 \(status) "))
    }

    @Test func aSilentClientIsLetGo() throws {
        let harness = try Harness(
            engine: EngineConfiguration(
                pingInterval: .milliseconds(100), pingTimeout: .milliseconds(100)))
        let raw = RawClient(port: harness.port)
        raw.send(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        let all = raw.readToEnd()
        #expect(all.contains("0{\"sid\""))
        #expect(all.contains("\u{1}2") || all.contains("2"))
    }

    @Test func twoPollsAtOnceEndTheSession() throws {
        let harness = try Harness()
        let client = WireClient.polling(port: harness.port)
        let first = RawClient(port: harness.port)
        first.send(
            "GET /socket.io/?EIO=4&transport=polling&sid=\(client.sid) HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(
            eventually { client.request("GET", sid: client.sid).head.hasPrefix("HTTP/1.1 400 ") })
        #expect(first.readResponse().body == "1")
    }

    /// What the HTTP layer refuses never comes to Engine.IO, which must hear of it all the same, on
    /// whichever loop the session lives.
    @Test(arguments: ["Content-Length: 2000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7D0\r\n"])
    func aBodyAboveTheLimitOfHTTPEndsTheSession(framing: String) throws {
        let harness = try Harness(loops: 2, server: { $0.http.maxBodyBytes = 1000 })
        // Each session is on a loop of the kernel's choice: enough for both.
        for number in 0..<8 {
            let ada = WireClient.polling(port: harness.port)
            ada.connect(token: harness.token("ada\(number)"))
            let bob = WireClient.polling(port: harness.port)
            let raw = RawClient(port: harness.port)
            raw.send(
                "POST /socket.io/?EIO=4&transport=polling&sid=\(ada.sid) HTTP/1.1\r\nHost: x\r\n"
                    + framing)
            let answer = raw.readToEnd()
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(raw.hasEnded)
            // Another loop hears of it a turn later.
            #expect(
                eventually {
                    ada.request("POST", sid: ada.sid, body: "3").body.contains("\"code\":1")
                })
            #expect(bob.request("POST", sid: bob.sid, body: "3").head.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func binaryPollBodiesAreAnsweredAndEndTheSession() throws {
        let harness = try Harness()
        let client = WireClient.polling(port: harness.port)
        let raw = RawClient(port: harness.port)
        raw.send(
            "POST /socket.io/?EIO=4&transport=polling&sid=\(client.sid) HTTP/1.1\r\nHost: x\r\n"
                + "Content-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\nab")
        #expect(raw.readResponse().head.hasPrefix("HTTP/1.1 400 "))
        #expect(client.request("GET", sid: client.sid).head.hasPrefix("HTTP/1.1 400 "))
    }
}
