// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// Names a person or a service client: the token's `sub` (`u_…` for people, `client:…` for services).
package struct UserID: Hashable, Sendable, ExpressibleByStringLiteral {
    package let rawValue: String
    package init(_ rawValue: String) { self.rawValue = rawValue }
    package init(stringLiteral value: String) { rawValue = value }
}

/// Names a room: `lobby`, or `r` and the commit number of the entry that created it.
package struct RoomID: Hashable, Sendable, ExpressibleByStringLiteral {
    package let rawValue: String
    package init(_ rawValue: String) { self.rawValue = rawValue }
    package init(stringLiteral value: String) { rawValue = value }

    /// The room everyone is a member of. It exists before the first entry and cannot be left.
    package static let lobby: RoomID = "lobby"
}

/// A user as others see them.
package struct User: Hashable, Sendable {
    package var id: UserID
    package var name: String

    package init(id: UserID, name: String) {
        self.id = id
        self.name = name
    }

    /// Appends `{"id":"u_…","name":"ada"}`.
    package func writeJSON(into output: inout [UInt8]) {
        output.append("{\"id\":")
        JSONString.write(id.rawValue, into: &output)
        output.append(",\"name\":")
        JSONString.write(name, into: &output)
        output.append("}")
    }
}

/// Who gives a command: what the verified token says about the sender.
package struct Actor: Hashable, Sendable {
    package var id: UserID
    package var name: String
    /// The token's `roles`, for instance `admin`.
    package var roles: [String]

    package init(id: UserID, name: String, roles: [String] = []) {
        self.id = id
        self.name = name
        self.roles = roles
    }

    package var user: User { User(id: id, name: name) }
}

/// Who may find and join a room.
package enum Visibility: String, Hashable, Sendable, CaseIterable {
    /// Listed for all; anybody may join.
    case `public`
    /// Seen by its members and by who is invited; joined by invitation.
    case `private`
}

/// What a member is in a room.
package enum MemberRole: String, Hashable, Sendable, CaseIterable {
    /// Created the room.
    case owner
    case member
}
