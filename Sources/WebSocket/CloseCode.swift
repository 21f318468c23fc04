// SPDX-License-Identifier: MIT

/// Why a connection is closed (RFC 6455 §7.4 and IANA's WebSocket Close Code Number Registry).
package struct CloseCode: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }
    private init(_ rawValue: UInt16) { self.rawValue = rawValue }

    /// The purpose is fulfilled.
    package static let normal = CloseCode(1000)
    /// The server goes down or the page is left.
    package static let goingAway = CloseCode(1001)
    /// A peer broke RFC 6455.
    package static let protocolError = CloseCode(1002)
    /// A kind of data that is not taken here.
    package static let unsupportedData = CloseCode(1003)
    /// Never sent: the close frame held no code.
    package static let noStatus = CloseCode(1005)
    /// Never sent: the connection ended without a close frame.
    package static let abnormal = CloseCode(1006)
    /// Text that is not UTF-8, or compressed data that does not inflate.
    package static let invalidPayload = CloseCode(1007)
    /// Against a rule that has no code of its own.
    package static let policyViolation = CloseCode(1008)
    /// A message larger than is taken here.
    package static let messageTooBig = CloseCode(1009)
    /// The server did not agree to an extension the client needs.
    package static let mandatoryExtension = CloseCode(1010)
    /// The server met a condition it did not expect.
    package static let internalError = CloseCode(1011)
    /// The server restarts: come back after a random wait.
    package static let serviceRestart = CloseCode(1012)
    /// The server is overloaded: come back later.
    package static let tryAgainLater = CloseCode(1013)
    /// A gateway got no sound answer from the server behind it.
    package static let badGateway = CloseCode(1014)

    /// Whether a close frame may hold this code: registered by the RFC or IANA and not set aside for
    /// local use (1004, 1005, 1006, 1015), or in the ranges of libraries (3000…) and applications
    /// (4000…4999).
    package var mayBeSent: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
