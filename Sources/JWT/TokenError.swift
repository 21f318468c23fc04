// SPDX-License-Identifier: MIT

/// Why a token was refused: for logs and operators. Callers of an API get one answer for all causes
/// (RFC 6750 §3.1), so that a forger learns nothing from it.
package enum TokenError: Error, Hashable, Sendable {
    /// More bytes than `AccessTokenVerifier.maxTokenBytes`; nothing was parsed and no MAC computed.
    case tooLarge
    /// Not three parts of strict base64url, or a part is not one JSON object with unique members.
    case malformed
    /// `alg` is not exactly `HS256`.
    case algorithm
    /// `typ` is not `at+jwt`: some other kind of token used as an access token (RFC 8725 §3.11).
    case type
    /// The header demands an extension (`crit`, `b64`, `zip`) that we do not perform.
    case unsupportedHeader
    /// `kid` is absent, ill-formed or names none of our keys. There is no fallback key.
    case unknownKey
    /// The MAC does not fit.
    case signature
    /// A required claim is absent.
    case missingClaim(String)
    /// A claim has the wrong type or a value out of range.
    case invalidClaim(String)
    /// Issued by another server.
    case issuer
    /// Meant for another service.
    case audience
    /// `exp` has passed.
    case expired
    /// `iat` or `nbf` lies further ahead than the leeway.
    case notYetValid

    /// The one thing a client may learn besides "no": whether a fresh token would help.
    package var code: String { self == .expired ? "token_expired" : "invalid_token" }
}

/// Why a key cannot be used.
package enum SigningKeyError: Error, Hashable, Sendable {
    /// Fewer than 32 bytes (RFC 7518 §3.2: at least as long as the hash).
    case tooShort
    /// Not 1...64 characters of `A-Z a-z 0-9 . _ -`.
    case malformedKeyID
    /// Two keys of one set share a key id, or one secret serves under two ids.
    case duplicate
}
