// SPDX-License-Identifier: MIT

extension ChatState {
    /// Goes back to a stored state: at start, and when a commit failed and what was decided since never
    /// happened. The first answers remembered up to `kept` stay; they are not part of a snapshot.
    /// - Parameter kept: the latest `seq` that is known to be in the log.
    package mutating func reset(to snapshot: ChatSnapshot, keepingAnswersUpTo kept: Int64) {
        var fresh = ChatState(limits: limits)
        fresh.window = window
        fresh.window.forget(after: kept)
        fresh.head = snapshot.seq
        for user in snapshot.users { _ = fresh.intern(user.id, name: user.name) }
        for record in snapshot.rooms { fresh.restore(record) }
        for record in snapshot.members { fresh.restore(record) }
        fresh.forgetChanges()
        self = fresh
    }

    /// What has changed since the last `forgetChanges`, as it stands now.
    package var changes: ChatChanges {
        var changes = ChatChanges(seq: head, users: [], rooms: [], members: [], removed: [])
        for index in changedUsers {
            changes.users.append(User(id: users[Int(index)].id, name: users[Int(index)].name))
        }
        for index in changedRooms { changes.rooms.append(record(of: rooms[Int(index)])) }
        for key in changedMembers {
            let room = rooms[Int(key.room)]
            let user = users[Int(key.user)].id
            if let member = room.members[key.user] {
                changes.members.append(
                    MemberRecord(
                        room: room.id, user: user, isInvitation: false, mark: member.readMark))
            } else if let seq = room.invited[key.user] {
                changes.members.append(
                    MemberRecord(room: room.id, user: user, isInvitation: true, mark: seq))
            } else {
                changes.removed.append(ChatChanges.RemovedMember(room: room.id, user: user))
            }
        }
        return changes
    }

    /// How many records `changes` would have, without building them.
    package var changeCount: Int {
        changedUsers.count + changedRooms.count + changedMembers.count
    }

    /// The changes are stored.
    package mutating func forgetChanges() {
        for index in changedRooms { rooms[Int(index)].isChanged = false }
        for key in changedMembers {
            rooms[Int(key.room)].members[key.user]?.isChanged = false
        }
        changedUsers.removeAll(keepingCapacity: true)
        changedRooms.removeAll(keepingCapacity: true)
        changedMembers.removeAll(keepingCapacity: true)
    }

    /// The whole state. Rooms, users and members in no order that means anything.
    package var snapshot: ChatSnapshot {
        var snapshot = ChatSnapshot(
            seq: head, users: users.map { User(id: $0.id, name: $0.name) },
            rooms: rooms.map(record(of:)))
        for room in rooms {
            for (user, member) in room.members {
                snapshot.members.append(
                    MemberRecord(
                        room: room.id, user: users[Int(user)].id, isInvitation: false,
                        mark: member.readMark))
            }
            for (user, seq) in room.invited {
                snapshot.members.append(
                    MemberRecord(
                        room: room.id, user: users[Int(user)].id, isInvitation: true, mark: seq))
            }
        }
        return snapshot
    }

    private func record(of room: Room) -> RoomRecord {
        RoomRecord(
            id: room.id, name: room.name, topic: room.topic, visibility: room.visibility,
            owner: room.owner, head: room.head, lastMessage: room.lastMessage, others: room.others)
    }

    private mutating func restore(_ record: RoomRecord) {
        let index =
            roomIndices[record.id]
            ?? add(
                Room(
                    id: record.id, name: record.name, topic: record.topic,
                    visibility: record.visibility, owner: record.owner))
        rooms[Int(index)].topic = record.topic
        rooms[Int(index)].head = record.head
        rooms[Int(index)].lastMessage = record.lastMessage
        rooms[Int(index)].others = record.others
    }

    private mutating func restore(_ record: MemberRecord) {
        guard let room = roomIndices[record.room], let user = userIndices[record.user] else {
            return
        }
        if record.isInvitation {
            rooms[Int(room)].invited[user] = record.mark
            return
        }
        let isOwner = rooms[Int(room)].owner == record.user
        rooms[Int(room)].members[user] = Member(
            role: isOwner ? .owner : .member, readMark: record.mark,
            position: rooms[Int(room)].order.count)
        rooms[Int(room)].order.append(user)
        // The lobby stays first whatever order the records come in.
        let place = record.room == .lobby ? 0 : users[Int(user)].rooms.count
        users[Int(user)].enter(room, at: place)
    }
}
