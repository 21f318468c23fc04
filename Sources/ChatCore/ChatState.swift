// SPDX-License-Identifier: MIT

/// The projection of the log that decisions need: rooms, members, read marks, heads, and the
/// repetitions to know again. Deterministic: the same entries give the same state in every process.
///
/// ```
///   command ──decide──► entries (applied at once) + outcome ──commit──► released
///                                    └──────────────fails──► reset to what is stored
///   entries of other processes ──apply──►
/// ```
///
/// `decide` is in `ChatState+Decide`, `apply` in `ChatState+Apply`, restoring in `ChatState+Snapshot`.
///
/// Users and rooms are interned: inside, they are indices into two arrays, and a membership is found by
/// a 32-bit key.
package struct ChatState: Sendable {
    /// How many of a room's latest entries that are not messages are remembered one by one. `unread`
    /// subtracts those after the mark; a mark older than all of them counts the forgotten ones as
    /// messages, so `unread` may then be too high, never too low.
    package static let maxOthers = 4096

    /// 14 bytes: each user is one in the lobby at least.
    struct Member {
        var readMark: Int64
        /// Where the member stands in `Room.order`.
        var position: Int32
        var role: MemberRole
        var isChanged = false

        init(role: MemberRole, readMark: Int64, position: Int) {
            self.readMark = readMark
            self.position = Int32(position)
            self.role = role
        }
    }

    struct Room {
        var id: RoomID
        var name: String
        var topic: String
        var visibility: Visibility
        var owner: UserID?
        var head: Int64 = 0
        var lastMessage: Int64 = 0
        var others: [Int64] = []
        var members: [Int32: Member] = [:]
        /// The keys of `members` by joining, as far as leaving has not shuffled them.
        var order: [Int32] = []
        /// Open invitations and the `seq` of their entries.
        var invited: [Int32: Int64] = [:]
        var isChanged = false
    }

    struct KnownUser {
        var id: UserID
        var name: String
        /// Rooms by joining; the lobby is first.
        var rooms: [Int32] = []

        /// The rooms of who has entered none but the first: most people, who so share one list.
        private static let onlyLobby: [Int32] = [0]

        mutating func enter(_ room: Int32, at place: Int) {
            if rooms.isEmpty, room == 0 {
                rooms = KnownUser.onlyLobby
            } else {
                rooms.insert(room, at: place)
            }
        }
    }

    struct MemberKey: Hashable {
        var room: Int32
        var user: Int32
    }

    /// `seq` of the latest entry applied; 0 before the first.
    package internal(set) var head: Int64 = 0
    package let limits: Limits

    var users: [KnownUser] = []
    var rooms: [Room] = []
    var userIndices: [UserID: Int32] = [:]
    /// By `TextRules.key` of the name.
    var userIndicesByName: [String: Int32] = [:]
    var roomIndices: [RoomID: Int32] = [:]
    /// Public rooms by `TextRules.key` of the name, and the same in order, for listings.
    var publicRooms: [String: Int32] = [:]
    var publicOrder: [String] = []
    var window: IdempotencyWindow
    /// Read marks moved since `takeReceipts`, each once, in the order of the first move.
    var movedMarks: [MemberKey] = []
    var movedMarksSet: Set<MemberKey> = []

    var changedUsers: Set<Int32> = []
    var changedRooms: [Int32] = []
    var changedMembers: Set<MemberKey> = []

    /// The state of an empty log: nobody, and the lobby.
    package init(limits: Limits = Limits()) {
        self.limits = limits
        window = IdempotencyWindow(limits)
        addLobby()
    }

    mutating func addLobby() {
        add(
            Room(
                id: .lobby, name: "lobby", topic: "Everyone is here.", visibility: .public,
                owner: nil))
    }

    /// Whether the user is a member of the room.
    package func isMember(_ user: UserID, of room: RoomID) -> Bool {
        guard let user = userIndices[user], let room = roomIndices[room] else { return false }
        return rooms[Int(room)].members[user] != nil
    }

    /// The room's latest `roomSeq` and the `seq` of its latest message; nil for an unknown room.
    package func roomHead(_ room: RoomID) -> RoomHead? {
        roomIndices[room].map { index in
            RoomHead(roomSeq: rooms[Int(index)].head, lastMessage: rooms[Int(index)].lastMessage)
        }
    }

    /// The heads of all rooms.
    package var roomHeads: [RoomID: RoomHead] {
        var heads: [RoomID: RoomHead] = [:]
        heads.reserveCapacity(rooms.count)
        for room in rooms {
            heads[room.id] = RoomHead(roomSeq: room.head, lastMessage: room.lastMessage)
        }
        return heads
    }

    /// Users who have been here, rooms, memberships: sizes for the metrics.
    package var userCount: Int { users.count }
    package var roomCount: Int { rooms.count }
    /// How many first answers are remembered.
    package var idempotencyCount: Int { window.count }

    // MARK: Answers

    /// The room as `user` (nil: a stranger) sees it.
    func summary(of index: Int32, for user: Int32?) -> RoomSummary {
        let room = rooms[Int(index)]
        let member = user.flatMap { room.members[$0] }
        return RoomSummary(
            id: room.id, name: room.name, topic: room.topic, visibility: room.visibility,
            role: member?.role, head: room.head, readMark: member?.readMark ?? 0,
            unread: member.map { ChatState.unread(in: room, after: $0.readMark) } ?? 0,
            memberCount: room.members.count)
    }

    func detail(of index: Int32, for user: Int32?) -> RoomDetail {
        let summary = summary(of: index, for: user)
        let room = rooms[Int(index)]
        let isVisible = summary.isJoined || room.visibility == .public
        let members = room.order.prefix(isVisible ? limits.memberPage : 0).compactMap { key in
            room.members[key].map { member in
                let user = users[Int(key)]
                return MemberSummary(
                    user: User(id: user.id, name: user.name), role: member.role,
                    readMark: member.readMark)
            }
        }
        return RoomDetail(summary: summary, members: members, messages: [])
    }

    /// Messages after `mark`: the distance to the head without what is not a message.
    static func unread(in room: Room, after mark: Int64) -> Int64 {
        var low = 0
        var high = room.others.count
        while low < high {
            let middle = (low + high) / 2
            if room.others[middle] > mark { high = middle } else { low = middle + 1 }
        }
        return max(0, room.head - mark - Int64(room.others.count - low))
    }

    // MARK: Interning

    mutating func intern(_ id: UserID, name: String) -> Int32 {
        if let index = userIndices[id] {
            if users[Int(index)].name != name {
                let old = TextRules.key(users[Int(index)].name)
                if userIndicesByName[old] == index { userIndicesByName[old] = nil }
                users[Int(index)].name = name
                userIndicesByName[TextRules.key(name)] = index
                changedUsers.insert(index)
            }
            return index
        }
        let index = Int32(users.count)
        users.append(KnownUser(id: id, name: name))
        userIndices[id] = index
        userIndicesByName[TextRules.key(name)] = index
        changedUsers.insert(index)
        return index
    }

    @discardableResult
    mutating func add(_ room: Room) -> Int32 {
        let index = Int32(rooms.count)
        rooms.append(room)
        roomIndices[room.id] = index
        if room.visibility == .public { list(index, as: room.name) }
        return index
    }

    /// Puts a public room into the listing under a name that is free.
    mutating func list(_ index: Int32, as name: String) {
        let key = TextRules.key(name)
        guard publicRooms.updateValue(index, forKey: key) == nil else { return }
        publicOrder.insert(key, at: publicOrder.firstPosition(notBelow: key))
    }

    mutating func unlist(_ name: String) {
        let key = TextRules.key(name)
        publicRooms[key] = nil
        let position = publicOrder.firstPosition(notBelow: key)
        if position < publicOrder.count, publicOrder[position] == key {
            publicOrder.remove(at: position)
        }
    }

    mutating func markChanged(room index: Int32) {
        guard !rooms[Int(index)].isChanged else { return }
        rooms[Int(index)].isChanged = true
        changedRooms.append(index)
    }

    /// Moves a read mark forward, never back. True when it moved.
    @discardableResult
    mutating func moveMark(of user: Int32, in room: Int32, to roomSeq: Int64) -> Bool {
        guard let mark = rooms[Int(room)].members[user]?.readMark, mark < roomSeq else {
            return false
        }
        rooms[Int(room)].members[user]?.readMark = roomSeq
        markChanged(member: user, in: room)
        return true
    }

    mutating func markChanged(member user: Int32, in room: Int32) {
        guard rooms[Int(room)].members[user]?.isChanged != true else { return }
        rooms[Int(room)].members[user]?.isChanged = true
        changedMembers.insert(MemberKey(room: room, user: user))
    }
}

/// Where a room's order and its chain of messages end.
package struct RoomHead: Hashable, Sendable {
    package var roomSeq: Int64
    /// `seq` of the latest message; 0 for none.
    package var lastMessage: Int64

    package init(roomSeq: Int64, lastMessage: Int64) {
        self.roomSeq = roomSeq
        self.lastMessage = lastMessage
    }
}

extension [String] {
    /// In a sorted array, where `key` stands or would have to be inserted.
    fileprivate func firstPosition(notBelow key: String) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
