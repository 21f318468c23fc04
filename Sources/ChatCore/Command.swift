// SPDX-License-Identifier: MIT

/// What an actor asks of the chat. Decided in order by one writer (`ChatState.decide`), which is the
/// authority; what the loops check before is a courtesy.
package enum Command: Hashable, Sendable {
    /// The actor has connected. Makes them a member of the lobby the first time. → `.session`
    case openSession
    /// → `.sent`. The same `clientID` again, within the window, gives the first answer and changes
    /// nothing, whatever else it says.
    case send(room: RoomID, text: String, clientID: String?, replyTo: String?)
    /// The actor becomes owner and member. → `.room`
    case createRoom(name: String, visibility: Visibility, topic: String)
    /// `room` is an id or the name of a public room. Again when already a member: the same answer, no
    /// entry. → `.room`
    case join(room: String)
    /// → `.done`
    case leave(room: RoomID)
    /// `user` is an id or a name, of somebody who has been here. → `.done`
    case invite(room: RoomID, user: String)
    /// Public rooms, and the private ones the actor is in or invited to. → `.rooms`
    case listRooms
    /// → `.room`
    case roomDetail(room: RoomID)
    /// The actor has read up to `roomSeq`. A mark never moves back. → `.read`
    case markRead(room: RoomID, roomSeq: Int64)
    /// Another process has committed: read its entries. → `.done`
    case catchUp

    /// Whether deciding it never appends an entry.
    package var isReadOnly: Bool {
        switch self {
        case .listRooms, .roomDetail, .catchUp: true
        case .openSession, .send, .createRoom, .join, .leave, .invite, .markRead: false
        }
    }
}

/// Names who gets an outcome: an event loop, and what that loop calls the request.
package struct Ticket: Hashable, Sendable {
    package var loop: Int32
    package var token: UInt64

    package init(loop: Int32, token: UInt64) {
        self.loop = loop
        self.token = token
    }
}

/// How a command ended.
package enum Outcome: Hashable, Sendable {
    case ok(Answer)
    case refused(ChatError)
}

/// What a command that took effect answers.
package enum Answer: Hashable, Sendable {
    case session(SessionSnapshot)
    /// The message is fsynced and has this place.
    case sent(Sent)
    case room(RoomDetail)
    case rooms([RoomSummary])
    /// Messages the actor has not read in the room now.
    case read(unread: Int64)
    /// Took effect; `seq` is the entry that says so, or the log's head where there is none to name.
    case done(seq: Int64)
}

/// What happened, in the order it was decided. Own entries come before the outcome that answers them.
package enum CommitItem: Hashable, Sendable {
    case entry(LogEntry)
    case outcome(Ticket, Outcome)
}

/// Told of commits.
package protocol CommitObserver: AnyObject, Sendable {
    /// Called on the writer's thread, after the fsync, with all that one group did: entries of this
    /// process and, where others share the store, theirs, strictly by `seq`; each exactly once.
    /// Must not block: the next commit waits for it.
    func committed(_ items: [CommitItem])
}
