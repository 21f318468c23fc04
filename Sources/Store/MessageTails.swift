// SPDX-License-Identifier: MIT
internal import ChatCore
internal import DequeModule

/// The latest messages of rooms that somebody joined lately, so that a join costs no look-ups. Bounded:
/// when too many rooms are held all are let go, and come back from the log as they are asked for.
struct MessageTails {
    fileprivate struct Tail {
        var messages: Deque<LogEntry> = []
        /// Of payload.
        var bytes = 0
    }

    private var tails: [RoomID: Tail] = [:]
    private let length: Int
    private let maxBytes: Int
    private let maxRooms: Int

    /// - Parameters:
    ///   - length: messages of one room.
    ///   - maxBytes: payload of one room, but for its latest message.
    init(length: Int, maxBytes: Int, maxRooms: Int = 1024) {
        self.length = length
        self.maxBytes = maxBytes
        self.maxRooms = maxRooms
    }

    /// The tail of a room, if it is held.
    subscript(room: RoomID) -> [LogEntry]? { tails[room].map { Array($0.messages) } }

    /// Holds a room's tail as read from the log.
    mutating func hold(_ messages: [LogEntry], of room: RoomID) {
        if tails.count >= maxRooms { tails.removeAll(keepingCapacity: true) }
        tails[room] = Tail()
        for message in messages { append(message) }
    }

    /// Takes an entry into the tail of its room, if that is held.
    mutating func append(_ entry: LogEntry) {
        guard entry.kind == .message, !tails.isEmpty, tails[entry.room] != nil else { return }
        tails[entry.room]?.append(entry, length: length, maxBytes: maxBytes)
    }

    mutating func removeAll() { tails.removeAll() }
}

extension MessageTails.Tail {
    /// Adds the latest, and lets go of the oldest that have no room beside it.
    fileprivate mutating func append(_ entry: LogEntry, length: Int, maxBytes: Int) {
        messages.append(entry)
        bytes += entry.payload.count
        while messages.count > length || bytes > maxBytes, messages.count > 1 {
            bytes -= messages.removeFirst().payload.count
        }
    }
}
