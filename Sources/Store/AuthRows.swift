// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
internal import OAuth
internal import Timing

/// One transaction on `auth.db`: the port's reads and changes as SQL. Statements are cached by the
/// connection, so each costs its execution only.
struct AuthRows: AuthWriter {
    let database: SQLiteDatabase
    /// Entries appended in this transaction, for the announcement after the commit.
    let appended: AppendedEntries

    final class AppendedEntries {
        var entries: [AuthLogEntry] = []
    }

    // MARK: Reads

    func account(id: String) throws(AuthStoreFailure) -> Account? {
        try one("SELECT \(AuthRows.accountColumns) FROM account WHERE id = ?", [.text(id)]) {
            AuthRows.account($0)
        }
    }

    func account(nameKey key: String) throws(AuthStoreFailure) -> Account? {
        try one("SELECT \(AuthRows.accountColumns) FROM account WHERE name_key = ?", [.text(key)]) {
            AuthRows.account($0)
        }
    }

    func client(id: String) throws(AuthStoreFailure) -> Client? {
        try one("SELECT \(AuthRows.clientColumns) FROM client WHERE id = ?", [.text(id)]) {
            AuthRows.client($0)
        }
    }

    func clients() throws(AuthStoreFailure) -> [Client] {
        try many("SELECT \(AuthRows.clientColumns) FROM client ORDER BY id", []) {
            AuthRows.client($0)
        }
    }

    func login(hash: [UInt8]) throws(AuthStoreFailure) -> Login? {
        try one(
            """
            SELECT hash, account, created_at, last_seen_at, expires_at, ended_at FROM login
            WHERE hash = ?
            """, [.blob(hash)]
        ) { row in
            Login(
                hash: row.bytes(0), accountID: row.text(1), createdAt: row.time(2),
                lastSeenAt: row.time(3), expiresAt: row.time(4), endedAt: row.optionalTime(5))
        }
    }

    func code(hash: [UInt8]) throws(AuthStoreFailure) -> AuthorizationCode? {
        try one(
            """
            SELECT hash, client, account, redirect_uri, challenge, scope, login, user_agent,
                address, expires_at, session, failures FROM code WHERE hash = ?
            """, [.blob(hash)]
        ) { row in
            AuthorizationCode(
                hash: row.bytes(0), clientID: row.text(1), accountID: row.text(2),
                redirectURI: row.text(3), challenge: row.optionalText(4), scope: row.list(5),
                loginHash: row.optionalBytes(6), userAgent: row.text(7), address: row.text(8),
                expiresAt: row.time(9), grantID: row.optionalText(10), failures: row.int(11))
        }
    }

    func grant(id: String) throws(AuthStoreFailure) -> Grant? {
        try one("SELECT \(AuthRows.sessionColumns) FROM session WHERE id = ?", [.text(id)]) {
            AuthRows.session($0)
        }
    }

    func activeGrants(
        accountID: String, now: Timestamp
    ) throws(AuthStoreFailure) -> [Grant] {
        try many(
            """
            SELECT \(AuthRows.sessionColumns) FROM session
            WHERE account = ? AND revoked_at IS NULL AND expires_at > ?
            ORDER BY last_seen_at DESC
            """, [.text(accountID), .time(now)]
        ) { AuthRows.session($0) }
    }

    func grants(loginHash: [UInt8]) throws(AuthStoreFailure) -> [Grant] {
        try many(
            """
            SELECT \(AuthRows.sessionColumns) FROM session
            WHERE login = ? AND revoked_at IS NULL
            """, [.blob(loginHash)]
        ) { AuthRows.session($0) }
    }

    func refreshToken(hash: [UInt8]) throws(AuthStoreFailure) -> RefreshToken? {
        try one(
            "SELECT hash, session, expires_at, used_at FROM refresh_token WHERE hash = ?",
            [.blob(hash)]
        ) { row in
            RefreshToken(
                hash: row.bytes(0), grantID: row.text(1), expiresAt: row.time(2),
                usedAt: row.optionalTime(3))
        }
    }

    func isTokenRevoked(id: String) throws(AuthStoreFailure) -> Bool {
        try one("SELECT 1 FROM revoked_token WHERE id = ?", [.text(id)]) { _ in true } ?? false
    }

    func signingKeys() throws(AuthStoreFailure) -> [SigningKeyRecord] {
        try many(
            "SELECT kid, created_at, activates_at FROM signing_key ORDER BY activates_at, kid", []
        ) { row in
            SigningKeyRecord(kid: row.text(0), createdAt: row.time(1), activatesAt: row.time(2))
        }
    }

    func logEntries(
        after seq: Int64, limit: Int
    ) throws(AuthStoreFailure) -> [AuthLogEntry] {
        try many(
            """
            SELECT seq, at, type, subject, session, token, expires_at, data FROM log
            WHERE seq > ? ORDER BY seq LIMIT ?
            """, [.integer(seq), .int(limit)]
        ) { row in
            let data = (try? JSONValue(parsing: Array(row.text(7).utf8)))?.object
            return AuthLogEntry(
                seq: row.int64(0), at: row.time(1),
                event: AuthEvent(
                    // Only this file writes types, so an unknown one was written by a newer version.
                    AuthEventType(rawValue: row.text(2)) ?? .loginFailed,
                    subject: row.optionalText(3), sessionID: row.optionalText(4),
                    tokenID: row.optionalText(5), expiresAt: row.optionalTime(6),
                    data: data ?? [:]))
        }
    }

    func logHead() throws(AuthStoreFailure) -> Int64 {
        try one("SELECT seq FROM log ORDER BY seq DESC LIMIT 1", []) { $0.int64(0) } ?? 0
    }

    func revocationStart(now: Timestamp) throws(AuthStoreFailure) -> Int64 {
        let first = try one(
            "SELECT min(seq) FROM log WHERE is_revocation AND expires_at > ?", [.time(now)]
        ) { $0.optionalInt64(0) }
        if let first, let seq = first { return seq - 1 }
        return try logHead()
    }

    // MARK: Changes

    func insert(_ account: Account) throws(AuthStoreFailure) {
        try change(
            """
            INSERT INTO account (id, name, name_key, password_hash, roles, created_at, disabled_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(account.id), .text(account.name), .text(AccountName.key(account.name)),
                SQLiteValue(account.passwordHash), .list(account.roles),
                .time(account.createdAt), .time(account.disabledAt),
            ])
    }

    func update(_ account: Account) throws(AuthStoreFailure) {
        try change(
            "UPDATE account SET password_hash = ?, roles = ?, disabled_at = ? WHERE id = ?",
            [
                SQLiteValue(account.passwordHash), .list(account.roles),
                .time(account.disabledAt), .text(account.id),
            ])
    }

    func put(_ client: Client) throws(AuthStoreFailure) {
        try change(
            """
            INSERT OR REPLACE INTO client (id, name, secret_hash, redirect_uris, grant_types, scopes,
                is_first_party, is_native, audience) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(client.id), .text(client.name), SQLiteValue(client.secretHash),
                .list(client.redirectURIs), .list(client.grantTypes.map(\.rawValue)),
                .list(client.scopes), .bool(client.isFirstParty), .bool(client.isNative),
                SQLiteValue(client.audience?.rawValue),
            ])
    }

    func insert(_ login: Login) throws(AuthStoreFailure) {
        try change(
            """
            INSERT INTO login (hash, account, created_at, last_seen_at, expires_at, ended_at)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            [
                .blob(login.hash), .text(login.accountID), .time(login.createdAt),
                .time(login.lastSeenAt), .time(login.expiresAt), .time(login.endedAt),
            ])
    }

    func update(_ login: Login) throws(AuthStoreFailure) {
        try change(
            "UPDATE login SET last_seen_at = ?, ended_at = ? WHERE hash = ?",
            [.time(login.lastSeenAt), .time(login.endedAt), .blob(login.hash)])
    }

    func insert(_ code: AuthorizationCode) throws(AuthStoreFailure) {
        try change(
            """
            INSERT INTO code (hash, client, account, redirect_uri, challenge, scope, login,
                user_agent, address, expires_at, session, failures)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .blob(code.hash), .text(code.clientID), .text(code.accountID),
                .text(code.redirectURI), SQLiteValue(code.challenge), .list(code.scope),
                SQLiteValue(code.loginHash), .text(code.userAgent), .text(code.address),
                .time(code.expiresAt), SQLiteValue(code.grantID), .int(code.failures),
            ])
    }

    func update(_ code: AuthorizationCode) throws(AuthStoreFailure) {
        try change(
            "UPDATE code SET session = ?, failures = ? WHERE hash = ?",
            [SQLiteValue(code.grantID), .int(code.failures), .blob(code.hash)])
    }

    func insert(_ grant: Grant) throws(AuthStoreFailure) {
        try change(
            """
            INSERT INTO session (id, account, client, scope, created_at, expires_at, login,
                user_agent, address, last_seen_at, last_token_expiry, revoked_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(grant.id), .text(grant.accountID), .text(grant.clientID),
                .list(grant.scope), .time(grant.createdAt), .time(grant.expiresAt),
                SQLiteValue(grant.loginHash), .text(grant.userAgent), .text(grant.address),
                .time(grant.lastSeenAt), .time(grant.lastTokenExpiry), .time(grant.revokedAt),
            ])
    }

    func update(_ grant: Grant) throws(AuthStoreFailure) {
        try change(
            """
            UPDATE session SET last_seen_at = ?, last_token_expiry = ?, revoked_at = ? WHERE id = ?
            """,
            [
                .time(grant.lastSeenAt), .time(grant.lastTokenExpiry), .time(grant.revokedAt),
                .text(grant.id),
            ])
    }

    func insert(_ token: RefreshToken) throws(AuthStoreFailure) {
        try change(
            "INSERT INTO refresh_token (hash, session, expires_at, used_at) VALUES (?, ?, ?, ?)",
            [
                .blob(token.hash), .text(token.grantID), .time(token.expiresAt),
                .time(token.usedAt),
            ])
    }

    func update(_ token: RefreshToken) throws(AuthStoreFailure) {
        try change(
            "UPDATE refresh_token SET used_at = ? WHERE hash = ?",
            [.time(token.usedAt), .blob(token.hash)])
    }

    func revokeToken(id: String, expiresAt: Timestamp) throws(AuthStoreFailure) {
        try change(
            "INSERT OR IGNORE INTO revoked_token (id, expires_at) VALUES (?, ?)",
            [.text(id), .time(expiresAt)])
    }

    func insert(_ key: SigningKeyRecord) throws(AuthStoreFailure) {
        try change(
            "INSERT INTO signing_key (kid, created_at, activates_at) VALUES (?, ?, ?)",
            [.text(key.kid), .time(key.createdAt), .time(key.activatesAt)])
    }

    func append(_ event: AuthEvent, at: Timestamp) throws(AuthStoreFailure) {
        try change(
            """
            INSERT INTO log (at, type, subject, session, token, expires_at, data, is_revocation)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .time(at), .text(event.type.rawValue), SQLiteValue(event.subject),
                SQLiteValue(event.sessionID), SQLiteValue(event.tokenID), .time(event.expiresAt),
                .text(JSONValue.object(event.data).text), .bool(event.type.isRevocation),
            ])
        appended.entries.append(
            AuthLogEntry(seq: database.lastInsertID, at: at, event: event))
    }

    func prune(now: Timestamp) throws(AuthStoreFailure) {
        let day: Int64 = 86_400_000
        let yesterday = SQLiteValue.integer(now.milliseconds - day)
        let lastMonth = SQLiteValue.integer(now.milliseconds - 30 * day)
        try change("DELETE FROM code WHERE expires_at < ?", [yesterday])
        try change("DELETE FROM revoked_token WHERE expires_at < ?", [yesterday])
        try change("DELETE FROM login WHERE expires_at < ?", [yesterday])
        // A session outlives its end by a month: a stolen token used late is still noticed.
        try change(
            """
            DELETE FROM refresh_token WHERE session IN
                (SELECT id FROM session WHERE min(expires_at, coalesce(revoked_at, expires_at)) < ?)
            """, [lastMonth])
        try change(
            "DELETE FROM session WHERE min(expires_at, coalesce(revoked_at, expires_at)) < ?",
            [lastMonth])
        // All keys but the last that has been active for two months have long retired.
        try change(
            """
            DELETE FROM signing_key WHERE activates_at <
                (SELECT max(activates_at) FROM signing_key WHERE activates_at < ?)
            """, [.integer(now.milliseconds - 60 * day)])
    }

    // MARK: Plumbing

    private static let accountColumns =
        "id, name, password_hash, roles, created_at, disabled_at"
    private static let clientColumns =
        "id, name, secret_hash, redirect_uris, grant_types, scopes, is_first_party, is_native, audience"
    private static let sessionColumns =
        "id, account, client, scope, created_at, expires_at, login, user_agent, address, "
        + "last_seen_at, last_token_expiry, revoked_at"

    private static func account(_ row: borrowing SQLiteRow) -> Account {
        Account(
            id: row.text(0), name: row.text(1), passwordHash: row.optionalText(2),
            roles: row.list(3), createdAt: row.time(4), disabledAt: row.optionalTime(5))
    }

    private static func client(_ row: borrowing SQLiteRow) -> Client {
        Client(
            id: row.text(0), name: row.text(1), secretHash: row.optionalBytes(2),
            redirectURIs: row.list(3), grantTypes: row.list(4).compactMap(GrantType.init),
            scopes: row.list(5), isFirstParty: row.bool(6), isNative: row.bool(7),
            audience: row.optionalText(8).flatMap(Audience.init))
    }

    private static func session(_ row: borrowing SQLiteRow) -> Grant {
        Grant(
            id: row.text(0), accountID: row.text(1), clientID: row.text(2), scope: row.list(3),
            createdAt: row.time(4), expiresAt: row.time(5), loginHash: row.optionalBytes(6),
            userAgent: row.text(7), address: row.text(8), lastSeenAt: row.time(9),
            lastTokenExpiry: row.time(10), revokedAt: row.optionalTime(11))
    }

    private func one<Element>(
        _ sql: String, _ values: [SQLiteValue],
        _ read: (borrowing SQLiteRow) -> Element
    ) throws(AuthStoreFailure) -> Element? {
        do throws(StoreError) {
            return try database.first(sql, values) { (row) throws(StoreError) in read(row) }
        } catch {
            throw AuthStoreFailure(error)
        }
    }

    private func many<Element>(
        _ sql: String, _ values: [SQLiteValue],
        _ read: (borrowing SQLiteRow) -> Element
    ) throws(AuthStoreFailure) -> [Element] {
        do throws(StoreError) {
            return try database.all(sql, values) { (row) throws(StoreError) in read(row) }
        } catch {
            throw AuthStoreFailure(error)
        }
    }

    private func change(_ sql: String, _ values: [SQLiteValue]) throws(AuthStoreFailure) {
        do throws(StoreError) {
            try database.run(sql, values)
        } catch {
            throw AuthStoreFailure(error)
        }
    }
}

extension AuthStoreFailure {
    init(_ error: StoreError) {
        switch error {
        case .constraint(.unique), .constraint(.primaryKey): self = .conflict
        default: self = .unavailable("\(error)")
        }
    }
}

extension SQLiteRow {
    fileprivate func time(_ index: Int) -> Timestamp { Timestamp(milliseconds: int64(index)) }
    fileprivate func optionalTime(_ index: Int) -> Timestamp? {
        optionalInt64(index).map { Timestamp(milliseconds: $0) }
    }
    fileprivate func list(_ index: Int) -> [String] {
        text(index).split(separator: "\n").map(String.init)
    }
}

extension SQLiteValue {
    fileprivate static func time(_ value: Timestamp?) -> SQLiteValue {
        SQLiteValue(value?.milliseconds)
    }
    /// Items hold no line ends: names, scopes and URIs are checked before they come here.
    fileprivate static func list(_ items: [String]) -> SQLiteValue {
        .text(items.joined(separator: "\n"))
    }
}
