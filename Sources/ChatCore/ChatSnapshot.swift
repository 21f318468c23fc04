// SPDX-License-Identifier: MIT

/// The projection at one point of the log: what a store keeps so that a restart need not read the log
/// from its beginning. Everything in it can be computed from the log again.
package struct ChatSnapshot: Hashable, Sendable {
    /// The state is that after the entry `seq`.
    package var seq: Int64
    package var users: [User]
    package var rooms: [RoomRecord]
    package var members: [MemberRecord]

    package init(
        seq: Int64 = 0, users: [User] = [], rooms: [RoomRecord] = [], members: [MemberRecord] = []
    ) {
        self.seq = seq
        self.users = users
        self.rooms = rooms
        self.members = members
    }
}

/// A room in a snapshot.
package struct RoomRecord: Hashable, Sendable {
    package var id: RoomID
    package var name: String
    package var topic: String
    package var visibility: Visibility
    /// Who created it; nil for the lobby.
    package var owner: UserID?
    /// Latest `roomSeq`.
    package var head: Int64
    /// `seq` of the latest message; 0 for none.
    package var lastMessage: Int64
    /// `roomSeq` of the latest entries that are not messages, ascending (`ChatState.maxOthers`).
    package var others: [Int64]

    package init(
        id: RoomID, name: String, topic: String, visibility: Visibility, owner: UserID?,
        head: Int64, lastMessage: Int64, others: [Int64]
    ) {
        self.id = id
        self.name = name
        self.topic = topic
        self.visibility = visibility
        self.owner = owner
        self.head = head
        self.lastMessage = lastMessage
        self.others = others
    }
}

/// A membership or an open invitation in a snapshot.
package struct MemberRecord: Hashable, Sendable {
    package var room: RoomID
    package var user: UserID
    package var isInvitation: Bool
    /// How far the member has read; for an invitation, the `seq` of its entry.
    package var mark: Int64

    package init(room: RoomID, user: UserID, isInvitation: Bool, mark: Int64) {
        self.room = room
        self.user = user
        self.isInvitation = isInvitation
        self.mark = mark
    }
}

/// What has changed since a store last wrote the projection down.
package struct ChatChanges: Hashable, Sendable {
    /// The state is that after the entry `seq`.
    package var seq: Int64
    package var users: [User]
    package var rooms: [RoomRecord]
    package var members: [MemberRecord]
    /// Memberships and invitations that are no more.
    package var removed: [RemovedMember]

    package struct RemovedMember: Hashable, Sendable {
        package var room: RoomID
        package var user: UserID
    }
}
