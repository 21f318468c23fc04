// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON
internal import Locks
package import Timing

/// All that NotificationService remembers, in one SQLite file. One connection behind a lock: each
/// call is one transaction, and the engine puts many attempts into one. Only one process may have the
/// file open, which a lock beside it enforces; so an attempt found under way at start is one that died
/// with its process, and is made again with the same id and bytes.
package final class NotificationStore: Sendable {
    let database: Locked<SQLiteDatabase>
    private let lock: Int32

    /// Opens or creates the file and gives back what a killed process left under way.
    /// - Throws: `busy` when another process has it open; whatever opening or migrating meets.
    package init(path: String, now: Timestamp) throws(StoreError) {
        let descriptor = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .cannotOpen(code: -errno) }
        do throws(StoreError) {
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw .busy }
            let database = try SQLiteDatabase(path: path)
            try database.migrate(NotificationSchema.steps)
            try NotificationStore.recover(database, now: now)
            self.database = Locked(database)
            lock = descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(lock) }

    /// Attempts that were under way when the process died are over, and due again at once.
    private static func recover(_ database: SQLiteDatabase, now: Timestamp) throws(StoreError) {
        try database.transaction { () throws(StoreError) in
            try database.run(
                """
                UPDATE attempt SET error = 'interrupted' WHERE error IS NULL AND status IS NULL
                AND delivery IN (SELECT n FROM delivery WHERE state = 1)
                """)
            try database.run(
                """
                UPDATE endpoint SET in_flight = 0, due_at = ? WHERE id IN
                (SELECT endpoint FROM delivery WHERE state = 1)
                """, [.integer(now.milliseconds)])
            try database.run(
                "UPDATE delivery SET state = 0, next_at = ? WHERE state = 1",
                [.integer(now.milliseconds)])
        }
    }
}

/// Why a change was not made. Nothing was.
package enum EndpointRefusal: Error, Hashable, Sendable {
    /// No such endpoint, or another's: the same to whoever asks.
    case notFound
    /// It was changed since; this is its version now.
    case versionMismatch(current: Int64)
    /// The owner has as many as one may have.
    case limitReached
    /// The owner has one with the same URL and filter.
    case duplicate
}

extension NotificationStore {
    /// Stores a new endpoint.
    /// - Parameter limit: how many an owner may have.
    package func insert(
        _ endpoint: EndpointRecord, limit: Int
    ) throws(StoreError) -> Result<Void, EndpointRefusal> {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) -> Result<Void, EndpointRefusal> in
                let count = try database.first(
                    "SELECT count(*) FROM endpoint WHERE owner = ?", [.text(endpoint.owner)]
                ) { $0.int(0) }
                guard count ?? 0 < limit else { return .failure(.limitReached) }
                guard try !NotificationStore.hasTwin(endpoint, database) else {
                    return .failure(.duplicate)
                }
                try database.run(
                    """
                    INSERT INTO endpoint(id, owner, url, description, types, rooms, min_severity,
                    fields, secret, previous_secret, previous_until, enabled, disabled_reason,
                    created_at, updated_at, version)
                    VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """, endpoint.values)
                return .success(())
            }
        }
    }

    /// The owner's endpoints, oldest first.
    package func endpoints(owner: String) throws(StoreError) -> [EndpointRecord] {
        try database.withLock { (database) throws(StoreError) in
            try database.all(
                EndpointRecord.select + "WHERE owner = ? ORDER BY created_at, id", [.text(owner)]
            ) { EndpointRecord($0) }
        }
    }

    /// One endpoint of the owner's; nil when there is none of that id.
    package func endpoint(id: String, owner: String) throws(StoreError) -> EndpointRecord? {
        try database.withLock { (database) throws(StoreError) in
            try NotificationStore.endpoint(id, owner, database)
        }
    }

    /// Changes an endpoint: reads it, lets `change` work on it, and writes it back with the next
    /// version. Switching it on clears what was held against it.
    /// - Parameter version: what the caller saw; nil for whatever it is.
    package func update(
        id: String, owner: String, version: Int64?, now: Timestamp,
        _ change: @Sendable (inout EndpointRecord) -> Void
    ) throws(StoreError) -> Result<EndpointRecord, EndpointRefusal> {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction {
                () throws(StoreError) -> Result<EndpointRecord, EndpointRefusal> in
                guard var endpoint = try NotificationStore.endpoint(id, owner, database) else {
                    return .failure(.notFound)
                }
                if let version, version != endpoint.version {
                    return .failure(.versionMismatch(current: endpoint.version))
                }
                let wasEnabled = endpoint.isEnabled
                change(&endpoint)
                guard try !NotificationStore.hasTwin(endpoint, database) else {
                    return .failure(.duplicate)
                }
                endpoint.version += 1
                endpoint.updatedAt = now
                if endpoint.isEnabled, !wasEnabled {
                    endpoint.failures = 0
                    endpoint.failingSince = nil
                    try database.run(
                        "UPDATE endpoint SET failures = 0, failing_since = NULL, open_until = 0 WHERE id = ?",
                        [.text(id)])
                }
                try database.run(
                    """
                    UPDATE endpoint SET id = ?, owner = ?, url = ?, description = ?, types = ?,
                    rooms = ?, min_severity = ?, fields = ?, secret = ?, previous_secret = ?,
                    previous_until = ?, enabled = ?, disabled_reason = ?, created_at = ?,
                    updated_at = ?, version = ? WHERE id = ?
                    """, endpoint.values + [.text(id)])
                try NotificationStore.refreshDue(id, database)
                return .success(endpoint)
            }
        }
    }

    /// Removes an endpoint with its deliveries. False when the owner has none of that id.
    package func deleteEndpoint(id: String, owner: String) throws(StoreError) -> Bool {
        try database.withLock { (database) throws(StoreError) in
            let count = try database.run(
                "DELETE FROM endpoint WHERE id = ? AND owner = ?", [.text(id), .text(owner)])
            return count > 0
        }
    }

    static func endpoint(
        _ id: String, _ owner: String, _ database: SQLiteDatabase
    ) throws(StoreError) -> EndpointRecord? {
        try database.first(
            EndpointRecord.select + "WHERE id = ? AND owner = ?", [.text(id), .text(owner)]
        ) { EndpointRecord($0) }
    }

    private static func hasTwin(
        _ endpoint: EndpointRecord, _ database: SQLiteDatabase
    ) throws(StoreError) -> Bool {
        try database.first(
            """
            SELECT 1 FROM endpoint
            WHERE owner = ? AND url = ? AND types = ? AND rooms = ? AND id <> ?
            """,
            [
                .text(endpoint.owner), .text(endpoint.url), .text(ListText.write(endpoint.types)),
                .text(ListText.write(endpoint.rooms)), .text(endpoint.id),
            ]
        ) { $0.bool(0) } ?? false
    }

    /// Puts `due_at` where the deliveries and the breaker say.
    static func refreshDue(_ id: String, _ database: SQLiteDatabase) throws(StoreError) {
        try database.run(
            """
            UPDATE endpoint SET due_at = max(open_until, coalesce(
            (SELECT min(next_at) FROM delivery WHERE endpoint = ?1 AND state = 0),
            9223372036854775807)) WHERE id = ?1
            """, [.text(id)])
    }
}

/// Lists and pairs as JSON text in one column: they are read whole and never searched.
enum ListText {
    static func write(_ list: [String]) -> String {
        JSONValue.array(list.map { .string($0) }).text
    }

    static func write(_ fields: [EndpointRecord.Field]) -> String {
        JSONValue.array(fields.map { [.string($0.name), .string($0.value)] }).text
    }

    static func list(_ text: String) -> [String] {
        (try? JSONValue(parsing: Array(text.utf8)))?.array?.compactMap(\.string) ?? []
    }

    static func fields(_ text: String) -> [EndpointRecord.Field] {
        let pairs = (try? JSONValue(parsing: Array(text.utf8)))?.array ?? []
        return pairs.compactMap { pair in
            guard let name = pair.array?.first?.string, let value = pair.array?.last?.string else {
                return nil
            }
            return EndpointRecord.Field(name: name, value: value)
        }
    }
}

extension EndpointRecord {
    static let columns = """
        id, owner, url, description, types, rooms, min_severity, fields, secret, \
        previous_secret, previous_until, enabled, disabled_reason, created_at, updated_at, \
        version, failures, failing_since
        """
    static let select = "SELECT \(columns) FROM endpoint "

    /// In the order of `columns`, without what the engine counts.
    var values: [SQLiteValue] {
        [
            .text(id), .text(owner), .text(url), .text(description), .text(ListText.write(types)),
            .text(ListText.write(rooms)), .int(minSeverity), .text(ListText.write(fields)),
            .blob(secret), SQLiteValue(previousSecret), SQLiteValue(previousUntil?.milliseconds),
            .bool(isEnabled), SQLiteValue(disabledReason), .integer(createdAt.milliseconds),
            .integer(updatedAt.milliseconds), .integer(version),
        ]
    }

    init(_ row: borrowing SQLiteRow) {
        self.init(
            id: row.text(0), owner: row.text(1), url: row.text(2), description: row.text(3),
            types: ListText.list(row.text(4)), rooms: ListText.list(row.text(5)),
            minSeverity: row.int(6), fields: ListText.fields(row.text(7)), secret: row.bytes(8),
            createdAt: Timestamp(milliseconds: row.int64(13)))
        previousSecret = row.optionalBytes(9)
        previousUntil = row.optionalInt64(10).map { Timestamp(milliseconds: $0) }
        isEnabled = row.bool(11)
        disabledReason = row.optionalText(12)
        updatedAt = Timestamp(milliseconds: row.int64(14))
        version = row.int64(15)
        failures = row.int(16)
        failingSince = row.optionalInt64(17).map { Timestamp(milliseconds: $0) }
    }
}
