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

    /// 40 bytes, and the key's 16: there is one for everybody who is here.
    private struct Person: Sendable {
        var name: String
        /// Other instances that claim them, and with which choice: few.
        var elsewhere: [(instance: String, choice: Choice)] = []
        /// What the user chose, as this instance claims it while they are connected here.
        var choice = Choice()
        /// What clients have been told.
        var published = PresenceStatus.offline
        /// Whether they only stay for their grace (`ending`).
        var isEnding = false
        var isQueued = false
        /// Connections to this instance.
        var connections: Int32 = 0

        init(name: String) { self.name = name }

        var isLocal: Bool { connections > 0 || isEnding }
        var isHere: Bool { isLocal || !elsewhere.isEmpty }

        /// The latest choice that is claimed by anybody now: the same wherever the claims are the same.
        var latest: Choice {
            let first = isLocal ? choice : Choice()
            return elsewhere.reduce(first) { max($0, $1.choice) }
        }

        /// What this instance claims of them, if anything.
        func claim(of user: UserID) -> PresenceClaim? {
            guard isLocal else { return nil }
            return PresenceClaim(
                user: User(id: user, name: name), status: choice.status, chosenAt: choice.at)
        }
    }

    private struct Choice: Comparable, Sendable {
        /// Milliseconds since 1970.
        var at: Int64 = 0
        var status = PresenceStatus.online

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

    /// What a user takes of the table.
    static var bytesPerUser: Int { MemoryLayout<(key: UserID, value: Person)>.stride }

    private let grace: Duration
    private var people: [UserID: Person] = [:]
    private var remotes: [String: Remote] = [:]
    /// Users whose status may differ from what was published, in the order they came to.
    private var changed = Deque<UserID>()
    /// Users the other instances may not know the latest of, and what those know; nil: nothing, or that
    /// the user left. Of everybody else they know what is claimed now.
    private var untold: [UserID: PresenceClaim?] = [:]
    /// Users who stay after their last connection ended, and until when.
    private var ending: [UserID: Instant] = [:]
    /// Entries up to which an emptied table keeps its room: beyond, a storm would have it for ever.
    private static let keptEntries = 1024

    /// Users who are here now, published or not yet.
    package private(set) var onlineCount = 0
    /// The number of this instance's latest change.
    package private(set) var version: Int64 = 0

    /// - Parameter grace: how long a user stays after the last connection.
    package init(grace: Duration = .seconds(10)) { self.grace = grace }

    // MARK: This instance

    /// A connection of a user to this instance was made.
    package mutating func connected(_ user: User) {
        claims(user.id, named: user.name) { person in
            person.choice = person.latest
            person.connections += 1
            person.name = user.name
            person.isEnding = false
        }
        ending[user.id] = nil
    }

    /// A connection of a user to this instance ended.
    package mutating func disconnected(_ user: UserID, now: Instant) {
        guard let person = people[user], person.connections > 0 else { return }
        people[user]?.connections -= 1
        guard person.connections == 1 else { return }
        people[user]?.isEnding = true
        ending[user] = now + grace
    }

    /// A user chose how to show, here. `offline` is not a choice.
    /// - Parameter at: milliseconds since 1970; of two choices the later holds.
    package mutating func choose(_ status: PresenceStatus, for user: UserID, at: Int64) {
        guard status != .offline, let person = people[user], person.isLocal,
            at >= person.latest.at
        else { return }
        claims(user, named: person.name) { $0.choice = Choice(at: at, status: status) }
    }

    /// What has changed in this instance's users and has not been taken, of at most `limit` users; a
    /// number is used up if that is anything.
    package mutating func takeUntold(limit: Int = .max) -> [PresenceClaim] {
        var changes: [PresenceClaim] = []
        let taken = Array(untold.prefix(limit))
        if taken.count == untold.count {
            untold.removeAll(keepingCapacity: untold.count <= PresenceState.keptEntries)
        } else {
            for (user, _) in taken { untold[user] = nil }
        }
        for (user, told) in taken {
            guard let person = people[user] else { continue }
            let claim = person.claim(of: user)
            guard claim != told else { continue }
            changes.append(
                claim
                    ?? PresenceClaim(
                        user: User(id: user, name: person.name), status: .offline))
        }
        for claim in changes where claim.status == .offline { forget(claim.user.id) }
        if !changes.isEmpty { version += 1 }
        return changes
    }

    /// Every user that the others have been told of: what goes with `version`.
    package var told: [PresenceClaim] { people.compactMap { told(of: $0, $1) } }

    private func told(of user: UserID, _ person: Person) -> PresenceClaim? {
        untold[user] ?? person.claim(of: user)
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
        let choice = Choice(at: claim.chosenAt, status: claim.status)
        if let person = people[claim.user.id], person.isLocal, choice > person.choice {
            // Claimed on here, so that it outlives the device it was made on.
            claims(claim.user.id, named: person.name) { $0.choice = choice }
        }
        update(claim.user.id, named: claim.user.name) { person in
            person.elsewhere.removeAll { $0.instance == instance }
            person.elsewhere.append((instance, choice))
        }
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
        for (user, end) in ending where end <= now {
            ending[user] = nil
            guard let name = people[user]?.name else { continue }
            claims(user, named: name) { person in
                person.isEnding = false
                person.choice = Choice()
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
        if changed.isEmpty { changed = Deque() }
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

    /// Changes what this instance claims of a person, and notes what the others still know of them.
    private mutating func claims(
        _ user: UserID, named name: String, _ change: (inout Person) -> Void
    ) {
        if untold[user] == nil { untold[user] = .some(people[user]?.claim(of: user)) }
        update(user, named: name, change)
    }

    /// Changes a person and notes what follows from it.
    private mutating func update(
        _ user: UserID, named name: String, _ change: (inout Person) -> Void
    ) {
        var person = people[user] ?? Person(name: name)
        let wasHere = person.isHere
        change(&person)
        if person.isHere != wasHere { onlineCount += person.isHere ? 1 : -1 }
        if !person.isQueued {
            person.isQueued = true
            changed.append(user)
        }
        people[user] = person
    }

    /// Lets go of somebody who is gone for everybody.
    private mutating func forget(_ user: UserID) {
        guard let person = people[user], !person.isHere, !person.isQueued,
            told(of: user, person) == nil, person.published == .offline
        else { return }
        people[user] = nil
    }
}
