// SPDX-License-Identifier: MIT
internal import Crypto
package import JSON
internal import JWT
package import Timing

extension AuthorizationServer {
    /// Revokes a token (RFC 7009): a refresh token takes its whole session along, an access token goes
    /// alone. What we do not know needs no revoking.
    /// - Returns: nil when done; an error when the token is another client's.
    package func revoke(
        token: String, client: Client, now: Timestamp
    ) throws(AuthStoreFailure) -> OAuthError? {
        let foreign = OAuthError(
            .unauthorizedClient, "The token was issued to another client.")
        if let claims = genuineToken(Array(token.utf8), now: now) {
            guard claims.clientID == client.id else { return foreign }
            try store.write { (writer) throws(AuthStoreFailure) in
                if try writer.isTokenRevoked(id: claims.tokenID) { return }
                try writer.revokeToken(id: claims.tokenID, expiresAt: claims.expiresAt)
                try writer.append(
                    AuthEvent(
                        .tokenRevoked, subject: claims.subject, sessionID: claims.sessionID,
                        tokenID: claims.tokenID, expiresAt: claims.expiresAt), at: now)
            }
            return nil
        }
        let hash = SHA256.digest(token)
        return try store.write { (writer) throws(AuthStoreFailure) -> OAuthError? in
            guard let row = try writer.refreshToken(hash: hash),
                let grant = try writer.grant(id: row.grantID)
            else { return nil }
            guard grant.clientID == client.id else { return foreign }
            try self.revoke(grant, reason: "revoked", in: writer, now: now)
            return nil
        }
    }

    /// What a token is (RFC 7662 §2.2), for the service it is meant for or the client that has it;
    /// `{"active":false}` and nothing else in every other case.
    package func introspect(
        token: String, client: Client, now: Timestamp
    ) throws(AuthStoreFailure) -> JSONValue {
        if let claims = try activeToken(Array(token.utf8), now: now) {
            guard claims.clientID == client.id || claims.audience == client.audience?.rawValue
            else { return ["active": false] }
            var answer: JSONObject = ["active": true, "token_type": "Bearer"]
            answer.members += claims.json.object?.members ?? []
            if claims.subjectKind == .user { answer["username"] = .string(claims.name) }
            return .object(answer)
        }
        let hash = SHA256.digest(token)
        return try store.read { (reader) throws(AuthStoreFailure) -> JSONValue in
            guard let row = try reader.refreshToken(hash: hash), row.usedAt == nil,
                now < row.expiresAt, let grant = try reader.grant(id: row.grantID),
                grant.isActive(at: now), grant.clientID == client.id,
                let account = try reader.account(id: grant.accountID), account.isActive
            else { return ["active": false] }
            return [
                "active": true, "client_id": .string(grant.clientID),
                "sub": .string(account.id), "username": .string(account.name),
                "scope": .string(grant.scope.joined(separator: " ")),
                "exp": .int(row.expiresAt.seconds), "sid": .string(grant.id),
            ]
        }
    }

    /// A page of the log for other services.
    package func log(
        after seq: Int64, limit: Int
    ) throws(AuthStoreFailure) -> (head: Int64, entries: [AuthLogEntry]) {
        try store.read { (reader) throws(AuthStoreFailure) in
            (try reader.logHead(), try reader.logEntries(after: seq, limit: limit))
        }
    }

    /// From where a verifier that starts now must read the log.
    package func logStart(now: Timestamp) throws(AuthStoreFailure) -> Int64 {
        try store.read { (reader) throws(AuthStoreFailure) in
            try reader.revocationStart(now: now)
        }
    }
}
