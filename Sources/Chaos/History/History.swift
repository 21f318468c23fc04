// SPDX-License-Identifier: MIT
internal import JSON

/// What one client did and saw, in its own order. Nothing here is interpreted: that is the verifier's.
struct ClientHistory: Hashable, Sendable {
    /// The client's number in the run.
    var client: Int
    /// Its user's id.
    var user: String
    var steps: [HistoryStep] = []
}

/// One step of a client's history.
enum HistoryStep: Hashable, Sendable {
    /// CONNECT was answered; `isRecovered` as the official client tells it: the private id is the old one.
    case connected(isRecovered: Bool)
    /// The `session` event: the state at `seq`, rooms with their heads.
    case session(seq: Int64, rooms: [RoomPosition])
    /// A durable event.
    case event(LogFact)
    /// An attempt to send; the same `clientID` is tried again until it is answered.
    case sent(clientID: String, room: String, text: Fingerprint)
    case acked(clientID: String, SendAnswer)
    /// Refused: this attempt changed nothing.
    case refused(clientID: String, code: String)
    /// `room:join` or `room:create` was asked.
    case joining
    /// It was answered. `wasMember`: the client knew itself to be in the room already.
    case joined(room: String, head: Int64, wasMember: Bool)
    case left(room: String, seq: Int64)
    /// A page of history, ascending.
    case page(room: String, [LogFact])
    /// The run was over, and the client had been connected and quiet for a while: it has everything.
    case level
}

struct RoomPosition: Hashable, Sendable {
    var room: String
    var head: Int64
}

/// What an acknowledgement of `message:send` says.
struct SendAnswer: Hashable, Sendable {
    var seq: Int64
    var roomSeq: Int64
    /// RFC 3339, as it came.
    var at: String
}

/// One durable event as somebody saw it, or as the log has it.
struct LogFact: Hashable, Sendable {
    enum Kind: String, Hashable, Sendable { case message, member, room }

    var kind: Kind
    var room: String
    var seq: Int64
    var roomSeq: Int64
    /// Of the whole event, member by member.
    var content: Fingerprint

    /// Reads a client event's argument; nil when it is none of a durable event.
    init?(name: String, argument: JSONValue) {
        guard let kind = Kind(rawValue: name), let room = argument["room"]?.string,
            let seq = argument["seq"]?.int, let roomSeq = argument["roomSeq"]?.int
        else { return nil }
        self.init(
            kind: kind, room: room, seq: seq, roomSeq: roomSeq, content: Fingerprint(argument))
    }

    init(kind: Kind, room: String, seq: Int64, roomSeq: Int64, content: Fingerprint) {
        self.kind = kind
        self.room = room
        self.seq = seq
        self.roomSeq = roomSeq
        self.content = content
    }
}

/// 64 bits that stand for a text: FNV-1a. Nobody forges histories here.
struct Fingerprint: Hashable, Sendable {
    var value: UInt64

    init(value: UInt64) { self.value = value }

    init(_ text: some Sequence<UInt8>) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        value = hash
    }

    /// Of an object, whatever the order of its members.
    init(_ json: JSONValue) {
        value = (json.object?.members ?? []).reduce(0) { sum, member in
            sum &+ Fingerprint(Array(member.name.utf8) + [0] + member.value.bytes).value
        }
    }
}
