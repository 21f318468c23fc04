// SPDX-License-Identifier: MIT
internal import ChatCore
internal import JSON
internal import Store
internal import Timing

/// One row of the final log, as far as a verifier asks.
struct LogRow: Hashable, Sendable {
    enum Change: Hashable, Sendable {
        case joined(user: String)
        case left(user: String)
        case invited(user: String)
    }

    /// What clients are to see. A receipt has none.
    var fact: LogFact?
    var seq: Int64
    var room: String
    /// 0 for a receipt and for an arrival.
    var roomSeq: Int64
    var actor: String
    var clientID: String?
    /// RFC 3339.
    var at: String
    /// Of a message's text.
    var text: Fingerprint?
    /// Set when the entry is about membership.
    var change: Change?
}

/// The log as the database has it.
enum LogTable {
    /// Reads all rows of a chat database in the order of `seq`.
    static func read(path: String) throws -> [LogRow] {
        let database = try SQLiteDatabase(path: path, mode: .readOnly)
        return try database.all(
            """
            SELECT seq, at, kind, room, is_private, room_seq, prev, actor, actor_name, client_id,
                payload FROM log ORDER BY seq
            """
        ) { row in
            LogRow(
                LogEntry(
                    seq: row.int64(0), at: .init(milliseconds: row.int64(1)),
                    kind: LogKind(rawValue: row.int(2)) ?? .unknown, room: RoomID(row.text(3)),
                    visibility: row.bool(4) ? .private : .public, roomSeq: row.int64(5),
                    prev: row.int64(6), actor: UserID(row.text(7)), actorName: row.text(8),
                    clientID: row.optionalText(9), payload: row.bytes(10)))
        }
    }
}

extension LogRow {
    init(_ entry: LogEntry) {
        self.init(
            seq: entry.seq, room: entry.room.rawValue, roomSeq: entry.roomSeq,
            actor: entry.actor.rawValue, clientID: entry.clientID, at: entry.at.rfc3339)
        if entry.kind != .receipt, entry.kind.isEvent {
            var event: [UInt8] = []
            entry.writeEvent(into: &event)
            if let value = try? JSONValue(parsing: event) {
                fact = LogFact(name: entry.eventName, argument: value)
            }
        }
        switch try? entry.content() {
        case .message(let text, _): self.text = Fingerprint(text.utf8)
        // The first visit, which makes a member of the lobby without an event.
        case .arrival: change = .joined(user: entry.actor.rawValue)
        case .member(.joined, let user): change = .joined(user: user.id.rawValue)
        case .member(.left, let user), .member(.removed, let user):
            change = .left(user: user.id.rawValue)
        case .member(.invited, let user): change = .invited(user: user.id.rawValue)
        default: break
        }
    }
}
