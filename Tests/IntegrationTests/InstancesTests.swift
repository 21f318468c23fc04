// SPDX-License-Identifier: MIT
import JSON
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

    @Test func typingAndPresenceCrossOverRedis() throws {
        let stack = try ChatStack(chats: 2, hasRedis: true)
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
        let sent = Mutex<[[Int64]]>([[], []])
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
}
