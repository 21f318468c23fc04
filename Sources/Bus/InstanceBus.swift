// SPDX-License-Identifier: MIT
internal import ChatCore
package import Instances
package import Metrics
internal import Locks

/// Publish and subscribe between the instances of one data directory, over their own local sockets:
/// what takes the place of Redis on one machine. Alone it is a bus inside one process.
///
/// Handlers run on the mesh's thread. Messages of one sender come in order; those of several are in no
/// common order, as the log's are.
package final class InstanceBus: Bus {
    private struct State {
        var handlers: [String: [@Sendable ([UInt8]) -> Void]] = [:]
        var isStopped = false
    }

    private let mesh: InstanceMesh
    private let state = Locked(State())
    private let published: Counter

    /// - Parameter mesh: its messages are this bus's from now on; it is stopped by its owner.
    package init(_ mesh: InstanceMesh, metrics: MetricsRegistry = MetricsRegistry()) {
        self.mesh = mesh
        published = metrics.counter(
            "bus_published_total", help: "Messages given to the bus and taken.")
        metrics.gauge("bus_connected", help: "1 while messages go through, else 0.") {
            [weak self] in self?.isConnected == true ? 1 : 0
        }
        let received = metrics.counter("bus_received_total", help: "Messages received.")
        mesh.onMessage { [weak self] channel, payload in
            guard let self else { return }
            received.increment()
            let handlers = state.withLock { $0.isStopped ? [] : $0.handlers[channel] ?? [] }
            for handler in handlers { handler(payload) }
        }
    }

    package func publish(_ channel: String, _ payload: [UInt8]) {
        published.increment()
        mesh.publish(channel, payload)
    }

    package func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        state.withLock { $0.handlers[channel, default: []].append(handler) }
    }

    package var isConnected: Bool { state.withLock { !$0.isStopped } }

    package var reachesOthers: Bool { !mesh.peers.isEmpty }

    /// Delivers nothing more. The mesh goes on until its owner stops it.
    package func stop() { state.withLock { $0.isStopped = true } }
}
