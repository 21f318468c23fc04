// SPDX-License-Identifier: MIT

/// Why a peer's bytes fail the connection (RFC 6455 §7.1.7). Send a close frame with `closeCode`, then
/// close; the receiver that threw must not be used again.
package enum WebSocketError: Error, Hashable, Sendable, CaseIterable {
    /// RSV2 or RSV3 is set, or RSV1 where no extension gives it a meaning (§5.2; RFC 7692 §6).
    case reservedBits
    /// Opcode 3–7 or B–F (§5.2).
    case reservedOpcode
    /// A client's frame without mask (§5.1).
    case unmaskedFrame
    /// A server's frame with a mask (§5.1).
    case maskedFrame
    /// A length written in more bytes than it needs, or of 2^63 and above (§5.2).
    case malformedLength
    /// A control frame in fragments (§5.5).
    case fragmentedControl
    /// A control frame of more than 125 bytes (§5.5).
    case controlTooLong
    /// A continuation where no message is under way (§5.4).
    case unexpectedContinuation
    /// A new message inside another's fragments (§5.4).
    case interleavedMessage
    /// A close frame whose payload has one byte (§5.5.1).
    case malformedClose
    /// A close code that must not be sent (§7.4).
    case invalidCloseCode
    /// Text, or the reason of a close, that is not UTF-8 (§8.1).
    case invalidUTF8
    /// A message of more than `WebSocketLimits.maxMessageBytes`, inflated or not.
    case messageTooBig
    /// A message in more frames than `WebSocketLimits.maxFragments`.
    case tooManyFragments
    /// Compressed data that is not DEFLATE (RFC 7692 §7.2.2).
    case invalidDeflate

    /// The code to close with.
    package var closeCode: UInt16 { row.code.rawValue }
    /// The reason to close with: for people, at most 123 bytes, nothing of the peer's in it.
    package var reason: String { row.reason }

    private var row: (code: CloseCode, reason: String) {
        switch self {
        case .reservedBits: (.protocolError, "reserved bits set")
        case .reservedOpcode: (.protocolError, "reserved opcode")
        case .unmaskedFrame: (.protocolError, "client frame not masked")
        case .maskedFrame: (.protocolError, "server frame masked")
        case .malformedLength: (.protocolError, "malformed frame length")
        case .fragmentedControl: (.protocolError, "fragmented control frame")
        case .controlTooLong: (.protocolError, "control frame too long")
        case .unexpectedContinuation: (.protocolError, "continuation of no message")
        case .interleavedMessage: (.protocolError, "message inside a message")
        case .malformedClose: (.protocolError, "malformed close frame")
        case .invalidCloseCode: (.protocolError, "invalid close code")
        case .invalidUTF8: (.invalidPayload, "invalid UTF-8")
        case .messageTooBig: (.messageTooBig, "message too big")
        case .tooManyFragments: (.messageTooBig, "too many fragments")
        case .invalidDeflate: (.invalidPayload, "invalid compressed data")
        }
    }
}
