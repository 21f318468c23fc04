// SPDX-License-Identifier: MIT
import EngineIO
import Gateway
import Glibc
import JSON
import Reactor
import TestSupport
import Testing
import Timing

/// A reader that cannot keep up is fed from the log: nothing is lost, nothing comes twice, and what
/// waits for it stays bounded.
@Suite struct CatchUpTests {
    /// Texts that have come, in order, up to one.
    private func texts(_ client: WireClient, upTo last: String) -> [String] {
        var texts: [String] = []
        while let text = client.event("message")?["text"]?.string {
            texts.append(String(text.prefix { $0 != " " }))
            if texts.last == last { break }
        }
        return texts
    }

    /// What the loop remembers: nothing, so that all comes from the store; a little, so that a client
    /// changes from the one to the other; all.
    static let memories = [0, 40_000, 16 << 20]

    private func harness(bound: Int, remembering bytes: Int = 16 << 20) throws -> Harness {
        // Who does not read does not answer pings either, for as long as the test takes.
        var engine = EngineConfiguration()
        engine.pingTimeout = .seconds(600)
        return try Harness(engine: engine) {
            $0.isUnlimited = true
            $0.maxQueuedBytes = bound
            $0.recentBytes = bytes
        }
    }

    @Test(arguments: memories) func aPollerThatStaysAwayGetsEverythingOnce(memory: Int) throws {
        let harness = try harness(bound: 4096, remembering: memory)
        let ada = try harness.client("ada")
        let bob = try harness.client("bob", polling: true)
        let padding = String(repeating: "x", count: 500)
        for number in 1...200 {
            _ = ada.ask("message:send", ["room": "lobby", "text": .string("\(number) \(padding)")])
        }
        #expect(harness.metric("chat_fell_behind_total") == 1)
        #expect(texts(bob, upTo: "200") == (1...200).map(String.init))
        _ = ada.ask("message:send", ["room": "lobby", "text": "201"])
        #expect(texts(bob, upTo: "201") == ["201"])
    }

    @Test(arguments: memories) func aSocketThatDoesNotReadGetsEverythingOnce(memory: Int) throws {
        let harness = try harness(bound: 64 * 1024, remembering: memory)
        let ada = try harness.client("ada")
        let bob = WireClient.webSocket(port: harness.port, receiveBuffer: 4096)
        bob.connect(token: harness.token("bob"))
        // More than the kernel's buffers hold, in two rooms, so that order across rooms counts too.
        let room = ada.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        #expect(bob.ask("room:join", ["room": room])["ok"]?.bool == true)
        let padding = String(repeating: "x", count: 3900)
        let count = 1600
        for number in 1...count {
            ada.tell(
                "message:send",
                ["room": number % 3 == 0 ? room : "lobby", "text": .string("\(number) \(padding)")])
            // The sender itself must read: who asks and never reads is held back.
            if number % 100 == 0 {
                _ = ada.ask("room:list", [:])
                ada.forget()
            }
        }
        _ = ada.ask("message:send", ["room": "lobby", "text": "end"])
        #expect((harness.metric("chat_fell_behind_total") ?? 0) >= 1)
        let isWhole = texts(bob, upTo: "end") == (1...count).map(String.init) + ["end"]
        #expect(isWhole)
        // Level again: live messages come as they happen.
        _ = ada.ask("message:send", ["room": room, "text": "live"])
        #expect(texts(bob, upTo: "live") == ["live"])
    }

    /// Fed as fast as it reads, a client hears pings in time and is heard: what waits for it, pages of the
    /// log included, does not stop the server from reading.
    @Test(arguments: memories) func aSlowReaderKeepsItsConnection(memory: Int) throws {
        var engine = EngineConfiguration()
        engine.pingInterval = .milliseconds(400)
        engine.pingTimeout = .seconds(6)
        let harness = try Harness(engine: engine) {
            $0.isUnlimited = true
            $0.recentBytes = memory
        }
        let bob = WireClient.webSocket(port: harness.port, receiveBuffer: 16_384)
        bob.connect(token: harness.token("bob"))
        let count = 600
        let (port, token) = (harness.port, harness.token("ada"))
        let sender = WorkerThread(name: "ada") {
            let ada = WireClient.webSocket(port: port)
            ada.connect(token: token)
            let padding = String(repeating: "x", count: 1900)
            for number in 1...count {
                ada.tell(
                    "message:send", ["room": "lobby", "text": .string("\(number) \(padding)")])
                if number % 50 == 0 {
                    _ = ada.ask("room:list", [:])
                    ada.forget()
                }
            }
        }
        // 2 KB in 12 ms: for all of it longer than the server waits for a pong. How far behind that is
        // depends on the machine.
        var texts: [String] = []
        let began = SystemClock.now()
        while SystemClock.now() - began < .seconds(60), texts.count < count, let packet = bob.next()
        {
            guard let (name, argument) = WireClient.event(packet), name == "message" else {
                continue
            }
            texts.append(String((argument["text"]?.string ?? "").prefix { $0 != " " }))
            usleep(12_000)
        }
        sender.join()
        let isWhole = texts == (1...count).map(String.init)
        #expect(isWhole, "\(texts.count) came, the last \(texts.last ?? "")")
        #expect(bob.pings >= 3)
        withExtendedLifetime(harness) {}
    }

    /// The client is to hear a ping within its patience, however much waits: little lies before it in the
    /// kernel, and here it goes past all that has not begun to leave.
    @Test func aPingOvertakesWhatASlowReaderHasNotTaken() throws {
        var engine = EngineConfiguration()
        engine.pingInterval = .milliseconds(1200)
        engine.pingTimeout = .seconds(600)
        let harness = try Harness(engine: engine) { $0.isUnlimited = true }
        let ada = try harness.client("ada")
        let bob = WireClient.webSocket(port: harness.port, receiveBuffer: 4096)
        bob.connect(token: harness.token("bob"))
        let padding = String(repeating: "x", count: 900)
        let count = 200
        for number in 1...count {
            ada.tell("message:send", ["room": "lobby", "text": .string("\(number) \(padding)")])
        }
        _ = ada.ask("room:list", [:])
        // By now bob has been sent a ping, and has read nothing.
        usleep(1_600_000)
        var before = 0
        while bob.pings == 0, let packet = bob.next() { before += packet.utf8.count }
        #expect(bob.pings == 1)
        #expect(before < 64 * 1024, "a ping came behind \(before) bytes")
    }

    @Test(arguments: memories) func aReaderThatIsBehindIsStillAnswered(memory: Int) throws {
        let harness = try harness(bound: 2048, remembering: memory)
        let ada = try harness.client("ada")
        let bob = try harness.client("bob", polling: true)
        for number in 1...50 {
            _ = ada.ask(
                "message:send",
                [
                    "room": "lobby",
                    "text": .string("\(number) \(String(repeating: "x", count: 200))"),
                ])
        }
        // Asked and decided before the poll that would make bob level again.
        bob.send(#"427["room:list",{}]"#)
        _ = ada.ask("room:list", [:])
        var isAnswered = false
        var count = 0
        while count < 50, let packet = bob.next() {
            if packet.hasPrefix(#"437[{"ok":true"#) { isAnswered = true }
            if WireClient.event(packet)?.name == "message" { count += 1 }
        }
        #expect(isAnswered)
        #expect(count == 50)
    }
}
