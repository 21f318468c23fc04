// SPDX-License-Identifier: MIT
internal import Crypto
internal import JSON
internal import JWT
package import Timing

/// Why an operator's wish was not carried out.
package enum ProvisioningError: Error, Hashable, Sendable {
    case invalidName(String)
    case password(PasswordPolicy.Complaint)
    case nameTaken(String)
    case unknownAccount(String)
    case unknownAudience(String)
    case store(AuthStoreFailure)
}

/// What an operator does with accounts, straight on the store: no service needs to run, and one that
/// runs hears of it through the log. Tokens are made in bulk, two transactions for any number.
package struct AccountProvisioner: Sendable {
    private let server: AuthorizationServer
    /// The client in whose name sessions are opened.
    private static let clientID = "chatctl"

    package init(server: AuthorizationServer) { self.server = server }

    /// Makes an account.
    /// - Parameters:
    ///   - password: nil makes an account that cannot sign in and is only given tokens.
    package func createAccount(
        name: String, password: String?, roles: [String] = [], now: Timestamp
    ) throws(ProvisioningError) -> Account {
        guard AccountName.isValid(name) else { throw .invalidName(name) }
        let account = Account(
            name: name, passwordHash: try hash(password, name: name), roles: roles, createdAt: now)
        do throws(AuthStoreFailure) {
            try server.store.write { (writer) throws(AuthStoreFailure) in
                try insert(account, in: writer, now: now)
            }
        } catch {
            throw error == .conflict ? .nameTaken(name) : .store(error)
        }
        return account
    }

    /// Access tokens for many people, in the order of their names; accounts that are missing are made,
    /// without passwords. 20,000 take about a second.
    /// - Parameters:
    ///   - audience: the service the tokens are for: `chat` or `notification`.
    ///   - lifetime: of the tokens and the sessions behind them; for load tests longer than usual.
    package func mintTokens(
        names: [String], audience: String = "chat", scope: [String] = ["chat", "notifications"],
        lifetime: Duration, now: Timestamp
    ) throws(ProvisioningError) -> [String] {
        if let name = names.first(where: { !AccountName.isValid($0) }) { throw .invalidName(name) }
        guard let audience = Audience(rawValue: audience),
            let signer = server.keys.signer(for: audience, now: now)
        else { throw .unknownAudience(audience) }
        let expiry = now + lifetime
        let sessions = try written { (writer) throws(AuthStoreFailure) in
            var sessions: [(Account, Grant)] = []
            sessions.reserveCapacity(names.count)
            for name in names {
                let account: Account
                if let known = try writer.account(nameKey: AccountName.key(name)) {
                    account = known
                } else {
                    account = Account(name: name, createdAt: now)
                    try insert(account, in: writer, now: now)
                }
                let grant = Grant(
                    accountID: account.id, clientID: AccountProvisioner.clientID,
                    scope: AuthorizationServer.allowed(scope, to: account), createdAt: now,
                    expiresAt: expiry, userAgent: "chatctl", lastSeenAt: now,
                    lastTokenExpiry: expiry)
                try writer.insert(grant)
                sessions.append((account, grant))
            }
            return sessions
        }
        return sessions.map { account, grant in
            signer.sign(
                server.claims(
                    for: account, grant: grant, audience: audience, scope: grant.scope,
                    expiresAt: expiry, now: now))
        }
    }

    /// The account of that name; nil when there is none.
    package func account(named name: String) throws(ProvisioningError) -> Account? {
        do throws(AuthStoreFailure) {
            return try server.store.read { (reader) throws(AuthStoreFailure) in
                try reader.account(nameKey: AccountName.key(name))
            }
        } catch {
            throw .store(error)
        }
    }

    /// Sets a new password and ends all sessions: whoever knew the old one is out.
    package func setPassword(
        _ password: String, of name: String, now: Timestamp
    ) throws(ProvisioningError) {
        let phc = try hash(password, name: name)
        try change(name, now: now) { (account, writer) throws(AuthStoreFailure) in
            account.passwordHash = phc
            try endSessions(of: account, in: writer, now: now)
        }
    }

    /// Sets the system-wide roles; tokens given out before keep the old ones until they expire.
    package func setRoles(
        _ roles: [String], of name: String, now: Timestamp
    ) throws(ProvisioningError) {
        try change(name, now: now) { (account, _) in account.roles = roles }
    }

    /// Closes an account: no login, no token, sockets closed.
    package func disable(_ name: String, now: Timestamp) throws(ProvisioningError) {
        try change(name, now: now) { (account, writer) throws(AuthStoreFailure) in
            guard account.isActive else { return }
            account.disabledAt = now
            let last = try endSessions(of: account, in: writer, now: now)
            try writer.append(
                AuthEvent(.userDisabled, subject: account.id, expiresAt: last), at: now)
        }
    }

    /// Opens a closed account again.
    package func enable(_ name: String, now: Timestamp) throws(ProvisioningError) {
        try change(name, now: now) { (account, _) in account.disabledAt = nil }
    }

    /// Signs a person out everywhere.
    package func endSessions(of name: String, now: Timestamp) throws(ProvisioningError) {
        try change(name, now: now) { (account, writer) throws(AuthStoreFailure) in
            try endSessions(of: account, in: writer, now: now)
        }
    }

    /// Makes a new signing key; a running AuthService takes it up within a minute, and it signs after
    /// `KeyRing.distribution`.
    package func rotateKeys(now: Timestamp) throws(ProvisioningError) {
        do throws(AuthStoreFailure) { try server.rotateKeys(now: now) } catch {
            throw .store(error)
        }
    }

    private func hash(
        _ password: String?, name: String
    ) throws(ProvisioningError) -> String? {
        guard let password else { return nil }
        if let complaint = PasswordPolicy.complaint(about: password, name: name) {
            throw .password(complaint)
        }
        do throws(PasswordHashError) {
            return try PasswordHash.hash(password)
        } catch {
            throw .store(.unavailable("the password could not be hashed"))
        }
    }

    private func insert(
        _ account: Account, in writer: any AuthWriter, now: Timestamp
    ) throws(AuthStoreFailure) {
        try writer.insert(account)
        try writer.append(
            AuthEvent(.userCreated, subject: account.id, data: ["name": .string(account.name)]),
            at: now)
    }

    @discardableResult
    private func endSessions(
        of account: Account, in writer: any AuthWriter, now: Timestamp
    ) throws(AuthStoreFailure) -> Timestamp {
        var last = now + server.lifetimes.accessToken
        for grant in try writer.activeGrants(accountID: account.id, now: now) {
            last = max(last, grant.lastTokenExpiry)
            try server.revoke(grant, reason: "ended_by_operator", in: writer, now: now)
        }
        return last
    }

    private func change(
        _ name: String, now: Timestamp,
        _ body: (inout Account, any AuthWriter) throws(AuthStoreFailure) -> Void
    ) throws(ProvisioningError) {
        let isKnown = try written { (writer) throws(AuthStoreFailure) -> Bool in
            guard var account = try writer.account(nameKey: AccountName.key(name)) else {
                return false
            }
            try body(&account, writer)
            try writer.update(account)
            return true
        }
        if !isKnown { throw .unknownAccount(name) }
    }

    private func written<Result>(
        _ body: (any AuthWriter) throws(AuthStoreFailure) -> Result
    ) throws(ProvisioningError) -> Result {
        do throws(AuthStoreFailure) {
            return try server.store.write(body)
        } catch {
            throw .store(error)
        }
    }
}
