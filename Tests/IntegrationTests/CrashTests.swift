// SPDX-License-Identifier: MIT
import Glibc
import JSON
import Locks
import Synchronization
import TestSupport
import Testing

/// A ChatService that ends in the middle of its work, beside one that goes on.
@Suite struct CrashTests {
    private struct Attempt: Sendable {
        let sender: Int
        let id: String
        /// Null when the process died first.
        let answer: JSONValue
    }

    @Test(arguments: ["crash", "stop"])
    func whatWasAcknowledgedIsThereOnce(after end: String) throws {
        let stack = try ChatStack(chats: 2, isUnlimited: true)
        let senders = 6
        let attempts = Locked<[Attempt]>([])
        let isOver = Atomic(false)
        let sending = Background {
            concurrently(senders) { sender in
                guard let client = try? stack.client("sender\(sender)", at: sender % 2) else {
                    return
                }
                for number in 0..<5000 where !isOver.load(ordering: .relaxed) {
                    let id = "\(sender)-\(number)"
                    let answer = client.say("text \(id)", id: id)
                    attempts.withLock {
                        $0.append(Attempt(sender: sender, id: id, answer: answer))
                    }
                    if answer.isNull { return }
                }
            }
        }
        func waitForMore(_ count: Int, of senders: [Int]) -> Bool {
            func have() -> Int {
                attempts.withLock { $0.count { senders.contains($0.sender) } }
            }
            let goal = have() + count
            return eventually(within: .seconds(20)) { have() >= goal }
        }
        #expect(waitForMore(100, of: [0, 2, 4]) && waitForMore(20, of: [1, 3, 5]))
        if end == "crash" { stack.kill(.chat) } else { stack.requestStop(.chat) }
        // The other instance goes on.
        #expect(waitForMore(60, of: [1, 3, 5]))
        isOver.store(true, ordering: .relaxed)
        sending.wait()
        #expect(stack.end(of: .chat) == (end == "crash" ? .killed(signal: 9) : .exited(0)))
        try stack.start(.chat)

        let made = attempts.withLock { $0 }
        let acknowledged = made.filter { $0.answer["ok"]?.bool == true }
        let lost = made.filter { $0.answer.isNull }
        #expect(acknowledged.count + lost.count == made.count)
        #expect(lost.allSatisfy { $0.sender % 2 == 0 })
        let reader = try stack.client("reader")
        let found = Dictionary(grouping: reader.history()) { $0["clientId"]?.string ?? "" }
        for attempt in acknowledged {
            #expect(found[attempt.id]?.count == 1)
            let message = found[attempt.id]?.first ?? .null
            for name in ["id", "seq", "roomSeq", "at"] {
                #expect(message[name] == attempt.answer[name])
            }
        }

        // Each asks the instance it did not ask first, for its first message and the unanswered one.
        for sender in 0..<senders {
            let client = try stack.client("sender\(sender)", at: (sender + 1) % 2)
            let first = try #require(acknowledged.first { $0.sender == sender })
            #expect(client.say("text \(first.id)", id: first.id) == first.answer)
            for attempt in lost where attempt.sender == sender {
                let answer = client.say("text \(attempt.id)", id: attempt.id)
                #expect(answer["ok"]?.bool == true)
                if let stored = found[attempt.id]?.first { #expect(answer["id"] == stored["id"]) }
            }
        }
        let ids = reader.history().compactMap { $0["clientId"]?.string }
        #expect(ids.count == made.count)
        #expect(Set(ids) == Set(made.map(\.id)))

        let log = try stack.log()
        #expect(log.compactMap { $0["seq"]?.int } == Array(1...Int64(log.count)))
        let inLobby = log.filter {
            $0["room"]?.string == "lobby" && $0["roomSeq"]?.int != 0
        }
        #expect(inLobby.compactMap { $0["roomSeq"]?.int } == Array(1...Int64(inLobby.count)))
    }

    /// The official clients take a refusal as final: who comes to a service that has just started, and
    /// cannot judge tokens yet, must wait and not be refused.
    @Test func whoComesBeforeAuthServiceIsThereIsLetInWhenItIs() throws {
        let stack = try ChatStack()
        let token = try stack.token("ada")
        stack.kill(.chat)
        stack.kill(.auth)
        try stack.launch(.chat)
        #expect(eventually { (try? HTTP.call("GET", stack.url(of: .chat) + "/healthz")) != nil })
        let ada = WireClient.webSocket(port: stack.port(.chat))
        ada.send("40{\"token\":\"\(token)\"}")
        usleep(500_000)
        try stack.start(.auth)
        #expect(ada.next()?.hasPrefix("40{\"sid\"") == true)
        #expect(ada.event("session")?["user"]?["name"]?.string == "ada")
    }
}
