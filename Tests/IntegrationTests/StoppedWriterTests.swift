// SPDX-License-Identifier: MIT
import Glibc
import HTTPClient
import JSON
import Store
import Locks
import Synchronization
import TestSupport
import Testing
import Timing

/// A real instance stopped by SIGSTOP inside its write transaction, under load, beside another on the
/// same log.
@Suite struct StoppedWriterTests {
    enum End: String, CaseIterable, Sendable { case continues, isKilled }

    /// What the senders were told, by their messages' ids.
    private final class Answers: Sendable {
        private let known = Locked<[String: Int64]>([:])
        private let contradictions = Locked<[String]>([])
        let isOver = Atomic(false)

        var all: [String: Int64] { known.withLock { $0 } }
        var complaints: [String] { contradictions.withLock { $0 } }

        func add(_ id: String, _ answer: JSONValue) -> Bool {
            guard let seq = answer["seq"]?.int else { return false }
            let before = known.withLock { known in
                defer { known[id] = seq }
                return known[id]
            }
            if let before, before != seq {
                contradictions.withLock { $0.append("\(id): \(before), then \(seq)") }
            }
            return true
        }
    }

    /// Sends one message after the other, each until it is answered, on whichever instance answers.
    private func send(_ number: Int, through stack: ChatStack, _ answers: Answers) {
        var client = try? stack.client("sender\(number)", at: 0)
        var count = 0
        while !answers.isOver.load(ordering: .relaxed) {
            count += 1
            let id = "\(number)-\(count)"
            while true {
                if let client, answers.add(id, client.say(id, id: id)) { break }
                // Stopped, killed, or told to wait: the same again elsewhere, which changes nothing.
                if answers.isOver.load(ordering: .relaxed) { return }
                client = try? stack.client("sender\(number)", at: 1)
                if client == nil { usleep(50_000) }
            }
        }
    }

    @Test(arguments: End.allCases)
    func theOtherWaitsAndNothingIsLostOrDoubled(_ end: End) throws {
        let stack = try ChatStack(chats: 2, isUnlimited: true)
        let listener = try stack.client("listener", at: 1)
        let first = try stack.client("first", at: 0)
        let asker = try stack.client("asker", at: 1)
        let answers = Answers()
        let senders = Background { concurrently(4) { send($0, through: stack, answers) } }

        // Stopped at any moment; the other's commits tell whether it was the right one.
        let pid = stack.pid(of: .chat(0))
        var refusal = JSONValue.null
        var tries = 0
        while tries < 200, refusal["error"]?["code"]?.string != "busy" {
            tries += 1
            usleep(useconds_t.random(in: 3000...20_000))
            stack.signal(.chat(0), SIGSTOP)
            let id = "asker-\(tries)"
            refusal = asker.say(id, id: id)
            if answers.add(id, refusal) { stack.signal(.chat(0), SIGCONT) }
        }
        #expect(refusal["error"]?["code"]?.string == "busy", "never caught in a transaction")
        #expect((refusal["error"]?["retryAfterMs"]?.int ?? 0) > 0)
        // The other says who it is, and serves who reads.
        let ready = try HTTP.call("GET", stack.url(of: .chat(1)) + "/readyz")
        #expect(ready.status == 503)
        #expect(String(decoding: ready.body, as: UTF8.self).contains("process \(pid)"))
        #expect(asker.ask("history:fetch", ["room": "lobby"])["ok"]?.bool == true)
        #expect(try !stack.client("asker", at: 1).session.isNull)

        switch end {
        case .continues: stack.signal(.chat(0), SIGCONT)
        case .isKilled: stack.kill(.chat(0))
        }
        let last = "asker-\(tries)"
        #expect(eventually { answers.add(last, asker.say(last, id: last)) })
        usleep(300_000)
        answers.isOver.store(true, ordering: .relaxed)
        senders.wait()
        if end == .isKilled { try stack.start(.chat(0)) }

        // Everything acknowledged is stored once, where it was said to be; the order has no holes.
        let log = try stack.log()
        #expect(log.compactMap { $0["seq"]?.int } == (1...Int64(log.count)).map { $0 })
        let messages = log.filter { $0["type"]?.string == "message.created" }
        var stored: [String: [Int64]] = [:]
        for message in messages {
            stored[message["data"]?["text"]?.string ?? "", default: []].append(
                message["seq"]?.int ?? 0)
        }
        #expect(stored.values.allSatisfy { $0.count == 1 })
        #expect(answers.complaints == [])
        for (id, seq) in answers.all where stored[id] != [seq] {
            Issue.record("\(id) was acknowledged as \(seq), stored as \(stored[id] ?? [])")
        }
        #expect(answers.all.count > 20)
        #expect(try ChatLogCheck.run(path: stack.chatDatabase).complaints == [])

        // Who listens to either got all of it, once and in order.
        let wanted = messages.compactMap { $0["seq"]?.int }
        #expect(listener.messages(wanted.count).compactMap { $0["seq"]?.int } == wanted)
        if end == .continues {
            #expect(first.messages(wanted.count).compactMap { $0["seq"]?.int } == wanted)
        }
    }
}
