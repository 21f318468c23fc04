// SPDX-License-Identifier: MIT

/// The error codes of OAuth 2.0 that this server sends (RFC 6749 §4.1.2.1, §5.2; OpenID Connect Core
/// §3.1.2.6 for `login_required`; RFC 8707 §2 for `invalid_target`).
package enum OAuthErrorCode: String, Sendable, CaseIterable {
    case invalidRequest = "invalid_request"
    case invalidClient = "invalid_client"
    case invalidGrant = "invalid_grant"
    case unauthorizedClient = "unauthorized_client"
    case unsupportedGrantType = "unsupported_grant_type"
    case unsupportedResponseType = "unsupported_response_type"
    case invalidScope = "invalid_scope"
    case invalidTarget = "invalid_target"
    case accessDenied = "access_denied"
    case loginRequired = "login_required"
    case temporarilyUnavailable = "temporarily_unavailable"
    case serverError = "server_error"

    /// The HTTP status at the token endpoint (RFC 6749 §5.2).
    package var status: Int {
        switch self {
        case .invalidClient: 401
        case .serverError: 500
        case .temporarilyUnavailable: 503
        default: 400
        }
    }
}

/// A refusal in OAuth's terms: the code for programs, a sentence for people. Neither tells a prober
/// which of several checks failed.
package struct OAuthError: Error, Hashable, Sendable {
    package var code: OAuthErrorCode
    package var detail: String

    package init(_ code: OAuthErrorCode, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// One answer for a grant that is unknown, used, expired, another client's or withdrawn.
    package static let invalidGrant = OAuthError(
        .invalidGrant, "The code or refresh token is not valid, or not any more.")

    /// One answer for an unknown client and a wrong secret.
    package static let invalidClient = OAuthError(
        .invalidClient, "The client could not be authenticated.")

    /// The store did not answer.
    package static let unavailable = OAuthError(
        .temporarilyUnavailable, "The service cannot do this at the moment.")
}
