// SPDX-License-Identifier: MIT

/// Publish and subscribe between processes: a hint, never the truth. A message may be lost (no
/// connection, a full queue, a restart of the broker); what must not be lost is in the log.
package protocol Bus: Sendable {
    /// Sends `payload` to all subscribers of `channel`, those of this process too. Never blocks; drops
    /// the message when the connection is down and the queue is full.
    func publish(_ channel: String, _ payload: [UInt8])

    /// Calls `handler` for each message of `channel` from now on, on the bus's own thread, in the order
    /// the broker gives. A handler must not block. Several handlers of one channel are all called.
    func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void)

    /// Whether messages go through now. While false, readers fall back to polling the log.
    var isConnected: Bool { get }

    /// Whether anybody outside this process may hear what is published now. Where nobody does, what is a
    /// hint for others need not even be written.
    var reachesOthers: Bool { get }

    /// Ends the bus for good and waits for its thread. No handler is called afterwards.
    func stop()
}

extension Bus {
    package var reachesOthers: Bool { true }
}

/// The channels and what goes over them.
package enum BusChannel {
    /// Announcements of the chat log (`LogAnnouncement`).
    package static let chatLog = "chat:log"
    /// Announcements of the auth log, of the same shape.
    package static let authLog = "auth:log"
    /// What may be lost by design: typing, alerts.
    package static let chatLive = "chat:live"
    /// Who is connected where, between the instances of one store.
    package static let chatPresence = "chat:presence"
}
