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

    /// A room entered or left meanwhile.
    struct MembershipChange {
        let room: RoomID
        /// The first commit number it holds for.
        let seq: Int64
        let isMember: Bool
    }

    /// Where in the log the client has got to.
    var position: Int64
    /// Nil for a client that has its `session`, and is only behind.
    var recovery: Recovery?
    /// In the log's order.
    var changes: [MembershipChange] = []
    /// Publications that are not in the log of the client's own rooms.
    var owed: [Publication] = []

    init(from position: Int64, to recovery: Recovery? = nil) {
        self.position = position
        self.recovery = recovery
    }

    /// Notes which rooms the user entered and left before the client came back.
    func moved(_ moves: [LogEntry]) {
        changes.insert(
            contentsOf: moves.compactMap { entry in
                guard case .member(let action, _)? = try? entry.content() else { return nil }
                return action == .joined
                    ? MembershipChange(room: entry.room, seq: entry.seq, isMember: true)
                    : MembershipChange(room: entry.room, seq: entry.seq + 1, isMember: false)
            }, at: 0)
    }

    /// Whether a room of today's was the client's at some point of the log.
    func wasMember(at seq: Int64, of room: RoomID) -> Bool {
        if changes.isEmpty { return true }
        let here = changes.filter { $0.room == room }
        if let last = here.last(where: { $0.seq <= seq }) { return last.isMember }
        return here.first.map { !$0.isMember } ?? true
    }

    /// Takes out what was put by up to a commit number.
    func takeOwed(through seq: Int64) -> [Publication] {
        defer { owed.removeAll { $0.order <= seq } }
        return owed.filter { $0.order <= seq }
    }
}
