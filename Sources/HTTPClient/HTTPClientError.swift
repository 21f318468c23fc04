// SPDX-License-Identifier: MIT

/// Why a request has no response.
package enum HTTPClientError: Error, Hashable, Sendable {
    /// The URL, the method or a field is not one that may be sent; nothing was sent.
    case invalidRequest
    /// The name has no address, or the resolver failed.
    case unresolved
    /// The name has addresses and `admits` refused them all.
    case blockedAddress
    /// No address took the connection: refused, unreachable, reset.
    case unreachable
    /// The certificate does not verify or TLS was not agreed.
    case tls
    /// A deadline passed in that phase.
    case timeout(Phase)
    /// The connection ended before the response did.
    case closed
    /// More field bytes, fields or interim responses than `ResponseLimits` takes.
    case headTooLarge
    /// The body is longer than `maxResponseBytes`.
    case bodyTooLarge
    /// What came is not HTTP/1.1, or frames its body in two ways at once (RFC 9112 §6.3).
    case malformed
    /// `isCancelled` said so.
    case cancelled
    /// libcurl failed in a way that has no name here: its CURLcode.
    case failed(code: Int32)

    package enum Phase: String, Sendable {
        case resolve, connect, tls, response, body
    }

    /// A stable word for logs, metrics and stored attempts.
    package var label: String {
        switch self {
        case .invalidRequest: "invalid_request"
        case .unresolved: "unresolved"
        case .blockedAddress: "blocked_address"
        case .unreachable: "unreachable"
        case .tls: "tls_error"
        case .timeout(let phase): "timeout_\(phase.rawValue)"
        case .closed: "connection_closed"
        case .headTooLarge: "head_too_large"
        case .bodyTooLarge: "body_too_large"
        case .malformed: "malformed_response"
        case .cancelled: "cancelled"
        case .failed: "client_failure"
        }
    }
}
