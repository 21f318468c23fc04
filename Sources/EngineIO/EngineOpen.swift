// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// How a connection's bytes travel.
package enum Transport: String, Hashable, Sendable, CaseIterable {
    case polling
    case websocket
}

/// The numbers of a session (Engine.IO protocol 4, Handshake).
package struct EngineConfiguration: Hashable, Sendable {
    /// How often the server pings.
    package var pingInterval: Duration
    /// How long it waits for the pong.
    package var pingTimeout: Duration
    /// How long a probed WebSocket may take to be upgraded to.
    package var upgradeTimeout: Duration
    /// Bytes of one polling body or WebSocket message of the client's.
    package var maxPayload: Int

    /// The reference server's defaults.
    package init(
        pingInterval: Duration = .milliseconds(25_000),
        pingTimeout: Duration = .milliseconds(20_000),
        upgradeTimeout: Duration = .milliseconds(10_000), maxPayload: Int = 1_000_000
    ) {
        self.pingInterval = pingInterval
        self.pingTimeout = pingTimeout
        self.upgradeTimeout = upgradeTimeout
        self.maxPayload = maxPayload
    }
}

/// The packet that opens a session.
package enum EngineOpen {
    /// Appends the open packet, `0` included: exactly the five keys of the protocol.
    /// - Parameter upgrades: empty when the session starts on WebSocket.
    package static func write(
        sid: String, upgrades: [Transport], configuration: EngineConfiguration,
        into output: inout [UInt8]
    ) {
        output.append("0{\"sid\":")
        JSONString.write(sid, into: &output)
        output.append(",\"upgrades\":[")
        for (index, transport) in upgrades.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            JSONString.write(transport.rawValue, into: &output)
        }
        output.append("],\"pingInterval\":")
        output.append(decimal: milliseconds(configuration.pingInterval))
        output.append(",\"pingTimeout\":")
        output.append(decimal: milliseconds(configuration.pingTimeout))
        output.append(",\"maxPayload\":")
        output.append(decimal: configuration.maxPayload)
        output.append(UInt8(ascii: "}"))
    }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
