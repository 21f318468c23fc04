// SPDX-License-Identifier: MIT
package import ChatCore

/// The bus of a ChatService with both ways out: to the other instances of its store by their own
/// sockets, to other services by Redis.
///
/// | channel | goes over | because |
/// |---|---|---|
/// | announcements of a log | both, and is heard from both | hearing one twice costs a look at the log |
/// | everything else | the sockets | it concerns instances only, and is not lost with Redis |
package final class ClusterBus: Bus {
    private let local: any Bus
    private let broker: any Bus

    /// - Parameters:
    ///   - local: reaches the instances of this store.
    ///   - broker: reaches everybody.
    package init(local: any Bus, broker: any Bus) {
        self.local = local
        self.broker = broker
    }

    private static func isForAll(_ channel: String) -> Bool {
        channel == BusChannel.chatLog || channel == BusChannel.authLog
    }

    package func publish(_ channel: String, _ payload: [UInt8]) {
        local.publish(channel, payload)
        if ClusterBus.isForAll(channel) { broker.publish(channel, payload) }
    }

    package func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        local.subscribe(channel, handler)
        if ClusterBus.isForAll(channel) { broker.subscribe(channel, handler) }
    }

    /// Whether the broker answers: without it other services pull the log.
    package var isConnected: Bool { broker.isConnected }

    package var reachesOthers: Bool { local.reachesOthers || broker.reachesOthers }

    package func stop() {
        broker.stop()
        local.stop()
    }
}
