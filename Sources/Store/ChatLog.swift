// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import Timing

/// The chat log's tables through one connection. Knows SQL and rows; decides nothing.
///
/// The commit path writes `log` and, for each 64th entry of a room, one row of `room_index`; there is
/// no secondary index on `log`, which would cost two to three times the whole commit. The other tables
/// are the projection at `watermark`, written now and then; the log after the watermark makes up the
/// rest.
final class ChatLog {
    /// Every entry of a room whose `roomSeq` is a multiple of this is found by `room_index`.
    static let indexStride: Int64 = 64

    static let migrations = [
        """
        CREATE TABLE log (
            seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL,
            room TEXT NOT NULL, is_private INTEGER NOT NULL, room_seq INTEGER NOT NULL,
            prev INTEGER NOT NULL, actor TEXT NOT NULL, actor_name TEXT NOT NULL, client_id TEXT,
            payload BLOB NOT NULL) STRICT;
        CREATE TABLE room_index (
            room TEXT NOT NULL, room_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (room, room_seq)) STRICT, WITHOUT ROWID;
        CREATE TABLE watermark (
            id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL) STRICT;
        INSERT INTO watermark VALUES (1, 0);
        CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE room (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL,
            is_private INTEGER NOT NULL, owner TEXT, head INTEGER NOT NULL,
            last_message INTEGER NOT NULL, others BLOB NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE member (
            room TEXT NOT NULL, user TEXT NOT NULL, is_invitation INTEGER NOT NULL,
            mark INTEGER NOT NULL, PRIMARY KEY (room, user)) STRICT, WITHOUT ROWID;
        CREATE TABLE probe (
            id INTEGER PRIMARY KEY CHECK (id = 1), filler BLOB NOT NULL) STRICT;
        """
    ]

    let database: SQLiteDatabase
    private let insertEntry: SQLiteStatement?
    private let insertIndex: SQLiteStatement?
    private let selectAfter: SQLiteStatement
    private let selectOne: SQLiteStatement
    private let selectIndex: SQLiteStatement

    private static let columns =
        "seq, at, kind, room, is_private, room_seq, prev, actor, actor_name, client_id, payload"

    /// Opens the log's file. Writing creates and migrates it.
    init(path: String, mode: SQLiteDatabase.Mode) throws(StoreError) {
        let database = try SQLiteDatabase(path: path, mode: mode)
        if mode == .readWrite {
            try database.migrate(ChatLog.migrations)
            // Checkpoints happen on another thread (`LogTender`), never inside a commit.
            try database.execute("PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-32768")
            insertEntry = try database.prepare(
                "INSERT INTO log (\(ChatLog.columns)) VALUES (?,?,?,?,?,?,?,?,?,?,?)")
            insertIndex = try database.prepare("INSERT INTO room_index VALUES (?,?,?)")
            #if DEBUG
                DiskFaults.install(on: database)
            #endif
        } else {
            insertEntry = nil
            insertIndex = nil
        }
        selectAfter = try database.prepare(
            "SELECT \(ChatLog.columns) FROM log WHERE seq > ? AND seq <= ? ORDER BY seq")
        selectOne = try database.prepare("SELECT \(ChatLog.columns) FROM log WHERE seq = ?")
        selectIndex = try database.prepare(
            "SELECT seq FROM room_index WHERE room = ? AND room_seq >= ? ORDER BY room_seq LIMIT 1")
        self.database = database
    }

    // MARK: Entries

    /// Writes an entry. Inside a transaction only.
    func insert(_ entry: LogEntry) throws(StoreError) {
        guard let insertEntry, let insertIndex else { throw .readOnly }
        insertEntry.bind(0, entry.seq)
        insertEntry.bind(1, entry.at.milliseconds)
        insertEntry.bind(2, Int64(entry.kind.rawValue))
        insertEntry.bind(3, entry.room.rawValue)
        insertEntry.bind(4, Int64(entry.visibility == .private ? 1 : 0))
        insertEntry.bind(5, entry.roomSeq)
        insertEntry.bind(6, entry.prev)
        insertEntry.bind(7, entry.actor.rawValue)
        insertEntry.bind(8, entry.actorName)
        if let clientID = entry.clientID {
            insertEntry.bind(9, clientID)
        } else {
            insertEntry.bindNull(9)
        }
        insertEntry.bind(10, entry.payload.span)
        try insertEntry.run()
        if entry.roomSeq > 0, entry.roomSeq % ChatLog.indexStride == 0 {
            insertIndex.bind(0, entry.room.rawValue)
            insertIndex.bind(1, entry.roomSeq)
            insertIndex.bind(2, entry.seq)
            try insertIndex.run()
        }
    }

    /// Reads entries `after` < seq ≤ `through` in order until `body` answers false.
    func forEachEntry(
        after: Int64, through: Int64 = .max, _ body: (LogEntry) throws(StoreError) -> Bool
    ) throws(StoreError) {
        selectAfter.bind(0, after)
        selectAfter.bind(1, through)
        defer { selectAfter.reset() }
        while try selectAfter.step() {
            guard try body(entry(in: selectAfter)) else { return }
        }
    }

    /// As `forEachEntry`, but decodes only entries of rooms that `isWanted`. `body` gets nil for the
    /// others.
    func scan(
        after: Int64, through: Int64, isWanted: (RoomID) -> Bool, _ body: (Int64, LogEntry?) -> Bool
    ) throws(StoreError) {
        selectAfter.bind(0, after)
        selectAfter.bind(1, through)
        defer { selectAfter.reset() }
        while try selectAfter.step() {
            let isWanted = isWanted(RoomID(selectAfter.text(3)))
            guard body(selectAfter.int64(0), isWanted ? entry(in: selectAfter) : nil) else {
                return
            }
        }
    }

    /// The entries with `after` < seq ≤ `through` by which a user entered or left rooms, in order.
    func moves(
        of user: UserID, after: Int64, through: Int64
    ) throws(StoreError) -> [LogEntry] {
        let statement = try database.prepare(
            """
            SELECT \(ChatLog.columns) FROM log
            WHERE seq > ? AND seq <= ? AND kind = \(LogKind.member.rawValue) AND instr(payload, ?)
            ORDER BY seq
            """)
        statement.bind(0, after)
        statement.bind(1, through)
        // Blob in blob: SQLite converts nothing then.
        let id = Array(user.rawValue.utf8)
        statement.bind(2, id.span)
        var found: [LogEntry] = []
        while try statement.step() {
            let entry = entry(in: statement)
            if ChatLog.isMove(entry, of: user) { found.append(entry) }
        }
        return found
    }

    /// Whether the entry says that the user entered or left its room.
    static func isMove(_ entry: LogEntry, of user: UserID) -> Bool {
        guard entry.kind == .member,
            case .member(let action, let about)? = try? entry.content(), about.id == user
        else { return false }
        return action != .invited
    }

    /// The entry `seq`; nil when there is none.
    func entry(_ seq: Int64) throws(StoreError) -> LogEntry? {
        selectOne.bind(0, seq)
        defer { selectOne.reset() }
        return try selectOne.step() ? entry(in: selectOne) : nil
    }

    /// `seq` of the latest entry; 0 for an empty log.
    func head() throws(StoreError) -> Int64 {
        try database.first("SELECT coalesce(max(seq), 0) FROM log") { $0.int64(0) } ?? 0
    }

    private func entry(in row: SQLiteStatement) -> LogEntry {
        LogEntry(
            seq: row.int64(0), at: Timestamp(milliseconds: row.int64(1)),
            kind: LogKind(rawValue: Int(row.int64(2))) ?? .unknown,
            room: RoomID(row.text(3)), visibility: row.int64(4) == 0 ? .public : .private,
            roomSeq: row.int64(5), prev: row.int64(6), actor: UserID(row.text(7)),
            actorName: row.text(8), clientID: row.isNull(9) ? nil : row.text(9),
            payload: row.bytes(10))
    }

    // MARK: History

    /// The latest messages of a room with `roomSeq` < `before`, ascending: at most `limit`, and none
    /// more after `maxBytes` of payload. Walks the chain of messages from the nearest indexed entry, or
    /// from `head` where that is nearer.
    func messages(
        in room: RoomID, before: Int64, limit: Int, maxBytes: Int, from head: RoomHead
    ) throws(StoreError) -> HistoryPage {
        var page = HistoryPage(messages: [], hasMore: false)
        var bytes = 0
        var next = try chainStart(in: room, at: before, from: head)
        while next > 0, let entry = try entry(next) {
            next = entry.prev
            guard entry.roomSeq < before else { continue }
            page.hasMore = page.messages.count == limit || bytes >= maxBytes
            if page.hasMore { break }
            page.messages.append(entry)
            bytes += entry.payload.count
        }
        page.messages.reverse()
        return page
    }

    /// The earliest messages of a room with `roomSeq` > `after`, ascending: at most `limit`, and none
    /// more after `maxBytes` of payload.
    func messages(
        in room: RoomID, after: Int64, limit: Int, maxBytes: Int, from head: RoomHead
    ) throws(StoreError) -> HistoryPage {
        var page = HistoryPage(messages: [], hasMore: false)
        var bytes = 0
        var low = max(0, after)
        // Entries that are no messages leave holes, so look further until enough are found; and
        // further each time, so that a long row of joins costs few steps.
        var stride = Int64(limit)
        while !page.hasMore, low < head.roomSeq {
            let (sum, isOver) = low.addingReportingOverflow(stride)
            let high = isOver ? head.roomSeq : min(sum, head.roomSeq)
            var step: [LogEntry] = []
            var next = try chainStart(in: room, at: high + 1, from: head)
            while next > 0, let entry = try entry(next), entry.roomSeq > low {
                if entry.roomSeq <= high { step.append(entry) }
                next = entry.prev
            }
            for entry in step.reversed() {
                page.hasMore = page.messages.count == limit || bytes >= maxBytes
                if page.hasMore { break }
                page.messages.append(entry)
                bytes += entry.payload.count
            }
            low = high
            stride *= 2
        }
        return page
    }

    /// `seq` of a message at or after which the chain leads to all messages before `roomSeq`.
    private func chainStart(
        in room: RoomID, at roomSeq: Int64, from head: RoomHead
    ) throws(StoreError) -> Int64 {
        guard roomSeq <= head.roomSeq else { return head.lastMessage }
        selectIndex.bind(0, room.rawValue)
        selectIndex.bind(1, roomSeq)
        defer { selectIndex.reset() }
        guard try selectIndex.step() else { return head.lastMessage }
        return try entry(selectIndex.int64(0))?.prev ?? 0
    }

    // MARK: Projection

    /// The projection as it was last written down.
    func loadSnapshot() throws(StoreError) -> ChatSnapshot {
        ChatSnapshot(
            seq: try watermark(),
            users: try database.all("SELECT id, name FROM user") {
                User(id: UserID($0.text(0)), name: $0.text(1))
            },
            rooms: try database.all(
                "SELECT id, name, topic, is_private, owner, head, last_message, others FROM room"
            ) { row in
                RoomRecord(
                    id: RoomID(row.text(0)), name: row.text(1), topic: row.text(2),
                    visibility: row.bool(3) ? .private : .public,
                    owner: row.optionalText(4).map { UserID($0) }, head: row.int64(5),
                    lastMessage: row.int64(6), others: PackedNumbers.decode(row.bytes(7)))
            },
            members: try database.all("SELECT room, user, is_invitation, mark FROM member") {
                MemberRecord(
                    room: RoomID($0.text(0)), user: UserID($0.text(1)),
                    isInvitation: $0.bool(2), mark: $0.int64(3))
            })
    }

    /// The entry up to which the projection tables speak.
    func watermark() throws(StoreError) -> Int64 {
        try database.first("SELECT seq FROM watermark") { $0.int64(0) } ?? 0
    }

    /// Writes what has changed and moves the watermark to `changes.seq`. Inside a transaction only,
    /// with the log read up to its head: then the records are the truth at the head, whoever wrote the
    /// tables last.
    func save(_ changes: ChatChanges) throws(StoreError) {
        for user in changes.users {
            try database.run(
                "INSERT INTO user VALUES (?,?) ON CONFLICT DO UPDATE SET name=excluded.name",
                [.text(user.id.rawValue), .text(user.name)])
        }
        for room in changes.rooms {
            try database.run(
                "INSERT OR REPLACE INTO room VALUES (?,?,?,?,?,?,?,?)",
                [
                    .text(room.id.rawValue), .text(room.name), .text(room.topic),
                    .bool(room.visibility == .private), SQLiteValue(room.owner?.rawValue),
                    .integer(room.head), .integer(room.lastMessage),
                    .blob(PackedNumbers.encode(room.others)),
                ])
        }
        for member in changes.members {
            try database.run(
                "INSERT OR REPLACE INTO member VALUES (?,?,?,?)",
                [
                    .text(member.room.rawValue), .text(member.user.rawValue),
                    .bool(member.isInvitation), .integer(member.mark),
                ])
        }
        for member in changes.removed {
            try database.run(
                "DELETE FROM member WHERE room=? AND user=?",
                [.text(member.room.rawValue), .text(member.user.rawValue)])
        }
        try database.run("UPDATE watermark SET seq=?", [.integer(changes.seq)])
    }

    /// Writes 64 KiB and takes them back into use next time: whether the disk takes writes again.
    func probe() throws(StoreError) {
        try database.run("INSERT OR REPLACE INTO probe VALUES (1, randomblob(65536))")
    }

    /// Reads entries `after` < seq ≤ `through` in short, in order: for what is kept in memory of the
    /// latest million. About a second for that many.
    func forEachOutline(
        after: Int64, through: Int64, _ body: (Outline) -> Void
    ) throws(StoreError) {
        let statement = try database.prepare(
            """
            SELECT seq, at, kind, room, room_seq, actor, client_id, length(payload) FROM log
            WHERE seq > ? AND seq <= ? ORDER BY seq
            """)
        statement.bind(0, after)
        statement.bind(1, through)
        // Neighbours are mostly of one room.
        var room = RoomID("")
        while try statement.step() {
            let name = statement.text(3)
            if name != room.rawValue { room = RoomID(name) }
            body(
                Outline(
                    seq: statement.int64(0), at: Timestamp(milliseconds: statement.int64(1)),
                    kind: LogKind(rawValue: Int(statement.int64(2))) ?? .unknown, room: room,
                    roomSeq: statement.int64(4), actor: UserID(statement.text(5)),
                    clientID: statement.isNull(6) ? nil : statement.text(6),
                    bytes: Int(statement.int64(7))))
        }
    }

    /// An entry without its payload.
    struct Outline {
        var seq: Int64
        var at: Timestamp
        var kind: LogKind
        var room: RoomID
        var roomSeq: Int64
        var actor: UserID
        var clientID: String?
        /// Of the payload.
        var bytes: Int
    }
}

/// Ascending numbers as bytes: differences in LEB128, a byte each where they are dense.
enum PackedNumbers {
    static func encode(_ numbers: [Int64]) -> [UInt8] {
        var output: [UInt8] = []
        var last: Int64 = 0
        for number in numbers {
            var rest = UInt64(bitPattern: number &- last)
            last = number
            while rest >= 0x80 {
                output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            output.append(UInt8(rest))
        }
        return output
    }

    static func decode(_ bytes: [UInt8]) -> [Int64] {
        var numbers: [Int64] = []
        var last: Int64 = 0
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for byte in bytes {
            if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
            shift += 7
            guard byte < 0x80 else { continue }
            last = last &+ Int64(bitPattern: value)
            numbers.append(last)
            value = 0
            shift = 0
        }
        return numbers
    }
}
