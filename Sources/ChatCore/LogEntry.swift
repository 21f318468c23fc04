// SPDX-License-Identifier: MIT
package import JSON
package import Timing

/// What happened. Raw values are stored: never change or reuse one.
package enum LogKind: Int, Hashable, Sendable, CaseIterable {
    /// Written by a newer version of this program, which alone knows what it says. Keeps its place in
    /// the order and changes nothing else. Read only, never written.
    case unknown = 0
    case message = 1
    /// A room was created or changed.
    case room = 2
    /// Somebody joined, left, was invited or removed.
    case member = 3
    /// Somebody has read up to a point. Has no place in the room's order (`roomSeq` 0).
    case receipt = 4
    /// Somebody is here for the first time, and with that a member of the lobby. Has no place in the
    /// room's order (`roomSeq` 0) and is no event for clients: a thousand newcomers at once would
    /// otherwise be a million deliveries.
    case arrival = 5

    /// Whether clients are told of it.
    package var isEvent: Bool { self != .arrival && self != .unknown }

    /// Whether it has a place in its room's order.
    package var hasRoomSeq: Bool { self != .receipt && self != .arrival }
}

/// One entry of the log: a fact with its place in the order of all facts.
///
/// Invariants: `seq` rises strictly over the log; `roomSeq` is contiguous from 1 in each room over all
/// entries but receipts and arrivals, which carry 0.
package struct LogEntry: Hashable, Sendable {
    /// The commit number: place in the whole log, from 1.
    package var seq: Int64
    /// When it was decided, by the clock of the instance that did. Order is `seq`'s matter, not this.
    package var at: Timestamp
    package var kind: LogKind
    package var room: RoomID
    /// The room's visibility when it happened, so that readers of the log need no projection.
    package var visibility: Visibility
    /// Place in the room's order from 1; 0 for a receipt or an arrival.
    package var roomSeq: Int64
    /// `seq` of the latest message of the room before this entry; 0 when there is none. History walks
    /// this chain, so it never meets anything but messages.
    package var prev: Int64
    /// Who did it, and their name at the time.
    package var actor: UserID
    package var actorName: String
    /// The sender's own name for a message, by which a repetition is known. Unique per actor.
    package var clientID: String?
    /// One JSON object's text whose members are part of the client event (`LogContent`).
    package var payload: [UInt8]

    package init(
        seq: Int64, at: Timestamp, kind: LogKind, room: RoomID, visibility: Visibility,
        roomSeq: Int64, prev: Int64, actor: UserID, actorName: String, clientID: String?,
        payload: [UInt8]
    ) {
        self.seq = seq
        self.at = at
        self.kind = kind
        self.room = room
        self.visibility = visibility
        self.roomSeq = roomSeq
        self.prev = prev
        self.actor = actor
        self.actorName = actorName
        self.clientID = clientID
        self.payload = payload
    }

    /// The message's public id, `m` and its `seq`. Means something for messages only.
    package var id: String { "m\(seq)" }

    /// The `seq` in a message id; nil when it is not one in its only spelling.
    package static func seq(ofMessageID id: String) -> Int64? {
        guard id.utf8.first == UInt8(ascii: "m"), let seq = Int64(id.dropFirst()), seq > 0,
            id.utf8.count == String(seq).utf8.count + 1
        else { return nil }
        return seq
    }

    /// Who did it.
    package var user: User { User(id: actor, name: actorName) }

    /// What the payload says, decoded. For everything but messages; the hot path never asks.
    /// - Throws: when the payload is not what this program writes for `kind`.
    package func content() throws(JSONError) -> LogContent {
        try LogContent(kind: kind, payload: payload)
    }
}
