// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Bus

/// Keeps what a handler gets.
private final class Inbox: Sendable {
    private let payloads = Mutex<[[UInt8]]>([])
    var all: [[UInt8]] { payloads.withLock { $0 } }
    func take(_ payload: [UInt8]) { payloads.withLock { $0.append(payload) } }
}

/// What every bus must do, over the one inside the process and the one over Redis.
@Suite struct BusContractTests {
    enum Kind: String, CaseIterable, Sendable { case local, redis, redisWithPassword }

    private func make(_ kind: Kind) throws -> (bus: any Bus, server: PrivateRedis?) {
        switch kind {
        case .local: return (LocalBus(), nil)
        case .redis:
            let server = try PrivateRedis()
            return (try RedisBus(url: server.url), server)
        case .redisWithPassword:
            let server = try PrivateRedis(password: "p w/:@")
            let url = "redis://:p%20w%2F%3A%40@127.0.0.1:\(server.port)/3"
            return (try RedisBus(url: url), server)
        }
    }

    @Test(arguments: Kind.allCases) func deliversInOrderToItsChannelOnly(_ kind: Kind) throws {
        let (bus, server) = try make(kind)
        let inboxes = (Inbox(), Inbox(), Inbox())
        bus.subscribe("one") { inboxes.0.take($0) }
        bus.subscribe("one") { inboxes.1.take($0) }
        bus.subscribe("two") { inboxes.2.take($0) }
        #expect(eventually { bus.isConnected })
        let payloads = (0..<2000).map { Array("message \($0) \r\n\u{0}".utf8) }
        for payload in payloads {
            bus.publish("one", payload)
            bus.publish("nobody", payload)
        }
        bus.publish("two", [])
        #expect(eventually { inboxes.0.all.count == 2000 && inboxes.2.all.count == 1 })
        #expect(inboxes.0.all == payloads)
        #expect(inboxes.1.all == payloads)
        #expect(inboxes.2.all == [[]])
        bus.stop()
        _ = server
    }

    @Test(arguments: Kind.allCases) func nothingAfterStop(_ kind: Kind) throws {
        let (bus, server) = try make(kind)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected })
        bus.stop()
        bus.publish("one", [1])
        #expect(inbox.all.isEmpty)
        bus.stop()
        _ = server
    }

    @Test(arguments: Kind.allCases) func manyPublishAtOnce(_ kind: Kind) async throws {
        let (bus, server) = try make(kind)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected })
        await withTaskGroup { group in
            for worker in 0..<4 as Range<UInt8> {
                group.addTask {
                    for index in 0..<250 as Range<UInt8> { bus.publish("one", [worker, index]) }
                }
            }
        }
        #expect(eventually { inbox.all.count == 1000 })
        for worker in 0..<4 as Range<UInt8> {
            let own = inbox.all.filter { $0[0] == worker }.map { $0[1] }
            #expect(own == Array(0..<250))
        }
        bus.stop()
        _ = server
    }
}

@Suite struct RedisBusTests {
    @Test func twoProcessesHearEachOther() throws {
        let server = try PrivateRedis()
        let buses = (try RedisBus(url: server.url), try RedisBus(url: server.url))
        let inbox = Inbox()
        buses.1.subscribe("one") { inbox.take($0) }
        #expect(eventually { buses.0.isConnected && buses.1.isConnected })
        let large = [UInt8](repeating: 7, count: 1 << 20)
        buses.0.publish("one", large)
        #expect(eventually { inbox.all == [large] })
        buses.0.stop()
        buses.1.stop()
    }

    @Test func comesBackAfterARestart() throws {
        let server = try PrivateRedis()
        let bus = try RedisBus(url: server.url)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected })
        bus.publish("one", [1])
        #expect(eventually { inbox.all.count == 1 })

        server.stop()
        #expect(eventually { !bus.isConnected })
        bus.publish("one", [2])
        #expect(eventually { bus.lastFailure?.contains("cannot be reached") == true })

        try server.start()
        #expect(eventually { bus.isConnected })
        bus.publish("one", [3])
        #expect(eventually { inbox.all.count == 2 })
        #expect(inbox.all == [[1], [3]])
        bus.stop()
    }

    @Test func noticesAServerThatHangs() throws {
        let server = try PrivateRedis()
        let bus = try RedisBus(url: server.url)
        #expect(eventually { bus.isConnected })
        let pid = try #require(server.pid)
        kill(pid, SIGSTOP)
        #expect(eventually { !bus.isConnected })
        kill(pid, SIGCONT)
        #expect(eventually { bus.isConnected })
        bus.stop()
    }

    @Test func comesBackAfterBeingCutOff() throws {
        let server = try PrivateRedis()
        let bus = try RedisBus(url: server.url)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected })
        _ = try server.command(["CLIENT", "KILL", "TYPE", "pubsub"])
        #expect(
            eventually {
                bus.publish("one", [1])
                return !inbox.all.isEmpty
            })
        bus.stop()
    }

    @Test func aWrongPasswordIsNamedWithoutItself() throws {
        let server = try PrivateRedis(password: "right")
        let bus = try RedisBus(url: "redis://:wrong@127.0.0.1:\(server.port)")
        #expect(eventually { bus.lastFailure?.contains("WRONGPASS") == true })
        #expect(bus.lastFailure?.contains("wrong@") == false)
        #expect(!bus.isConnected)
        bus.stop()
    }

    @Test func aServerThatNeverWasIsNoTrouble() throws {
        let bus = try RedisBus(url: "redis://127.0.0.1:\(try LoopbackPort.free())")
        bus.subscribe("one") { _ in }
        bus.publish("one", [1])
        #expect(eventually { bus.lastFailure != nil })
        #expect(!bus.isConnected)
        bus.stop()
    }
}
