// SPDX-License-Identifier: MIT
internal import ChatCore
internal import DequeModule

/// The latest messages of rooms that somebody joined lately, so that a join costs no look-ups. Bounded:
/// when too many rooms are held all are let go, and come back from the log as they are asked for.
struct MessageTails {
    private var tails: [RoomID: Deque<LogEntry>] = [:]
    private let length: Int
    private let maxRooms: Int

    init(length: Int, maxRooms: Int = 1024) {
        self.length = length
        self.maxRooms = maxRooms
    }

    /// The tail of a room, if it is held.
    subscript(room: RoomID) -> [LogEntry]? { tails[room].map { Array($0) } }

    /// Holds a room's tail as read from the log.
    mutating func hold(_ messages: [LogEntry], of room: RoomID) {
        if tails.count >= maxRooms { tails.removeAll(keepingCapacity: true) }
        tails[room] = Deque(messages.suffix(length))
    }

    /// Takes an entry into the tail of its room, if that is held.
    mutating func append(_ entry: LogEntry) {
        guard entry.kind == .message, !tails.isEmpty, tails[entry.room] != nil else { return }
        tails[entry.room]?.append(entry)
        if let count = tails[entry.room]?.count, count > length { tails[entry.room]?.removeFirst() }
    }

    mutating func removeAll() { tails.removeAll() }
}
