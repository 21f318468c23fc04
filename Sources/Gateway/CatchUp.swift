// SPDX-License-Identifier: MIT
internal import ChatCore
internal import SocketIOServer

/// How far a client that is recovering or behind has got, and what it must not miss on the way.
final class CatchUp {
    /// What a client that comes back is given before it is live.
    struct Recovery {
        let snapshot: SessionSnapshot
        /// The public id it had, if it asked by its private one.
        let socketID: String?
    }

    /// An event of the log for whoever was in its room then.
    struct Item: Sendable {
        let seq: Int64
        let room: RoomID
        /// Whose mark it tells, where it is a receipt: only the last one matters.
        let reader: UserID?
        let publication: Publication
    }

    /// The next events for a client, in the log's order.
    struct Page: Sendable {
        var items: [Item]
        /// Everything up to this commit number has been looked at.
        var through: Int64
    }

    /// Bytes after which a page ends. What waits for a client that has taken the one before stays below
    /// what stops the server from reading its pongs.
    static let pageBytes = 64 << 10

    /// Rooms entered and left that are remembered for one client: who moves oftener starts anew.
    static let maxMoves = 4096

    /// Where in the log the client has got to.
    var position: Int64
    /// Nil for a client that has its `session`, and is only behind.
    var recovery: Recovery?
    private(set) var stays = Stays()
    /// Publications that are not in the log of the client's own rooms.
    var owed: [Publication] = []

    init(from position: Int64, to recovery: Recovery? = nil) {
        self.position = position
        self.recovery = recovery
    }

    /// Notes which rooms the user entered and left before the client came back.
    func moved(_ moves: [LogEntry]) {
        var earlier = Stays()
        for entry in moves {
            guard case .member(let action, _)? = try? entry.content() else { continue }
            if action == .joined {
                earlier.changed(in: entry.room, from: entry.seq, isMember: true)
            } else {
                earlier.changed(in: entry.room, from: entry.seq + 1, isMember: false)
            }
        }
        earlier.append(stays)
        stays = earlier
    }

    /// Notes that a room is entered or left now.
    /// - Returns: false when more has been than is remembered.
    func changed(in room: RoomID, from seq: Int64, isMember: Bool) -> Bool {
        stays.changed(in: room, from: seq, isMember: isMember)
        return stays.count <= CatchUp.maxMoves
    }

    /// The client has got everything up to a commit number.
    func reached(_ seq: Int64) {
        position = seq
        stays.forget(through: seq)
    }

    /// Takes out what was put by up to a commit number.
    func takeOwed(through seq: Int64) -> [Publication] {
        defer { owed.removeAll { $0.order <= seq } }
        return owed.filter { $0.order <= seq }
    }
}

/// When a client was in which room, as far as that has changed. Pure.
struct Stays {
    private struct Change {
        /// The first commit number it holds for.
        let seq: Int64
        let isMember: Bool
    }

    /// Of each room in the log's order.
    private var changes: [RoomID: [Change]] = [:]
    /// Changes that are remembered.
    private(set) var count = 0

    /// Rooms with a change.
    var rooms: some Sequence<RoomID> { changes.keys }

    /// Notes a change, later than those known of the room.
    mutating func changed(in room: RoomID, from seq: Int64, isMember: Bool) {
        changes[room, default: []].append(Change(seq: seq, isMember: isMember))
        count += 1
    }

    /// Adds what came later.
    mutating func append(_ later: Stays) {
        changes.merge(later.changes) { $0 + $1 }
        count += later.count
    }

    /// Whether a room was the client's at some point of the log. One without a change is as it always was:
    /// nobody asks for those that are not the client's.
    func wasMember(at seq: Int64, of room: RoomID) -> Bool {
        guard !changes.isEmpty, let here = changes[room], let first = here.first else {
            return true
        }
        var low = 0
        var high = here.count
        while low < high {
            let middle = (low + high) / 2
            if here[middle].seq <= seq { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? here[low - 1].isMember : !first.isMember
    }

    /// Forgets what makes no difference behind a commit number.
    mutating func forget(through seq: Int64) {
        guard !changes.isEmpty else { return }
        for (room, here) in changes {
            // The last that holds there, and those behind it.
            let past = here.prefix { $0.seq <= seq + 1 }.count
            guard past > 0 else { continue }
            let kept = past == here.count ? [] : Array(here[(past - 1)...])
            count -= here.count - kept.count
            changes[room] = kept.isEmpty ? nil : kept
        }
    }
}
