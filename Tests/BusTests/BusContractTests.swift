// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import Instances
import Metrics
import Locks
import TestSupport
import Testing
import Timing

@testable import Bus

/// Keeps what a handler gets.
private final class Inbox: Sendable {
    private let payloads = Locked<[[UInt8]]>([])
    var all: [[UInt8]] { payloads.withLock { $0 } }
    func take(_ payload: [UInt8]) { payloads.withLock { $0.append(payload) } }
}

/// What a bus stands on, for as long as the test runs.
private struct Ground {
    var server: PrivateRedis?
    var folder: TemporaryDirectory?
    var meshes: [InstanceMesh] = []

    func end() { for mesh in meshes { mesh.stop() } }
}

/// What every bus must do: the one over Redis and the one between instances.
@Suite struct BusContractTests {
    enum Kind: String, CaseIterable, Sendable { case redis, redisWithPassword, instances }

    private func make(_ kind: Kind) throws -> (bus: any Bus, ground: Ground) {
        switch kind {
        case .redis:
            let server = try PrivateRedis()
            return (try RedisBus(url: server.url), Ground(server: server))
        case .instances:
            let folder = try TemporaryDirectory()
            let meshes = try (0..<2).map { _ in try InstanceMesh(directory: folder.file("i")) }
            return (InstanceBus(meshes[0]), Ground(folder: folder, meshes: meshes))
        case .redisWithPassword:
            let server = try PrivateRedis(password: "p w/:@")
            let url = "redis://:p%20w%2F%3A%40@127.0.0.1:\(server.port)/3"
            return (try RedisBus(url: url), Ground(server: server))
        }
    }

    @Test(arguments: Kind.allCases) func deliversInOrderToItsChannelOnly(_ kind: Kind) throws {
        let (bus, ground) = try make(kind)
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
        ground.end()
    }

    @Test(arguments: Kind.allCases) func nothingAfterStop(_ kind: Kind) throws {
        let (bus, ground) = try make(kind)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected })
        bus.stop()
        bus.publish("one", [1])
        #expect(inbox.all.isEmpty)
        bus.stop()
        ground.end()
    }

    @Test(arguments: Kind.allCases) func manyPublishAtOnce(_ kind: Kind) async throws {
        let (bus, ground) = try make(kind)
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
        ground.end()
    }
}

@Suite struct InstanceBusTests {
    @Test func instancesHearEachOther() throws {
        let folder = try TemporaryDirectory()
        let meshes = try (0..<3).map { _ in try InstanceMesh(directory: folder.file("i")) }
        let buses = meshes.map { InstanceBus($0) }
        let inboxes = buses.map { bus in
            let inbox = Inbox()
            bus.subscribe("one") { inbox.take($0) }
            return inbox
        }
        #expect(eventually { meshes.allSatisfy { $0.peers.count == 2 } })
        let large = [UInt8](repeating: 7, count: 1 << 20)
        buses[0].publish("one", large)
        #expect(eventually { inboxes.allSatisfy { $0.all == [large] } })

        meshes[2].stop()
        #expect(eventually { meshes[0].peers == [1] })
        buses[0].publish("one", [1])
        #expect(eventually { inboxes[1].all == [large, [1]] })
        #expect(inboxes[2].all == [large])
        for mesh in meshes { mesh.stop() }
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

    private func metric(_ name: String, _ metrics: MetricsRegistry) -> Double? {
        metrics.exposition().split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
    }

    @Test func lagIsSaidAndGrowsWhileTheServerHangs() throws {
        let server = try PrivateRedis()
        let bus = try RedisBus(url: server.url)
        #expect(eventually { bus.isConnected && bus.lag > .zero })
        #expect(bus.lag < .seconds(1))
        let pid = try #require(server.pid)
        kill(pid, SIGSTOP)
        #expect(eventually { bus.lag > .seconds(1) })
        kill(pid, SIGCONT)
        #expect(eventually { bus.isConnected && bus.lag < .seconds(1) && bus.lag > .zero })
        bus.stop()
    }

    @Test func aServerThatTakesNothingCostsTheOldestMessages() throws {
        let server = try PrivateRedis()
        let metrics = MetricsRegistry()
        let bus = try RedisBus(url: server.url, metrics: metrics)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected })
        let pid = try #require(server.pid)
        kill(pid, SIGSTOP)
        // Within the three seconds after which the server is given up.
        let megabyte = [UInt8](repeating: 1, count: 1 << 20)
        for _ in 0..<60 { bus.publish("one", megabyte) }
        bus.publish("one", [2])
        // Eight may wait, eight may be with the bus's thread, and some are in the kernel's two buffers.
        #expect((metric("bus_dropped_total", metrics) ?? 0) >= 60 - 16 - 10)
        kill(pid, SIGCONT)
        #expect(eventually { inbox.all.last == [2] })
        #expect(inbox.all.count <= 16 + 10 + 1)
        bus.stop()
    }

    @Test func comesBackAfterARestart() throws {
        let server = try PrivateRedis()
        let metrics = MetricsRegistry()
        let bus = try RedisBus(url: server.url, metrics: metrics)
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
        #expect(metric("bus_losses_total", metrics) == 1)
        #expect((metric("bus_heal_seconds", metrics) ?? 0) > 0)
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

    /// A connection over which nothing comes any more, and no end: found out by the missing answers to
    /// its PINGs, three seconds after the last sign of life and up to a second and a half later.
    @Test(arguments: [false, true])
    func noticesAHalfOpenConnection(whileNewOnesAreLostToo losesNew: Bool) throws {
        let server = try PrivateRedis()
        let relay = LossyRelay(to: server.port)
        let metrics = MetricsRegistry()
        let bus = try RedisBus(url: "redis://127.0.0.1:\(relay.port)", metrics: metrics)
        let other = try RedisBus(url: server.url)
        let inbox = Inbox()
        bus.subscribe("one") { inbox.take($0) }
        #expect(eventually { bus.isConnected && other.isConnected })
        let start = SystemClock.now()
        relay.lose(new: losesNew)
        #expect(eventually { self.metric("bus_losses_total", metrics) == 1 })
        // A busy machine may be slow, but not by the kernel's minutes.
        #expect(SystemClock.now() - start < .seconds(6))
        if losesNew {
            #expect(!bus.isConnected)
            #expect(eventually { bus.lastFailure == "the server does not answer" })
            SystemClock.sleep(.seconds(1))
            relay.lose()
        }
        #expect(eventually { bus.isConnected })
        #expect(
            eventually {
                other.publish("one", [1])
                return !inbox.all.isEmpty
            })
        other.stop()
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
