// SPDX-License-Identifier: MIT
internal import Bytes
internal import CSQLite

/// A prepared statement, kept for as long as it is used. Parameters and columns count from 0, though
/// SQL numbers its parameters from 1.
///
/// Belongs to the thread of its connection and keeps that connection open. Bytes are copied in and
/// out; nothing here hands out SQLite's memory.
package final class SQLiteStatement {
    private let connection: SQLiteConnection
    private let handle: OpaquePointer

    /// - Throws: `StoreError.statement` when the text does not compile against the schema.
    init(_ sql: String, in connection: SQLiteConnection) throws(StoreError) {
        var handle: OpaquePointer?
        let code = sqlite3_prepare_v3(
            connection.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
        guard code == SQLITE_OK, let handle else {
            // SQLITE_ERROR at this point speaks of our own SQL; no value is bound yet.
            if code & 0xFF == SQLITE_ERROR || code == SQLITE_OK {
                throw .statement(String(cString: sqlite3_errmsg(connection.handle)))
            }
            throw StoreError(code: code)
        }
        self.connection = connection
        self.handle = handle
    }

    deinit { sqlite3_finalize(handle) }

    /// Binds a value to parameter `index`, which lasts until it is bound anew. An index outside the
    /// statement is our bug and traps.
    package func bind(_ index: Int, _ value: SQLiteValue) {
        switch value {
        case .integer(let value): bind(index, value)
        case .text(let value): bind(index, value)
        case .blob(let value): bind(index, value.span)
        case .null: bindNull(index)
        }
    }

    package func bind(_ index: Int, _ value: Int64) {
        check(sqlite3_bind_int64(handle, Int32(index + 1), value))
    }

    package func bind(_ index: Int, _ value: String) {
        var value = value
        let code = value.withUTF8 { bytes in
            // An empty buffer may have no address, which SQLite would take for NULL.
            bytes.isEmpty
                ? sqlite3_bind_text(handle, Int32(index + 1), "", 0, transient)
                : bytes.withMemoryRebound(to: CChar.self) {
                    sqlite3_bind_text(
                        handle, Int32(index + 1), $0.baseAddress, Int32($0.count), transient)
                }
        }
        check(code)
    }

    package func bind(_ index: Int, _ bytes: Span<UInt8>) {
        let code = bytes.withUnsafeBytes { bytes in
            bytes.isEmpty
                ? sqlite3_bind_zeroblob(handle, Int32(index + 1), 0)
                : sqlite3_bind_blob(
                    handle, Int32(index + 1), bytes.baseAddress, Int32(bytes.count), transient)
        }
        check(code)
    }

    package func bindNull(_ index: Int) { check(sqlite3_bind_null(handle, Int32(index + 1))) }

    /// Runs to the next row. True: a row stands ready for the column readers. False: done, and the
    /// statement is reset, ready to bind and run again. After an error it is reset too.
    package func step() throws(StoreError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        sqlite3_reset(handle)
        if code == SQLITE_DONE { return false }
        throw StoreError(code: code)
    }

    /// Runs a statement that answers no row, or whose rows do not matter.
    package func run() throws(StoreError) {
        while try step() {}
    }

    /// Gives up the rows not read yet. A statement left in the middle keeps its read transaction open.
    package func reset() { sqlite3_reset(handle) }

    /// Makes every parameter NULL again.
    package func clearBindings() { sqlite3_clear_bindings(handle) }

    /// Whether column `index` of the current row is NULL.
    package func isNull(_ index: Int) -> Bool {
        sqlite3_column_type(handle, Int32(index)) == SQLITE_NULL
    }

    /// Column `index` as an integer; 0 for NULL.
    package func int64(_ index: Int) -> Int64 { sqlite3_column_int64(handle, Int32(index)) }

    /// Column `index` as text; empty for NULL.
    package func text(_ index: Int) -> String {
        guard let start = sqlite3_column_text(handle, Int32(index)) else { return "" }
        let count = Int(sqlite3_column_bytes(handle, Int32(index)))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// Column `index` as bytes; empty for NULL.
    package func bytes(_ index: Int) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, Int32(index)) else { return [] }
        let count = Int(sqlite3_column_bytes(handle, Int32(index)))
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// Binding fails only for a wrong index, a busy statement or a value past SQLite's length limit,
    /// which our own limits exclude by a factor of a thousand.
    private func check(_ code: Int32) {
        precondition(code == SQLITE_OK, "wrong use of a statement")
    }
}

/// SQLite's "copy the bytes before you return" (`SQLITE_TRANSIENT`), a macro Swift cannot import.
private var transient: sqlite3_destructor_type {
    unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}

/// The row a query stands on, lent to a closure for the time of its call and worthless after it. Should
/// not be copyable, but the optimiser of Swift 6.3.1 crashes on that when it specialises the queries.
package struct SQLiteRow {
    private let statement: SQLiteStatement

    init(_ statement: SQLiteStatement) { self.statement = statement }

    /// Column `index` from 0; 0 for NULL.
    package func int64(_ index: Int) -> Int64 { statement.int64(index) }
    /// Column `index` as an `Int`; 0 for NULL.
    package func int(_ index: Int) -> Int { Int(statement.int64(index)) }
    /// Whether column `index` is a number other than 0.
    package func bool(_ index: Int) -> Bool { statement.int64(index) != 0 }
    /// Column `index` as text; empty for NULL.
    package func text(_ index: Int) -> String { statement.text(index) }
    /// Column `index` as bytes; empty for NULL.
    package func bytes(_ index: Int) -> [UInt8] { statement.bytes(index) }
    /// Whether column `index` is NULL.
    package func isNull(_ index: Int) -> Bool { statement.isNull(index) }

    /// The same, with NULL as nil.
    package func optionalInt64(_ index: Int) -> Int64? { isNull(index) ? nil : int64(index) }
    package func optionalText(_ index: Int) -> String? { isNull(index) ? nil : text(index) }
    package func optionalBytes(_ index: Int) -> [UInt8]? { isNull(index) ? nil : bytes(index) }
}
