// SPDX-License-Identifier: MIT
import Bytes
import Crypto
import JSON
import JWT
import Testing
import Timing

@Suite struct AccessTokenTests {
    static let claims = AccessTokenClaims(
        issuer: "https://as.example", audience: "chat", subject: "u_AAAAAAAAAAAAAAAA",
        clientID: "web", expiresAt: Timestamp(seconds: 1_800_000_600),
        issuedAt: Timestamp(seconds: 1_800_000_000), tokenID: "t1", sessionID: "s1",
        scope: ["chat", "notifications"], name: "ada", roles: ["admin"])

    @Test func verifierReadsWhatSignerWrote() throws {
        let signer = AccessTokenSigner(key: try SigningKey(kid: "k1", secret: Forge.secret))
        let token = signer.sign(AccessTokenTests.claims)
        let verifier = try Forge.verifier
        let read = try verifier.verify(token, now: Forge.now)
        #expect(read == AccessTokenTests.claims)
        #expect(read.subjectKind == .user)
        #expect(read.has(scope: "chat") && !read.has(scope: "internal:log"))
    }

    @Test func aTokenIsKnownAgainByWhatIsKeptOfIt() {
        var claims = AccessTokenTests.claims
        let token = TokenIdentity(claims)
        #expect(token.isToken("t1") && !token.isToken("t2") && !token.isToken("s1"))
        #expect(token.isOfSession("s1") && !token.isOfSession("t1") && !token.isOfSession(nil))
        #expect(token.isIssued(by: claims.issuedAt))
        #expect(!token.isIssued(by: Timestamp(seconds: claims.issuedAt.seconds - 1)))
        claims.sessionID = nil
        let service = TokenIdentity(claims)
        #expect(service.isOfSession(nil) && !service.isOfSession("s1") && !service.isOfSession(""))
    }

    @Test func aServiceHasNoSession() throws {
        var claims = AccessTokenTests.claims
        claims.subject = "client:chat-service"
        claims.clientID = "chat-service"
        claims.sessionID = nil
        claims.roles = []
        let signer = AccessTokenSigner(key: try SigningKey(kid: "k1", secret: Forge.secret))
        let verifier = try Forge.verifier
        let read = try verifier.verify(signer.sign(claims), now: Forge.now)
        #expect(read == claims)
        #expect(read.subjectKind == .client)
    }

    /// Found by fuzzing: no scopes were written as an empty text, which reading refuses.
    @Test func aTokenWithoutScopesComesBack() throws {
        var claims = AccessTokenTests.claims
        claims.scope = []
        let signer = AccessTokenSigner(key: try SigningKey(kid: "k1", secret: Forge.secret))
        #expect(try Forge.verifier.verify(signer.sign(claims), now: Forge.now) == claims)
    }

    /// RFC 7515 A.1: the signature fits the known key, but it is a plain JWT without `kid`.
    @Test func theExampleOfRFC7515IsGenuineAndYetNoAccessToken() throws {
        let key = try #require(
            Base64.decode(
                Array(
                    ("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTw"
                        + "jAzZr1Z9CAow").utf8), alphabet: .url))
        let input =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzOD"
            + "AsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        #expect(Forge.encode(HMACSHA256.sign(Array(input.utf8), key: key)) == signature)
        let verifier = try AccessTokenVerifier(
            issuer: "joe", audience: "chat", keys: [SigningKey(kid: "k1", secret: key)])
        #expect(throws: TokenError.type) {
            try verifier.verify(input + "." + signature, now: Timestamp(seconds: 1_300_000_000))
        }
    }

    @Test func aTokenCutAnywhereIsRefused() throws {
        let token = Forge.token()
        for count in 0..<token.utf8.count {
            #expect(try Forge.refusal(String(token.prefix(count))) != nil)
        }
    }

    @Test func aTokenChangedAnywhereIsRefused() throws {
        let bytes = Array(Forge.token().utf8)
        let verifier = try Forge.verifier
        for index in bytes.indices {
            var other = bytes
            other[index] = other[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(throws: TokenError.self) { try verifier.verify(other, now: Forge.now) }
        }
    }

    @Test func onlyExpiryIsToldApart() {
        #expect(TokenError.expired.code == "token_expired")
        for error: TokenError in [
            .tooLarge, .malformed, .algorithm, .type, .unsupportedHeader, .unknownKey, .signature,
            .missingClaim("sub"), .invalidClaim("sub"), .issuer, .audience, .notYetValid,
        ] {
            #expect(error.code == "invalid_token")
        }
    }
}

@Suite struct SigningKeyTests {
    @Test func secretsAtTheLimitAndOneShort() throws {
        _ = try SigningKey(kid: "k", secret: [UInt8](repeating: 1, count: 32))
        #expect(throws: SigningKeyError.tooShort) {
            try SigningKey(kid: "k", secret: [UInt8](repeating: 1, count: 31))
        }
        #expect(throws: SigningKeyError.tooShort) { try SigningKey(kid: "k", secret: []) }
    }

    @Test(arguments: ["", "a b", "é", "a/b", String(repeating: "k", count: 65)])
    func illFormedKeyIDs(_ kid: String) {
        #expect(throws: SigningKeyError.malformedKeyID) {
            try SigningKey(kid: kid, secret: Forge.secret)
        }
    }

    @Test func oneIDOrOneSecretTwiceIsRefused() throws {
        let first = try SigningKey(kid: "k1", secret: Forge.secret)
        let sameID = try SigningKey(kid: "k1", secret: [UInt8](repeating: 1, count: 32))
        let sameSecret = try SigningKey(kid: "k2", secret: Forge.secret)
        for second in [sameID, sameSecret] {
            #expect(throws: SigningKeyError.duplicate) {
                try AccessTokenVerifier(issuer: "i", audience: "chat", keys: [first, second])
            }
        }
    }
}
