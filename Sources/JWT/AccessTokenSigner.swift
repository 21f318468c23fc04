// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import JSON

/// Signs access tokens with one key: HS256 in the JWS compact serialization (RFC 7515 §7.1).
package struct AccessTokenSigner: Sendable {
    /// Of the key in use.
    package let kid: String
    private let mac: HMACSHA256.Key
    /// The encoded header and its dot.
    private let prefix: [UInt8]

    package init(key: SigningKey) {
        kid = key.kid
        mac = HMACSHA256.Key(key.secret)
        prefix = key.headerSegment + [UInt8(ascii: ".")]
    }

    /// The token: three base64url parts between dots, ASCII.
    package func sign(_ claims: AccessTokenClaims) -> String {
        var token = prefix
        Base64.encode(claims.json.bytes.span, alphabet: .url, into: &token)
        let tag = mac.sign(token.span)
        token.append(UInt8(ascii: "."))
        Base64.encode(tag.span, alphabet: .url, into: &token)
        return String(decoding: token, as: UTF8.self)
    }
}
