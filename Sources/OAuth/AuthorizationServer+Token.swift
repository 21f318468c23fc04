// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import JSON
internal import JWT
package import Timing

/// What the token endpoint gives.
package struct TokenAnswer: Hashable, Sendable {
    package let accessToken: String
    /// Seconds.
    package let expiresIn: Int64
    package let refreshToken: String?
    package let scope: [String]
}

/// What a client presented to prove who it is.
package struct ClientCredential: Sendable {
    package var id: String
    package var secret: String?

    package init(id: String, secret: String?) {
        self.id = id
        self.secret = secret
    }
}

extension AuthorizationServer {
    /// Wrong verifiers after which a code is dead (short verifiers have been guessed online).
    static let maxVerifierFailures = 5

    /// The client behind a credential. Unknown, wrong secret, secret missing or superfluous: one answer,
    /// one duration.
    package func authenticate(
        _ credential: ClientCredential
    ) throws(AuthStoreFailure) -> Client? {
        let client = try store.read { (reader) throws(AuthStoreFailure) -> Client? in
            guard (1...64).contains(credential.id.utf8.count) else { return nil }
            return try reader.client(id: credential.id)
        }
        guard let secret = credential.secret else { return client?.isPublic == true ? client : nil }
        let isRight = (client ?? AuthorizationServer.nobody).accepts(secret: secret)
        return isRight ? client : nil
    }

    /// Stands in for an unknown client, so that its secret is compared too.
    private static let nobody = Client(
        id: "nobody", name: "", secretHash: SHA256.digest(SecureRandom.token()), grantTypes: [],
        scopes: [])

    /// Exchanges an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5). One transaction decides, so of
    /// any number of exchanges at once exactly one succeeds; a replay with the right verifier means that
    /// the code leaked, and ends the session it opened (§4.1.2). A replay with anything wrong changes
    /// nothing, else whoever sees a code could sign its owner out.
    package func exchange(
        code: String, redirectURI: String?, verifier: String?, audience: String?, client: Client,
        visitor: Visitor, now: Timestamp
    ) throws(AuthStoreFailure) -> Result<TokenAnswer, OAuthError> {
        let refreshToken = "rt_" + SecureRandom.token()
        let hash = SHA256.digest(code)
        return try issue(now: now) { (writer) throws(AuthStoreFailure) in
            guard var row = try writer.code(hash: hash), row.clientID == client.id,
                row.failures < AuthorizationServer.maxVerifierFailures,
                redirectURI.map({ $0.utf8.elementsEqual(row.redirectURI.utf8) }) ?? false
            else { return .failure(.invalidGrant) }
            guard AuthorizationServer.proves(verifier, row.challenge) else {
                row.failures += 1
                try writer.update(row)
                return .failure(.invalidGrant)
            }
            if let grantID = row.grantID {
                if let grant = try writer.grant(id: grantID) {
                    try self.revoke(grant, reason: "code_replay", in: writer, now: now)
                }
                return .failure(.invalidGrant)
            }
            guard now < row.expiresAt, let account = try writer.account(id: row.accountID),
                account.isActive
            else { return .failure(.invalidGrant) }
            // Signing out between code and exchange wins.
            if let login = row.loginHash, try writer.login(hash: login)?.endedAt != nil {
                return .failure(.invalidGrant)
            }
            let scope = AuthorizationServer.allowed(row.scope, to: account)
            guard let target = AuthorizationServer.target(audience, scope: scope) else {
                return .failure(AuthorizationServer.invalidTarget)
            }
            let grant = Grant(
                accountID: account.id, clientID: client.id, scope: scope, createdAt: now,
                expiresAt: now + self.lifetimes.session, loginHash: row.loginHash,
                userAgent: row.userAgent, address: row.address, lastSeenAt: now,
                lastTokenExpiry: now + self.lifetimes.accessToken)
            row.grantID = grant.id
            try writer.update(row)
            try writer.insert(grant)
            let isRefreshable = client.grantTypes.contains(.refreshToken)
            if isRefreshable {
                try writer.insert(
                    RefreshToken(
                        hash: SHA256.digest(refreshToken), grantID: grant.id,
                        expiresAt: min(now + self.lifetimes.refreshIdle, grant.expiresAt)))
            }
            try writer.append(
                AuthEvent(
                    .sessionCreated, subject: account.id, sessionID: grant.id,
                    expiresAt: grant.expiresAt, data: ["client_id": .string(client.id)]), at: now)
            return .success(
                Issue(
                    account: account, grant: grant, audience: target, scope: scope,
                    refreshToken: isRefreshable ? refreshToken : nil))
        }
    }

    /// Exchanges a refresh token for its successor (RFC 9700 §4.14). The successor is computed from the
    /// token, so within the grace two requests get the same one and nothing secret is stored. A used
    /// token after the grace, or whose successor is used too, was stolen from one side or the other: the
    /// whole session ends.
    package func refresh(
        token: String, scope requested: String?, audience: String?, client: Client,
        now: Timestamp
    ) throws(AuthStoreFailure) -> Result<TokenAnswer, OAuthError> {
        let successor = "rt_" + Base64.string(refreshKey.sign(Array(token.utf8)), alphabet: .url)
        let hash = SHA256.digest(token)
        let successorHash = SHA256.digest(successor)
        return try issue(now: now) { (writer) throws(AuthStoreFailure) in
            guard var row = try writer.refreshToken(hash: hash),
                var grant = try writer.grant(id: row.grantID), grant.clientID == client.id
            else { return .failure(.invalidGrant) }
            if let usedAt = row.usedAt, grant.revokedAt == nil {
                let next = try writer.refreshToken(hash: successorHash)
                let isRepeat = now <= usedAt + self.lifetimes.refreshGrace && next?.usedAt == nil
                guard isRepeat else {
                    try writer.append(
                        AuthEvent(
                            .refreshReuse, subject: grant.accountID, sessionID: grant.id,
                            data: ["client_id": .string(client.id)]), at: now)
                    try self.revoke(grant, reason: "refresh_reuse", in: writer, now: now)
                    return .failure(.invalidGrant)
                }
            }
            guard grant.isActive(at: now), now < row.expiresAt,
                let account = try writer.account(id: grant.accountID), account.isActive
            else { return .failure(.invalidGrant) }
            let granted = AuthorizationServer.allowed(grant.scope, to: account)
            guard let scope = AuthorizationServer.narrowed(granted, to: requested) else {
                return .failure(
                    OAuthError(.invalidScope, "More scope was asked for than was granted."))
            }
            guard let target = AuthorizationServer.target(audience, scope: scope) else {
                return .failure(AuthorizationServer.invalidTarget)
            }
            if row.usedAt == nil {
                row.usedAt = now
                try writer.update(row)
                try writer.insert(
                    RefreshToken(
                        hash: successorHash, grantID: grant.id,
                        expiresAt: min(now + self.lifetimes.refreshIdle, grant.expiresAt)))
            }
            grant.lastSeenAt = now
            grant.lastTokenExpiry = max(
                grant.lastTokenExpiry, now + self.lifetimes.accessToken)
            try writer.update(grant)
            return .success(
                Issue(
                    account: account, grant: grant, audience: target, scope: scope,
                    refreshToken: successor))
        }
    }

    /// A token for a service itself (RFC 6749 §4.4). Nothing is written: 5,000 a second cost no disk.
    package func clientCredentials(
        scope requested: String?, audience: String?, client: Client, now: Timestamp
    ) -> Result<TokenAnswer, OAuthError> {
        guard let scope = grantable(requested, to: client) else {
            return .failure(
                OAuthError(.invalidScope, "The scope is malformed or not this client's to have."))
        }
        guard let target = AuthorizationServer.target(audience, scope: scope) else {
            return .failure(AuthorizationServer.invalidTarget)
        }
        guard let signer = keys.signer(for: target, now: now) else { return .failure(.unavailable) }
        let claims = AccessTokenClaims(
            issuer: issuer, audience: target.rawValue, subject: "client:\(client.id)",
            clientID: client.id, expiresAt: now + lifetimes.accessToken, issuedAt: now,
            tokenID: SecureRandom.token(bytes: 12), scope: scope, name: client.id)
        return .success(
            TokenAnswer(
                accessToken: signer.sign(claims),
                expiresIn: lifetimes.accessToken.components.seconds, refreshToken: nil,
                scope: scope))
    }

    /// What a transaction decided to give out; signed after the commit, outside of it.
    private struct Issue {
        let account: Account
        let grant: Grant
        let audience: Audience
        let scope: [String]
        let refreshToken: String?
    }

    private func issue(
        now: Timestamp,
        _ decide: (any AuthWriter) throws(AuthStoreFailure) -> Result<Issue, OAuthError>
    ) throws(AuthStoreFailure) -> Result<TokenAnswer, OAuthError> {
        let decision = try store.write(decide)
        let issue: Issue
        switch decision {
        case .failure(let error): return .failure(error)
        case .success(let value): issue = value
        }
        guard let signer = keys.signer(for: issue.audience, now: now) else {
            return .failure(.unavailable)
        }
        return .success(
            TokenAnswer(
                accessToken: signer.sign(
                    claims(
                        for: issue.account, grant: issue.grant, audience: issue.audience,
                        scope: issue.scope, expiresAt: now + lifetimes.accessToken, now: now)),
                expiresIn: lifetimes.accessToken.components.seconds,
                refreshToken: issue.refreshToken, scope: issue.scope))
    }

    func claims(
        for account: Account, grant: Grant, audience: Audience, scope: [String],
        expiresAt: Timestamp, now: Timestamp
    ) -> AccessTokenClaims {
        AccessTokenClaims(
            issuer: issuer, audience: audience.rawValue, subject: account.id,
            clientID: grant.clientID, expiresAt: min(expiresAt, grant.expiresAt), issuedAt: now,
            tokenID: SecureRandom.token(bytes: 12), sessionID: grant.id, scope: scope,
            name: account.name, roles: account.roles)
    }

    /// RFC 7636 §4.6. A verifier for a code that was given without challenge is a downgrade attempt
    /// (RFC 9700 §4.8.2).
    private static func proves(_ verifier: String?, _ challenge: String?) -> Bool {
        guard let challenge else { return verifier == nil }
        return verifier.map { PKCE.verify($0, against: challenge) } ?? false
    }

    /// Administrative scopes go to administrators only; others simply do not get them.
    static func allowed(_ scope: [String], to account: Account) -> [String] {
        account.roles.contains("admin")
            ? scope : scope.filter { !Scope.administrative.contains($0) }
    }

    private static func narrowed(_ granted: [String], to requested: String?) -> [String]? {
        guard let requested, !requested.isEmpty else { return granted }
        guard let scopes = Scope.parse(requested), scopes.allSatisfy(granted.contains) else {
            return nil
        }
        return scopes
    }

    /// The one service a token will be for: the one asked for when the scope is of use there, or else the
    /// first at which it is.
    static func target(_ requested: String?, scope: [String]) -> Audience? {
        let possible = Scope.audiences(of: scope)
        guard let requested else { return possible.first }
        return possible.first { $0.rawValue == requested }
    }

    private static let invalidTarget = OAuthError(
        .invalidTarget, "No service of that name takes a token with this scope.")
}
