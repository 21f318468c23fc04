// SPDX-License-Identifier: MIT
import ChatCore
import JSON
import Locks
import TestSupport
import Testing

/// A bus that a test speaks through.
private final class SpokenBus: Bus {
    private let handlers = Locked<[String: @Sendable ([UInt8]) -> Void]>([:])
    let isConnected = true

    func publish(_ channel: String, _ payload: [UInt8]) {
        handlers.withLock { $0[channel] }?(payload)
    }
    func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        handlers.withLock { $0[channel] = handler }
    }
    func stop() {}
}

/// What an instance makes of others' announcements, as `/metrics` tells it.
@Suite struct AnnouncementTests {
    @Test func pullsAndGapsAreCounted() throws {
        let bus = SpokenBus()
        let harness = try Harness(bus: bus)
        let ada = try harness.client("ada")
        let head = try #require(ada.session["seq"]?.int)
        func counts() -> [Double?] {
            ["chat_announcements_total", "chat_log_pulls_total", "chat_log_gaps_total"]
                .map { harness.metric($0) }
        }
        func announce(_ first: Int64, _ last: Int64, by instance: String = "other") {
            bus.publish(
                BusChannel.chatLog,
                Array("{\"instance\":\"\(instance)\",\"first\":\(first),\"last\":\(last)}".utf8))
        }
        #expect(counts() == [0, 0, 0])
        // What is known already, what is no announcement, what is its own.
        announce(1, head)
        bus.publish(BusChannel.chatLog, Array("{}".utf8))
        announce(head + 1, head + 1, by: "test")
        #expect(counts() == [1, 0, 0])
        announce(head + 1, head + 2)
        #expect(counts() == [2, 1, 0])
        announce(head + 3, head + 3)
        #expect(counts() == [3, 2, 1])
    }
}
