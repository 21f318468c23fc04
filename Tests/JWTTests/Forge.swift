// SPDX-License-Identifier: MIT
import Bytes
import Crypto
import JSON
import JWT
import Timing

/// Makes tokens, good and bad, from raw header and payload texts, so that a test can write what no
/// library would.
enum Forge {
    static let secret = Array("0123456789abcdef0123456789abcdef".utf8)
    static let now = Timestamp(seconds: 1_800_000_000)
    static let header = "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}"

    static var verifier: AccessTokenVerifier {
        get throws {
            try AccessTokenVerifier(
                issuer: "https://as.example", audience: "chat",
                keys: [
                    SigningKey(kid: "k1", secret: secret),
                    SigningKey(kid: "k2", secret: [UInt8](repeating: 7, count: 32)),
                ])
        }
    }

    static let claims: JSONObject = [
        "iss": "https://as.example", "aud": "chat", "sub": "u_AAAAAAAAAAAAAAAA",
        "client_id": "web", "exp": 1_800_000_600, "iat": 1_800_000_000, "jti": "t1",
        "sid": "s1", "scope": "chat notifications", "name": "ada", "roles": ["admin"],
    ]

    /// The good claims with some set to another value; nil takes one away.
    static func claims(_ changes: [String: JSONValue?]) -> String {
        var object = claims
        for (name, value) in changes { object[name] = value }
        return JSONValue.object(object).text
    }

    static func encode(_ text: String) -> String { encode(Array(text.utf8)) }
    static func encode(_ bytes: [UInt8]) -> String { Base64.string(bytes, alphabet: .url) }

    /// Signs any two segments.
    static func sign(_ header: String, _ payload: String, key: [UInt8] = secret) -> String {
        let input = header + "." + payload
        return input + "." + encode(HMACSHA256.sign(Array(input.utf8), key: key))
    }

    /// A correctly signed token of any header and payload.
    static func token(
        header: String = header, payload: String = JSONValue.object(claims).text,
        key: [UInt8] = secret
    ) -> String {
        sign(encode(header), encode(payload), key: key)
    }

    /// What the verifier says to a token: nil when it accepts.
    static func refusal(_ token: String, now: Timestamp = now) throws -> TokenError? {
        let verifier = try verifier
        do throws(TokenError) {
            _ = try verifier.verify(Array(token.utf8), now: now)
            return nil
        } catch {
            return error
        }
    }
}
