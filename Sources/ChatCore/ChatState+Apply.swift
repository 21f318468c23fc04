// SPDX-License-Identifier: MIT
internal import JSON

extension ChatState {
    /// Takes an entry into the state. Entries come in `seq` order; one that was applied before is
    /// passed over. An entry whose payload this program cannot read keeps its place in the order and
    /// changes nothing else.
    package mutating func apply(_ entry: LogEntry) {
        guard entry.seq > head else { return }
        head = entry.seq
        let actor = intern(entry.actor, name: entry.actorName)
        if entry.kind == .room, roomIndices[entry.room] == nil { create(entry) }
        guard let room = roomIndices[entry.room] else { return }
        if entry.roomSeq > 0 {
            rooms[Int(room)].head = entry.roomSeq
            markChanged(room: room)
        }
        switch entry.kind {
        case .message:
            rooms[Int(room)].lastMessage = entry.seq
            // Who speaks has read what was said before.
            moveMark(of: actor, in: room, to: entry.roomSeq)
            if let clientID = entry.clientID {
                window.insert(
                    Sent(seq: entry.seq, roomSeq: entry.roomSeq, at: entry.at),
                    clientID: clientID, user: entry.actor)
            }
        case .room:
            remember(other: entry.roomSeq, in: room)
            if case .room(.updated, let name, let topic, let visibility)? = try? entry.content() {
                update(room, name, topic, visibility)
            }
        case .member:
            remember(other: entry.roomSeq, in: room)
            if case .member(let action, let user)? = try? entry.content() {
                let user = intern(user.id, name: user.name)
                switch action {
                case .joined: join(user, room, at: entry.roomSeq)
                case .left, .removed: leave(user, room)
                case .invited: invite(user, room, entry.seq)
                }
            }
        case .receipt:
            if case .receipt(let roomSeq)? = try? entry.content() {
                moveMark(of: actor, in: room, to: roomSeq)
            }
        case .arrival: join(actor, room, at: rooms[Int(room)].head)
        case .unknown: if entry.roomSeq > 0 { remember(other: entry.roomSeq, in: room) }
        }
    }

    /// Remembers a send that lies before the snapshot the state was restored from. To be called in
    /// `seq` order, each once, before the entries after the snapshot are applied.
    package mutating func remember(
        clientID: String, of user: UserID, firstAnswer: Sent
    ) {
        window.insert(firstAnswer, clientID: clientID, user: user)
    }

    /// The same of a whole entry: nothing when it is no send with a `clientId`.
    package mutating func remember(_ entry: LogEntry) {
        guard entry.kind == .message, let clientID = entry.clientID else { return }
        remember(
            clientID: clientID, of: entry.actor,
            firstAnswer: Sent(seq: entry.seq, roomSeq: entry.roomSeq, at: entry.at))
    }

    private mutating func create(_ entry: LogEntry) {
        guard case .room(_, let name, let topic, let visibility)? = try? entry.content() else {
            return
        }
        add(
            Room(
                id: entry.room, name: name, topic: topic, visibility: visibility,
                owner: entry.actor))
    }

    private mutating func update(
        _ room: Int32, _ name: String, _ topic: String, _ visibility: Visibility
    ) {
        if rooms[Int(room)].visibility == .public { unlist(rooms[Int(room)].name) }
        rooms[Int(room)].name = name
        rooms[Int(room)].topic = topic
        rooms[Int(room)].visibility = visibility
        if visibility == .public { list(room, as: name) }
    }

    /// A new member has nothing to catch up on: what was before they came is not unread.
    private mutating func join(_ user: Int32, _ room: Int32, at roomSeq: Int64) {
        rooms[Int(room)].invited[user] = nil
        guard rooms[Int(room)].members[user] == nil else { return }
        let isOwner = rooms[Int(room)].owner == users[Int(user)].id
        rooms[Int(room)].members[user] = Member(
            role: isOwner ? .owner : .member, readMark: roomSeq,
            position: rooms[Int(room)].order.count)
        rooms[Int(room)].order.append(user)
        users[Int(user)].enter(room, at: users[Int(user)].rooms.count)
        markChanged(member: user, in: room)
    }

    private mutating func leave(_ user: Int32, _ room: Int32) {
        rooms[Int(room)].invited[user] = nil
        changedMembers.insert(MemberKey(room: room, user: user))
        guard let member = rooms[Int(room)].members.removeValue(forKey: user) else { return }
        users[Int(user)].rooms.removeAll { $0 == room }
        // The last one takes the empty place: O(1) in a room of a hundred thousand.
        let last = rooms[Int(room)].order.removeLast()
        if last != user {
            rooms[Int(room)].order[Int(member.position)] = last
            rooms[Int(room)].members[last]?.position = member.position
        }
    }

    private mutating func invite(_ user: Int32, _ room: Int32, _ seq: Int64) {
        guard rooms[Int(room)].members[user] == nil else { return }
        rooms[Int(room)].invited[user] = seq
        changedMembers.insert(MemberKey(room: room, user: user))
    }

    private mutating func remember(other roomSeq: Int64, in room: Int32) {
        rooms[Int(room)].others.append(roomSeq)
        // A quarter at once, so that the array moves seldom.
        if rooms[Int(room)].others.count > ChatState.maxOthers * 5 / 4 {
            rooms[Int(room)].others.removeFirst(ChatState.maxOthers / 4)
        }
    }
}
