// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
package import Timing

/// The first answer to a send, and every later one to the same `clientId`.
package struct Sent: Hashable, Sendable {
    package var seq: Int64
    package var roomSeq: Int64
    package var at: Timestamp

    package init(seq: Int64, roomSeq: Int64, at: Timestamp) {
        self.seq = seq
        self.roomSeq = roomSeq
        self.at = at
    }

    /// The message's id.
    package var id: String { "m\(seq)" }
}

/// A room as one user sees it.
package struct RoomSummary: Hashable, Sendable {
    package var id: RoomID
    package var name: String
    package var topic: String
    package var visibility: Visibility
    /// Nil when the user is not a member.
    package var role: MemberRole?
    /// The room's latest `roomSeq`; 0 when nothing has happened in it.
    package var head: Int64
    /// How far the user has read; 0 when not a member.
    package var readMark: Int64
    /// Messages after the mark (other events do not count); 0 when not a member.
    package var unread: Int64
    /// Number of members.
    package var memberCount: Int

    package var isJoined: Bool { role != nil }

    /// Appends `{"id","name","topic","visibility","role","head","readMark","unread","members"}` and,
    /// where wanted, `"joined"`. The role of a room that is not joined is null.
    package func writeJSON(withJoined: Bool = false, into output: inout [UInt8]) {
        output.append("{\"id\":")
        JSONString.write(id.rawValue, into: &output)
        output.append(",\"name\":")
        JSONString.write(name, into: &output)
        output.append(",\"topic\":")
        JSONString.write(topic, into: &output)
        output.append(",\"visibility\":\"\(visibility.rawValue)\",\"role\":")
        output.append(role.map { "\"\($0.rawValue)\"" } ?? "null")
        output.append(",\"head\":\(head),\"readMark\":\(readMark),\"unread\":\(unread)")
        output.append(",\"members\":\(memberCount)")
        if withJoined { output.append(",\"joined\":\(isJoined)") }
        output.append("}")
    }
}

/// A member in a room's detail.
package struct MemberSummary: Hashable, Sendable {
    package var user: User
    package var role: MemberRole
    /// How far they have read: what shows read ticks before their next receipt.
    package var readMark: Int64

    /// Appends `{"id","name","role","readMark"}`.
    package func writeJSON(into output: inout [UInt8]) {
        output.append("{\"id\":")
        JSONString.write(user.id.rawValue, into: &output)
        output.append(",\"name\":")
        JSONString.write(user.name, into: &output)
        output.append(",\"role\":\"\(role.rawValue)\",\"readMark\":\(readMark)}")
    }
}

/// A room as one user finds it on joining: the state at `summary.head`, after which the first live
/// event has `roomSeq` `summary.head + 1`.
package struct RoomDetail: Hashable, Sendable {
    package var summary: RoomSummary
    /// At most `Limits.memberPage` of them.
    package var members: [MemberSummary]
    /// The latest messages up to `summary.head`, ascending, at most `Limits.joinMessages`, fewer where
    /// they are long (`pageBytes`); empty for
    /// who is not a member. Filled in by the store.
    package var messages: [LogEntry]
}

/// What a user finds on connecting: the state at `seq`.
package struct SessionSnapshot: Hashable, Sendable {
    package var user: User
    /// The log's head: the state includes it, the first live event comes after it.
    package var seq: Int64
    /// The user's rooms, the lobby first.
    package var rooms: [RoomSummary]
}
