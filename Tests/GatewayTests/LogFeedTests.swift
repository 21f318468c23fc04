// SPDX-License-Identifier: MIT
import ChatCore
import HTTPServer
import JSON
import Store
import Locks
import TestSupport
import Testing
import Timing

@testable import Gateway

@Suite struct LogFeedTests {
    /// What was answered, from whatever thread.
    private final class Answers: Sendable {
        private let all = Locked<[HTTPResponse]>([])
        var count: Int { all.withLock { $0.count } }
        var last: JSONValue? {
            all.withLock { $0.last }.flatMap { try? JSONValue(parsing: $0.body) }
        }
        func take(_ response: HTTPResponse) { all.withLock { $0.append(response) } }
    }

    @Test func aPageAnswersAtOnceWhenThereIsSomething() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        _ = ada.ask("message:send", ["room": "lobby", "text": "x"])
        let answers = Answers()
        harness.gateway.readLog(after: 0, limit: 1, wait: .seconds(20), reply: answers.take)
        #expect(eventually { answers.count == 1 })
        #expect(answers.last?["entries"]?.array?.count == 1)
        // The head is the log's, not the page's: it tells a reader how much is left.
        #expect(answers.last?["head"]?.int == harness.store.head)
    }

    @Test func aWaitEndsWithTheNextCommit() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let head = harness.store.head
        let answers = Answers()
        harness.gateway.readLog(after: head, limit: 10, wait: .seconds(20), reply: answers.take)
        _ = ada.ask("message:send", ["room": "lobby", "text": "x"])
        #expect(eventually { answers.count == 1 })
        #expect(answers.last?["entries"]?.array?.first?["seq"]?.int == head + 1)
    }

    @Test func aWaitEndsByItselfWithAnEmptyPage() throws {
        let harness = try Harness()
        let answers = Answers()
        harness.gateway.readLog(after: 7, limit: 10, wait: .milliseconds(20), reply: answers.take)
        #expect(eventually { answers.count == 1 })
        #expect(answers.last?["entries"]?.array?.isEmpty == true)
        #expect(answers.last?["head"]?.int == 0)
    }

    @Test func aDrainAnswersWhoWaitsAndNobodyWaitsAfterIt() throws {
        let harness = try Harness()
        let answers = Answers()
        for _ in 0..<3 {
            harness.gateway.readLog(after: 0, limit: 10, wait: .seconds(25), reply: answers.take)
        }
        harness.gateway.drain()
        harness.gateway.readLog(after: 0, limit: 10, wait: .seconds(25), reply: answers.take)
        #expect(eventually(within: .seconds(5)) { answers.count == 4 })
    }

    @Test func eachIsAnsweredOnceHoweverManyCommitsThereAre() throws {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let answers = Answers()
        for _ in 0..<100 {
            harness.gateway.readLog(
                after: harness.store.head, limit: 10, wait: .seconds(1), reply: answers.take)
        }
        for number in 0..<10 {
            _ = ada.ask("message:send", ["room": "lobby", "text": .string("\(number)")])
        }
        #expect(eventually { answers.count >= 100 })
        harness.gateway.drain()
        #expect(answers.count == 100)
    }
}
