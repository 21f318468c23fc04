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
        /// What is wrong, in words, at most 100; empty when all is well.
        package var complaints: [String] = []

        mutating func complain(_ text: String) {
            if complaints.count < 100 { complaints.append(text) }
        }
    }

    /// Checks the file at `path`: `seq` without gaps from 1, `roomSeq` without gaps from 1 in each
    /// room, every `prev` the message before, every row of the room index right, and the projection
    /// in agreement with the log at its watermark.
    /// - Throws: when the file cannot be opened or read at all.
    package static func run(path: String) throws(StoreError) -> Report {
        let log = try ChatLog(path: path, mode: .readOnly)
        var report = Report()
        for complaint in try log.database.integrityComplaints() {
            report.complain("SQLite: \(complaint)")
        }
        try log.database.transaction(.deferred) { () throws(StoreError) in
            try check(log, &report)
        }
        return report
    }

    private static func check(_ log: ChatLog, _ report: inout Report) throws(StoreError) {
        let snapshot = try log.loadSnapshot()
        var heads: [RoomID: RoomHead] = [:]
        var indexRows = 0
        try log.forEachEntry(after: 0) { (entry) throws(StoreError) in
            report.entries += 1
            if entry.seq != report.head + 1 {
                report.complain("entry \(entry.seq) follows \(report.head)")
            }
            report.head = entry.seq
            if entry.kind != .receipt {
                let head = heads[entry.room] ?? RoomHead(roomSeq: 0, lastMessage: 0)
                if entry.roomSeq != head.roomSeq + 1 {
                    report.complain(
                        "entry \(entry.seq) has roomSeq \(entry.roomSeq) after \(head.roomSeq)")
                }
                if entry.prev != head.lastMessage {
                    report.complain(
                        "entry \(entry.seq) has prev \(entry.prev) after \(head.lastMessage)")
                }
                heads[entry.room] = RoomHead(
                    roomSeq: entry.roomSeq,
                    lastMessage: entry.kind == .message ? entry.seq : head.lastMessage)
                if entry.roomSeq % ChatLog.indexStride == 0 { indexRows += 1 }
            }
            if entry.seq == snapshot.seq { compare(snapshot, heads, &report) }
            return true
        }
        report.rooms = heads.count
        if snapshot.seq > report.head {
            report.complain("the projection is at \(snapshot.seq), the log at \(report.head)")
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
            report.complain("the room index has \(all) rows, \(right) right, of \(indexRows)")
        }
    }

    private static func compare(
        _ snapshot: ChatSnapshot, _ heads: [RoomID: RoomHead], _ report: inout Report
    ) {
        for room in snapshot.rooms where room.head > 0 {
            let head = RoomHead(roomSeq: room.head, lastMessage: room.lastMessage)
            if heads[room.id] != head {
                report.complain("the projection has a wrong head of room \(room.id.rawValue)")
            }
        }
        if Set(snapshot.rooms.filter { $0.head > 0 }.map(\.id)) != Set(heads.keys) {
            report.complain("the projection and the log have different rooms")
        }
    }
}
