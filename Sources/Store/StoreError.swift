// SPDX-License-Identifier: MIT
internal import CSQLite

/// Why the database refused. Carries result codes and our own statement texts, never a value that was
/// bound or read, so that it may go to any log as it is.
package enum StoreError: Error, Hashable, Sendable {
    /// Another connection held the lock past the busy timeout (`SQLITE_BUSY`, `SQLITE_LOCKED`).
    case busy
    /// No space is left on the device (`SQLITE_FULL`). Clears up when space returns.
    case full
    /// The file or its folder may not be written (`SQLITE_READONLY`, `SQLITE_PERM`).
    case readOnly
    /// A read, write, lock or sync failed; `code` is SQLite's extended result code.
    case io(code: Int32)
    /// The file is damaged or is not a database (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
    case corrupt
    /// A constraint said no; nothing was changed by the statement.
    case constraint(Constraint)
    /// The file cannot be opened or created; `code` is SQLite's extended result code or, when it is
    /// negative, an errno.
    case cannotOpen(code: Int32)
    /// The file was written by a newer version of this program: `found` is its schema version.
    case schemaTooNew(found: Int, supported: Int)
    /// A statement of ours does not fit the schema; the text is SQLite's complaint about our SQL.
    case statement(String)
    /// Any other extended result code.
    case other(code: Int32)

    /// Which kind of constraint was violated.
    package enum Constraint: Hashable, Sendable {
        case unique, primaryKey, foreignKey, notNull, check, other
    }

    /// The error for a result code that is not OK, ROW or DONE.
    init(code: Int32) {
        switch code & 0xFF {
        case SQLITE_BUSY, SQLITE_LOCKED: self = .busy
        case SQLITE_FULL: self = .full
        case SQLITE_READONLY, SQLITE_PERM: self = .readOnly
        case SQLITE_IOERR: self = .io(code: code)
        case SQLITE_CORRUPT, SQLITE_NOTADB: self = .corrupt
        case SQLITE_CANTOPEN: self = .cannotOpen(code: code)
        case SQLITE_CONSTRAINT:
            // The extended codes are macros of the form (SQLITE_CONSTRAINT | n << 8).
            switch code >> 8 {
            case 1: self = .constraint(.check)
            case 3: self = .constraint(.foreignKey)
            case 5: self = .constraint(.notNull)
            case 6: self = .constraint(.primaryKey)
            case 8, 10: self = .constraint(.unique)
            default: self = .constraint(.other)
            }
        default: self = .other(code: code)
        }
    }

    /// Whether trying again later may help without anybody repairing anything but space or rights.
    package var isTransient: Bool {
        switch self {
        case .busy, .full, .readOnly, .io, .cannotOpen: true
        case .corrupt, .constraint, .schemaTooNew, .statement, .other: false
        }
    }
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .busy: "the database is locked by another connection"
        case .full: "no space is left for the database"
        case .readOnly: "the database cannot be written"
        case .io(let code): "the database could not be read or written (SQLite code \(code))"
        case .corrupt: "the database file is damaged"
        case .constraint(let kind): "a \(kind) constraint refused the change"
        case .cannotOpen(let code): "the database cannot be opened (code \(code))"
        case .schemaTooNew(let found, let supported):
            "the database has schema version \(found); this program knows up to \(supported)"
        case .statement(let text): "statement refused: \(text)"
        case .other(let code): "the database failed: \(String(cString: sqlite3_errstr(code)))"
        }
    }
}
