// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
package import Timing

extension ChatState {
    /// Decides one command and applies what it leads to. The entries must be committed, in order,
    /// before the outcome is told to anybody; if that fails, the state must be reset.
    ///
    /// Read marks move here at once, but their entries come together in `takeReceipts`, so that a mark
    /// that moves ten times in one commit is one entry.
    /// - Parameters:
    ///   - now: the time the entries will carry.
    ///   - entries: gets the new entries at its end.
    package mutating func decide(
        _ command: Command, by actor: Actor, at now: Timestamp, into entries: inout [LogEntry]
    ) -> Outcome {
        do throws(ChatError) {
            return .ok(try answer(command, actor, now, &entries))
        } catch {
            return .refused(error)
        }
    }

    /// The entries for the read marks moved since the last call: one for each user and room.
    package mutating func takeReceipts(at now: Timestamp) -> [LogEntry] {
        guard !movedMarks.isEmpty else { return [] }
        var entries: [LogEntry] = []
        for key in movedMarks {
            guard let member = rooms[Int(key.room)].members[key.user] else { continue }
            let user = users[Int(key.user)]
            append(
                .receipt, .receipt(roomSeq: member.readMark), in: key.room,
                by: Actor(id: user.id, name: user.name), at: now, into: &entries)
        }
        movedMarks.removeAll(keepingCapacity: true)
        movedMarksSet.removeAll(keepingCapacity: true)
        return entries
    }

    private mutating func answer(
        _ command: Command, _ actor: Actor, _ now: Timestamp, _ entries: inout [LogEntry]
    ) throws(ChatError) -> Answer {
        switch command {
        case .openSession:
            enterLobby(actor, now, &entries)
            let user = userIndices[actor.id]
            let joined = user.map { users[Int($0)].rooms } ?? []
            return .session(
                SessionSnapshot(
                    user: actor.user, seq: head, rooms: joined.map { summary(of: $0, for: user) }))
        case .send(let room, let text, let clientID, let replyTo):
            return .sent(
                try send(text, to: room, clientID, replyTo, actor, now, &entries))
        case .createRoom(let name, let visibility, let topic):
            return .room(try createRoom(name, visibility, topic, actor, now, &entries))
        case .join(let room):
            return .room(try join(room, actor, now, &entries))
        case .leave(let room):
            return .done(seq: try leave(room, actor, now, &entries))
        case .invite(let room, let user):
            return .done(seq: try invite(user, to: room, actor, now, &entries))
        case .listRooms:
            return .rooms(list(for: userIndices[actor.id]))
        case .roomDetail(let room):
            let user = userIndices[actor.id]
            return .room(detail(of: try visibleRoom(room, to: user), for: user))
        case .markRead(let room, let roomSeq):
            return .read(unread: try markRead(room, roomSeq, actor))
        case .catchUp:
            return .done(seq: head)
        }
    }

    // MARK: Messages

    private mutating func send(
        _ text: String, to roomID: RoomID, _ clientID: String?, _ replyTo: String?,
        _ actor: Actor, _ now: Timestamp, _ entries: inout [LogEntry]
    ) throws(ChatError) -> Sent {
        if let clientID {
            guard !clientID.isEmpty, clientID.utf8.count <= limits.clientIDBytes else {
                throw ChatError(
                    .badRequest, "clientId must have 1 to \(limits.clientIDBytes) bytes.")
            }
            // Before any other check: the first answer stands even if the sender has left since.
            #if PLANTED_BUGS
                let isRepetitionKnown = PlantedBug.active != .dedupeDropped
            #else
                let isRepetitionKnown = true
            #endif
            if isRepetitionKnown,
                let first = window.answer(to: clientID, of: actor.id, head: head, now: now)
            {
                return first
            }
        }
        guard text.utf8.count <= limits.messageBytes else {
            throw ChatError(.tooLarge, "The text has more than \(limits.messageBytes) bytes.")
        }
        guard !TextRules.isBlank(text) else { throw ChatError(.badRequest, "The text is empty.") }
        if let replyTo {
            guard let seq = LogEntry.seq(ofMessageID: replyTo), seq <= head else {
                throw ChatError(.badRequest, "replyTo is not the id of a message.")
            }
        }
        enterLobby(actor, now, &entries)
        let (room, _) = try membership(of: actor, in: roomID)
        let entry = append(
            .message, .message(text: text, replyTo: replyTo), in: room, by: actor,
            clientID: clientID, at: now, into: &entries)
        return Sent(seq: entry.seq, roomSeq: entry.roomSeq, at: entry.at)
    }

    private mutating func markRead(
        _ roomID: RoomID, _ roomSeq: Int64, _ actor: Actor
    ) throws(ChatError) -> Int64 {
        guard roomSeq >= 0 else { throw ChatError(.badRequest, "roomSeq must not be negative.") }
        let (room, user) = try membership(of: actor, in: roomID)
        // A mark beyond the head would swallow what is yet to come.
        if moveMark(of: user, in: room, to: min(roomSeq, rooms[Int(room)].head)) {
            let key = MemberKey(room: room, user: user)
            if movedMarksSet.insert(key).inserted { movedMarks.append(key) }
        }
        let mark = rooms[Int(room)].members[user]?.readMark ?? 0
        return ChatState.unread(in: rooms[Int(room)], after: mark)
    }

    // MARK: Rooms

    private mutating func createRoom(
        _ name: String, _ visibility: Visibility, _ topic: String, _ actor: Actor,
        _ now: Timestamp, _ entries: inout [LogEntry]
    ) throws(ChatError) -> RoomDetail {
        let name = try TextRules.line(
            name, maxCharacters: limits.roomNameCharacters, named: "name")
        let topic = try TextRules.line(
            topic, maxCharacters: limits.topicCharacters, named: "topic")
        guard !name.isEmpty else { throw ChatError(.badRequest, "The name is empty.") }
        guard !TextRules.looksLikeRoomID(name) else {
            throw ChatError(.badRequest, "Names of r and digits are kept for room ids.")
        }
        if visibility == .public, publicRooms[TextRules.key(name)] != nil {
            throw ChatError(.conflict, "A public room has this name.")
        }
        guard rooms.count < limits.roomsTotal else {
            throw ChatError(.limitReached, "There are as many rooms as there may be.")
        }
        enterLobby(actor, now, &entries)
        try checkRoomCount(of: actor)
        let created = LogEntry(
            seq: head + 1, at: now, kind: .room, room: RoomID("r\(head + 1)"),
            visibility: visibility, roomSeq: 1, prev: 0, actor: actor.id, actorName: actor.name,
            clientID: nil,
            payload: LogContent.room(.created, name: name, topic: topic, visibility: visibility)
                .payload)
        apply(created)
        entries.append(created)
        guard let room = roomIndices[created.room] else {
            preconditionFailure("a created room is there")
        }
        append(.member, .member(.joined, actor.user), in: room, by: actor, at: now, into: &entries)
        return detail(of: room, for: userIndices[actor.id])
    }

    private mutating func join(
        _ name: String, _ actor: Actor, _ now: Timestamp, _ entries: inout [LogEntry]
    ) throws(ChatError) -> RoomDetail {
        enterLobby(actor, now, &entries)
        let user = userIndices[actor.id]
        let room: Int32
        if let byName = publicRooms[TextRules.key(name)], roomIndices[RoomID(name)] == nil {
            room = byName
        } else {
            room = try visibleRoom(RoomID(name), to: user)
        }
        if user.flatMap({ rooms[Int(room)].members[$0] }) == nil {
            try checkRoomCount(of: actor)
            append(
                .member, .member(.joined, actor.user), in: room, by: actor, at: now,
                into: &entries)
        }
        return detail(of: room, for: userIndices[actor.id])
    }

    private mutating func leave(
        _ roomID: RoomID, _ actor: Actor, _ now: Timestamp, _ entries: inout [LogEntry]
    ) throws(ChatError) -> Int64 {
        let (room, _) = try membership(of: actor, in: roomID)
        guard roomID != .lobby else { throw ChatError(.forbidden, "The lobby cannot be left.") }
        return append(
            .member, .member(.left, actor.user), in: room, by: actor, at: now, into: &entries
        ).seq
    }

    private mutating func invite(
        _ name: String, to roomID: RoomID, _ actor: Actor, _ now: Timestamp,
        _ entries: inout [LogEntry]
    ) throws(ChatError) -> Int64 {
        let (room, _) = try membership(of: actor, in: roomID)
        guard let guest = userIndices[UserID(name)] ?? userIndicesByName[TextRules.key(name)] else {
            throw ChatError(.notFound, "Nobody of this name has been here.")
        }
        guard rooms[Int(room)].members[guest] == nil else {
            throw ChatError(.conflict, "They are a member already.")
        }
        if let seq = rooms[Int(room)].invited[guest] { return seq }
        guard rooms[Int(room)].invited.count < limits.invitationsPerRoom else {
            throw ChatError(.limitReached, "The room has too many open invitations.")
        }
        let user = User(id: users[Int(guest)].id, name: users[Int(guest)].name)
        return append(
            .member, .member(.invited, user), in: room, by: actor, at: now, into: &entries
        ).seq
    }

    /// The actor's own rooms first, then the public ones by name.
    private func list(for user: Int32?) -> [RoomSummary] {
        var indices: [Int32] = user.map { users[Int($0)].rooms } ?? []
        var listed = Set(indices)
        if let user {
            // Only a private room needs an invitation; few rooms have any.
            for (index, room) in rooms.enumerated()
            where room.invited[user] != nil && listed.insert(Int32(index)).inserted {
                indices.append(Int32(index))
            }
        }
        for key in publicOrder {
            guard indices.count < limits.roomListCount else { break }
            if let index = publicRooms[key], listed.insert(index).inserted { indices.append(index) }
        }
        return indices.map { summary(of: $0, for: user) }
    }

    // MARK: Shared checks

    /// Everyone is a member of the lobby from their first act on.
    private mutating func enterLobby(
        _ actor: Actor, _ now: Timestamp, _ entries: inout [LogEntry]
    ) {
        guard let lobby = roomIndices[.lobby] else { preconditionFailure("the lobby is there") }
        if let user = userIndices[actor.id], rooms[Int(lobby)].members[user] != nil { return }
        append(.arrival, .arrival, in: lobby, by: actor, at: now, into: &entries)
    }

    /// The room and the actor in it. A private room does not show itself to strangers.
    private func membership(
        of actor: Actor, in roomID: RoomID
    ) throws(ChatError) -> (room: Int32, user: Int32) {
        let user = userIndices[actor.id]
        let room = try visibleRoom(roomID, to: user)
        guard let user, rooms[Int(room)].members[user] != nil else {
            throw ChatError(.notMember, "You are not a member of this room.")
        }
        return (room, user)
    }

    private func visibleRoom(_ id: RoomID, to user: Int32?) throws(ChatError) -> Int32 {
        guard let index = roomIndices[id] else { throw ChatError(.notFound, "No such room.") }
        guard rooms[Int(index)].visibility == .private else { return index }
        guard let user,
            rooms[Int(index)].members[user] != nil || rooms[Int(index)].invited[user] != nil
        else { throw ChatError(.notFound, "No such room.") }
        return index
    }

    private func checkRoomCount(of actor: Actor) throws(ChatError) {
        guard let user = userIndices[actor.id] else { return }
        guard users[Int(user)].rooms.count < limits.roomsPerUser else {
            throw ChatError(
                .limitReached, "You are in \(limits.roomsPerUser) rooms, as many as one may be.")
        }
    }

    /// Makes the next entry of a room and applies it.
    @discardableResult
    private mutating func append(
        _ kind: LogKind, _ content: LogContent, in room: Int32, by actor: Actor,
        clientID: String? = nil, at now: Timestamp, into entries: inout [LogEntry]
    ) -> LogEntry {
        let entry = LogEntry(
            seq: head + 1, at: now, kind: kind, room: rooms[Int(room)].id,
            visibility: rooms[Int(room)].visibility,
            roomSeq: kind.hasRoomSeq ? rooms[Int(room)].head + 1 : 0,
            prev: kind.hasRoomSeq ? rooms[Int(room)].lastMessage : 0, actor: actor.id,
            actorName: actor.name, clientID: clientID, payload: content.payload)
        apply(entry)
        entries.append(entry)
        return entry
    }
}
