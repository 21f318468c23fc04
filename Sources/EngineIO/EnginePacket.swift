// SPDX-License-Identifier: MIT
internal import Bytes

/// What a packet is: one ASCII digit (Engine.IO protocol 4, Protocol).
package enum EnginePacketType: UInt8, Hashable, Sendable, CaseIterable {
    case open = 0x30
    case close = 0x31
    case ping = 0x32
    case pong = 0x33
    case message = 0x34
    case upgrade = 0x35
    case noop = 0x36
}

/// Why a peer's bytes are no Engine.IO packet. On polling the answer is 400 and the session is closed; on
/// WebSocket the connection is closed.
package enum EngineError: Error, Hashable, Sendable, CaseIterable {
    /// A packet without type: an empty frame or body, or two separators in a row.
    case emptyPacket
    /// A packet whose first character is not 0...6.
    case unknownPacketType
    /// `b` with anything but canonical base64 behind it.
    case malformedBase64
    /// A polling body that is not UTF-8.
    case invalidUTF8

    /// The stable word for log lines.
    package var code: String {
        switch self {
        case .emptyPacket: "empty_packet"
        case .unknownPacketType: "unknown_packet_type"
        case .malformedBase64: "malformed_base64"
        case .invalidUTF8: "invalid_utf8"
        }
    }
}

/// One packet as text. Binary messages need no coding on WebSocket: the frame is the payload.
package enum EngineCodec {
    /// Takes a text packet apart: a WebSocket text frame, or a piece of a polling body.
    /// - Returns: the type, and the payload's range in `bytes`.
    package static func decodeText(
        _ bytes: Span<UInt8>
    ) throws(EngineError) -> (type: EnginePacketType, payload: Range<Int>) {
        guard bytes.count > 0 else { throw .emptyPacket }
        guard let type = EnginePacketType(rawValue: bytes[0]) else { throw .unknownPacketType }
        return (type, 1..<bytes.count)
    }

    /// Appends a text packet.
    package static func encodeText(
        _ type: EnginePacketType, _ payload: Span<UInt8>, into output: inout [UInt8]
    ) {
        output.append(type.rawValue)
        output.append(payload)
    }
}
