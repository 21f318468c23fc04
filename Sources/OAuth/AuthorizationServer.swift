// SPDX-License-Identifier: MIT
internal import Crypto
internal import JSON
package import JWT
internal import Locks
package import Timing

/// How long things live.
package struct AuthLifetimes: Sendable {
    /// Access tokens: 10 minutes, the longest a verifier that hears of nothing can be wrong.
    package var accessToken: Duration = .seconds(600)
    /// Authorization codes: 60 s (ASVS 10.4.3).
    package var code: Duration = .seconds(60)
    /// A refresh token that is not used.
    package var refreshIdle: Duration = .seconds(14 * 86_400)
    /// A session, however often it is refreshed.
    package var session: Duration = .seconds(30 * 86_400)
    /// A login in a browser that is not used.
    package var loginIdle: Duration = .seconds(7 * 86_400)
    /// A login in a browser, however much it is used.
    package var login: Duration = .seconds(30 * 86_400)
    /// How long a used refresh token still gives its successor: for a lost response, and for tabs that
    /// refresh at the same moment.
    package var refreshGrace: Duration = .seconds(10)

    package init() {}
}

/// Who is asking, as far as it is written down with a session.
package struct Visitor: Hashable, Sendable {
    package var address: String
    package var userAgent: String

    package init(address: String, userAgent: String) {
        self.address = address
        // What the peer sends is kept short and printable.
        self.userAgent = String(
            userAgent.unicodeScalars.filter { $0.value >= 0x20 }.prefix(160).map(Character.init))
    }
}

/// The authorization server: accounts, logins, codes, tokens. Knows no HTTP; the clock is an argument.
///
/// Thread-safe. Calls block on the store; those that say so hash a password (30 ms of a core) and belong
/// on a bounded pool of workers.
package final class AuthorizationServer: Sendable {
    package let store: any AuthStore
    package let keys: KeyRing
    package let lifetimes: AuthLifetimes
    /// The issuer identifier: byte-equal in metadata, tokens and authorization answers.
    package let issuer: String
    /// Off for load tests only.
    let isThrottled: Bool
    let throttle = Locked(LoginThrottle())
    let refreshKey: HMACSHA256.Key
    let deviceKey: HMACSHA256.Key

    /// - Parameters:
    ///   - master: from which all keys are derived: 32 bytes or more.
    ///   - isThrottled: false lifts the limits on password guessing.
    package init(
        store: any AuthStore, master: [UInt8], issuer: String,
        lifetimes: AuthLifetimes = AuthLifetimes(), isThrottled: Bool = true
    ) {
        self.store = store
        self.issuer = issuer
        self.lifetimes = lifetimes
        self.isThrottled = isThrottled
        keys = KeyRing(master: master, issuer: issuer, longestToken: lifetimes.accessToken)
        refreshKey = HMACSHA256.Key(keys.secret(for: "refresh token succession"))
        deviceKey = HMACSHA256.Key(keys.secret(for: "known devices"))
    }

    /// Takes up keys that another process made; cheap, call it every minute or so.
    package func reloadKeys() throws(AuthStoreFailure) {
        keys.load(try store.read { (reader) throws(AuthStoreFailure) in try reader.signingKeys() })
    }

    /// Loads the signing keys, making the first when there is none and a new one when the last has
    /// grown old, and deletes what is past use. Call it at start and then every hour or so; several
    /// processes may.
    package func maintain(now: Timestamp) throws(AuthStoreFailure) {
        try reloadKeys()
        if keys.isRotationDue(now: now) { try rotateKeys(now: now) }
        try store.write { (writer) throws(AuthStoreFailure) in try writer.prune(now: now) }
    }

    /// Makes a new key, which takes over after `KeyRing.distribution`.
    package func rotateKeys(now: Timestamp) throws(AuthStoreFailure) {
        let record = keys.successor(now: now)
        let records = try store.write { (writer) throws(AuthStoreFailure) -> [SigningKeyRecord] in
            // Another process may have been first.
            let known = try writer.signingKeys()
            if let last = known.last, last.activatesAt > now || (last.createdAt == now) {
                return known
            }
            try writer.insert(record)
            try writer.append(
                AuthEvent(
                    .keyRotated,
                    data: [
                        "kid": .string(record.kid),
                        "activatesAt": .string(record.activatesAt.rfc3339),
                    ]), at: now)
            return try writer.signingKeys()
        }
        keys.load(records)
    }

    /// Registers a client of ours, or brings it up to date.
    package func register(_ client: Client) throws(AuthStoreFailure) {
        precondition(client.redirectURIs.allSatisfy(RedirectURI.isRegistrable))
        try store.write { (writer) throws(AuthStoreFailure) in
            if try writer.client(id: client.id) != client { try writer.put(client) }
        }
    }

    /// Verifies one of our access tokens whichever service it is for, and asks the store whether it was
    /// withdrawn.
    /// - Returns: nil for anything that is not a token in force.
    package func activeToken(
        _ token: [UInt8], now: Timestamp
    ) throws(AuthStoreFailure) -> AccessTokenClaims? {
        guard let claims = genuineToken(token, now: now) else { return nil }
        let isActive = try store.read { (reader) throws(AuthStoreFailure) -> Bool in
            if try reader.isTokenRevoked(id: claims.tokenID) { return false }
            guard claims.subjectKind == .user else {
                return try reader.client(id: claims.clientID) != nil
            }
            guard let account = try reader.account(id: claims.subject), account.isActive else {
                return false
            }
            guard let sid = claims.sessionID else { return true }
            return try reader.grant(id: sid)?.revokedAt == nil
        }
        return isActive ? claims : nil
    }

    /// The claims of a token of ours that has not expired; withdrawn or not.
    func genuineToken(_ token: [UInt8], now: Timestamp) -> AccessTokenClaims? {
        for audience in Audience.allCases {
            guard let verifier = keys.verifier(for: audience, now: now) else { continue }
            if let claims = try? verifier.verify(token, now: now) { return claims }
        }
        return nil
    }

    /// Ends a session: its refresh tokens die, verifiers are told, sockets close. Ending it twice says
    /// it once.
    func revoke(
        _ grant: Grant, reason: String, in writer: any AuthWriter, now: Timestamp
    ) throws(AuthStoreFailure) {
        guard grant.revokedAt == nil else { return }
        var grant = grant
        grant.revokedAt = now
        try writer.update(grant)
        try writer.append(
            AuthEvent(
                .sessionRevoked, subject: grant.accountID, sessionID: grant.id,
                expiresAt: max(grant.lastTokenExpiry, now), data: ["reason": .string(reason)]),
            at: now)
    }
}
