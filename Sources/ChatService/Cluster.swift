// SPDX-License-Identifier: MIT
internal import EngineIOServer
internal import Glibc
internal import HTTPServer
internal import Instances
internal import Logging
internal import ServiceRuntime
internal import Locks
internal import Timing

/// This process among the instances of its data directory: ties what the sockets between them carry
/// to the server.
final class Cluster: Sendable {
    let mesh: InstanceMesh
    private let log: Logger
    private let takeOver = Locked<TakeOver?>(nil)
    /// How long a successor waits to be able to serve before it takes the listeners.
    private static let readyTimeout: Duration = .seconds(15)

    init(_ mesh: InstanceMesh, log: Logger) {
        self.mesh = mesh
        self.log = log
    }

    /// Brings requests for sessions of other instances there.
    var handOver: EngineServerConfiguration.HandOver {
        { [mesh] connection, owner, giveBack in
            guard let descriptor = connection.take() else { return }
            let request = PassedRequest(
                loop: owner.loop, address: connection.address, isProxy: connection.isProxy,
                isSecure: connection.isSecure, bytes: connection.unread)
            let isTaken = mesh.pass(descriptor, request, to: owner.instance) {
                giveBack(descriptor)
            }
            if !isTaken { giveBack(descriptor) }
        }
    }

    /// Asks the instance that listens there for its listeners, once this process can serve.
    func listeners(host: String, port: Int, when isReady: () -> Bool) -> [Int32] {
        let deadline = SystemClock.now() + Cluster.readyTimeout
        while !isReady(), SystemClock.now() < deadline { usleep(20_000) }
        guard let taken = TakeOver.ask(in: mesh, host: host, port: port) else {
            log.notice("nobody to take over from", metadata: ["port": "\(port)"])
            return []
        }
        log.notice("taking over", metadata: ["listeners": "\(taken.listeners.count)"])
        let listeners = taken.listeners
        takeOver.withLock { $0 = taken }
        return listeners
    }

    /// The server accepts: others may send it requests, a predecessor may go, a successor may come.
    func serve(_ server: Server) {
        mesh.onConnection { [weak server] descriptor, request in
            let connection = DetachedConnection(
                descriptor: descriptor, unread: request.bytes, address: request.address,
                isProxy: request.isProxy, isSecure: request.isSecure)
            server?.adopt(connection, onLoop: request.loop)
        }
        mesh.onTakeOver(
            listeners: { [weak server] host, port in
                server?.duplicateListeners(host: host, port: port) ?? []
            },
            takenOver: { [log] in
                log.notice("taken over by a successor")
                Signals.requestStop()
            })
        takeOver.withLock { taken in
            taken?.confirm()
            taken = nil
        }
    }
}
