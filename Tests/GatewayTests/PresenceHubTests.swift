// SPDX-License-Identifier: MIT
import Bus
import ChatCore
import JSON
import Metrics
import Locks
import Synchronization
import TestSupport
import Testing
import Timing

@testable import Gateway

/// A bus that hands on at once, on the publisher's thread: no test has to wait.
private final class DirectBus: Bus {
    private let handlers = Locked<[String: [@Sendable ([UInt8]) -> Void]]>([:])
    let bytes = Atomic(0)
    let isConnected = true

    func publish(_ channel: String, _ payload: [UInt8]) {
        bytes.add(payload.count, ordering: .relaxed)
        for handler in handlers.withLock({ $0[channel] ?? [] }) { handler(payload) }
    }

    func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        handlers.withLock { $0[channel, default: []].append(handler) }
    }

    func stop() {}
}

@Suite struct PresenceHubTests {
    /// Two hubs that are ticked by hand.
    private final class Cluster {
        let bus = DirectBus()
        let hubs: [PresenceHub]
        var ticks = 0
        /// Bytes of presence events each hub's clients have been sent, each.
        var bytes = [0, 0]
        var pages: [JSONValue] = [.null, .null]
        var changes = [0, 0]

        init(grace: Duration = .seconds(10)) {
            let bus = bus
            hubs = (0..<2).map { number in
                PresenceHub(
                    instance: "i\(number)", bus: bus, metrics: MetricsRegistry(), grace: grace)
            }
            for hub in hubs {
                bus.subscribe(BusChannel.chatPresence) { [weak hub] in hub?.heard($0) }
            }
        }

        func tick(_ count: Int = 1) {
            for _ in 0..<count {
                ticks += 1
                for (index, hub) in hubs.enumerated() {
                    hub.tick(ticks, now: SystemClock.now()) { update in
                        bytes[index] += update.changes.count
                        changes[index] +=
                            (try? JSONValue(parsing: update.changes))?["changes"]?.array?.count ?? 0
                        pages[index] = (try? JSONValue(parsing: update.page)) ?? .null
                    }
                }
            }
        }
    }

    private func user(_ number: Int) -> User {
        User(
            id: UserID("u_\(String(repeating: "x", count: 12))\(1000 + number)"),
            name: "user-\(number)")
    }

    @Test func whatBothKnowIsTheSame() {
        let cluster = Cluster()
        cluster.hubs[0].joined(user(1))
        cluster.hubs[1].joined(user(2))
        cluster.hubs[1].set(.away, of: user(2).id)
        cluster.tick(4)
        #expect(cluster.pages[0]["online"] == 2)
        func sorted(_ page: JSONValue) -> [String] {
            (page["users"]?.array ?? []).map { "\($0)" }.sorted()
        }
        #expect(sorted(cluster.pages[0]) == sorted(cluster.pages[1]))
        #expect(cluster.changes == [2, 2])
    }

    @Test func halfOfThreeThousandReconnectInsideTheGrace() {
        let cluster = Cluster()
        for number in 0..<3000 { cluster.hubs[number % 2].joined(user(number)) }
        // 3,000 changes, 200 a second.
        cluster.tick(30)
        #expect(cluster.pages[0]["online"] == 3000)
        #expect(cluster.changes == [3000, 3000])
        #expect(cluster.pages[0]["users"]?.array?.count == PresenceHub.pageCount)
        let before = (cluster.bytes, cluster.bus.bytes.load(ordering: .relaxed))
        for number in 0..<1500 { cluster.hubs[number % 2].left(user(number).id) }
        cluster.tick()
        // On the other instance now.
        for number in 0..<1500 { cluster.hubs[(number + 1) % 2].joined(user(number)) }
        cluster.tick(30)
        #expect(cluster.bytes == before.0, "clients are told nothing")
        let told = cluster.bus.bytes.load(ordering: .relaxed) - before.1
        #expect(told < 1500 * 120, "instances told each other \(told) bytes")
        print(
            "presence, 1,500 of 3,000 inside the grace: 0 bytes a client, \(told) between instances"
        )
    }

    @Test func halfOfThreeThousandComeBackAfterTheGrace() {
        let cluster = Cluster(grace: .zero)
        for number in 0..<3000 { cluster.hubs[number % 2].joined(user(number)) }
        cluster.tick(30)
        let before = cluster.bytes[0]
        for number in 0..<1500 { cluster.hubs[number % 2].left(user(number).id) }
        cluster.tick(10)
        #expect(cluster.pages[0]["online"] == 1500)
        for number in 0..<1500 { cluster.hubs[(number + 1) % 2].joined(user(number)) }
        cluster.tick(10)
        #expect(cluster.pages[0]["online"] == 3000)
        #expect(cluster.changes == [6000, 6000])
        let bytes = cluster.bytes[0] - before
        #expect(bytes < 3000 * 80)
        print("presence, 1,500 of 3,000 after the grace: \(bytes) bytes a client in 16 batches")
    }

    @Test func anInstanceThatStartsLearnsAll() {
        let bus = DirectBus()
        let old = PresenceHub(instance: "old", bus: bus, metrics: MetricsRegistry())
        bus.subscribe(BusChannel.chatPresence) { [weak old] in old?.heard($0) }
        for number in 0..<1200 { old.joined(user(number)) }
        for count in 1...8 { old.tick(count, now: SystemClock.now()) { _ in } }
        let new = PresenceHub(instance: "new", bus: bus, metrics: MetricsRegistry())
        bus.subscribe(BusChannel.chatPresence) { [weak new] in new?.heard($0) }
        var page = JSONValue.null
        func tickNew(_ count: Int) {
            new.tick(count, now: SystemClock.now()) {
                page = (try? JSONValue(parsing: $0.page)) ?? .null
            }
        }
        tickNew(1)
        old.tick(9, now: SystemClock.now()) { _ in }
        tickNew(2)
        #expect(page["online"] == 1200)
        // And its lease ends with it.
        new.tick(3, now: SystemClock.now() + .seconds(11)) {
            page = (try? JSONValue(parsing: $0.page)) ?? .null
        }
        #expect(page["online"] == 0)
    }
}
