// SPDX-License-Identifier: MIT
import Glibc
import HTTPClient
import JSON
import OAuth
import Locks
import Synchronization
import TestSupport
import Testing
import Timing

/// Two ChatService processes on one store.
@Suite struct InstancesTests {
    @Test(arguments: [true, false])
    func allSeeTheSameMessagesInTheSameOrder(withRedis hasRedis: Bool) throws {
        let stack = try ChatStack(chats: 2, hasRedis: hasRedis)
        let listeners = try [
            stack.client("left", at: 0), stack.client("right", at: 1),
        ]
        let each = 15
        concurrently(4) { number in
            guard let sender = try? stack.client("sender\(number)", at: number % 2) else { return }
            for count in 1...each { _ = sender.say("\(number): \(count)") }
        }
        let heard = listeners.map { $0.messages(4 * each) }
        #expect(heard[0].count == 4 * each)
        #expect(heard[0] == heard[1])
        let numbers = heard[0].compactMap { $0["roomSeq"]?.int }
        #expect(numbers == numbers.sorted())
        #expect(Set(heard[0].compactMap { $0["text"]?.string }).count == 4 * each)
    }

    @Test(arguments: [true, false])
    func messagesAndReceiptsCrossWithinASecond(withRedis hasRedis: Bool) throws {
        let stack = try ChatStack(chats: 2, hasRedis: hasRedis)
        let ada = try stack.client("ada", at: 0)
        let grace = try stack.client("grace", at: 1)
        // The best of a few: a busy machine may be slow, the way across may not.
        var fastest = Duration.seconds(60)
        for number in 1...3 {
            let began = SystemClock.now()
            let sent = ada.say("\(number)")
            #expect(grace.event("message")?["id"] == sent["id"])
            let read = grace.ask(
                "message:read", ["room": "lobby", "roomSeq": sent["roomSeq"] ?? .null])
            #expect(read["ok"]?.bool == true)
            #expect(ada.event("receipt")?["roomSeq"] == sent["roomSeq"])
            fastest = min(fastest, SystemClock.now() - began)
        }
        #expect(fastest < .seconds(1))
    }

    @Test(arguments: [true, false])
    func typingAndPresenceCross(withRedis hasRedis: Bool) throws {
        let stack = try ChatStack(chats: 2, hasRedis: hasRedis)
        let ada = try stack.client("ada", at: 0)
        let grace = try stack.client("grace", at: 1)
        ada.tell("typing", ["room": "lobby", "on": true])
        #expect(grace.event("typing")?["user"] == ada.session["user"])
        #expect(ada.ask("presence:set", ["state": "away"])["ok"]?.bool == true)
        let told = grace.event("presence", within: .seconds(6)) { event in
            event["changes"]?.array?.contains {
                $0["name"]?.string == "ada" && $0["state"]?.string == "away"
            } ?? false
        }
        #expect(told != nil)
    }

    @Test func redisMayDieAndComeBackEmpty() throws {
        let stack = try ChatStack(chats: 2, hasRedis: true, isUnlimited: true)
        let redis = try #require(stack.redis)
        let listeners = try [
            stack.client("left", at: 0), stack.client("right", at: 1),
        ]
        let sent = Locked<[[Int64]]>([[], []])
        let isOver = Atomic(false)
        let senders = Background {
            concurrently(2) { number in
                guard let sender = try? stack.client("sender\(number)", at: number) else { return }
                while !isOver.load(ordering: .relaxed) {
                    guard let seq = sender.say("m")["seq"]?.int else { return }
                    sent.withLock { $0[number].append(seq) }
                }
            }
        }
        func waitForMore() -> Bool {
            let goals = sent.withLock { $0.map { $0.count + 20 } }
            return eventually { sent.withLock { zip($0, goals).allSatisfy { $0.count >= $1 } } }
        }
        #expect(waitForMore())
        redis.stop()
        #expect(waitForMore())
        try redis.start()
        let isHeard = try eventually {
            // Both instances are subscribed again.
            try redis.command(["PUBSUB", "NUMSUB", "chat:log"]).hasSuffix(":2\r\n")
        }
        #expect(isHeard)
        #expect(waitForMore())
        isOver.store(true, ordering: .relaxed)
        senders.wait()

        let expected = sent.withLock { $0.flatMap { $0 } }.sorted()
        for listener in listeners {
            let heard = listener.messages(expected.count).compactMap { $0["seq"]?.int }
            #expect(heard == expected)
        }
    }

    // MARK: Requests that land elsewhere

    @Test func aPollingSessionMayBeAskedForAnywhere() throws {
        let stack = try ChatStack(chats: 2)
        let ada = WireClient.polling(port: stack.port(.chat(0)))
        ada.connect(token: try stack.token("ada"))
        let grace = try stack.client("grace", at: 1)
        // One connection to the other instance, used for request after request.
        let raw = RawClient(port: stack.port(.chat(1)))
        func request(_ method: String, _ sid: String, _ body: String = "") -> (
            head: String, body: String
        ) {
            raw.send(
                "\(method) /socket.io/?EIO=4&transport=polling&sid=\(sid) HTTP/1.1\r\nHost: x\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            return raw.readResponse()
        }
        for number in 1...5 {
            let event = "42[\"message:send\",{\"room\":\"lobby\",\"text\":\"\(number)\"}]"
            #expect(request("POST", ada.sid, event).body == "ok")
            #expect(grace.event("message")?["text"] == .string("\(number)"))
            #expect(request("GET", ada.sid).head.hasPrefix("HTTP/1.1 200 "))
        }
        // A second session of that other instance, on the same connection.
        let bob = WireClient.polling(port: stack.port(.chat(1)))
        bob.connect(token: try stack.token("bob"))
        _ = grace.say("to all")
        #expect(request("GET", bob.sid).body.contains("to all"))
        #expect(request("GET", ada.sid).body.contains("to all"))

        // Pipelined behind each other, for sessions of both.
        _ = grace.say("once more")
        let polls = [ada.sid, bob.sid].map {
            "GET /socket.io/?EIO=4&transport=polling&sid=\($0) HTTP/1.1\r\nHost: x\r\n\r\n"
        }
        raw.send(polls.joined())
        #expect(raw.readResponse().body.contains("once more"))
        #expect(raw.readResponse().body.contains("once more"))
    }

    @Test func aProbeMayLandOnTheOtherInstance() throws {
        let stack = try ChatStack(chats: 2)
        let ada = WireClient.polling(port: stack.port(.chat(0)))
        ada.connect(token: try stack.token("ada"))
        let probe = WireClient.webSocket(port: stack.port(.chat(1)), sid: ada.sid)
        probe.send("2probe")
        #expect(probe.next() == "3probe")
        // The server lets the poll go, then the WebSocket carries the session.
        _ = ada.request("GET", sid: ada.sid)
        probe.send("5")
        probe.tell("typing", ["room": "lobby", "on": true])
        #expect(probe.say("over the WebSocket")["ok"]?.bool == true)
    }

    @Test func aSessionOfAnInstanceThatHasGoneIsUnknown() throws {
        let stack = try ChatStack(chats: 2)
        let ada = WireClient.polling(port: stack.port(.chat(1)))
        ada.connect(token: try stack.token("ada"))
        stack.kill(.chat(1))
        let raw = RawClient(port: stack.port(.chat(0)))
        for _ in 0..<2 {
            raw.send(
                "GET /socket.io/?EIO=4&transport=polling&sid=\(ada.sid) HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            let answer = raw.readResponse()
            #expect(answer.head.hasPrefix("HTTP/1.1 400 "))
            #expect(answer.body == #"{"code":1,"message":"Session ID unknown"}"#)
        }
    }

    // MARK: Taking over

    @Test(arguments: [1, 3])
    func aSuccessorTakesTheListenersAndNoConnectIsRefused(loops: Int) throws {
        let stack = try ChatStack()
        let port = UInt16(stack.port(.chat))
        let ada = try stack.client("ada")
        let grace = WireClient.polling(port: stack.port(.chat))
        grace.connect(token: try stack.token("grace"))
        let isOver = Atomic(false)
        let counts = Locked((answered: 0, refused: 0, unanswered: 0))
        let callers = Background {
            concurrently(2) { _ in
                while !isOver.load(ordering: .relaxed) {
                    guard let descriptor = LoopbackPort.connect(to: port) else {
                        counts.withLock { $0.refused += 1 }
                        continue
                    }
                    let request = Array("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
                    _ = send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
                    var buffer = [UInt8](repeating: 0, count: 1024)
                    let count = recv(descriptor, &buffer, buffer.count, 0)
                    let isWell = count > 12 && buffer[..<12].elementsEqual("HTTP/1.1 200".utf8)
                    counts.withLock { if isWell { $0.answered += 1 } else { $0.unanswered += 1 } }
                    close(descriptor)
                }
            }
        }
        try stack.launch(.successor(of: 0, loops: loops))
        // The polling session is still its predecessor's, whoever its requests come to.
        var last = ""
        while !last.hasSuffix("1") {
            let answer = grace.request("GET", sid: grace.sid)
            #expect(answer.head.hasPrefix("HTTP/1.1 200 "))
            guard answer.head.hasPrefix("HTTP/1.1 200 ") else { break }
            last = answer.body
        }
        #expect(stack.end(of: .chat) == .exited(0))
        while ada.next() != nil {}
        #expect(ada.closeCode == 1001)
        let back = try stack.client("ada")
        #expect(back.say("after")["ok"]?.bool == true)
        isOver.store(true, ordering: .relaxed)
        callers.wait()
        let (answered, refused, unanswered) = counts.withLock { $0 }
        print(
            "take-over: \(answered) connects answered, \(refused) refused, \(unanswered) not answered"
        )
        #expect(answered > 0)
        #expect(refused == 0)
        #expect(unanswered == 0)
    }

    @Test func withoutTheSettingASecondProcessOnThePortIsRefused() throws {
        let stack = try ChatStack()
        let ada = try stack.client("ada")
        try stack.launch(.rival(of: 0))
        #expect(stack.end(of: .rival(of: 0)) == .exited(1))
        #expect(ada.say("still here")["ok"]?.bool == true)
    }

    // MARK: Presence

    @Test(arguments: [true, false])
    func theUsersOfAKilledInstanceGoUnlessTheyComeBack(withRedis hasRedis: Bool) throws {
        let stack = try ChatStack(chats: 2, hasRedis: hasRedis)
        let ada = try stack.client("ada", at: 0)
        _ = try stack.client("stays", at: 1)
        _ = try stack.client("goes", at: 1)
        func isChange(_ event: JSONValue, _ name: String, _ state: String) -> Bool {
            event["changes"]?.array?.contains {
                $0["name"]?.string == name && $0["state"]?.string == state
            } ?? false
        }
        var online: Set<String> = []
        while online.count < 2 {
            guard let event = ada.event("presence") else { break }
            for name in ["stays", "goes"] where isChange(event, name, "online") {
                online.insert(name)
            }
        }
        #expect(online == ["stays", "goes"])
        let began = SystemClock.now()
        stack.kill(.chat(1))
        let back = try stack.client("stays", at: 0)
        var hasFlickered = false
        let gone = ada.event("presence", within: .seconds(20)) { event in
            if isChange(event, "stays", "offline") { hasFlickered = true }
            return isChange(event, "goes", "offline")
        }
        #expect(gone != nil)
        #expect(!hasFlickered)
        let took = SystemClock.now() - began
        #expect(took > .seconds(6) && took < .seconds(14))
        _ = back
    }

    @Test func anInstanceThatStartsKnowsWhoIsHere() throws {
        let stack = try ChatStack(chats: 2)
        let ada = try stack.client("ada", at: 0)
        stack.kill(.chat(1))
        try stack.start(.chat(1))
        let isKnown = try eventually {
            let late = try stack.client("late", at: 1)
            return late.session["presence"]?["users"]?.array?.contains {
                $0["name"]?.string == "ada"
            } ?? false
        }
        #expect(isKnown)
        _ = ada
    }

    // MARK: Revocation

    @Test(arguments: [true, false])
    func aRevocationReachesEveryInstance(withRedis hasRedis: Bool) throws {
        let stack = try ChatStack(chats: 2, hasRedis: hasRedis)
        let clients = try [stack.client("ada", at: 0), stack.client("ada", at: 1)]
        let began = SystemClock.now()
        try stack.operate { try $0.disable("ada", now: SystemClock.timestamp()) }
        for client in clients { #expect(client.event("auth:expired") != nil) }
        let took = SystemClock.now() - began
        #expect(took < .seconds(2))
        print("revocation: both instances after \(took)")
    }

    // MARK: Redis

    @Test func aRedisThatHangsCostsNothing() throws {
        let stack = try ChatStack(chats: 2, hasRedis: true)
        let redis = try #require(stack.redis)
        let pid = try #require(redis.pid)
        let ada = try stack.client("ada", at: 0)
        let grace = try stack.client("grace", at: 1)
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        for number in 1...3 {
            let sent = ada.say("\(number)")
            #expect(grace.event("message")?["id"] == sent["id"])
        }
        ada.tell("typing", ["room": "lobby", "on": true])
        #expect(grace.event("typing") != nil)
        let isSaid = try eventually {
            let checks = try HTTP.call("GET", stack.url(of: .chat) + "/readyz").json()["checks"]
            return checks?["bus"]?["status"]?.string == "degraded"
        }
        #expect(isSaid)
        kill(pid, SIGCONT)
        let isWell = try eventually {
            let checks = try HTTP.call("GET", stack.url(of: .chat) + "/readyz").json()["checks"]
            return checks?["bus"]?["status"]?.string == "ok"
        }
        #expect(isWell)
    }
}
