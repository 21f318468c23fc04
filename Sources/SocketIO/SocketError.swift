// SPDX-License-Identifier: MIT

/// Why a peer's packet is refused. The protocol has one answer to all of them: close the transport. The
/// decoder that threw must not be used again.
package enum SocketError: Error, Hashable, Sendable, CaseIterable {
    /// No packet type, or one that is not 0...6.
    case unknownPacketType
    /// Not `<digits>-` behind a binary type, or none announced.
    case malformedAttachmentCount
    /// More attachments than `SocketLimits.maxAttachments`.
    case tooManyAttachments
    /// More bytes than `SocketLimits.maxAttachmentBytes`.
    case attachmentsTooLarge
    /// A placeholder whose number names no attachment.
    case illegalPlaceholder
    /// A namespace longer than `SocketLimits.maxNamespaceBytes`.
    case namespaceTooLong
    /// An ack id that does not fit 63 bits, or an ack without one.
    case malformedAckID
    /// A payload that is no JSON, or of a kind that its packet type does not take.
    case invalidPayload
    /// An event named like one of the protocol's own (`EventArguments.reservedNames`).
    case reservedEvent
    /// A text packet where an attachment is due.
    case unexpectedText
    /// A binary packet where none is due.
    case unexpectedBinary

    /// The stable word for log lines; holds nothing the peer sent.
    package var code: String {
        switch self {
        case .unknownPacketType: "unknown_packet_type"
        case .malformedAttachmentCount: "malformed_attachment_count"
        case .tooManyAttachments: "too_many_attachments"
        case .attachmentsTooLarge: "attachments_too_large"
        case .illegalPlaceholder: "illegal_placeholder"
        case .namespaceTooLong: "namespace_too_long"
        case .malformedAckID: "malformed_ack_id"
        case .invalidPayload: "invalid_payload"
        case .reservedEvent: "reserved_event"
        case .unexpectedText: "unexpected_text"
        case .unexpectedBinary: "unexpected_binary"
        }
    }
}
