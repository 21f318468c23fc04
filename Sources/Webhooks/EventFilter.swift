// SPDX-License-Identifier: MIT

/// How grave an alert is.
package enum AlertSeverity: String, Sendable, Comparable, CaseIterable {
    case info, warning, critical

    package static func < (a: AlertSeverity, b: AlertSeverity) -> Bool { a.rank < b.rank }

    /// 0, 1 or 2: what the store keeps.
    package var rank: Int {
        switch self {
        case .info: 0
        case .warning: 1
        case .critical: 2
        }
    }
}

/// The types of events there are. A type always has one schema (Standard Webhooks 1.0.0).
package enum EventTypes {
    package static let all = [
        "message.created", "receipt.read", "member.joined", "member.left", "member.invited",
        "member.removed", "room.created", "room.updated", "alert.raised", "security.user_created",
        "security.user_disabled", "security.session_created", "security.session_revoked",
        "security.token_revoked", "security.refresh_reuse", "security.login_failed",
    ]

    /// Sent by `POST …/test` alone; no filter drops it.
    package static let test = "webhook.test"

    /// The webhook type of an entry of AuthService's log; nil for those that concern no account.
    package static func ofAuthEntry(_ type: String) -> String? {
        switch type {
        case "user.created", "user.disabled", "session.created", "session.revoked",
            "token.revoked":
            "security." + type.split(separator: ".").joined(separator: "_")
        case let type where type.hasPrefix("security."): type
        default: nil
        }
    }
}

/// Which events an endpoint wants.
package struct EventFilter: Hashable, Sendable {
    package static let maxPatterns = 32
    package static let maxRooms = 100

    /// Exact types or globs: `*`, `message.*`. An empty list wants all.
    package var types: [String]
    /// Room ids; an empty list wants all of the owner's rooms. Events of no room pass.
    package var rooms: [String]
    /// Alerts below it are dropped; other events pass.
    package var minSeverity: AlertSeverity

    package init(
        types: [String] = [], rooms: [String] = [], minSeverity: AlertSeverity = .info
    ) {
        self.types = types
        self.rooms = rooms
        self.minSeverity = minSeverity
    }

    /// Why an event is not wanted.
    package enum Drop: String, Sendable { case type, room, severity }

    /// Nil when the event is wanted. Names the first reason in the order type, room, severity.
    package func drop(type: String, room: String?, severity: AlertSeverity? = nil) -> Drop? {
        if !types.isEmpty, !types.contains(where: { EventFilter.matches($0, type) }) {
            return .type
        }
        if !rooms.isEmpty, let room, !rooms.contains(room) { return .room }
        if let severity, severity < minSeverity { return .severity }
        return nil
    }

    /// Whether a pattern is one: segments of `[a-z0-9_]` with dots between, of which the last may be
    /// `*`, which stands for one segment or more.
    package static func isPattern(_ text: String) -> Bool {
        guard text.utf8.count <= 64 else { return false }
        let segments = text.split(separator: ".", omittingEmptySubsequences: false)
        return segments.enumerated().allSatisfy { index, segment in
            segment == "*" && index == segments.count - 1
                || !segment.isEmpty
                    && segment.utf8.allSatisfy {
                        (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F
                    }
        }
    }

    private static func matches(_ pattern: String, _ type: String) -> Bool {
        guard pattern.hasSuffix("*") else { return pattern == type }
        let prefix = pattern.dropLast()
        return type.hasPrefix(prefix) && type.utf8.count > prefix.utf8.count
    }
}
