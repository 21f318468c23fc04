// SPDX-License-Identifier: MIT
internal import ChatCore

/// Makes anew what is derived from a chat log's rows, and saves the rows of a damaged file. Never
/// changes a row.
package enum ChatLogRepair {
    /// Rebuilds the room index and the projection from the rows, in one transaction.
    ///
    /// No process may have the log open: hold `StoreEpoch.lockOut` meanwhile. A log whose rows are
    /// damaged is repaired as far as it can be read; `ChatLogCheck` says what remains.
    /// - Returns: entries read.
    package static func rebuild(path: String) throws(StoreError) -> Int {
        let log = try ChatLog(path: path, mode: .readWrite)
        return try log.database.transaction { () throws(StoreError) in try rebuild(log) }
    }

    private static func rebuild(_ log: ChatLog) throws(StoreError) -> Int {
        let database = log.database
        for table in ["room_index", "user", "room", "member"] {
            try database.run("DELETE FROM \(table)")
        }
        var state = ChatState()
        var count = 0
        try log.forEachEntry(after: 0) { (entry) throws(StoreError) in
            count += 1
            state.apply(entry)
            if entry.roomSeq > 0, entry.roomSeq % ChatLog.indexStride == 0 {
                try database.run(
                    "INSERT OR REPLACE INTO room_index VALUES (?,?,?)",
                    [
                        .text(entry.room.rawValue), .integer(entry.roomSeq), .integer(entry.seq),
                    ])
            }
            return true
        }
        try log.save(state.changes)
        return count
    }

    /// What could be saved of a damaged log.
    package struct Salvage: Hashable, Sendable {
        /// Entries saved.
        package var saved = 0
        /// Ranges of `seq` that could not be read, ascending.
        package var lost: [ClosedRange<Int64>] = []
        /// `seq` of the latest entry saved.
        package var head: Int64 = 0
    }

    /// Copies every row that can be read from the log at `path` into a new log at `target`, and says
    /// which are lost. Rows keep their numbers; only `prev`, which is derived, is linked across what
    /// is lost, so that history reads on behind a hole.
    /// - Throws: `cannotOpen` with `-EEXIST` (17) when `target` exists, what opening the source meets.
    package static func salvage(path: String, to target: String) throws(StoreError) -> Salvage {
        let source = try ChatLog(path: path, mode: .readOnly)
        guard !DataDirectory.exists(target) else { throw .cannotOpen(code: -17) }
        let copy = try ChatLog(path: target, mode: .readWrite)
        var result = Salvage()
        try copy.database.transaction { () throws(StoreError) in
            var lastMessages: [RoomID: Int64] = [:]
            let last = lastSequence(source)
            var seq: Int64 = 0
            while seq < last {
                do throws(StoreError) {
                    // As far as reading goes by itself.
                    try source.forEachEntry(after: seq, through: last) {
                        (entry) throws(StoreError) in
                        try keep(entry, copy, &lastMessages, &result)
                        seq = entry.seq
                        return true
                    }
                    lose(seq + 1, through: last, &result)
                    break
                } catch .corrupt {
                    seq = try skip(source, after: seq, last, copy, &lastMessages, &result)
                }
            }
            _ = try rebuild(copy)
        }
        return result
    }

    /// Gets past a damaged place: number by number until one can be read.
    /// - Returns: where to go on after.
    private static func skip(
        _ source: ChatLog, after: Int64, _ last: Int64, _ copy: ChatLog,
        _ lastMessages: inout [RoomID: Int64], _ result: inout Salvage
    ) throws(StoreError) -> Int64 {
        var seq = after
        while seq < last {
            seq += 1
            let entry: LogEntry?
            do throws(StoreError) {
                entry = try source.entry(seq)
            } catch {
                lose(seq, through: seq, &result)
                continue
            }
            guard let entry else {
                lose(seq, through: seq, &result)
                continue
            }
            try keep(entry, copy, &lastMessages, &result)
            return seq
        }
        return seq
    }

    private static func keep(
        _ entry: LogEntry, _ copy: ChatLog, _ lastMessages: inout [RoomID: Int64],
        _ result: inout Salvage
    ) throws(StoreError) {
        lose(result.head + 1, through: entry.seq - 1, &result)
        var entry = entry
        if entry.roomSeq > 0 {
            entry.prev = lastMessages[entry.room] ?? 0
            if entry.kind == .message { lastMessages[entry.room] = entry.seq }
        }
        try copy.insert(entry)
        result.saved += 1
        result.head = entry.seq
    }

    private static func lose(_ first: Int64, through last: Int64, _ result: inout Salvage) {
        guard first <= last else { return }
        if let range = result.lost.last {
            guard last > range.upperBound else { return }
            if first <= range.upperBound + 1 {
                result.lost[result.lost.count - 1] = range.lowerBound...last
                return
            }
        }
        result.lost.append(first...last)
    }

    /// The log's last number, from whatever still tells it.
    private static func lastSequence(_ log: ChatLog) -> Int64 {
        let queries = [
            "SELECT coalesce(max(seq), 0) FROM log", "SELECT seq FROM watermark",
            "SELECT coalesce(max(seq), 0) FROM room_index",
            "SELECT coalesce(max(last_message), 0) FROM room",
        ]
        var last: Int64 = 0
        for query in queries {
            let answer = try? log.database.first(query) { $0.int64(0) }
            last = max(last, (answer ?? nil) ?? 0)
        }
        return last
    }
}
