// SPDX-License-Identifier: MIT
internal import DequeModule
package import Timing

/// How a user shows to others.
package enum PresenceStatus: String, Hashable, Sendable, CaseIterable {
    case online
    case away
    /// Do not disturb.
    case dnd
    case offline
}

/// What an instance tells the others about one of its users. `offline`: no longer its.
package struct PresenceClaim: Hashable, Sendable {
    package var user: User
    package var status: PresenceStatus
    /// When the user chose the status, in milliseconds since 1970; 0 when they never did. The latest
    /// choice holds everywhere, so that two devices on two instances cannot argue.
    package var chosenAt: Int64

    package init(user: User, status: PresenceStatus, chosenAt: Int64 = 0) {
        self.user = user
        self.status = status
        self.chosenAt = chosenAt
    }
}

/// Who is here, over all devices and instances: a value, without clock or threads.
///
/// Each instance claims the users that are connected to it, and goes on to for a grace after their
/// last connection, so a reconnect never flickers. It tells the others changes, numbered without gaps;
/// who misses a number asks for everything (`Heard.gap`). What another instance claims holds while
/// its lease is renewed, so an instance that dies takes its users with it when the lease ends.
///
/// What clients are told comes from `tick`: at most one change a user and so many at a time, the rest
/// in the next ticks. Invariant: `published` of every user is what the ticks so far have told, so that
/// telling each tick's changes to whoever has the page of some moment keeps them exact.
package struct PresenceState: Sendable {
    /// What hearing another instance came to.
    package enum Heard: Hashable, Sendable {
        case current
        /// Something of that instance's was missed: ask it for everything.
        case gap
    }

    private struct Person: Sendable {
        var name: String
        /// Connections to this instance.
        var connections = 0
        /// What the user chose, as this instance claims it while they are connected here.
        var choice = Choice()
        /// Other instances that claim them, and with which choice: few.
        var elsewhere: [(instance: String, choice: Choice)] = []
        /// Until when they stay after the last connection ended.
        var graceEnd: Instant?
        /// What clients have been told.
        var published = PresenceStatus.offline
        /// What the other instances have been told; nil: nothing, or that they left.
        var told: PresenceClaim?
        var isCounted = false
        var isQueued = false

        var isLocal: Bool { connections > 0 || graceEnd != nil }
        var isHere: Bool { isLocal || !elsewhere.isEmpty }

        /// The latest choice that is claimed by anybody now: the same wherever the claims are the same.
        var latest: Choice {
            let first = isLocal ? choice : Choice()
            return elsewhere.reduce(first) { max($0, $1.choice) }
        }
    }

    private struct Choice: Comparable, Sendable {
        var status = PresenceStatus.online
        /// Milliseconds since 1970.
        var at: Int64 = 0

        static func < (a: Choice, b: Choice) -> Bool {
            a.at != b.at ? a.at < b.at : a.status.rawValue < b.status.rawValue
        }
    }

    /// Another instance.
    private struct Remote: Sendable {
        var lease: Instant
        /// The number of its last change that is in `users`; -1 before its first snapshot.
        var version: Int64 = -1
        var users: Set<UserID> = []
        /// A snapshot of which parts are still to come.
        var arriving: (version: Int64, users: Set<UserID>)?
    }

    private let grace: Duration
    private var people: [UserID: Person] = [:]
    private var remotes: [String: Remote] = [:]
    /// Users whose status may differ from what was published, in the order they came to.
    private var changed = Deque<UserID>()
    /// Users the other instances may not know the latest of.
    private var untold: Set<UserID> = []
    /// Users who leave when their grace ends.
    private var ending: Set<UserID> = []

    /// Users who are here now, published or not yet.
    package private(set) var onlineCount = 0
    /// The number of this instance's latest change.
    package private(set) var version: Int64 = 0

    /// - Parameter grace: how long a user stays after the last connection.
    package init(grace: Duration = .seconds(10)) { self.grace = grace }

    // MARK: This instance

    /// A connection of a user to this instance was made.
    package mutating func connected(_ user: User) {
        update(user.id, named: user.name) { person in
            person.choice = person.latest
            person.connections += 1
            person.name = user.name
            person.graceEnd = nil
        }
        ending.remove(user.id)
        untold.insert(user.id)
    }

    /// A connection of a user to this instance ended.
    package mutating func disconnected(_ user: UserID, now: Instant) {
        guard let person = people[user], person.connections > 0 else { return }
        let isLast = person.connections == 1
        people[user]?.connections -= 1
        if isLast {
            people[user]?.graceEnd = now + grace
            ending.insert(user)
        }
    }

    /// A user chose how to show, here. `offline` is not a choice.
    /// - Parameter at: milliseconds since 1970; of two choices the later holds.
    package mutating func choose(_ status: PresenceStatus, for user: UserID, at: Int64) {
        guard status != .offline, let person = people[user], person.isLocal,
            at >= person.latest.at
        else { return }
        update(user, named: person.name) { $0.choice = Choice(status: status, at: at) }
        untold.insert(user)
    }

    /// What has changed in this instance's users since the last call; a number is used up if that is
    /// anything.
    package mutating func takeUntold() -> [PresenceClaim] {
        var claims: [PresenceClaim] = []
        for user in untold {
            guard let person = people[user] else { continue }
            let claim = person.isLocal ? PresenceState.claim(user, person) : nil
            guard claim != person.told else { continue }
            people[user]?.told = claim
            claims.append(
                claim
                    ?? PresenceClaim(
                        user: User(id: user, name: person.name), status: .offline))
        }
        untold.removeAll(keepingCapacity: true)
        for claim in claims where claim.status == .offline { forget(claim.user.id) }
        if !claims.isEmpty { version += 1 }
        return claims
    }

    /// Every user that the others have been told of: what goes with `version`.
    package var told: [PresenceClaim] { people.values.compactMap(\.told) }

    private static func claim(_ user: UserID, _ person: Person) -> PresenceClaim {
        PresenceClaim(
            user: User(id: user, name: person.name), status: person.choice.status,
            chosenAt: person.choice.at)
    }

    // MARK: Other instances

    /// Another instance lives, and this is the number of its latest change.
    package mutating func heard(
        _ instance: String, version: Int64, until lease: Instant
    ) -> Heard {
        remotes[instance, default: Remote(lease: lease)].lease = lease
        return remotes[instance]?.version == version ? .current : .gap
    }

    /// Another instance's users have changed.
    package mutating func heard(
        _ instance: String, changes: [PresenceClaim], version: Int64, until lease: Instant
    ) -> Heard {
        var remote = remotes.removeValue(forKey: instance) ?? Remote(lease: lease)
        remote.lease = lease
        defer { remotes[instance] = remote }
        // One that was in the snapshot already.
        if remote.version >= version { return .current }
        guard remote.version == version - 1 else { return .gap }
        remote.version = version
        for claim in changes { apply(claim, of: instance, &remote.users) }
        return .current
    }

    /// Another instance's users, all of them, in parts.
    package mutating func heard(
        _ instance: String, snapshot part: [PresenceClaim], isFirst: Bool, isLast: Bool,
        version: Int64, until lease: Instant
    ) -> Heard {
        var remote = remotes.removeValue(forKey: instance) ?? Remote(lease: lease)
        remote.lease = lease
        defer { remotes[instance] = remote }
        // Somebody else asked for it.
        if remote.version >= version { return .current }
        if isFirst { remote.arriving = (version, []) }
        guard remote.arriving?.version == version else { return .gap }
        for claim in part {
            apply(claim, of: instance, &remote.users)
            remote.arriving?.users.insert(claim.user.id)
        }
        guard isLast, let arrived = remote.arriving else { return .current }
        for user in remote.users.subtracting(arrived.users) { drop(user, of: instance) }
        remote.users = arrived.users
        remote.arriving = nil
        remote.version = version
        return .current
    }

    private mutating func apply(
        _ claim: PresenceClaim, of instance: String, _ users: inout Set<UserID>
    ) {
        guard claim.status != .offline else {
            users.remove(claim.user.id)
            return drop(claim.user.id, of: instance)
        }
        users.insert(claim.user.id)
        let choice = Choice(status: claim.status, at: claim.chosenAt)
        var isAdopted = false
        update(claim.user.id, named: claim.user.name) { person in
            person.elsewhere.removeAll { $0.instance == instance }
            person.elsewhere.append((instance, choice))
            if person.isLocal, choice > person.choice {
                // Claimed on here, so that it outlives the device it was made on.
                person.choice = choice
                isAdopted = true
            }
        }
        if isAdopted { untold.insert(claim.user.id) }
    }

    private mutating func drop(_ user: UserID, of instance: String) {
        guard let name = people[user]?.name else { return }
        update(user, named: name) { $0.elsewhere.removeAll { $0.instance == instance } }
    }

    // MARK: Clients

    /// Lets graces and leases end, and gives what has changed since the last tick, at most `limit`
    /// users, those first that changed first.
    package mutating func tick(
        now: Instant, limit: Int = .max
    ) -> [(user: User, status: PresenceStatus)] {
        for user in ending {
            guard let end = people[user]?.graceEnd, end > now else {
                ending.remove(user)
                if let name = people[user]?.name {
                    update(user, named: name) { person in
                        person.graceEnd = nil
                        person.choice = Choice()
                    }
                }
                untold.insert(user)
                continue
            }
        }
        for (instance, remote) in remotes where remote.lease <= now {
            remotes[instance] = nil
            for user in remote.users.union(remote.arriving?.users ?? []) {
                drop(user, of: instance)
            }
        }
        var changes: [(user: User, status: PresenceStatus)] = []
        while changes.count < limit, let user = changed.popFirst() {
            guard var person = people[user] else { continue }
            person.isQueued = false
            let status = person.isHere ? person.latest.status : .offline
            if status != person.published {
                person.published = status
                changes.append((User(id: user, name: person.name), status))
            }
            people[user] = person
            forget(user)
        }
        return changes
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

    // MARK: Bookkeeping

    /// Changes a person and notes what follows from it.
    private mutating func update(
        _ user: UserID, named name: String, _ change: (inout Person) -> Void
    ) {
        var person = people[user] ?? Person(name: name)
        change(&person)
        if person.isHere != person.isCounted {
            onlineCount += person.isHere ? 1 : -1
            person.isCounted = person.isHere
        }
        if !person.isQueued {
            person.isQueued = true
            changed.append(user)
        }
        people[user] = person
    }

    /// Lets go of somebody who is gone for everybody.
    private mutating func forget(_ user: UserID) {
        guard let person = people[user], !person.isHere, !person.isQueued, person.told == nil,
            person.published == .offline
        else { return }
        people[user] = nil
    }
}
