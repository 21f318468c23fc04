// SPDX-License-Identifier: MIT
internal import CSQLite
internal import Glibc
internal import Timing

/// SQLite's connection, closed when neither the database object nor one of its statements is left.
/// Statements hold this and not the database, which keeps idle ones: it would never go.
final class SQLiteConnection {
    let handle: OpaquePointer
    init(_ handle: OpaquePointer) { self.handle = handle }
    deinit { sqlite3_close_v2(handle) }
}

/// One connection to one SQLite file, with what we demand of every database of ours: WAL,
/// `synchronous=FULL` (a commit that returned survives a power cut), foreign keys, a busy timeout,
/// mode 0600.
///
/// Not `Sendable`: a connection belongs to the thread that opened it, or to the `Locked` it was moved
/// into. SQLite's own mutexes are switched off (`SQLITE_OPEN_NOMUTEX`), so this matters. Readers in
/// other threads open connections of their own; WAL lets them read while a writer commits.
package final class SQLiteDatabase {
    /// How a file is opened.
    package enum Mode: Sendable {
        /// Read and write; the file is created (mode 0600) when it is missing.
        case readWrite
        /// Read only; the file must exist.
        case readOnly
    }

    /// How a transaction takes its locks.
    package enum TransactionKind: String, Sendable {
        /// Takes the write lock at once, so that what it reads cannot change before it writes.
        case immediate = "BEGIN IMMEDIATE"
        /// A stable snapshot for several reads.
        case deferred = "BEGIN"
    }

    /// How hard a checkpoint tries (sqlite.org/c3ref/wal_checkpoint_v2.html).
    package enum CheckpointMode: Sendable {
        /// As much as goes without waiting for anybody.
        case passive
        /// All of it, waits for readers; then the log file starts over at its beginning.
        case restart
        /// As `restart`, and the log file is cut to nothing.
        case truncate
    }

    private let connection: SQLiteConnection
    var handle: OpaquePointer { connection.handle }
    /// The file's path as given.
    package let path: String
    /// Prepared statements of `run`, `all` and `first` by their text, those not in use now.
    private var idleStatements: [String: SQLiteStatement] = [:]
    /// Whether a transaction opened by `transaction` is under way.
    private var isInTransaction = false

    /// Opens `path` and sets the connection up.
    /// - Parameters:
    ///   - busyTimeout: how long a statement waits for another connection's lock before `busy`.
    /// - Throws: `cannotOpen` (also when the folder is missing), `readOnly`, `corrupt`, `busy`, `io`.
    package init(
        path: String, mode: Mode = .readWrite, busyTimeout: Duration = .seconds(5)
    ) throws(StoreError) {
        if mode == .readWrite { try SQLiteDatabase.createPrivately(path) }
        var handle: OpaquePointer?
        let access = mode == .readWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY
        let code = sqlite3_open_v2(path, &handle, access | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let handle else {
            sqlite3_close_v2(handle)
            throw StoreError(code: code)
        }
        connection = SQLiteConnection(handle)
        self.path = path
        sqlite3_extended_result_codes(handle, 1)
        setBusyTimeout(busyTimeout)
        if mode == .readWrite { try enterWAL() }
        try execute(
            """
            PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;
            PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;
            """)
    }

    /// Changes how long a statement waits for another connection's lock before `busy`.
    package func setBusyTimeout(_ timeout: Duration) {
        let patience = UnsafeMutableRawPointer(bitPattern: Int(max(0, timeout.nanoseconds)))
        sqlite3_busy_handler(handle, { SQLiteDatabase.waitForLock($0, $1) }, patience)
    }

    /// Runs a script of one or more statements without parameters or answers.
    package func execute(_ script: String) throws(StoreError) {
        let code = sqlite3_exec(handle, script, nil, nil, nil)
        guard code == SQLITE_OK else {
            if code == SQLITE_ERROR { throw .statement(String(cString: sqlite3_errmsg(handle))) }
            throw StoreError(code: code)
        }
    }

    /// Compiles a statement for repeated use by its owner.
    package func prepare(_ sql: String) throws(StoreError) -> SQLiteStatement {
        try SQLiteStatement(sql, in: connection)
    }

    /// Runs one statement; `values` fill its parameters in order.
    /// - Returns: how many rows it inserted, changed or deleted.
    @discardableResult
    package func run(_ sql: String, _ values: [SQLiteValue] = []) throws(StoreError) -> Int {
        try withStatement(sql, values) { (statement) throws(StoreError) in try statement.run() }
        return Int(sqlite3_changes(handle))
    }

    /// The rows of a query, each through `row`.
    package func all<Element>(
        _ sql: String, _ values: [SQLiteValue] = [],
        _ row: (borrowing SQLiteRow) throws(StoreError) -> Element
    ) throws(StoreError) -> [Element] {
        try withStatement(sql, values) { (statement) throws(StoreError) in
            var elements: [Element] = []
            while try statement.step() { elements.append(try row(SQLiteRow(statement))) }
            return elements
        }
    }

    /// The first row of a query through `row`; nil when there is none.
    package func first<Element>(
        _ sql: String, _ values: [SQLiteValue] = [],
        _ row: (borrowing SQLiteRow) throws(StoreError) -> Element
    ) throws(StoreError) -> Element? {
        try withStatement(sql, values) { (statement) throws(StoreError) in
            try statement.step() ? try row(SQLiteRow(statement)) : nil
        }
    }

    /// The rowid of the latest insert on this connection.
    package var lastInsertID: Int64 { sqlite3_last_insert_rowid(handle) }

    /// Runs `body` inside one transaction: commits when it returns, rolls back when it throws. Inside
    /// another transaction of this connection it simply runs as part of that one.
    /// - Throws: what `body` throws, or what BEGIN or COMMIT met (then nothing was changed).
    @discardableResult
    package func transaction<Result>(
        _ kind: TransactionKind = .immediate, _ body: () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        if isInTransaction { return try body() }
        try run(kind.rawValue)
        isInTransaction = true
        defer { isInTransaction = false }
        do {
            let result = try body()
            try run("COMMIT")
            return result
        } catch {
            rollback()
            throw error
        }
    }

    /// Brings the schema up to date: `steps[n]` leads from `user_version` n to n + 1, each step in a
    /// transaction of its own. Safe when several processes start at once. A step, once released, must
    /// never be edited.
    /// - Throws: `schemaTooNew` when the file is ahead of `steps`; whatever a step meets.
    package func migrate(_ steps: [String]) throws(StoreError) {
        while true {
            let isDone = try transaction { () throws(StoreError) -> Bool in
                let version = try first("PRAGMA user_version") { $0.int(0) } ?? 0
                guard version <= steps.count else {
                    throw .schemaTooNew(found: version, supported: steps.count)
                }
                if version == steps.count { return true }
                try execute(steps[version])
                try execute("PRAGMA user_version=\(version + 1)")
                return false
            }
            if isDone { return }
        }
    }

    /// A number that changes when another connection, in this process or another, has committed.
    package func dataVersion() throws(StoreError) -> Int64 {
        try first("PRAGMA data_version") { $0.int64(0) } ?? 0
    }

    /// Copies pages from the write-ahead log into the database file.
    /// - Returns: frames in the log, and how many of them are in the file now.
    /// - Throws: `busy` when another checkpoint runs or a reader would have to be waited for too long.
    @discardableResult
    package func checkpoint(
        _ mode: CheckpointMode
    ) throws(StoreError) -> (logFrames: Int, doneFrames: Int) {
        var log: Int32 = 0
        var done: Int32 = 0
        let flag =
            switch mode {
            case .passive: SQLITE_CHECKPOINT_PASSIVE
            case .restart: SQLITE_CHECKPOINT_RESTART
            case .truncate: SQLITE_CHECKPOINT_TRUNCATE
            }
        let code = sqlite3_wal_checkpoint_v2(handle, nil, flag, &log, &done)
        guard code == SQLITE_OK else { throw StoreError(code: code) }
        return (Int(log), Int(done))
    }

    /// Writes a consistent copy of the whole database to a new file while others go on reading and
    /// writing (`VACUUM INTO`). The copy has mode 0600.
    /// - Throws: `cannotOpen` with a negative errno (`-EEXIST`) when `path` exists; `full`; `io`.
    package func backUp(to path: String) throws(StoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .cannotOpen(code: -errno) }
        close(descriptor)
        do {
            // VACUUM INTO takes an existing file when it is empty.
            try run("VACUUM INTO ?", [.text(path)])
        } catch {
            unlink(path)
            throw error
        }
    }

    /// Copies the database as it is at this moment to a new file, page by page, while others go on
    /// reading and writing; what they write from now on is not in the copy (`sqlite3_backup`, within
    /// one read transaction, so that it never has to begin anew). The copy has mode 0600, is synced,
    /// and stands alone: it is not in WAL mode until it is opened for writing here again.
    /// - Parameter progress: told of pages copied and pages in all, each few megabytes.
    /// - Throws: `cannotOpen` with a negative errno (`-EEXIST`) when `path` exists; `full`; `io`. The
    ///   file is removed then.
    package func copy(
        to path: String, progress: (_ done: Int, _ total: Int) -> Void
    ) throws(StoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .cannotOpen(code: -errno) }
        close(descriptor)
        do throws(StoreError) {
            try transaction(.deferred) { () throws(StoreError) in
                // The snapshot is taken by the first read.
                _ = try first("SELECT count(*) FROM sqlite_schema") { $0.int(0) }
                try copyPages(to: path, progress: progress)
            }
            try SQLiteDatabase(path: path, standsAlone: ()).execute("PRAGMA journal_mode=DELETE")
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { throw .cannotOpen(code: -errno) }
            let isSynced = fsync(file) == 0
            close(file)
            guard isSynced else { throw .io(code: 0) }
        } catch {
            for end in ["", "-journal", "-wal", "-shm"] { unlink(path + end) }
            throw error
        }
    }

    private func copyPages(
        to path: String, progress: (_ done: Int, _ total: Int) -> Void
    ) throws(StoreError) {
        let target = try SQLiteDatabase(path: path, standsAlone: ())
        guard let backup = sqlite3_backup_init(target.handle, "main", handle, "main") else {
            throw StoreError(code: sqlite3_errcode(target.handle))
        }
        var code = SQLITE_OK
        while code == SQLITE_OK {
            // 4 MiB at a time.
            code = sqlite3_backup_step(backup, 1024)
            let total = Int(sqlite3_backup_pagecount(backup))
            progress(total - Int(sqlite3_backup_remaining(backup)), total)
        }
        let end = sqlite3_backup_finish(backup)
        guard code == SQLITE_DONE, end == SQLITE_OK else { throw StoreError(code: code) }
    }

    /// Opens a file that is in nobody's way, as it is.
    private init(path: String, standsAlone: Void) throws(StoreError) {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK, let handle else {
            sqlite3_close_v2(handle)
            throw StoreError(code: code)
        }
        connection = SQLiteConnection(handle)
        self.path = path
        sqlite3_extended_result_codes(handle, 1)
    }

    /// SQLite's own check of the whole file. Reads every page.
    /// - Returns: an empty list when all is well, otherwise up to 100 complaints.
    package func integrityComplaints() throws(StoreError) -> [String] {
        let answers = try all("PRAGMA integrity_check(100)") { $0.text(0) }
        return answers == ["ok"] ? [] : answers
    }

    /// Ends a transaction after an error. Some errors (disk full, I/O) make SQLite roll back by
    /// itself; then there is nothing left to do and the complaint means nothing.
    private func rollback() {
        if sqlite3_get_autocommit(handle) == 0 { _ = try? run("ROLLBACK") }
    }

    private func withStatement<Result>(
        _ sql: String, _ values: [SQLiteValue],
        _ body: (SQLiteStatement) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        // Out of the table while in use, so that a query inside a query gets a statement of its own.
        let statement =
            if let idle = idleStatements.removeValue(forKey: sql) { idle } else { try prepare(sql) }
        defer {
            statement.reset()
            statement.clearBindings()
            if idleStatements.count < 128 { idleStatements[sql] = statement }
        }
        for (index, value) in values.enumerated() { statement.bind(index, value) }
        return try body(statement)
    }

    /// SQLite's own handler soon sleeps 100 ms between tries, which is an age for a lock that is held
    /// for one group commit. Ours tries each quarter of a millisecond at first, then each 2 ms.
    /// - Parameters:
    ///   - patience: the timeout in nanoseconds, as an address that is never followed; null is 0.
    ///   - tries: how often it has been called for this lock.
    /// - Returns: 0 to give up.
    private static func waitForLock(_ patience: UnsafeMutableRawPointer?, _ tries: Int32) -> Int32 {
        let quickTries = 40
        let waitedMicroseconds =
            min(Int(tries), quickTries) * 250 + max(0, Int(tries) - quickTries) * 2000
        guard waitedMicroseconds < Int(bitPattern: patience) / 1000 else { return 0 }
        usleep(Int(tries) < quickTries ? 250 : 2000)
        return 1
    }

    /// Switching a new file to WAL needs it alone, and SQLite does not always wait for its turn when
    /// two processes try at once; so we do.
    private func enterWAL() throws(StoreError) {
        for attempt in 0... {
            do throws(StoreError) {
                return try execute("PRAGMA journal_mode=WAL")
            } catch .busy where attempt < 200 {
                usleep(10_000)
            }
        }
    }

    /// Creates a missing file for our eyes only; the log and shared-memory files inherit its mode.
    /// An existing file is never opened here: closing a second descriptor would drop the locks that
    /// SQLite holds on it in this process (POSIX fcntl locks; sqlite.org/howtocorrupt.html §2.2).
    private static func createPrivately(_ path: String) throws(StoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            close(descriptor)
        } else if errno != EEXIST {
            throw .cannotOpen(code: -errno)
        }
    }
}
