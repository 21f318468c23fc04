// SPDX-License-Identifier: MIT
package import Timing

/// Why the store did not do what it was asked.
package enum AuthStoreFailure: Error, Hashable, Sendable {
    /// The name or id is taken already; nothing was changed.
    case conflict
    /// The store cannot be read or written now; the text is for our log.
    case unavailable(String)
}

/// The port to durable storage: accounts, clients, sessions, codes, tokens, keys and the log.
///
/// A transaction sees its own changes and nobody else's half-done ones. `write` returns after the
/// changes are on disk, log entries included, or throws and has changed nothing.
package protocol AuthStore: AnyObject, Sendable {
    /// Runs `body` on a consistent snapshot. Blocks the calling thread.
    func read<Result>(
        _ body: (any AuthReader) throws(AuthStoreFailure) -> Result
    ) throws(AuthStoreFailure) -> Result

    /// Runs `body` alone and commits. Blocks the calling thread until the disk has it.
    func write<Result>(
        _ body: (any AuthWriter) throws(AuthStoreFailure) -> Result
    ) throws(AuthStoreFailure) -> Result

    /// Asks to be told of each committed group of log entries, in order, on the committing thread.
    func onCommit(_ handler: @escaping @Sendable ([AuthLogEntry]) -> Void)
}

/// Reads within a transaction. Everything is found by its whole key; nil means that there is none.
package protocol AuthReader {
    func account(id: String) throws(AuthStoreFailure) -> Account?
    /// `key` is `AccountName.key`.
    func account(nameKey key: String) throws(AuthStoreFailure) -> Account?
    func client(id: String) throws(AuthStoreFailure) -> Client?
    /// All clients: there are few.
    func clients() throws(AuthStoreFailure) -> [Client]
    func login(hash: [UInt8]) throws(AuthStoreFailure) -> Login?
    func code(hash: [UInt8]) throws(AuthStoreFailure) -> AuthorizationCode?
    func grant(id: String) throws(AuthStoreFailure) -> Grant?
    /// The sessions of an account that are neither revoked nor expired, latest first.
    func activeGrants(
        accountID: String, now: Timestamp
    ) throws(AuthStoreFailure) -> [Grant]
    /// The sessions given under a login that are not revoked.
    func grants(loginHash: [UInt8]) throws(AuthStoreFailure) -> [Grant]
    func refreshToken(hash: [UInt8]) throws(AuthStoreFailure) -> RefreshToken?
    func isTokenRevoked(id: String) throws(AuthStoreFailure) -> Bool
    /// Oldest first.
    func signingKeys() throws(AuthStoreFailure) -> [SigningKeyRecord]
    /// Entries behind `seq`, in order, at most `limit`.
    func logEntries(after seq: Int64, limit: Int) throws(AuthStoreFailure) -> [AuthLogEntry]
    /// The number of the last entry, 0 when there is none.
    func logHead() throws(AuthStoreFailure) -> Int64
    /// The position from which a verifier must read to know every revocation that covers a token still
    /// in force.
    func revocationStart(now: Timestamp) throws(AuthStoreFailure) -> Int64
}

/// Changes within a transaction.
package protocol AuthWriter: AuthReader {
    /// - Throws: `conflict` when the name is taken.
    func insert(_ account: Account) throws(AuthStoreFailure)
    func update(_ account: Account) throws(AuthStoreFailure)
    /// Inserts or replaces.
    func put(_ client: Client) throws(AuthStoreFailure)
    func insert(_ login: Login) throws(AuthStoreFailure)
    func update(_ login: Login) throws(AuthStoreFailure)
    func insert(_ code: AuthorizationCode) throws(AuthStoreFailure)
    func update(_ code: AuthorizationCode) throws(AuthStoreFailure)
    func insert(_ grant: Grant) throws(AuthStoreFailure)
    func update(_ grant: Grant) throws(AuthStoreFailure)
    func insert(_ token: RefreshToken) throws(AuthStoreFailure)
    func update(_ token: RefreshToken) throws(AuthStoreFailure)
    /// Remembers that an access token was withdrawn; idempotent.
    func revokeToken(id: String, expiresAt: Timestamp) throws(AuthStoreFailure)
    func insert(_ key: SigningKeyRecord) throws(AuthStoreFailure)
    /// Appends to the log in this transaction.
    func append(_ event: AuthEvent, at: Timestamp) throws(AuthStoreFailure)
    /// Deletes what is past all use: dead keys, codes a day old, tokens of sessions long over.
    func prune(now: Timestamp) throws(AuthStoreFailure)
}
