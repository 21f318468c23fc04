// SPDX-License-Identifier: MIT
package import Timing

/// One Engine.IO session: heartbeat and upgrade, without a socket or a clock.
///
///                 probe opens            "2probe"            "5"
///     polling ──────────────► probing ───────────► probed ───────► on WebSocket
///        ▲                       │                    │
///        └───── probe closes, fails or takes longer than upgradeTimeout
///
///     heartbeat: idle ──pingInterval──► ping sent ──pong──► idle
///                                           └──pingTimeout──► closed
///
/// Source: Engine.IO protocol 4, sections Heartbeat and Upgrade.
package struct EngineSession: Sendable {
    /// Where a packet came in.
    package enum Origin: Sendable {
        /// The transport that carries the session.
        case current
        /// The WebSocket that asks to take over.
        case probe
    }

    package enum CloseReason: Hashable, Sendable {
        case pingTimeout
        /// The client said close.
        case closedByPeer
        /// A packet that has no place there.
        case protocolError
        /// The server ends, or goes on elsewhere: the client is to come back.
        case goingAway
        /// The client does not read as fast as it is written to.
        case tooSlow
        /// The client may no longer be here.
        case unwelcome
    }

    /// What the shell has to do.
    package enum Step: Hashable, Sendable {
        case nothing
        /// Hand the packet's payload to the layer above.
        case deliver
        /// Send a ping on the current transport.
        case sendPing
        /// Answer the probe with `3probe`, and release a waiting poll with a noop.
        case confirmProbe
        /// The probe is the transport now: release a waiting poll, move the queue over.
        case completeUpgrade
        /// Close the probe; the session goes on where it was.
        case closeProbe
        /// End the session.
        case close(CloseReason)
    }

    private enum Probe: Hashable {
        case none
        case opened(deadline: Instant)
        case confirmed(deadline: Instant)
    }
    private enum Heartbeat: Hashable {
        case idle(next: Instant)
        case awaitingPong(deadline: Instant)
    }

    private var probe = Probe.none
    private var heartbeat: Heartbeat
    private let pingInterval: Length
    private let pingTimeout: Length
    private let upgradeTimeout: Length
    package private(set) var transport: Transport

    /// A length of time in a quarter of a `Duration`'s room: sessions are many.
    private struct Length: Sendable {
        let milliseconds: UInt32

        init(_ duration: Duration) {
            milliseconds = UInt32(clamping: duration.nanoseconds / 1_000_000)
        }

        static func + (start: Instant, length: Length) -> Instant {
            start + .milliseconds(Int64(length.milliseconds))
        }
    }

    /// - Parameters:
    ///   - firstPing: when the first ping is due; a jittered interval spreads a storm's heartbeats.
    package init(
        transport: Transport, configuration: EngineConfiguration, now: Instant,
        firstPing: Duration? = nil
    ) {
        self.transport = transport
        pingInterval = Length(configuration.pingInterval)
        pingTimeout = Length(configuration.pingTimeout)
        upgradeTimeout = Length(configuration.upgradeTimeout)
        heartbeat = .idle(next: now + (firstPing ?? configuration.pingInterval))
    }

    /// Whether a WebSocket is asking to take over.
    package var isProbing: Bool { probe != .none }

    /// Whether polls should be answered at once, since the client waits to leave them.
    package var releasesPolls: Bool {
        if case .confirmed = probe { true } else { false }
    }

    /// A WebSocket opened with the id of this one. False: there is one already, close the new one.
    package mutating func probeOpened(now: Instant) -> Bool {
        guard transport == .polling, probe == .none else { return false }
        probe = .opened(deadline: now + upgradeTimeout)
        return true
    }

    /// The probing WebSocket went away.
    package mutating func probeClosed() { probe = .none }

    /// Takes one packet.
    /// - Parameter isProbePayload: whether its payload is exactly `probe`.
    package mutating func received(
        _ type: EnginePacketType, isProbePayload: Bool, from origin: Origin, now: Instant
    ) -> Step {
        switch origin {
        case .probe:
            switch (probe, type) {
            case (.opened(let deadline), .ping) where isProbePayload:
                probe = .confirmed(deadline: deadline)
                return .confirmProbe
            case (.confirmed, .upgrade):
                probe = .none
                transport = .websocket
                return .completeUpgrade
            default:
                probe = .none
                return .closeProbe
            }
        case .current:
            switch type {
            case .message:
                seen(now)
                return .deliver
            case .pong:
                heartbeat = .idle(next: now + pingInterval)
                return .nothing
            case .close: return .close(.closedByPeer)
            case .noop: return .nothing
            // A ping from a client is protocol 3's direction; open and upgrade have no place here.
            case .ping, .open, .upgrade: return .close(.protocolError)
            }
        }
    }

    /// Any packet shows the peer alive, so a pong that is late behind a long upload ends nobody.
    private mutating func seen(_ now: Instant) {
        if case .awaitingPong = heartbeat { heartbeat = .awaitingPong(deadline: now + pingTimeout) }
    }

    /// Does what has come due. To be called again until it answers `.nothing`.
    package mutating func timePassed(now: Instant) -> Step {
        switch probe {
        case .opened(let deadline) where deadline <= now,
            .confirmed(let deadline) where deadline <= now:
            probe = .none
            return .closeProbe
        default: break
        }
        switch heartbeat {
        case .idle(let next) where next <= now:
            // From when the ping was due, so that a coarse timer adds nothing to the promise; a loop that
            // stood still, though, owes the client its whole time.
            let due = now - next <= .milliseconds(50) ? next : now
            heartbeat = .awaitingPong(deadline: due + pingTimeout)
            return .sendPing
        case .awaitingPong(let deadline) where deadline <= now: return .close(.pingTimeout)
        default: return .nothing
        }
    }

    /// When `timePassed` has something to do next.
    package var nextDeadline: Instant {
        let beat =
            switch heartbeat {
            case .idle(let next): next
            case .awaitingPong(let deadline): deadline
            }
        return switch probe {
        case .none: beat
        case .opened(let deadline), .confirmed(let deadline): min(beat, deadline)
        }
    }
}
