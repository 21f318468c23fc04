// SPDX-License-Identifier: MIT

/// Which service's database a file is.
package enum DatabaseKind: String, Sendable, CaseIterable {
    case notification, auth, chat

    /// The file's name in its service's directory.
    package var fileName: String { "\(rawValue).db" }

    /// A table that only this kind has.
    private var table: String {
        switch self {
        case .notification: "endpoint"
        case .auth: "account"
        case .chat: "room_index"
        }
    }

    /// Tells by the tables in it; nil when it is none of ours.
    init?(_ database: SQLiteDatabase) throws(StoreError) {
        let tables = Set(
            try database.all("SELECT name FROM sqlite_schema WHERE type = 'table'") { $0.text(0) })
        guard let kind = DatabaseKind.allCases.first(where: { tables.contains($0.table) }) else {
            return nil
        }
        self = kind
    }

    /// The databases under a suite's data directory, or in a service's own, or in a backup, in the
    /// order in which they are to be copied: NotificationService's before the logs it reads, so that
    /// its watermarks are not ahead of them.
    package static func find(in directory: String) -> [String] {
        allCases.flatMap { kind in
            ["\(directory)/\(kind.rawValue)/\(kind.fileName)", "\(directory)/\(kind.fileName)"]
                .filter(DataDirectory.exists).prefix(1)
        }
    }
}

/// Checks any database of the suite.
package enum DatabaseCheck {
    /// What was found.
    package struct Report: Hashable, Sendable {
        package var kind: DatabaseKind
        /// What the database holds, in a few words.
        package var summary: String
        /// See `ChatLogCheck.Report`.
        package var damage: [String]
        package var stale: [String]

        /// Whether all is well.
        package var isSound: Bool { damage.isEmpty && stale.isEmpty }
    }

    /// Reads all of it; may run while its service does.
    /// - Throws: `corrupt` for what is no database of ours; what opening and reading meet.
    package static func run(path: String) throws(StoreError) -> Report {
        let database = try SQLiteDatabase(path: path, mode: .readOnly)
        guard let kind = try DatabaseKind(database) else { throw .corrupt }
        if kind == .chat {
            let report = try ChatLogCheck.run(path: path)
            return Report(
                kind: kind, summary: "\(report.entries) entries, \(report.rooms) rooms",
                damage: report.damage, stale: report.stale)
        }
        var damage = try database.integrityComplaints().map { "SQLite: \($0)" }
        let orphans = try database.all("PRAGMA foreign_key_check") { row in
            "row \(row.int64(1)) of \(row.text(0)) refers to nothing in \(row.text(2))"
        }
        damage += orphans.prefix(100)
        let table = kind.mainTable
        let count = try database.first("SELECT count(*) FROM \(table)") { $0.int(0) } ?? 0
        return Report(kind: kind, summary: "\(count) \(table)s", damage: damage, stale: [])
    }
}

extension DatabaseKind {
    /// What is counted to say how much a database holds.
    fileprivate var mainTable: String {
        switch self {
        case .notification: "endpoint"
        case .auth: "account"
        case .chat: "log"
        }
    }
}
