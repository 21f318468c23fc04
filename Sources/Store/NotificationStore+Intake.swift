// SPDX-License-Identifier: MIT
internal import Locks
package import Timing

/// What the fan-out of an entry asks of the layer that knows filters and payloads.
package struct FanOutRules: Sendable {
    /// Whether an endpoint wants an entry, its audience apart.
    package var wants: @Sendable (EndpointRecord, SourceEntry) -> Bool
    /// The body that all endpoints get.
    package var body: @Sendable (_ source: String, SourceEntry) -> [UInt8]
    /// `webhook-id`: the same for the same endpoint, source and sequence.
    package var deliveryID: @Sendable (_ endpoint: String, _ source: String, Int64) -> String

    package init(
        wants: @escaping @Sendable (EndpointRecord, SourceEntry) -> Bool,
        body: @escaping @Sendable (String, SourceEntry) -> [UInt8],
        deliveryID: @escaping @Sendable (String, String, Int64) -> String
    ) {
        self.wants = wants
        self.body = body
        self.deliveryID = deliveryID
    }
}

/// What taking in a page of a log changed.
package struct IntakeResult: Hashable, Sendable {
    /// The last entry taken in, ever.
    package var watermark: Int64
    /// Entries of the page that were new.
    package var applied: Int
    /// Deliveries made of them.
    package var deliveries: Int
    /// Entries are missing before the page: nothing was taken in.
    package var hasGap: Bool
}

extension NotificationStore {
    /// How far a log was taken in; 0 at first.
    package func watermark(of source: String) throws(StoreError) -> Int64 {
        try database.withLock { (database) throws(StoreError) in
            try NotificationStore.watermark(source, database)
        }
    }

    /// The epoch of a log as it was last taken in; nil when it was not, or names none.
    package func epoch(of source: String) throws(StoreError) -> String? {
        try database.withLock { (database) throws(StoreError) in
            try database.first("SELECT epoch FROM watermark WHERE source = ?", [.text(source)]) {
                $0.optionalText(0)
            } ?? nil
        }
    }

    /// A log names its epoch. When it is another than before, the log was restored: what lies after
    /// `base` is other than what was taken in under those numbers, so the watermark goes back there.
    /// Events made of the lost entries stay under a name of their own, and deliveries of the new ones
    /// get ids of their own, though the numbers are the same.
    ///
    /// Who was in which room at `base` is no longer known: the lost entries changed it. So a source
    /// that tells of memberships is read from its beginning once more, up to there for these alone.
    /// - Parameters:
    ///   - base: the last entry that both histories have.
    ///   - tellsMemberships: whether the source is the one that memberships come from.
    /// - Returns: the watermark then.
    package func enter(
        source: String, epoch: String, base: Int64, tellsMemberships: Bool
    ) throws(StoreError) -> Int64 {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) in
                let watermark = try NotificationStore.watermark(source, database)
                let known = try database.first(
                    "SELECT epoch FROM watermark WHERE source = ?", [.text(source)]
                ) { $0.optionalText(0) }
                guard (known ?? nil) != epoch else { return watermark }
                guard let former = known ?? nil else {
                    try database.run(
                        """
                        INSERT INTO watermark(source, seq, epoch) VALUES(?, 0, ?)
                        ON CONFLICT(source) DO UPDATE SET epoch = excluded.epoch
                        """, [.text(source), .text(epoch)])
                    return watermark
                }
                try database.run(
                    "UPDATE event SET source = ? WHERE source = ? AND seq > ?",
                    [.text("\(source)@\(former)"), .text(source), .integer(base)])
                try database.run(
                    """
                    UPDATE watermark SET quiet = min(max(seq, quiet), ?), seq = min(seq, ?),
                    epoch = ?, restores = restores + 1 WHERE source = ?
                    """,
                    [
                        .integer(base), .integer(tellsMemberships ? 0 : base), .text(epoch),
                        .text(source),
                    ])
                guard tellsMemberships else { return min(watermark, base) }
                try database.run("DELETE FROM membership")
                return 0
            }
        }
    }

    /// By what name a source's entries make delivery ids: its own, until its log was restored.
    private static func deliveryName(
        _ source: String, _ database: SQLiteDatabase
    ) throws(StoreError) -> String {
        let name = try database.first(
            "SELECT source || '@' || epoch FROM watermark WHERE source = ? AND restores > 0",
            [.text(source)]
        ) { $0.text(0) }
        return name ?? source
    }

    /// Takes in entries of a log in their order, each once: entries at or below the watermark are
    /// passed over. Deliveries, memberships and the watermark change in one transaction, so what is
    /// not below the watermark after a crash was not taken in at all.
    /// - Parameter after: what the page follows: when that is past the watermark, entries are missing
    ///   in between and nothing is done.
    package func apply(
        source: String, after: Int64, _ entries: [SourceEntry], rules: FanOutRules, now: Timestamp
    ) throws(StoreError) -> IntakeResult {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) in
                let start = try NotificationStore.watermark(source, database)
                var result = IntakeResult(
                    watermark: start, applied: 0, deliveries: 0, hasGap: after > start)
                if result.hasGap { return result }
                let quiet =
                    try database.first(
                        "SELECT quiet FROM watermark WHERE source = ?", [.text(source)]
                    ) { $0.int64(0) } ?? 0
                for entry in entries where entry.sequence > result.watermark {
                    result.deliveries += try NotificationStore.take(
                        entry, source, entry.sequence > quiet ? rules : nil, now, database)
                    result.watermark = entry.sequence
                    result.applied += 1
                }
                if result.applied > 0 {
                    try database.run(
                        """
                        INSERT INTO watermark(source, seq) VALUES(?, ?)
                        ON CONFLICT(source) DO UPDATE SET seq = excluded.seq
                        """, [.text(source), .integer(result.watermark)])
                }
                return result
            }
        }
    }

    /// Who is in a room as far as the log was taken in.
    package func isMember(_ user: String, of room: String) throws(StoreError) -> Bool {
        try database.withLock { (database) throws(StoreError) in
            try database.first(
                "SELECT 1 FROM membership WHERE user = ? AND room = ?", [.text(user), .text(room)]
            ) { $0.bool(0) } ?? false
        }
    }

    private static func watermark(
        _ source: String, _ database: SQLiteDatabase
    ) throws(StoreError) -> Int64 {
        try database.first("SELECT seq FROM watermark WHERE source = ?", [.text(source)]) {
            $0.int64(0)
        } ?? 0
    }

    /// - Parameter rules: nil for an entry that was told before, and now only says who is where.
    private static func take(
        _ entry: SourceEntry, _ source: String, _ rules: FanOutRules?, _ now: Timestamp,
        _ database: SQLiteDatabase
    ) throws(StoreError) -> Int {
        // Who joins hears of it, and so does who leaves.
        if case .joined(let room, let user) = entry.membership {
            try database.run(
                "INSERT OR IGNORE INTO membership(room, user) VALUES(?, ?)",
                [.text(room), .text(user)])
        }
        var count = 0
        if let rules { count = try fanOut(entry, source, rules, now, database) }
        if case .left(let room, let user) = entry.membership {
            try database.run(
                "DELETE FROM membership WHERE room = ? AND user = ?", [.text(room), .text(user)])
        }
        if let user = entry.closedAccount, rules != nil {
            try database.run(
                """
                UPDATE endpoint SET enabled = 0, disabled_reason = 'account', updated_at = ?,
                version = version + 1 WHERE owner = ? AND enabled = 1
                """, [.integer(now.milliseconds), .text(user)])
        }
        return count
    }

    /// Writes the event and its deliveries when there is an endpoint that wants it.
    static func fanOut(
        _ entry: SourceEntry, _ source: String, _ rules: FanOutRules, _ now: Timestamp,
        _ database: SQLiteDatabase
    ) throws(StoreError) -> Int {
        guard let type = entry.type else { return 0 }
        let endpoints = try candidates(entry.audience, database).filter { rules.wants($0, entry) }
        guard !endpoints.isEmpty else { return 0 }
        try database.run(
            "INSERT INTO event(source, seq, type, room, at, body) VALUES(?, ?, ?, ?, ?, ?)",
            [
                .text(source), .integer(entry.sequence), .text(type), SQLiteValue(entry.room),
                .integer(entry.at.milliseconds), .blob(rules.body(source, entry)),
            ])
        let event = database.lastInsertID
        let time = SQLiteValue.integer(now.milliseconds)
        let name = try deliveryName(source, database)
        for endpoint in endpoints {
            try database.run(
                """
                INSERT INTO delivery(id, endpoint, event, state, attempts, next_at, created_at)
                VALUES(?, ?, ?, 0, 0, ?, ?)
                """,
                [
                    .text(rules.deliveryID(endpoint.id, name, entry.sequence)),
                    .text(endpoint.id), .integer(event), time, time,
                ])
            try database.run(
                "UPDATE endpoint SET due_at = max(open_until, min(due_at, ?)) WHERE id = ?",
                [time, .text(endpoint.id)])
        }
        return endpoints.count
    }

    private static func candidates(
        _ audience: SourceEntry.Audience, _ database: SQLiteDatabase
    ) throws(StoreError) -> [EndpointRecord] {
        let isMember = "WHERE EXISTS(SELECT 1 FROM membership WHERE user = owner AND room "
        switch audience {
        case .members(let room):
            return try database.all(EndpointRecord.select + isMember + "= ?)", [.text(room)]) {
                EndpointRecord($0)
            }
        case .membersOfAny(let rooms):
            let list = SQLiteValue.text(ListText.write(rooms))
            return try database.all(
                EndpointRecord.select + isMember + "IN (SELECT value FROM json_each(?)))", [list]
            ) { EndpointRecord($0) }
        case .user(let user):
            return try database.all(EndpointRecord.select + "WHERE owner = ?", [.text(user)]) {
                EndpointRecord($0)
            }
        case .everyone:
            return try database.all(EndpointRecord.select) { EndpointRecord($0) }
        case .nobody:
            return []
        }
    }
}
