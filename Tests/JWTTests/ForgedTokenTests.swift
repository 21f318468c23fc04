// SPDX-License-Identifier: MIT
import Bytes
import JSON
import JWT
import Testing
import Timing

/// One attack on the verifier: a token and what must be said to it.
struct Attack: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let token: String
    let refusal: TokenError?

    init(_ name: String, _ token: String, _ refusal: TokenError?) {
        testDescription = name
        self.token = token
        self.refusal = refusal
    }

    init(_ name: String, header: String, _ refusal: TokenError?) {
        self.init(name, Forge.token(header: header), refusal)
    }

    init(_ name: String, _ changes: [String: JSONValue?], _ refusal: TokenError?) {
        self.init(name, Forge.token(payload: Forge.claims(changes)), refusal)
    }

    func run() throws {
        #expect(try Forge.refusal(token) == refusal)
    }
}

/// The battery of forged tokens: RFC 8725, RFC 9068 §4 and the cases of Project Wycheproof.
@Suite struct ForgedTokenTests {
    static let good = Forge.token()
    static let parts = good.split(separator: ".").map(String.init)

    @Test func theGoodTokenIsGood() throws {
        #expect(try Forge.refusal(ForgedTokenTests.good) == nil)
    }

    @Test(
        "No algorithm, no signature, other numbers of parts (RFC 8725 §3.1)",
        arguments: ["none", "None", "NONE", "nOnE"].map {
            Attack(
                "alg \($0)",
                Forge.encode("{\"alg\":\"\($0)\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}") + "."
                    + parts[1] + ".", .algorithm)
        } + [
            Attack("empty signature", parts[0] + "." + parts[1] + ".", .malformed),
            Attack("two parts", parts[0] + "." + parts[1], .malformed),
            Attack("four parts", good + ".", .malformed),
            Attack("five parts", good + ".AA.AA", .malformed),
            Attack("empty", "", .malformed),
            Attack("dots only", "..", .malformed),
            Attack("empty header", Forge.sign("", parts[1]), .malformed),
            Attack("empty payload", Forge.sign(parts[0], ""), .malformed),
            Attack(
                "JSON serialization",
                "{\"protected\":\"\(parts[0])\",\"payload\":\"\(parts[1])\",\"signature\":\"\(parts[2])\"}",
                .malformed),
            Attack("header is an array", Forge.token(header: "[]"), .malformed),
            Attack("payload is a string", Forge.token(payload: "\"x\""), .malformed),
        ])
    func row01(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Another algorithm, though the MAC would fit (RFC 8725 §3.1)",
        arguments: ["HS384", "HS512", "RS256", "ES256", "hs256", "HS256 ", ""].map {
            Attack(
                "alg \($0)", header: "{\"alg\":\"\($0)\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
                .algorithm)
        } + [
            Attack("alg absent", header: "{\"typ\":\"at+jwt\",\"kid\":\"k1\"}", .algorithm),
            Attack(
                "alg number", header: "{\"alg\":256,\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
                .algorithm),
            Attack(
                "alg array", header: "{\"alg\":[\"HS256\"],\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
                .algorithm),
        ])
    func row02(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Sloppy base64url (RFC 7515 §2)",
        arguments: [
            Attack("padded signature", good + "=", .malformed),
            Attack("space", good + " ", .malformed),
            Attack("newline", good + "\n", .malformed),
            Attack("question mark", good.dropLast() + "?", .malformed),
            Attack(
                "unused bits not zero", parts[0] + "." + parts[1] + "." + nonCanonical(parts[2]),
                .malformed),
            Attack(
                "standard alphabet",
                Forge.sign(parts[0], Base64.string([0xFB, 0xFF, 0xFE], alphabet: .standard)),
                .malformed),
            Attack("padded header", Forge.sign(parts[0] + "=", parts[1]), .malformed),
            Attack("padded payload", Forge.sign(parts[0], parts[1] + "=="), .malformed),
        ])
    func row03(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Dates (RFC 7519 §4.1.4-6)",
        arguments: [
            Attack("exp missing", ["exp": nil], .missingClaim("exp")),
            Attack("exp now", ["exp": 1_800_000_000], .expired),
            Attack("exp past", ["exp": 1_799_999_999], .expired),
            Attack("exp string", ["exp": "1800000600"], .invalidClaim("exp")),
            Attack("exp negative", ["exp": -1], .invalidClaim("exp")),
            Attack("exp 1e30", ["exp": 1e30], .invalidClaim("exp")),
            Attack("exp with a fraction", ["exp": 1_800_000_600.5], .invalidClaim("exp")),
            Attack("exp Int64.max", ["exp": 9_223_372_036_854_775_807], .invalidClaim("exp")),
            Attack("exp null", ["exp": .some(.null)], .invalidClaim("exp")),
            Attack("iat missing", ["iat": nil], .missingClaim("iat")),
            Attack("iat within the leeway", ["iat": 1_800_000_005], nil),
            Attack("iat past the leeway", ["iat": 1_800_000_006], .notYetValid),
            Attack("nbf within the leeway", ["nbf": 1_800_000_005], nil),
            Attack("nbf past the leeway", ["nbf": 1_800_000_006], .notYetValid),
            Attack("nbf string", ["nbf": "0"], .invalidClaim("nbf")),
        ])
    func row04(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Issuer and audience (RFC 8725 §3.8-3.9)",
        arguments: [
            Attack("iss other", ["iss": "https://evil.example"], .issuer),
            Attack("iss with a slash", ["iss": "https://as.example/"], .issuer),
            Attack("iss in capitals", ["iss": "https://AS.example"], .issuer),
            Attack("aud missing", ["aud": nil], .missingClaim("aud")),
            Attack("aud other service", ["aud": "notification"], .audience),
            Attack("aud number", ["aud": 5], .invalidClaim("aud")),
            Attack("aud array without us", ["aud": ["auth", "notification"]], .audience),
            Attack("aud empty array", ["aud": []], .audience),
            Attack("aud array with us", ["aud": ["auth", "chat"]], nil),
        ])
    func row05(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Token types (RFC 9068 §4)",
        arguments: [
            Attack("absent", header: "{\"alg\":\"HS256\",\"kid\":\"k1\"}", .type)
        ]
            + ["JWT", "id+jwt", "rt+jwt", "reset+jwt", "at+jwt ", "at", ""].map {
                Attack($0, header: "{\"alg\":\"HS256\",\"typ\":\"\($0)\",\"kid\":\"k1\"}", .type)
            }
            + ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"].map {
                Attack($0, header: "{\"alg\":\"HS256\",\"typ\":\"\($0)\",\"kid\":\"k1\"}", nil)
            })
    func row06(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Required claims (RFC 9068 §2.2)",
        arguments: ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"].map {
            Attack("\($0) missing", [$0: nil], .missingClaim($0))
        }
            + ["iss", "sub", "client_id", "jti"].map {
                Attack("\($0) empty", [$0: ""], .invalidClaim($0))
            }
            + ["iss", "sub", "client_id", "jti", "sid", "scope", "name", "roles"].map {
                Attack("\($0) a number", [$0: 1], .invalidClaim($0))
            })
    func row07(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Key ids: a dictionary look-up and nothing else (RFC 8725 §3.10)",
        arguments: [
            "\"k3\"", "\"\"", "1", "null", "[\"k1\"]", "\"../../dev/null\"", "\"' OR 1=1--\"",
            "\"k1\\u0000\"", "\"K1\"", "\"\(String(repeating: "k", count: 5000))\"",
        ].map {
            Attack(
                $0, header: "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\($0)}", .unknownKey)
        } + [
            Attack("absent", header: "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", .unknownKey),
            Attack(
                "the other key's id",
                header: "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k2\"}", .signature),
        ])
    func row08(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Header parameters that bring keys are ignored, extensions refused (RFC 7515 §4.1)",
        arguments: [
            ("jku", "\"http://127.0.0.1:1/\""), ("x5u", "\"http://127.0.0.1:1/\""),
            ("jwk", "{\"kty\":\"oct\",\"k\":\"AAAA\"}"), ("x5c", "[\"AAAA\"]"),
        ].map {
            Attack(
                $0.0,
                header:
                    "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"\($0.0)\":\($0.1)}",
                nil)
        }
            + [
                ("crit", "[\"exp\"]"), ("crit", "[]"), ("b64", "false"), ("b64", "true"),
                ("zip", "\"DEF\""),
            ].map {
                Attack(
                    "\($0.0) \($0.1)",
                    header:
                        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"\($0.0)\":\($0.1)}",
                    .unsupportedHeader)
            })
    func row09(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Members named twice (RFC 7515 §4, RFC 7519 §4)",
        arguments: [
            Attack(
                "alg twice",
                header: "{\"alg\":\"none\",\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
                .malformed),
            Attack(
                "kid twice, once escaped",
                header:
                    "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"\\u006bid\":\"k1\"}",
                .malformed),
            Attack(
                "sub twice",
                Forge.token(
                    payload: "{\"sub\":\"u_admin\"," + Forge.claims([:]).dropFirst()), .malformed),
            Attack(
                "twice inside a claim",
                Forge.token(
                    payload: "{\"x\":{\"a\":1,\"a\":2}," + Forge.claims([:]).dropFirst()),
                .malformed),
        ])
    func row10(_ attack: Attack) throws { try attack.run() }

    @Test(
        "Sizes, depth, encoding",
        arguments: [
            Attack("at the limit", sized(to: 8192), nil),
            Attack("one past the limit", sized(to: 8192) + "A", .tooLarge),
            Attack("a megabyte", String(repeating: "A", count: 1 << 20), .tooLarge),
            Attack(
                "depth 1000",
                Forge.token(
                    payload: String(repeating: "[", count: 1000)
                        + String(repeating: "]", count: 1000)), .malformed),
            Attack(
                "invalid UTF-8",
                Forge.sign(
                    parts[0], Forge.encode(Array("{\"sub\":\"".utf8) + [0xFF, 0x22, 0x7D])),
                .malformed),
            Attack("trailing text", Forge.token(payload: Forge.claims([:]) + "{}"), .malformed),
            Attack(
                "a thousand claims",
                Forge.token(
                    payload: "{" + (0..<700).map { "\"c\($0)\":1" }.joined(separator: ",") + "}"),
                .tooLarge),
            Attack(
                "five hundred claims",
                Forge.token(
                    payload: "{" + (0..<500).map { "\"c\($0)\":1" }.joined(separator: ",") + "}"),
                .missingClaim("iss")),
        ])
    func row11(_ attack: Attack) throws { try attack.run() }

    @Test("A signature wrong in any one byte (RFC 7515 §5.2)", arguments: 0..<32)
    func row12(index: Int) throws {
        let parts = ForgedTokenTests.parts
        var tag = try #require(Base64.decode(Array(parts[2].utf8), alphabet: .url))
        tag[index] ^= 1
        let token = parts[0] + "." + parts[1] + "." + Forge.encode(tag)
        #expect(try Forge.refusal(token) == .signature)
    }

    @Test("A signature of another length", arguments: [1, 16, 31, 33, 64])
    func row12(length: Int) throws {
        let parts = ForgedTokenTests.parts
        let token =
            parts[0] + "." + parts[1] + "." + Forge.encode([UInt8](repeating: 0, count: length))
        #expect(try Forge.refusal(token) == .malformed)
    }

    @Test(
        "People and services cannot be taken for each other (RFC 9700 §4.15)",
        arguments: [
            Attack("client", ["sub": "client:bot", "client_id": "bot", "sid": nil], nil),
            Attack(
                "client in another's name", ["sub": "client:chat-service", "client_id": "bot"],
                .invalidClaim("sub")),
            Attack("no prefix", ["sub": "ada"], .invalidClaim("sub")),
            Attack("prefix only", ["sub": "u_"], .invalidClaim("sub")),
            Attack("foreign characters", ["sub": "u_a b"], .invalidClaim("sub")),
            Attack("other prefix", ["sub": "U_AAAA"], .invalidClaim("sub")),
        ])
    func row17(_ attack: Attack) throws { try attack.run() }

    /// The same 32 bytes with the two unused bits of the last character set.
    private static func nonCanonical(_ signature: String) -> String {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let last = alphabet.firstIndex(of: signature.utf8.last!)!
        return signature.dropLast() + String(decoding: [alphabet[last + 1]], as: UTF8.self)
    }

    /// A good token of exactly that many bytes: a claim of padding makes up the rest. Base64url
    /// lengths leave out one in four, so the header gets a byte or two as well.
    private static func sized(to count: Int) -> String {
        for extra in 0..<4 {
            let header =
                "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\""
                + String(repeating: " ", count: extra) + "}"
            let pad =
                (count - Forge.token(header: header, payload: Forge.claims(["pad": ""])).count)
            for padding in max(0, pad * 3 / 4 - 4)...(pad * 3 / 4 + 4) {
                let text = String(repeating: "p", count: padding)
                let token = Forge.token(
                    header: header, payload: Forge.claims(["pad": .string(text)]))
                if token.utf8.count == count { return token }
            }
        }
        return ""
    }
}
