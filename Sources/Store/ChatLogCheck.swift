// SPDX-License-Identifier: MIT
internal import ChatCore

/// Whether a chat log is what it claims to be: SQLite's own check of the file, and ours of the log's
/// promises. Reads everything; may run while the service does.
package enum ChatLogCheck {
    /// What was found.
    package struct Report: Hashable, Sendable {
        /// Entries in the log.
        package var entries = 0
        /// Rooms with entries.
        package var rooms = 0
        /// `seq` of the latest entry.
        package var head: Int64 = 0
        /// What is wrong with the log's rows or the file, in words, at most 100. Nothing can be
        /// rebuilt from elsewhere.
        package var damage: [String] = []
        /// What is wrong with what is derived from the rows (room index, projection), in words, at
        /// most 100. `ChatLogRepair` makes it anew.
        package var stale: [String] = []

        /// All that is wrong.
        package var complaints: [String] { damage + stale }

        /// Whether all is well.
        package var isSound: Bool { damage.isEmpty && stale.isEmpty }

        mutating func add(damage text: String) { if damage.count < 100 { damage.append(text) } }
        mutating func add(stale text: String) { if stale.count < 100 { stale.append(text) } }
    }

    /// Checks the file at `path`:
    /// - SQLite's `integrity_check`;
    /// - of the rows: `seq` without gaps from 1, `roomSeq` without gaps from 1 in each room and 0 for
    ///   what has no place there, every `prev` the message before, every payload readable;
    /// - of what is derived: each row of the room index right and none missing, and the projection the
    ///   same as the log replayed up to its watermark.
    /// - Throws: when the file cannot be opened or read at all.
    package static func run(path: String) throws(StoreError) -> Report {
        let log = try ChatLog(path: path, mode: .readOnly)
        var report = Report()
        do throws(StoreError) {
            for complaint in try log.database.integrityComplaints() {
                report.add(damage: "SQLite: \(complaint)")
            }
        } catch .corrupt {
            report.add(damage: "SQLite: the file is damaged beyond its own check")
        }
        // Around the transaction: with a damaged page met, its end fails as well.
        do throws(StoreError) {
            try log.database.transaction(.deferred) { () throws(StoreError) in
                try check(log, &report)
            }
        } catch .corrupt {
            report.add(damage: "reading stops after entry \(report.head): the file is damaged")
        }
        return report
    }

    private static func check(_ log: ChatLog, _ report: inout Report) throws(StoreError) {
        let watermark = try log.watermark()
        var heads: [RoomID: RoomHead] = [:]
        var indexRows = 0
        // The log again, as it was when the projection was written down.
        var replayed = ChatState()
        try log.forEachEntry(after: 0) { (entry) throws(StoreError) in
            report.entries += 1
            if entry.seq != report.head + 1 {
                let missing =
                    report.head + 1 == entry.seq - 1
                    ? "\(entry.seq - 1) is" : "\(report.head + 1) to \(entry.seq - 1) are"
                report.add(damage: "entry \(missing) missing")
            }
            report.head = entry.seq
            if entry.kind != .unknown, (try? entry.content()) == nil {
                report.add(damage: "entry \(entry.seq) has an unreadable payload")
            }
            if entry.roomSeq > 0 || entry.kind.hasRoomSeq && entry.kind != .unknown {
                let head = heads[entry.room] ?? RoomHead(roomSeq: 0, lastMessage: 0)
                if entry.roomSeq != head.roomSeq + 1 {
                    report.add(
                        damage: "entry \(entry.seq) has roomSeq \(entry.roomSeq) after "
                            + "\(head.roomSeq) in \(entry.room.rawValue)")
                }
                if entry.prev != head.lastMessage {
                    report.add(
                        damage: "entry \(entry.seq) has prev \(entry.prev), not "
                            + "\(head.lastMessage)")
                }
                heads[entry.room] = RoomHead(
                    roomSeq: entry.roomSeq,
                    lastMessage: entry.kind == .message ? entry.seq : head.lastMessage)
                if entry.roomSeq % ChatLog.indexStride == 0 { indexRows += 1 }
            } else if entry.roomSeq != 0 {
                report.add(damage: "entry \(entry.seq) has roomSeq \(entry.roomSeq), not 0")
            }
            if entry.seq <= watermark { replayed.apply(entry) }
            return true
        }
        report.rooms = heads.count
        if watermark > report.head {
            report.add(stale: "the projection is at \(watermark), the log at \(report.head)")
        } else {
            compare(try log.loadSnapshot(), replayed.snapshot, &report)
        }
        let right =
            try log.database.first(
                """
                SELECT count(*) FROM room_index i JOIN log l USING (seq)
                WHERE l.room = i.room AND l.room_seq = i.room_seq
                """
            ) { $0.int(0) } ?? 0
        let all = try log.database.first("SELECT count(*) FROM room_index") { $0.int(0) } ?? 0
        if right != indexRows || all != indexRows {
            report.add(stale: "the room index has \(all) rows, \(right) right, of \(indexRows)")
        }
    }

    private static func compare(
        _ stored: ChatSnapshot, _ replayed: ChatSnapshot, _ report: inout Report
    ) {
        // A room nothing has happened in (the lobby of a quiet log) need not be written down.
        let rooms = difference(
            stored.rooms.filter { $0.head > 0 }, replayed.rooms.filter { $0.head > 0 }
        ) { $0.id }
        for room in rooms {
            report.add(stale: "the projection is wrong about room \(room.rawValue)")
        }
        for user in difference(stored.users, replayed.users, by: { $0.id }) {
            report.add(stale: "the projection is wrong about user \(user.rawValue)")
        }
        struct Key: Hashable { let room: RoomID, user: UserID }
        let members = difference(stored.members, replayed.members) {
            Key(room: $0.room, user: $0.user)
        }
        for member in members {
            report.add(
                stale: "the projection is wrong about \(member.user.rawValue) "
                    + "in room \(member.room.rawValue)")
        }
    }

    /// The keys of elements that are not the same on both sides.
    private static func difference<Element: Hashable, Key: Hashable>(
        _ a: [Element], _ b: [Element], by key: (Element) -> Key
    ) -> Set<Key> {
        Set(Set(a).symmetricDifference(b).map(key))
    }
}
