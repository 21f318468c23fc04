// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import JSON
package import Timing

/// Verifies access tokens for one audience. Immutable; verifying shares nothing and takes no lock.
///
/// The order is chosen so that a stranger's bytes cost as little as possible: size, shape, header,
/// key, MAC, and only then are claims parsed (RFC 8725 §3.3). `alg` is pinned: the header is compared
/// with what the key is for and never chooses anything.
package struct AccessTokenVerifier: Sendable {
    /// Tokens with more bytes than this are refused before anything is parsed or computed.
    package static let maxTokenBytes = 8192

    /// Whose tokens are taken.
    package let issuer: String
    /// For which service.
    package let audience: String
    private let keys: KeySet
    /// How far `iat` and `nbf` may lie ahead of our clock. One side only: a clock that is behind the
    /// issuer's must not refuse fresh tokens, but no clock may prolong one (`exp` gets none).
    private let leeway: Duration

    /// The longest leeway; more would be a wrong configuration and traps.
    package static let maxLeeway: Duration = .seconds(10)

    /// - Throws: `duplicate` when two keys share an id or a secret.
    package init(
        issuer: String, audience: String, keys: [SigningKey], leeway: Duration = .seconds(5)
    ) throws(SigningKeyError) {
        precondition(leeway >= .zero && leeway <= AccessTokenVerifier.maxLeeway)
        self.issuer = issuer
        self.audience = audience
        self.keys = try KeySet(keys)
        self.leeway = leeway
    }

    /// The claims of a token that is genuine, for us, and in force at `now`.
    /// - Throws: the first cause found.
    package func verify(
        _ token: [UInt8], now: Timestamp
    ) throws(TokenError) -> AccessTokenClaims {
        guard token.count <= AccessTokenVerifier.maxTokenBytes else { throw .tooLarge }
        let bytes = token.span
        let (header, payload, signature) = try AccessTokenVerifier.split(bytes)
        let key = try self.key(for: bytes.extracting(header))
        guard
            let tag = Base64.decode(bytes.extracting(signature), alphabet: .url),
            tag.count == HMACSHA256.byteCount
        else { throw .malformed }
        guard key.verify(tag, of: bytes.extracting(0..<payload.upperBound)) else {
            throw .signature
        }
        let claims = try AccessTokenVerifier.object(bytes.extracting(payload), maxDepth: 8)
        let read = try AccessTokenClaims(claims, audience: audience)
        guard same(read.issuer, issuer) else { throw .issuer }
        guard now < read.expiresAt else { throw .expired }
        let latest = now + leeway
        guard read.issuedAt <= latest else { throw .notYetValid }
        if let notBefore = claims["nbf"]?.int, Timestamp(seconds: notBefore) > latest {
            throw .notYetValid
        }
        return read
    }

    /// The claims of a token given as text.
    package func verify(
        _ token: String, now: Timestamp
    ) throws(TokenError) -> AccessTokenClaims {
        // A long text is not even copied.
        guard token.utf8.count <= AccessTokenVerifier.maxTokenBytes else { throw .tooLarge }
        return try verify(Array(token.utf8), now: now)
    }

    /// Exactly two dots: RFC 7515 §7.1. Five parts would be a JWE, which is none of ours.
    private static func split(
        _ bytes: Span<UInt8>
    ) throws(TokenError) -> (header: Range<Int>, payload: Range<Int>, signature: Range<Int>) {
        var first: Int?
        var second: Int?
        for index in 0..<bytes.count where bytes[index] == UInt8(ascii: ".") {
            if first == nil {
                first = index
            } else if second == nil {
                second = index
            } else {
                throw .malformed
            }
        }
        guard let first, let second else { throw .malformed }
        return (0..<first, first + 1..<second, second + 1..<bytes.count)
    }

    private func key(for segment: Span<UInt8>) throws(TokenError) -> HMACSHA256.Key {
        if let known = keys.key(ofHeaderSegment: segment) { return known }
        let header = try AccessTokenVerifier.object(segment, maxDepth: 4)
        guard case .string(let algorithm)? = header["alg"], algorithm == "HS256" else {
            throw .algorithm
        }
        // RFC 9068 §4: `at+jwt` or with its prefix; media types compare without case.
        guard case .string(let type)? = header["typ"],
            ["at+jwt", "application/at+jwt"].contains(type.lowercased())
        else { throw .type }
        // RFC 7515 §4.1.11 and RFC 7797: an extension we do not perform is a reason to refuse.
        // `jku`, `jwk`, `x5u` and `x5c` are not looked at: a token cannot bring its own key.
        guard header["crit"] == nil, header["b64"] == nil, header["zip"] == nil else {
            throw .unsupportedHeader
        }
        guard case .string(let kid)? = header["kid"], SigningKey.isKeyID(kid),
            let key = keys[kid]
        else { throw .unknownKey }
        return key
    }

    /// One base64url part as a JSON object with unique members (RFC 7515 §4, RFC 7519 §4).
    private static func object(
        _ segment: Span<UInt8>, maxDepth: Int
    ) throws(TokenError) -> JSONValue {
        guard let text = Base64.decode(segment, alphabet: .url) else { throw .malformed }
        do {
            let value = try JSONValue(parsing: text, maxDepth: maxDepth)
            guard case .object = value else { throw TokenError.malformed }
            return value
        } catch {
            throw .malformed
        }
    }
}
