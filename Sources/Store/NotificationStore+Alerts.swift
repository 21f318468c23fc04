// SPDX-License-Identifier: MIT
internal import Locks
package import Timing

/// A system alert as it is stored.
package struct NewAlert: Sendable {
    package var id: String
    package var owner: String
    /// The caller's `idempotency-key`; nil for none.
    package var key: String?
    /// A digest of the request, by which a key used for another request is known.
    package var digest: [UInt8]
    /// The body of `POST /internal/alerts`.
    package var body: [UInt8]
    package var expiresAt: Timestamp
    /// Its event; `sequence` is the alert's number and is filled in here.
    package var entry: SourceEntry

    package init(
        id: String, owner: String, key: String?, digest: [UInt8], body: [UInt8],
        expiresAt: Timestamp, entry: SourceEntry
    ) {
        self.id = id
        self.owner = owner
        self.key = key
        self.digest = digest
        self.body = body
        self.expiresAt = expiresAt
        self.entry = entry
    }
}

extension NotificationStore {
    /// What became of a new alert.
    package enum AlertOutcome: Sendable, Hashable {
        /// Stored, with its deliveries.
        case accepted
        /// The key was used for the same request: this is the id it got then.
        case repeated(id: String)
        /// The key was used for another request.
        case conflict
    }

    /// Stores an alert, to be passed on to ChatService, with its webhooks in the same transaction.
    package func raise(
        _ alert: NewAlert, rules: FanOutRules, now: Timestamp
    ) throws(StoreError) -> AlertOutcome {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) -> AlertOutcome in
                if let key = alert.key {
                    let known = try database.first(
                        "SELECT id, digest FROM alert WHERE owner = ? AND key = ?",
                        [.text(alert.owner), .text(key)]
                    ) { (id: $0.text(0), digest: $0.bytes(1)) }
                    if let known {
                        return known.digest == alert.digest ? .repeated(id: known.id) : .conflict
                    }
                }
                try database.run(
                    """
                    INSERT INTO alert(id, owner, key, digest, body, is_open, next_at, created_at,
                    expires_at) VALUES(?, ?, ?, ?, ?, 1, ?, ?, ?)
                    """,
                    [
                        .text(alert.id), .text(alert.owner), SQLiteValue(alert.key),
                        .blob(alert.digest), .blob(alert.body), .integer(now.milliseconds),
                        .integer(now.milliseconds), .integer(alert.expiresAt.milliseconds),
                    ])
                var entry = alert.entry
                entry.sequence = database.lastInsertID
                _ = try NotificationStore.fanOut(entry, "alert", rules, now, database)
                return .accepted
            }
        }
    }

    /// Alerts that ChatService is to be told of now, oldest first. Those past their time are closed.
    package func dueAlerts(now: Timestamp, limit: Int) throws(StoreError) -> [AlertRecord] {
        try database.withLock { (database) throws(StoreError) in
            let time = SQLiteValue.integer(now.milliseconds)
            let due = try database.all(
                """
                SELECT n, id, body, attempts, created_at, expires_at FROM alert
                WHERE is_open = 1 AND next_at <= ? ORDER BY next_at, n LIMIT ?
                """, [time, .int(limit)]
            ) {
                AlertRecord(
                    number: $0.int64(0), id: $0.text(1), body: $0.bytes(2), attempts: $0.int(3),
                    createdAt: Timestamp(milliseconds: $0.int64(4)),
                    expiresAt: Timestamp(milliseconds: $0.int64(5)))
            }
            let expired = due.filter { $0.expiresAt <= now }
            if !expired.isEmpty {
                try database.transaction { () throws(StoreError) in
                    for alert in expired {
                        try database.run(
                            "UPDATE alert SET is_open = 0 WHERE n = ?", [.integer(alert.number)])
                    }
                }
            }
            return due.filter { $0.expiresAt > now }
        }
    }

    /// ChatService knows of the alert.
    package func closeAlert(number: Int64) throws(StoreError) {
        try database.withLock { (database) throws(StoreError) in
            _ = try database.run("UPDATE alert SET is_open = 0 WHERE n = ?", [.integer(number)])
        }
    }

    /// ChatService could not be told: again at `at`.
    package func postponeAlert(number: Int64, until at: Timestamp) throws(StoreError) {
        try database.withLock { (database) throws(StoreError) in
            _ = try database.run(
                "UPDATE alert SET attempts = attempts + 1, next_at = ? WHERE n = ?",
                [.integer(at.milliseconds), .integer(number)])
        }
    }

    /// How many alerts ChatService is still to be told of.
    package func openAlerts() throws(StoreError) -> Int {
        try database.withLock { (database) throws(StoreError) in
            try database.first("SELECT count(*) FROM alert WHERE is_open = 1") { $0.int(0) } ?? 0
        }
    }
}
