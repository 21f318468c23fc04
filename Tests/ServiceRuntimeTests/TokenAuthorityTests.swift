// SPDX-License-Identifier: MIT
import Bytes
import JSON
import JWT
import Locks
import Synchronization
import Testing
import Timing

@testable import ServiceRuntime

/// An AuthService that lives in memory: keys, a log, and a switch to be unreachable.
private final class FakeAuthService: Sendable {
    struct State {
        var issuer = "http://as"
        var keys: [(kid: String, secret: [UInt8])] = [("k1", [UInt8](repeating: 1, count: 32))]
        var start: Int64 = 0
        var entries: [JSONValue] = []
        var isDown = false
        var refusesTokens = false
        var calls: [String] = []
    }

    let state = Locked(State())
    let seconds = Locked<Int64>(1_800_000_000)

    var link: TokenAuthorityLink {
        TokenAuthorityLink { [self] call in
            state.withLock { state in
                state.calls.append("\(call.method) \(call.target)")
                if state.isDown { return .failure(.unreachable("unreachable")) }
                if call.target == "/oauth/token" {
                    return .success(
                        .init(
                            status: 200,
                            body: Array("{\"access_token\":\"svc\",\"expires_in\":600}".utf8)))
                }
                if call.target.hasPrefix("/internal/keys") {
                    let keys = state.keys.map { key -> JSONValue in
                        [
                            "kid": .string(key.kid), "alg": "HS256", "state": "active",
                            "k": .string(Base64.string(key.secret, alphabet: .url)),
                        ]
                    }
                    let body: JSONValue = [
                        "issuer": .string(state.issuer), "audience": "chat", "keys": .array(keys),
                        "log": ["after": .int(state.start)],
                    ]
                    return .success(.init(status: 200, body: body.bytes))
                }
                if state.refusesTokens {
                    state.refusesTokens = false
                    return .success(.init(status: 401, body: []))
                }
                let query = call.target.split(separator: "=")[1]
                let after = Int64(query.prefix { $0 != "&" })!
                let entries = state.entries.filter { $0["seq"]!.int! > after }
                let body: JSONValue = [
                    "source": "auth", "after": .int(after),
                    "head": .int(state.entries.last?["seq"]?.int ?? state.start),
                    "entries": .array(Array(entries.prefix(2))),
                ]
                return .success(.init(status: 200, body: body.bytes))
            }
        }
    }

    func authority() -> TokenAuthority {
        TokenAuthority(
            .init(
                url: "http://as", issuer: "http://as", audience: "chat", clientID: "chat-service",
                secret: "s"), link: link, log: nil,
            now: { [self] in Timestamp(seconds: seconds.withLock { $0 }) },
            clock: { [self] in Instant(nanoseconds: seconds.withLock { $0 } * 1_000_000_000) })
    }

    func append(_ type: String, sid: String = "", jti: String = "", sub: String = "") {
        state.withLock { state in
            state.entries.append([
                "seq": .int(state.start + Int64(state.entries.count) + 1),
                "at": "2027-01-15T08:00:00.000Z", "type": .string(type), "sub": .string(sub),
                "sid": .string(sid), "jti": .string(jti), "expiresAt": "2027-01-15T08:10:00.000Z",
            ])
        }
    }

    func token(
        kid: String = "k1", secret: UInt8 = 1, subject: String = "u_ada", sid: String = "s1",
        jti: String = "t1"
    ) throws -> [UInt8] {
        let key = try SigningKey(kid: kid, secret: [UInt8](repeating: secret, count: 32))
        let now = Timestamp(seconds: 1_800_000_000)
        return Array(
            AccessTokenSigner(key: key).sign(
                AccessTokenClaims(
                    issuer: "http://as", audience: "chat", subject: subject, clientID: "web",
                    expiresAt: now + .seconds(600), issuedAt: now, tokenID: jti, sessionID: sid,
                    scope: ["chat"], name: "ada")
            ).utf8)
    }
}

@Suite struct TokenAuthorityTests {
    @Test func nothingIsJudgedBeforeKeysAndLogAreRead() throws {
        let service = FakeAuthService()
        service.append("session.created", sid: "s0")
        service.append("session.created", sid: "s0")
        service.append("session.revoked", sid: "s1")
        let authority = service.authority()
        let token = try service.token()
        #expect(authority.verify(token).refusal == .authUnavailable)
        try authority.fetchKeys()
        #expect(authority.verify(token).refusal == .authUnavailable)
        // Two entries a page: the first page ends before the revocation.
        try authority.readLog(wait: 0)
        #expect(!authority.isReady)
        try authority.readLog(wait: 0)
        #expect(authority.isReady)
        #expect(authority.verify(token).refusal == .tokenRevoked)
        #expect(authority.verify(try service.token(sid: "s2")).refusal == nil)
    }

    @Test func theLogIsReadFromWhereKeysSay() throws {
        let service = FakeAuthService()
        service.state.withLock { $0.start = 40 }
        let authority = service.authority()
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        #expect(service.state.withLock { $0.calls.last }?.contains("after=40") == true)
        #expect(authority.isReady)
    }

    @Test func handlersHearEachRevocationOnce() throws {
        let service = FakeAuthService()
        let authority = service.authority()
        let heard = Locked<[Revocation]>([])
        authority.onRevocation { revocation in heard.withLock { $0.append(revocation) } }
        try authority.fetchKeys()
        service.append("token.revoked", jti: "t1")
        service.append("user.disabled", sub: "u_bob")
        try authority.readLog(wait: 0)
        try authority.readLog(wait: 0)
        #expect(
            heard.withLock { $0 } == [
                .token(id: "t1"),
                .subject(id: "u_bob", issuedBy: Timestamp(seconds: 1_800_000_000)),
            ])
        #expect(authority.verify(try service.token()).refusal == .tokenRevoked)
        #expect(authority.verify(try service.token(jti: "t2")).refusal == nil)
        #expect(
            authority.verify(try service.token(subject: "u_bob", jti: "t3")).refusal
                == .tokenRevoked)
    }

    @Test func silenceFailsClosed() throws {
        let service = FakeAuthService()
        let authority = service.authority()
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        let token = try service.token()
        service.seconds.withLock { $0 += 30 }
        #expect(authority.verify(token).refusal == nil)
        service.seconds.withLock { $0 += 1 }
        #expect(authority.verify(token).refusal == .authUnavailable)
        #expect(authority.staleness == .seconds(31))
        try authority.readLog(wait: 0)
        #expect(authority.verify(token).refusal == nil)
    }

    @Test func expiryIsToldApartFromForgery() throws {
        let service = FakeAuthService()
        let authority = service.authority()
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        #expect(authority.verify(try service.token(secret: 2)).refusal == .invalidToken)
        #expect(authority.verify([]).refusal == .invalidToken)
        service.seconds.withLock { $0 += 20 }
        try authority.readLog(wait: 0)
        service.seconds.withLock { $0 += 580 }
        try authority.readLog(wait: 0)
        #expect(authority.verify(try service.token()).refusal == .tokenExpired)
    }

    @Test func aNewKeyIsFetchedWhenAnnouncedAndWhenMet() throws {
        let service = FakeAuthService()
        let authority = service.authority()
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        service.state.withLock { $0.keys.append(("k2", [UInt8](repeating: 2, count: 32))) }
        let token = try service.token(kid: "k2", secret: 2)
        #expect(authority.verify(token).refusal == .invalidToken)
        // Made-up key ids cannot make us ask all the time.
        #expect(!authority.isAskingForKeys())
        service.seconds.withLock { $0 += 6 }
        #expect(authority.verify(token).refusal == .invalidToken)
        #expect(authority.isAskingForKeys())
        service.append("key.rotated")
        try authority.readLog(wait: 0)
        #expect(authority.isAskingForKeys())
        try authority.fetchKeys()
        #expect(authority.verify(token).refusal == nil)
    }

    @Test func aReplacedStoreStartsOver() throws {
        let service = FakeAuthService()
        for _ in 0..<2 { service.append("session.created") }
        let authority = service.authority()
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        service.state.withLock { $0.entries = [] }
        try authority.readLog(wait: 0)
        #expect(!authority.isReady)
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        #expect(authority.isReady)
    }

    @Test func anotherIssuerIsAnError() {
        let service = FakeAuthService()
        service.state.withLock { $0.issuer = "http://other" }
        #expect(throws: TokenAuthorityError.issuerMismatch(found: "http://other")) {
            try service.authority().fetchKeys()
        }
    }

    @Test func serviceTokensAreCachedUntilRefused() throws {
        let service = FakeAuthService()
        let authority = service.authority()
        func fetches() -> Int {
            service.state.withLock { $0.calls.count { $0 == "POST /oauth/token" } }
        }
        #expect(try authority.serviceToken(audience: "chat", scope: "internal:log") == "svc")
        _ = try authority.serviceToken(audience: "chat", scope: "internal:log")
        #expect(fetches() == 1)
        _ = try authority.serviceToken(audience: "chat", scope: "internal:alert")
        #expect(fetches() == 2)
        service.seconds.withLock { $0 += 540 }
        _ = try authority.serviceToken(audience: "chat", scope: "internal:log")
        #expect(fetches() == 3)
        try authority.fetchKeys()
        try authority.readLog(wait: 0)
        service.state.withLock { $0.refusesTokens = true }
        #expect(throws: TokenAuthorityError.refused(status: 401)) { try authority.readLog(wait: 0) }
        try authority.readLog(wait: 0)
        #expect(fetches() == 5)
    }

    @Test func fixedKeysNeedNoService() throws {
        let verifier = try AccessTokenVerifier(
            issuer: "http://as", audience: "chat",
            keys: [SigningKey(kid: "k1", secret: [UInt8](repeating: 1, count: 32))])
        let authority = TokenAuthority(
            fixed: verifier, now: { Timestamp(seconds: 1_800_000_000) })
        let token = try FakeAuthService().token()
        #expect(authority.isReady)
        #expect(authority.verify(token).refusal == nil)
        authority.revoke(.session(id: "s1"), until: Timestamp(seconds: 1_800_000_600))
        #expect(authority.verify(token).refusal == .tokenRevoked)
        #expect(throws: TokenAuthorityError.noService) {
            try authority.serviceToken(audience: "chat", scope: "internal:log")
        }
    }

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2027-01-15T08:00:00.000Z", 1_800_000_000_000),
        ("2000-02-29T23:59:59.5Z", 951_868_799_500), ("2027-01-15T08:00:00.25Z", 1_800_000_000_250),
    ])
    func readsTimes(_ text: String, _ milliseconds: Int64) {
        #expect(Timestamp(rfc3339: text) == Timestamp(milliseconds: milliseconds))
    }

    @Test(arguments: [
        "", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15T08:00:00+00:00",
        "2027-13-15T08:00:00Z", "2027-01-15T08:00:00.Z", "2027-01-15T08:00:00.0000Z",
        "2027-01-15t08:00:00Z", "-027-01-15T08:00:00Z",
    ])
    func refusesOtherTimes(_ text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test(arguments: [
        -62_135_596_800_000, 0, 951_782_399_999, 4_107_542_400_000, 1_709_164_800_000,
    ])
    func timesSurviveTheRoundTrip(_ milliseconds: Int64) {
        let time = Timestamp(milliseconds: milliseconds)
        #expect(Timestamp(rfc3339: time.rfc3339) == time)
    }

    @Test func revocationsAreForgottenWhenTheirTokensHaveExpired() {
        var list = RevocationList()
        for index in 0..<100 {
            list.add(.token(id: "t\(index)"), until: Timestamp(seconds: 100))
            list.add(.session(id: "s\(index)"), until: Timestamp(seconds: 200))
        }
        list.prune(now: Timestamp(seconds: 150))
        #expect(list.count == 100)
        for index in 0..<100 {
            list.add(.session(id: "s\(index)"), until: Timestamp(seconds: 300))
        }
        list.prune(now: Timestamp(seconds: 250))
        #expect(list.count == 100)
    }
}

extension Result where Failure == TokenRefusal {
    fileprivate var refusal: TokenRefusal? {
        if case .failure(let refusal) = self { refusal } else { nil }
    }
}

extension TokenAuthority {
    /// Whether a fetch of keys is due; reading it takes it back, as the follower does.
    fileprivate func isAskingForKeys() -> Bool { wantsKeys.exchange(false, ordering: .relaxed) }
}
