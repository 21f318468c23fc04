// SPDX-License-Identifier: MIT

/// The schema of `notification.db`, a step a version. All times are milliseconds since 1970.
///
/// ```
/// endpoint ─┬─< delivery >─── event        watermark: how far each log was taken in
///           │      └──< attempt            membership: who is in which room at that point
///           └ due_at, in_flight            alert: what ChatService is still to be told
/// ```
///
/// - `endpoint.due_at` is the earliest time at which anything is due there, so that what to do next is
///   one index look-up however many deliveries wait.
/// - A log entry makes at most one event (`UNIQUE(source, seq)`) and an event at most one delivery an
///   endpoint, so taking an entry in twice changes nothing.
/// - `watermark.epoch` is the history that the source's numbers belong to, where it names one. When a
///   log was restored, events of numbers that are given again are kept under `source@epoch`, and the
///   log is read anew: up to `watermark.quiet` it only says who is in which room.
enum NotificationSchema {
    static let steps = [
        """
        CREATE TABLE endpoint(
            id TEXT PRIMARY KEY, owner TEXT NOT NULL, url TEXT NOT NULL,
            description TEXT NOT NULL, types TEXT NOT NULL, rooms TEXT NOT NULL,
            min_severity INTEGER NOT NULL, fields TEXT NOT NULL, secret BLOB NOT NULL,
            previous_secret BLOB, previous_until INTEGER, enabled INTEGER NOT NULL,
            disabled_reason TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0,
            failing_since INTEGER, open_until INTEGER NOT NULL DEFAULT 0,
            due_at INTEGER NOT NULL DEFAULT 9223372036854775807,
            in_flight INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX endpoint_owner ON endpoint(owner, created_at);
        CREATE INDEX endpoint_due ON endpoint(due_at) WHERE enabled = 1;
        CREATE TABLE event(
            n INTEGER PRIMARY KEY, source TEXT NOT NULL, seq INTEGER NOT NULL,
            type TEXT NOT NULL, room TEXT, at INTEGER NOT NULL, body BLOB NOT NULL,
            UNIQUE(source, seq)
        ) STRICT;
        CREATE INDEX event_at ON event(at);
        CREATE TABLE delivery(
            n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            endpoint TEXT NOT NULL REFERENCES endpoint(id) ON DELETE CASCADE,
            event INTEGER NOT NULL REFERENCES event(n), state INTEGER NOT NULL,
            attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
            finished_at INTEGER, status INTEGER, error TEXT,
            UNIQUE(endpoint, event)
        ) STRICT;
        CREATE INDEX delivery_ready ON delivery(endpoint, next_at) WHERE state = 0;
        CREATE INDEX delivery_in_flight ON delivery(n) WHERE state = 1;
        CREATE INDEX delivery_finished ON delivery(finished_at) WHERE state >= 2;
        CREATE INDEX delivery_list ON delivery(endpoint, n);
        CREATE INDEX delivery_event ON delivery(event);
        CREATE TABLE attempt(
            n INTEGER PRIMARY KEY,
            delivery INTEGER NOT NULL REFERENCES delivery(n) ON DELETE CASCADE,
            started_at INTEGER NOT NULL, status INTEGER, error TEXT, peer TEXT NOT NULL DEFAULT '',
            resolved INTEGER NOT NULL DEFAULT 0, connected INTEGER NOT NULL DEFAULT 0,
            secured INTEGER NOT NULL DEFAULT 0, first_byte INTEGER NOT NULL DEFAULT 0,
            total INTEGER NOT NULL DEFAULT 0, response BLOB NOT NULL DEFAULT x''
        ) STRICT;
        CREATE INDEX attempt_delivery ON attempt(delivery);
        CREATE TABLE watermark(source TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
        CREATE TABLE membership(
            room TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY(user, room)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE alert(
            n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
            key TEXT, digest BLOB NOT NULL, body BLOB NOT NULL, is_open INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
            UNIQUE(owner, key)
        ) STRICT;
        CREATE INDEX alert_open ON alert(next_at) WHERE is_open = 1;
        """,
        """
        ALTER TABLE watermark ADD COLUMN epoch TEXT;
        ALTER TABLE watermark ADD COLUMN restores INTEGER NOT NULL DEFAULT 0;
        """,
        "ALTER TABLE watermark ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0",
    ]
}
