// SPDX-License-Identifier: MIT
package import Timing

/// How a user shows to others.
package enum PresenceStatus: String, Hashable, Sendable, CaseIterable {
    case online
    case away
    /// Do not disturb.
    case dnd
    case offline
}

/// Who is here, over all devices and instances: a value, without clock or threads.
///
/// Each instance counts the connections of its own users and tells the others; what another instance
/// told holds until its lease runs out, so an instance that dies takes its users with it. A user
/// whose last connection ends stays for a grace, so a reconnect never flickers. Changes are gathered
/// and handed out by `tick`, at most one a user.
///
/// Invariant: `published` of every user is what the last ticks have told, so that telling each tick's
/// changes to whoever has the page of some moment keeps them exact.
package struct PresenceState: Sendable {
    private struct Person: Sendable {
        var name: String
        /// Connections to this instance.
        var connections = 0
        /// What the user chose; holds while they are here.
        var chosen = PresenceStatus.online
        /// Other instances that have them, and until when that holds.
        var elsewhere: [String: Instant] = [:]
        /// Until when they stay after the last connection ended.
        var graceEnd: Instant?
        var published = PresenceStatus.offline
    }

    private let grace: Duration
    private var people: [UserID: Person] = [:]
    /// Users whose status may differ from what was published.
    private var changed: Set<UserID> = []
    /// Users who leave when their grace or a lease ends.
    private var ending: Set<UserID> = []

    /// Users published as being here.
    package private(set) var onlineCount = 0

    /// - Parameter grace: how long a user stays after the last connection.
    package init(grace: Duration = .seconds(10)) { self.grace = grace }

    /// A connection of a user to this instance was made.
    package mutating func connected(_ user: User) {
        people[user.id, default: Person(name: user.name)].connections += 1
        people[user.id]?.name = user.name
        people[user.id]?.graceEnd = nil
        changed.insert(user.id)
    }

    /// A connection of a user to this instance ended.
    package mutating func disconnected(_ user: UserID, now: Instant) {
        guard var person = people[user], person.connections > 0 else { return }
        person.connections -= 1
        if person.connections == 0 {
            person.graceEnd = now + grace
            ending.insert(user)
        }
        people[user] = person
    }

    /// A user chose how to show, here or on another instance. `offline` is not a choice.
    package mutating func choose(_ status: PresenceStatus, for user: UserID) {
        guard status != .offline, people[user] != nil else { return }
        people[user]?.chosen = status
        changed.insert(user)
    }

    /// Another instance has these users, until `lease` ends or it says otherwise.
    package mutating func heard(
        _ instance: String, has users: [(user: User, status: PresenceStatus)], until lease: Instant
    ) {
        for (user, status) in users where status != .offline {
            var person = people[user.id] ?? Person(name: user.name)
            person.elsewhere[instance] = lease
            if person.connections == 0 { person.chosen = status }
            people[user.id] = person
            changed.insert(user.id)
            ending.insert(user.id)
        }
    }

    /// Another instance no longer has a user.
    package mutating func heard(_ instance: String, lost user: UserID, now: Instant) {
        guard people[user]?.elsewhere.removeValue(forKey: instance) != nil else { return }
        if people[user]?.connections == 0, people[user]?.elsewhere.isEmpty == true {
            people[user]?.graceEnd = now + grace
        }
        ending.insert(user)
    }

    /// Whether a user is connected to this instance, or was until a moment ago.
    package func isLocal(_ user: UserID) -> Bool {
        people[user].map { $0.connections > 0 || $0.graceEnd != nil } ?? false
    }

    /// Users of this instance and how they show: what it tells the others.
    package var local: [(user: User, status: PresenceStatus)] {
        people.compactMap { id, person in
            person.connections > 0 || person.graceEnd != nil && person.elsewhere.isEmpty
                ? (User(id: id, name: person.name), person.chosen) : nil
        }
    }

    /// Lets graces and leases end, and gives what has changed since the last tick, one entry a user,
    /// in the order of their ids.
    package mutating func tick(now: Instant) -> [(user: User, status: PresenceStatus)] {
        for user in ending {
            guard var person = people[user] else {
                ending.remove(user)
                continue
            }
            let before = person.elsewhere.count
            person.elsewhere = person.elsewhere.filter { $0.value > now }
            if let end = person.graceEnd, end <= now { person.graceEnd = nil }
            if before != person.elsewhere.count || person.graceEnd == nil { changed.insert(user) }
            people[user] = person
            if person.graceEnd == nil, person.elsewhere.isEmpty { ending.remove(user) }
        }
        var changes: [(user: User, status: PresenceStatus)] = []
        for user in changed {
            guard var person = people[user] else { continue }
            let isHere =
                person.connections > 0 || person.graceEnd != nil || !person.elsewhere.isEmpty
            let status = isHere ? person.chosen : .offline
            if status != person.published {
                if person.published == .offline { onlineCount += 1 }
                if status == .offline { onlineCount -= 1 }
                person.published = status
                changes.append((User(id: user, name: person.name), status))
            }
            people[user] = isHere ? person : nil
        }
        changed.removeAll(keepingCapacity: true)
        return changes.sorted { $0.user.id.rawValue < $1.user.id.rawValue }
    }

    /// At most `limit` of the users published as being here, in no particular order. O(limit) beside
    /// those not yet published.
    package func page(limit: Int) -> [(user: User, status: PresenceStatus)] {
        var page: [(user: User, status: PresenceStatus)] = []
        for (id, person) in people where person.published != .offline {
            guard page.count < limit else { break }
            page.append((User(id: id, name: person.name), person.published))
        }
        return page
    }
}
