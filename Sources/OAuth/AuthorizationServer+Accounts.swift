// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import JSON
internal import Locks
package import Timing

/// Why nobody was signed in.
package enum LoginRefusal: Error, Hashable, Sendable {
    /// Unknown name, wrong password, closed account, account without password: one answer.
    case wrongCredentials
    /// Too many attempts; this long until the next is looked at.
    case throttled(Duration)
    /// No memory for hashing.
    case busy
}

/// Why no account was made.
package enum RegistrationRefusal: Error, Hashable, Sendable {
    case invalidName
    case password(PasswordPolicy.Complaint)
    case nameTaken
    case busy
}

/// A login that was just made.
package struct NewLogin: Sendable {
    /// For the cookie; the store has its hash only.
    package let secret: String
    /// Proof of this login for later attempts from the same browser; see `LoginThrottle`.
    package let device: String
    package let account: Account
    /// Seconds that the cookies may live.
    package let lifetime: Int64
}

extension AuthorizationServer {
    /// Signs a person in. Hashes a password: run it on a bounded pool.
    /// - Parameter device: what the browser shows of an earlier login.
    package func logIn(
        name: String, password: String, device: String?, visitor: Visitor, now: Timestamp
    ) throws(AuthStoreFailure) -> Result<NewLogin, LoginRefusal> {
        // Names that nobody can have are treated like any unknown one, but cut to bound the table.
        let key = String(AccountName.key(name).prefix(AccountName.maxCount * 2))
        if isThrottled {
            let isKnown = device.map { isDevice($0, of: key) } ?? false
            let wait = throttle.withLock {
                $0.admit(account: key, address: visitor.address, isKnownDevice: isKnown, now: now)
            }
            if let wait { return .failure(.throttled(wait)) }
        }
        let account = try store.read { (reader) throws(AuthStoreFailure) in
            try reader.account(nameKey: key)
        }
        // Unknown names are hashed too, so that time does not tell them apart.
        let phc = account?.passwordHash ?? AuthorizationServer.dummyHash
        let isRight = PasswordHash.verify(password, against: phc)
        guard isRight, let account, account.passwordHash != nil, account.isActive else {
            try noteFailure(of: account, visitor: visitor, now: now)
            return .failure(.wrongCredentials)
        }
        if isThrottled {
            throttle.withLock { $0.succeeded(account: key, address: visitor.address) }
        }
        let rehashed = PasswordHash.needsRehash(phc) ? try? PasswordHash.hash(password) : nil
        return .success(try open(account, rehashed: rehashed, now: now))
    }

    /// Makes an account and signs its owner in. Hashes a password: run it on a bounded pool.
    package func register(
        name: String, password: String, now: Timestamp
    ) throws(AuthStoreFailure) -> Result<NewLogin, RegistrationRefusal> {
        guard AccountName.isValid(name) else { return .failure(.invalidName) }
        if let complaint = PasswordPolicy.complaint(about: password, name: name) {
            return .failure(.password(complaint))
        }
        let phc: String
        do throws(PasswordHashError) {
            phc = try PasswordHash.hash(password)
        } catch {
            return .failure(error == .tooLong ? .password(.tooLong) : .busy)
        }
        let account = Account(name: name, passwordHash: phc, createdAt: now)
        do throws(AuthStoreFailure) {
            try store.write { (writer) throws(AuthStoreFailure) in
                try writer.insert(account)
                try writer.append(
                    AuthEvent(.userCreated, subject: account.id, data: ["name": .string(name)]),
                    at: now)
            }
        } catch .conflict {
            return .failure(.nameTaken)
        }
        return .success(try open(account, rehashed: nil, now: now))
    }

    /// The login behind a cookie, and its account; nil when it is unknown, ended or too old.
    package func login(
        secret: String, now: Timestamp
    ) throws(AuthStoreFailure) -> (login: Login, account: Account)? {
        guard secret.utf8.count == 43 else { return nil }
        let hash = SHA256.digest(secret)
        let found = try store.read {
            (reader) throws(AuthStoreFailure) -> (login: Login, account: Account)? in
            guard let login = try reader.login(hash: hash), login.endedAt == nil,
                now < login.expiresAt, now < login.lastSeenAt + self.lifetimes.loginIdle,
                let account = try reader.account(id: login.accountID), account.isActive
            else { return nil }
            return (login, account)
        }
        if var login = found?.login, now > login.lastSeenAt + .seconds(60) {
            login.lastSeenAt = now
            try store.write { (writer) throws(AuthStoreFailure) in
                guard try writer.login(hash: hash)?.endedAt == nil else { return }
                try writer.update(login)
            }
        }
        return found
    }

    /// Signs a browser out: its login ends, and every session that was given under it.
    package func logOut(secret: String, now: Timestamp) throws(AuthStoreFailure) {
        let hash = SHA256.digest(secret)
        try store.write { (writer) throws(AuthStoreFailure) in
            guard var login = try writer.login(hash: hash), login.endedAt == nil else { return }
            login.endedAt = now
            try writer.update(login)
            for grant in try writer.grants(loginHash: hash) {
                try self.revoke(grant, reason: "logout", in: writer, now: now)
            }
        }
    }

    /// The sessions of a person, latest first.
    package func sessions(
        of accountID: String, now: Timestamp
    ) throws(AuthStoreFailure) -> [Grant] {
        try store.read { (reader) throws(AuthStoreFailure) in
            try reader.activeGrants(accountID: accountID, now: now)
        }
    }

    /// Ends one session of a person; another's is left alone.
    /// - Parameter id: nil ends all of them.
    package func endSession(
        id: String?, of accountID: String, now: Timestamp
    ) throws(AuthStoreFailure) {
        try store.write { (writer) throws(AuthStoreFailure) in
            for grant in try writer.activeGrants(accountID: accountID, now: now)
            where id == nil || grant.id == id {
                try self.revoke(grant, reason: "ended_by_user", in: writer, now: now)
            }
        }
    }

    /// A hash that nothing matches, at the cost of a real one.
    private static let dummyHash = (try? PasswordHash.hash(SecureRandom.token())) ?? ""

    private func open(
        _ account: Account, rehashed: String?, now: Timestamp
    ) throws(AuthStoreFailure) -> NewLogin {
        let secret = SecureRandom.token()
        let login = Login(
            hash: SHA256.digest(secret), accountID: account.id, createdAt: now, lastSeenAt: now,
            expiresAt: now + lifetimes.login)
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.insert(login)
            if let rehashed, var current = try writer.account(id: account.id) {
                current.passwordHash = rehashed
                try writer.update(current)
            }
        }
        let nonce = SecureRandom.token(bytes: 12)
        return NewLogin(
            secret: secret, device: device(of: AccountName.key(account.name), nonce: nonce),
            account: account, lifetime: lifetimes.login.components.seconds)
    }

    /// Failures of accounts that exist go to the log, where their owners' webhooks hear of them. One
    /// entry an attempt: the throttle bounds them.
    private func noteFailure(
        of account: Account?, visitor: Visitor, now: Timestamp
    ) throws(AuthStoreFailure) {
        // The same write for unknown names, or the disk would tell them apart.
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.append(
                AuthEvent(
                    .loginFailed, subject: account?.id,
                    data: ["address": .string(visitor.address)]), at: now)
        }
    }

    private func device(of key: String, nonce: String) -> String {
        let tag = deviceKey.sign(Array("\(nonce) \(key)".utf8))
        return nonce + "." + Base64.string(tag, alphabet: .url)
    }

    private func isDevice(_ proof: String, of key: String) -> Bool {
        let parts = proof.split(separator: ".")
        guard parts.count == 2, parts[0].utf8.count == 16 else { return false }
        return constantTimeEquals(device(of: key, nonce: String(parts[0])), proof)
    }
}
