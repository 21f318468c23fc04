// SPDX-License-Identifier: MIT
internal import Locks
package import Timing

/// How much is attempted at once and when an endpoint is left alone.
package struct DeliveryLimits: Sendable, Hashable {
    /// Attempts under way at one endpoint.
    package var inFlightPerEndpoint = 10
    /// Failures in a row after which an endpoint is only probed, one attempt at a time.
    package var breakerFailures = 10
    /// The pause before each probe.
    package var breakerPause: Duration = .seconds(30)
    /// How long an endpoint may fail without one success before it is switched off.
    package var disableAfter: Duration = .seconds(5 * 86_400)

    package init() {}
}

/// What the engine is to do next.
package struct DeliveryTurn: Hashable, Sendable {
    package var claims: [ClaimedDelivery]
    /// When the next delivery is due at an endpoint that has room; nil when none waits.
    package var nextDue: Timestamp?
    /// Endpoints that this turn switched off.
    package var disabled: [String]
}

extension NotificationStore {
    /// One transaction of the engine: writes down attempts that ended and claims deliveries that are
    /// due, at most `capacity` of them, spread over the endpoints. A claimed delivery stands as under
    /// way with its attempt's row before anything is sent.
    package func turn(
        finished: [FinishedAttempt], capacity: Int, limits: DeliveryLimits, now: Timestamp
    ) throws(StoreError) -> DeliveryTurn {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) in
                var turn = DeliveryTurn(claims: [], nextDue: nil, disabled: [])
                for attempt in finished {
                    if try NotificationStore.finish(attempt, limits, now, database) {
                        turn.disabled.append(attempt.endpoint)
                    }
                }
                for endpoint in Set(finished.map(\.endpoint)) {
                    try NotificationStore.refreshDue(endpoint, database)
                }
                if capacity > 0 {
                    turn.claims = try NotificationStore.claim(capacity, limits, now, database)
                }
                turn.nextDue = try database.first(
                    """
                    SELECT min(due_at) FROM endpoint WHERE enabled = 1
                    AND due_at < 9223372036854775807
                    AND in_flight < CASE WHEN failures >= ? THEN 1 ELSE ? END
                    """, [.int(limits.breakerFailures), .int(limits.inFlightPerEndpoint)]
                ) { $0.optionalInt64(0) }?.map { Timestamp(milliseconds: $0) }
                return turn
            }
        }
    }

    /// Deliveries of one owner, newest first.
    /// - Parameter before: the `number` of the last one of the page before.
    package func deliveries(
        owner: String, endpoint: String?, state: DeliveryState?, before: Int64?, limit: Int
    ) throws(StoreError) -> [DeliveryRecord] {
        try database.withLock { (database) throws(StoreError) in
            try database.all(
                DeliveryRecord.select
                    + """
                    WHERE d.endpoint IN (SELECT id FROM endpoint WHERE owner = ?1)
                    AND (?2 IS NULL OR d.endpoint = ?2) AND (?3 IS NULL OR d.state = ?3)
                    AND d.n < ?4 ORDER BY d.n DESC LIMIT ?5
                    """,
                [
                    .text(owner), SQLiteValue(endpoint), state.map { .int($0.rawValue) } ?? .null,
                    .integer(before ?? .max), .int(limit),
                ]
            ) { DeliveryRecord($0) }
        }
    }

    /// One delivery of the owner's with its attempts and its body; nil when there is none.
    package func delivery(
        id: String, owner: String
    ) throws(StoreError) -> (delivery: DeliveryRecord, attempts: [AttemptRecord], body: [UInt8])? {
        try database.withLock { (database) throws(StoreError) in
            try NotificationStore.delivery(id, owner, database)
        }
    }

    /// What came of an attempt to send a delivery again by hand.
    package enum RetryOutcome: Sendable, Hashable { case queued, inFlight, notFound }

    /// Makes a delivery due now, whatever became of it before, with all its attempts to come.
    package func retry(
        id: String, owner: String, now: Timestamp
    ) throws(StoreError) -> RetryOutcome {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) -> RetryOutcome in
                guard let found = try NotificationStore.delivery(id, owner, database) else {
                    return .notFound
                }
                guard found.delivery.state != .inFlight else { return .inFlight }
                try database.run(
                    """
                    UPDATE delivery SET state = 0, attempts = 0, next_at = ?, finished_at = NULL
                    WHERE id = ?
                    """, [.integer(now.milliseconds), .text(id)])
                try NotificationStore.refreshDue(found.delivery.endpoint, database)
                return .queued
            }
        }
    }

    /// How many deliveries stand in each state: with what was made, the ledger that must balance.
    package func ledger() throws(StoreError) -> [DeliveryState: Int] {
        try database.withLock { (database) throws(StoreError) in
            let rows = try database.all("SELECT state, count(*) FROM delivery GROUP BY state") {
                (DeliveryState(rawValue: $0.int(0)) ?? .dead, $0.int(1))
            }
            return Dictionary(uniqueKeysWithValues: rows)
        }
    }

    /// What waits: deliveries that are queued, and when the one longest due was due.
    package func backlog() throws(StoreError) -> (queued: Int, oldestDue: Timestamp?) {
        try database.withLock { (database) throws(StoreError) in
            try database.first("SELECT count(*), min(next_at) FROM delivery WHERE state = 0") {
                ($0.int(0), $0.optionalInt64(1).map { Timestamp(milliseconds: $0) })
            } ?? (0, nil)
        }
    }

    /// Removes deliveries that ended before `time`, those made before it that a switched-off endpoint
    /// still holds, and events that nothing refers to any more.
    /// - Returns: how many deliveries went; `limit` or more means that there may be others.
    package func purge(endedBefore time: Timestamp, limit: Int) throws(StoreError) -> Int {
        try database.withLock { (database) throws(StoreError) in
            try database.transaction { () throws(StoreError) in
                let (time, limit) = (SQLiteValue.integer(time.milliseconds), SQLiteValue.int(limit))
                let ended = try database.run(
                    """
                    DELETE FROM delivery WHERE n IN (SELECT n FROM delivery
                    WHERE state >= 2 AND finished_at < ? ORDER BY finished_at LIMIT ?)
                    """, [time, limit])
                let held = try database.run(
                    """
                    DELETE FROM delivery WHERE n IN (SELECT n FROM delivery
                    WHERE state = 0 AND created_at < ?
                    AND endpoint IN (SELECT id FROM endpoint WHERE enabled = 0) LIMIT ?)
                    """, [time, limit])
                try database.run(
                    """
                    DELETE FROM event WHERE n IN (SELECT n FROM event WHERE at < ?
                    AND NOT EXISTS(SELECT 1 FROM delivery WHERE event = event.n) LIMIT ?)
                    """, [time, limit])
                try database.run(
                    "DELETE FROM alert WHERE is_open = 0 AND created_at < ?", [time])
                return ended + held
            }
        }
    }

    /// Writes down one attempt. True when it switched its endpoint off.
    private static func finish(
        _ attempt: FinishedAttempt, _ limits: DeliveryLimits, _ now: Timestamp,
        _ database: SQLiteDatabase
    ) throws(StoreError) -> Bool {
        let time = SQLiteValue.integer(now.milliseconds)
        let status = SQLiteValue(attempt.status.map { Int64($0) })
        let error = SQLiteValue(attempt.error)
        try database.run(
            """
            UPDATE attempt SET status = ?, error = ?, peer = ?, resolved = ?, connected = ?,
            secured = ?, first_byte = ?, total = ?, response = ? WHERE n = ?
            """,
            [
                status, error, .text(attempt.peer), .integer(attempt.timings.resolved),
                .integer(attempt.timings.connected), .integer(attempt.timings.secured),
                .integer(attempt.timings.firstByte), .integer(attempt.timings.total),
                .blob(attempt.response), .integer(attempt.attempt),
            ])
        let (state, next, finishedAt): (DeliveryState, SQLiteValue, SQLiteValue) =
            switch attempt.end {
            case .delivered: (.delivered, time, time)
            case .retry(let at): (.ready, .integer(at.milliseconds), .null)
            case .dead, .gone: (.dead, time, time)
            }
        try database.run(
            """
            UPDATE delivery SET state = ?, attempts = attempts + 1, next_at = ?, finished_at = ?,
            status = ?, error = ? WHERE n = ?
            """,
            [.int(state.rawValue), next, finishedAt, status, error, .integer(attempt.delivery)])
        return try settle(attempt, limits, now, database)
    }

    /// What an attempt means for its endpoint: the breaker, and switching it off.
    private static func settle(
        _ attempt: FinishedAttempt, _ limits: DeliveryLimits, _ now: Timestamp,
        _ database: SQLiteDatabase
    ) throws(StoreError) -> Bool {
        let id = SQLiteValue.text(attempt.endpoint)
        let time = SQLiteValue.integer(now.milliseconds)
        let known = try database.first(
            "SELECT failures, failing_since, enabled FROM endpoint WHERE id = ?", [id]
        ) { (failures: $0.int(0), since: $0.optionalInt64(1), isEnabled: $0.bool(2)) }
        guard let known else { return false }  // Deleted meanwhile.
        if attempt.end == .delivered {
            try database.run(
                """
                UPDATE endpoint SET in_flight = max(0, in_flight - 1), failures = 0,
                failing_since = NULL, open_until = 0 WHERE id = ?
                """, [id])
            // It is back: what waits for its own retry need not wait any longer.
            if known.failures >= limits.breakerFailures {
                try database.run(
                    "UPDATE delivery SET next_at = ? WHERE endpoint = ? AND state = 0 AND next_at > ?",
                    [time, id, time])
            }
            return false
        }
        let since = known.since ?? now.milliseconds
        let failures = known.failures + 1
        let isOpen = failures >= limits.breakerFailures
        try database.run(
            """
            UPDATE endpoint SET in_flight = max(0, in_flight - 1), failures = ?,
            failing_since = ?, open_until = ? WHERE id = ?
            """,
            [
                .int(failures), .integer(since),
                .integer(isOpen ? (now + limits.breakerPause).milliseconds : 0), id,
            ])
        let isLongFailing = now.milliseconds - since >= limits.disableAfter.milliseconds
        guard known.isEnabled, attempt.end == .gone || isLongFailing else { return false }
        try database.run(
            """
            UPDATE endpoint SET enabled = 0, disabled_reason = ?, updated_at = ?,
            version = version + 1 WHERE id = ?
            """, [.text(attempt.end == .gone ? "gone" : "failing"), time, id])
        return true
    }

    private static func claim(
        _ capacity: Int, _ limits: DeliveryLimits, _ now: Timestamp, _ database: SQLiteDatabase
    ) throws(StoreError) -> [ClaimedDelivery] {
        let time = SQLiteValue.integer(now.milliseconds)
        let due = try database.all(
            """
            SELECT \(EndpointRecord.columns), in_flight FROM endpoint
            WHERE enabled = 1 AND due_at <= ?
            AND in_flight < CASE WHEN failures >= ? THEN 1 ELSE ? END ORDER BY due_at LIMIT ?
            """,
            [time, .int(limits.breakerFailures), .int(limits.inFlightPerEndpoint), .int(capacity)]
        ) { (endpoint: EndpointRecord($0), inFlight: $0.int(18)) }
        guard !due.isEmpty else { return [] }
        let share = max(1, capacity / due.count)
        var claims: [ClaimedDelivery] = []
        for (endpoint, inFlight) in due {
            let most = endpoint.failures >= limits.breakerFailures ? 1 : limits.inFlightPerEndpoint
            let count = min(share, most - inFlight, capacity - claims.count)
            let rows = try database.all(
                """
                SELECT d.n, d.id, d.attempts, d.created_at, e.body FROM delivery d
                JOIN event e ON e.n = d.event
                WHERE d.endpoint = ? AND d.state = 0 AND d.next_at <= ?
                ORDER BY d.next_at, d.n LIMIT ?
                """, [.text(endpoint.id), time, .int(count)]
            ) {
                ClaimedDelivery(
                    delivery: $0.int64(0), id: $0.text(1), attempt: 0, attempts: $0.int(2) + 1,
                    endpoint: endpoint, body: $0.bytes(4),
                    createdAt: Timestamp(milliseconds: $0.int64(3)))
            }
            for var claim in rows {
                try database.run(
                    "UPDATE delivery SET state = 1 WHERE n = ?", [.integer(claim.delivery)])
                try database.run(
                    "INSERT INTO attempt(delivery, started_at) VALUES(?, ?)",
                    [.integer(claim.delivery), time])
                claim.attempt = database.lastInsertID
                claims.append(claim)
            }
            try database.run(
                "UPDATE endpoint SET in_flight = in_flight + ? WHERE id = ?",
                [.int(rows.count), .text(endpoint.id)])
            try refreshDue(endpoint.id, database)
        }
        return claims
    }

    private static func delivery(
        _ id: String, _ owner: String, _ database: SQLiteDatabase
    ) throws(StoreError) -> (delivery: DeliveryRecord, attempts: [AttemptRecord], body: [UInt8])? {
        let found = try database.first(
            DeliveryRecord.select
                + """
                WHERE d.id = ? AND d.endpoint IN (SELECT id FROM endpoint WHERE owner = ?)
                """, [.text(id), .text(owner)]
        ) { (DeliveryRecord($0), $0.bytes(14)) }
        guard let (delivery, body) = found else { return nil }
        var attempts = try database.all(
            """
            SELECT started_at, status, error, peer, resolved, connected, secured, first_byte,
            total, response FROM attempt WHERE delivery = ? ORDER BY n
            """, [.integer(delivery.number)]
        ) { AttemptRecord($0) }
        for index in attempts.indices { attempts[index].number = index + 1 }
        return (delivery, attempts, body)
    }
}

extension DeliveryRecord {
    static let select = """
        SELECT d.n, d.id, d.endpoint, e.type, e.source, e.seq, e.room, d.state, d.attempts, \
        d.next_at, d.created_at, d.finished_at, d.status, d.error, e.body \
        FROM delivery d JOIN event e ON e.n = d.event
        """ + " "

    init(_ row: borrowing SQLiteRow) {
        number = row.int64(0)
        id = row.text(1)
        endpoint = row.text(2)
        type = row.text(3)
        source = row.text(4)
        sequence = row.int64(5)
        room = row.optionalText(6)
        state = DeliveryState(rawValue: row.int(7)) ?? .dead
        attempts = row.int(8)
        nextAt = Timestamp(milliseconds: row.int64(9))
        createdAt = Timestamp(milliseconds: row.int64(10))
        finishedAt = row.optionalInt64(11).map { Timestamp(milliseconds: $0) }
        status = row.optionalInt64(12).map { Int($0) }
        error = row.optionalText(13)
    }
}

extension AttemptRecord {
    init(_ row: borrowing SQLiteRow) {
        number = 0
        startedAt = Timestamp(milliseconds: row.int64(0))
        status = row.optionalInt64(1).map { Int($0) }
        error = row.optionalText(2)
        peer = row.text(3)
        timings = AttemptTimings()
        timings.resolved = row.int64(4)
        timings.connected = row.int64(5)
        timings.secured = row.int64(6)
        timings.firstByte = row.int64(7)
        timings.total = row.int64(8)
        response = row.bytes(9)
    }
}
