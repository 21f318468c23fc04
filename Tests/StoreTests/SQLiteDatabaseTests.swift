// SPDX-License-Identifier: MIT
import Glibc
import TestSupport
import Testing

@testable import Store

@Suite struct SQLiteDatabaseTests {
    /// Statements kept for the next use must not keep their connection open for ever.
    @Test func lettingGoClosesTheFile() throws {
        let folder = try TemporaryDirectory()
        let path = folder.file("x.db")
        do {
            let database = try SQLiteDatabase(path: path)
            try database.execute("CREATE TABLE t (x)")
            try database.run("INSERT INTO t VALUES (?)", [1])
            #expect(try database.all("SELECT x FROM t") { $0.int(0) } == [1])
        }
        // The last connection to close takes the write-ahead log along.
        #expect(!DataDirectory.exists(path + "-wal"))
    }

    let folder: TemporaryDirectory
    var path: String { folder.file("test.db") }

    init() throws { folder = try TemporaryDirectory() }

    private func openTable() throws -> SQLiteDatabase {
        let database = try SQLiteDatabase(path: path)
        try database.migrate(["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b BLOB)"])
        return database
    }

    @Test func newFileIsPrivate() throws {
        let database = try openTable()
        try database.run("INSERT INTO t (a) VALUES ('x')")
        for name in ["test.db", "test.db-wal", "test.db-shm"] {
            var info = stat()
            #expect(stat(folder.file(name), &info) == 0)
            #expect(info.st_mode & 0o777 == 0o600)
        }
    }

    @Test func setsUpDurability() throws {
        let database = try openTable()
        #expect(try database.first("PRAGMA journal_mode") { $0.text(0) } == "wal")
        #expect(try database.first("PRAGMA synchronous") { $0.int(0) } == 2)
        #expect(try database.first("PRAGMA foreign_keys") { $0.bool(0) } == true)
    }

    @Test(
        arguments: [
            .integer(.min), .integer(.max), .text(""), .text("a\u{0}b é 😀"), .blob([]),
            .blob([0, 255, 0]), .null,
        ] as [SQLiteValue])
    func valuesRoundTrip(_ value: SQLiteValue) throws {
        let database = try openTable()
        let read = try database.first("SELECT ?", [value]) { (row) -> SQLiteValue in
            switch value {
            case .integer: SQLiteValue(row.optionalInt64(0))
            case .text: SQLiteValue(row.optionalText(0))
            case .blob: SQLiteValue(row.optionalBytes(0))
            case .null: row.isNull(0) ? .null : .integer(-1)
            }
        }
        #expect(read == value)
    }

    @Test func countsChangesAndRows() throws {
        let database = try openTable()
        #expect(try database.run("INSERT INTO t (a) VALUES (?), (?)", ["x", "y"]) == 2)
        #expect(database.lastInsertID == 2)
        #expect(try database.run("DELETE FROM t WHERE a=?", ["z"]) == 0)
        #expect(try database.all("SELECT a FROM t ORDER BY a") { $0.text(0) } == ["x", "y"])
        #expect(try database.first("SELECT a FROM t WHERE id=9") { $0.text(0) } == nil)
    }

    @Test func aQueryMayRunInsideItself() throws {
        let database = try openTable()
        try database.run("INSERT INTO t (a) VALUES ('x'), ('y')")
        let sql = "SELECT id FROM t ORDER BY id"
        let pairs = try database.all(sql) { (row) throws(StoreError) in
            (row.int(0), try database.all(sql) { $0.int(0) })
        }
        #expect(pairs.map(\.0) == [1, 2])
        #expect(pairs.map(\.1) == [[1, 2], [1, 2]])
    }

    @Test func constraintErrorsCarryNoData() throws {
        let database = try openTable()
        try database.run("INSERT INTO t (a) VALUES ('secret')")
        let error = #expect(throws: StoreError.self) {
            try database.run("INSERT INTO t (a) VALUES (?)", ["secret"])
        }
        #expect(error == .constraint(.unique))
        #expect(error?.description.contains("secret") == false)
        #expect(throws: StoreError.constraint(.primaryKey)) {
            try database.run("INSERT INTO t (id) VALUES (1)")
        }
    }

    @Test func aWrongStatementIsNamed() throws {
        let database = try openTable()
        #expect(throws: StoreError.statement("no such table: absent")) {
            try database.run("SELECT * FROM absent")
        }
    }

    @Test func aThrowRollsBack() throws {
        let database = try openTable()
        #expect(throws: StoreError.full) {
            try database.transaction { () throws(StoreError) in
                try database.run("INSERT INTO t (a) VALUES ('x')")
                throw StoreError.full
            }
        }
        #expect(try database.first("SELECT count(*) FROM t") { $0.int(0) } == 0)
        try database.transaction { () throws(StoreError) in
            try database.transaction { () throws(StoreError) in
                try database.run("INSERT INTO t (a) VALUES ('x')")
            }
        }
        #expect(try database.first("SELECT count(*) FROM t") { $0.int(0) } == 1)
    }

    @Test func migratesStepByStepAndRefusesTheFuture() throws {
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y", "CREATE TABLE b (x)"]
        for count in 1...3 {
            let database = try SQLiteDatabase(path: path)
            try database.migrate(Array(steps.prefix(count)))
            #expect(try database.first("PRAGMA user_version") { $0.int(0) } == count)
        }
        let database = try SQLiteDatabase(path: path)
        #expect(throws: StoreError.schemaTooNew(found: 3, supported: 2)) {
            try database.migrate(Array(steps.prefix(2)))
        }
    }

    @Test func aFailedMigrationLeavesTheStepBefore() throws {
        let database = try SQLiteDatabase(path: path)
        #expect(throws: StoreError.self) {
            try database.migrate(["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (y)"])
        }
        #expect(try database.first("PRAGMA user_version") { $0.int(0) } == 1)
        let tables = try database.all("SELECT name FROM sqlite_master") { $0.text(0) }
        #expect(tables == ["a"])
    }

    @Test func twoConnectionsSeeEachOther() throws {
        let writer = try openTable()
        let reader = try SQLiteDatabase(path: path, mode: .readOnly)
        let before = try reader.dataVersion()
        try writer.run("INSERT INTO t (a) VALUES ('x')")
        #expect(try reader.dataVersion() != before)
        #expect(try reader.first("SELECT count(*) FROM t") { $0.int(0) } == 1)
        #expect(throws: StoreError.readOnly) { try reader.run("DELETE FROM t") }
    }

    @Test func aHeldLockIsBusy() throws {
        let first = try openTable()
        let second = try SQLiteDatabase(path: path, busyTimeout: .milliseconds(20))
        try first.transaction { () throws(StoreError) in
            #expect(throws: StoreError.busy) {
                try second.transaction { () throws(StoreError) in }
            }
        }
        try second.transaction { () throws(StoreError) in }
    }

    @Test func openingFailsClearly() throws {
        #expect(throws: StoreError.cannotOpen(code: -ENOENT)) {
            try SQLiteDatabase(path: folder.file("missing/test.db"))
        }
        #expect(throws: StoreError.self) {
            try SQLiteDatabase(path: folder.file("missing.db"), mode: .readOnly)
        }
        let file = fopen(folder.file("text.db"), "w")
        fputs(String(repeating: "this is no database ", count: 100), file)
        fclose(file)
        #expect(throws: StoreError.corrupt) { try SQLiteDatabase(path: folder.file("text.db")) }
    }

    @Test func backsUpAndChecks() throws {
        let database = try openTable()
        try database.run("INSERT INTO t (a) VALUES ('x')")
        let copyPath = folder.file("copy.db")
        try database.backUp(to: copyPath)
        #expect(throws: StoreError.cannotOpen(code: -EEXIST)) { try database.backUp(to: copyPath) }
        let copy = try SQLiteDatabase(path: copyPath)
        #expect(try copy.first("SELECT a FROM t") { $0.text(0) } == "x")
        #expect(try copy.integrityComplaints() == [])
        #expect(try database.checkpoint(.truncate).logFrames == 0)
    }

    @Test func preparesFolders() throws {
        try DataDirectory.prepare(folder.file("a/b/c"))
        try DataDirectory.prepare(folder.file("a/b/c"))
        var info = stat()
        #expect(stat(folder.file("a/b/c"), &info) == 0)
        #expect(info.st_mode & 0o777 == 0o700)
    }
}
