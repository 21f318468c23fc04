// SPDX-License-Identifier: MIT
import TestSupport
import Testing
import Timing

@testable import Store

/// Files of other versions of this program.
@Suite struct MigrationTests {
    private let folder: TemporaryDirectory
    private var path: String { folder.file("file.db") }
    private let now = Timestamp(seconds: 1_000_000)

    init() throws { folder = try TemporaryDirectory() }

    private func make(_ steps: some Collection<String>, _ script: String) throws {
        let database = try SQLiteDatabase(path: path)
        try database.migrate(Array(steps))
        try database.execute(script)
    }

    private func version() throws -> Int {
        try SQLiteDatabase(path: path, mode: .readOnly).first("PRAGMA user_version") { $0.int(0) }
            ?? 0
    }

    /// What each older version of NotificationService left is there, and work goes on from it.
    @Test(arguments: 1..<NotificationSchema.steps.count)
    func anOlderNotificationDatabaseGoesOn(_ old: Int) throws {
        try make(
            NotificationSchema.steps.prefix(old),
            """
            INSERT INTO watermark(source, seq) VALUES('chat', 7);
            INSERT INTO membership VALUES('r1', 'ada');
            INSERT INTO endpoint(id, owner, url, description, types, rooms, min_severity, fields,
                secret, enabled, created_at, updated_at, version)
                VALUES('ep', 'ada', 'https://example.com', '', '', '', 0, '', x'01', 1, 0, 0, 1);
            """)
        let store = try NotificationStore(path: path, now: now)
        #expect(try version() == NotificationSchema.steps.count)
        #expect(try store.watermark(of: "chat") == 7)
        #expect(try store.epoch(of: "chat") == nil)
        #expect(try store.isMember("ada", of: "r1"))
        // A log that names its epoch for the first time is the one there always was.
        #expect(
            try store.enter(source: "chat", epoch: "e", base: 5, tellsMemberships: true) == 7)
        let rules = FanOutRules(
            wants: { _, _ in true }, body: { _, _ in [] }, deliveryID: { "\($0)\($1)\($2)" })
        let result = try store.apply(
            source: "chat", after: 7,
            [
                SourceEntry(
                    sequence: 8, at: now, type: "message.created", room: "r1",
                    audience: .members(room: "r1"), data: [])
            ], rules: rules, now: now)
        #expect(result == IntakeResult(watermark: 8, applied: 1, deliveries: 1, hasGap: false))
    }

    /// One of a newer version is refused with both versions named, and not touched.
    @Test func aNewerFileIsRefusedUntouched() throws {
        try SQLiteDatabase(path: path).execute(
            "CREATE TABLE future(x); INSERT INTO future VALUES(1); PRAGMA user_version=99")
        func refusal(_ open: () throws(StoreError) -> Void) -> String {
            do throws(StoreError) {
                try open()
                return "none"
            } catch {
                return error.description
            }
        }
        func text(_ supported: Int) -> String {
            "the database has schema version 99; this program knows up to \(supported)"
        }
        #expect(
            refusal { () throws(StoreError) in _ = try ChatLog(path: path, mode: .readWrite) }
                == text(ChatLog.migrations.count))
        #expect(
            refusal { () throws(StoreError) in _ = try SQLiteAuthStore(path: path) }
                == text(AuthSchema.steps.count))
        #expect(
            refusal { () throws(StoreError) in _ = try NotificationStore(path: path, now: now) }
                == text(NotificationSchema.steps.count))
        let database = try SQLiteDatabase(path: path, mode: .readOnly)
        #expect(try database.all("SELECT name FROM sqlite_schema") { $0.text(0) } == ["future"])
        #expect(try version() == 99)
    }
}
