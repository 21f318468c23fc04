// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import JSON
internal import Metrics
internal import Reactor
internal import Locks
internal import Synchronization
internal import Timing

/// Presence of the whole system as this process knows it: counts what the loops report, hears what
/// other instances tell, and once a second hands out what has changed, at most `maxChanges` of it.
/// So the N-th client costs everybody one entry, and a storm of them so many a second and no more.
///
/// Between instances, on `chat:presence`, each payload with `"instance"` and that one's `"version"`:
///
///     {"users":[…]}                  what has changed, as change number `version`
///     {}                             nothing has: the lease of all its users is renewed
///     {"part":0,"isLast":b,"users":[…]}   everything as of `version`, a part of it
///     {"ask":"i"}                    instance i, or everyone when it is empty: tell everything
///
/// Everything but "everything" costs what changed, not how many users there are.
final class PresenceHub: Sendable {
    /// What a tick brings.
    struct Update: Sendable {
        /// `{"online":n,"users":[…]}`: what new clients start from.
        var page: [UInt8]
        /// `{"online":n,"changes":[…]}` for everybody.
        var changes: [UInt8]
    }

    /// Users in the page of a new client: above it, counts tell the rest.
    static let pageCount = 200
    /// Changes in one batch, about 13 KB; the rest come with the next ones.
    static let maxChanges = 200
    /// How long what an instance told holds without a word from it: the grace of its users, for whom a
    /// lost instance is a lost connection. Renewed three times within.
    static let lease: Duration = .seconds(10)
    /// Ticks between two renewals.
    private static let beatTicks = 3
    /// Users in one payload: however many come at once, saying so costs no more memory than this many.
    private static let partCount = 500

    private struct State {
        var presence: PresenceState
        /// Instances of which something was missed.
        var gaps: Set<String> = []
        /// Whether somebody wants to hear everything.
        var isAsked = false
    }

    private let instance: String
    /// What our own payloads begin with.
    private let opening: [UInt8]
    private let bus: any Bus
    private let state: Locked<State>
    private let ticker = Locked<WorkerThread?>(nil)
    private let isStopping = Atomic(false)
    private let snapshots: Counter

    /// - Parameter grace: how long a user stays after the last connection.
    init(
        instance: String, bus: any Bus, metrics: MetricsRegistry, grace: Duration = .seconds(10)
    ) {
        self.instance = instance
        var opening: [UInt8] = []
        opening.append("{\"instance\":")
        JSONString.write(instance, into: &opening)
        self.opening = opening
        self.bus = bus
        state = Locked(State(presence: PresenceState(grace: grace)))
        snapshots = metrics.counter(
            "chat_presence_snapshots_total",
            help: "Times all users were told to other instances: one started, or missed something.")
        metrics.gauge("chat_presence_users", help: "Users here now, over all instances.") {
            [weak self] in Double(self?.state.withLock { $0.presence.onlineCount } ?? 0)
        }
    }

    // MARK: From the loops

    func joined(_ user: User) { state.withLock { $0.presence.connected(user) } }

    func left(_ user: UserID) {
        let now = SystemClock.now()
        state.withLock { $0.presence.disconnected(user, now: now) }
    }

    func set(_ status: PresenceStatus, of user: UserID) {
        let at = SystemClock.timestamp().milliseconds
        state.withLock { $0.presence.choose(status, for: user, at: at) }
    }

    // MARK: Other instances

    /// Takes a payload of the channel.
    func heard(_ payload: [UInt8]) {
        // The bus brings back what it was given.
        guard !payload.starts(with: opening), let value = try? JSONValue(parsing: payload),
            let sender = value["instance"]?.string, sender != instance
        else { return }
        if let asked = value["ask"]?.string {
            if asked.isEmpty || asked == instance { state.withLock { $0.isAsked = true } }
            return
        }
        guard let version = value["version"]?.int else { return }
        let lease = SystemClock.now() + PresenceHub.lease
        let claims = value["users"]?.array?.compactMap { PresenceClaim($0) }
        let part = value["part"]?.int
        let isLast = value["isLast"]?.bool ?? false
        state.withLock { state in
            let heard =
                if let part {
                    state.presence.heard(
                        sender, snapshot: claims ?? [], isFirst: part == 0, isLast: isLast,
                        version: version, until: lease)
                } else if let claims {
                    state.presence.heard(
                        sender, changes: claims, version: version, until: lease)
                } else {
                    state.presence.heard(sender, version: version, until: lease)
                }
            if heard == .gap { state.gaps.insert(sender) }
        }
    }

    private func tell(_ more: String, _ claims: [PresenceClaim]? = nil) {
        var payload = opening
        payload.append(more)
        if let claims {
            payload.append(",\"users\":[")
            for (index, claim) in claims.enumerated() {
                if index > 0 { payload.append(",") }
                PresenceHub.write(claim.user, claim.status, into: &payload)
                if claim.chosenAt != 0 {
                    payload.removeLast()
                    payload.append(",\"at\":\(claim.chosenAt)}")
                }
            }
            payload.append("]")
        }
        payload.append("}")
        bus.publish(BusChannel.chatPresence, payload)
    }

    /// Says what others need to hear in this tick.
    private func talk(_ tick: Int) {
        let gaps = state.withLock { state in
            defer { state.gaps = [] }
            return state.gaps
        }
        // Who starts knows nobody, and those who run do not know it: a beat makes them ask.
        if tick == 1 { tell(",\"ask\":\"\"") }
        for other in gaps {
            var text: [UInt8] = []
            JSONString.write(other, into: &text)
            tell(",\"ask\":" + String(decoding: text, as: UTF8.self))
        }
        if !tellChanges(), tick % PresenceHub.beatTicks == 1 {
            tell(",\"version\":\(state.withLock { $0.presence.version })")
        }
        let (everything, version) = state.withLock { state in
            defer { state.isAsked = false }
            return (state.isAsked ? state.presence.told : nil, state.presence.version)
        }
        guard let everything else { return }
        snapshots.increment()
        var part = 0
        repeat {
            let start = part * PresenceHub.partCount
            let end = min(start + PresenceHub.partCount, everything.count)
            tell(
                ",\"version\":\(version),\"part\":\(part),\"isLast\":\(end == everything.count)",
                Array(everything[start..<end]))
            part += 1
        } while part * PresenceHub.partCount < everything.count
    }

    /// Says what has changed.
    /// - Returns: false when nothing has.
    private func tellChanges() -> Bool {
        var hasTold = false
        while true {
            let (claims, version) = state.withLock { state in
                let claims = state.presence.takeUntold(limit: PresenceHub.partCount)
                return (claims, state.presence.version)
            }
            if claims.isEmpty { return hasTold }
            tell(",\"version\":\(version)", claims)
            hasTold = true
        }
    }

    // MARK: Ticks

    /// Begins to listen and to tick; `update` is called on the hub's own thread.
    func start(_ update: @escaping @Sendable (Update) -> Void) {
        bus.subscribe(BusChannel.chatPresence) { [weak self] payload in self?.heard(payload) }
        ticker.withLock {
            $0 = WorkerThread(name: "presence") { [self] in
                var count = 0
                while !isStopping.load(ordering: .relaxed) {
                    // In slices, so that a stop need not wait for the whole second.
                    SystemClock.sleep(.milliseconds(50))
                    count += 1
                    if count % 20 == 0 { tick(count / 20, now: SystemClock.now(), update) }
                }
            }
        }
    }

    /// Ends the ticks.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        ticker.withLock { $0 }?.join()
    }

    /// One tick; `count` is its number from 1.
    func tick(_ count: Int, now: Instant, _ update: (Update) -> Void) {
        let (changes, page, online) = state.withLock { state in
            let changes = state.presence.tick(now: now, limit: PresenceHub.maxChanges)
            let page = changes.isEmpty ? [] : state.presence.page(limit: PresenceHub.pageCount)
            return (changes, page, state.presence.onlineCount)
        }
        talk(count)
        guard !changes.isEmpty else { return }
        update(
            Update(
                page: PresenceHub.text(online, "users", page),
                changes: PresenceHub.text(online, "changes", changes)))
    }

    private static func text(
        _ online: Int, _ name: String, _ users: [(user: User, status: PresenceStatus)]
    ) -> [UInt8] {
        var output: [UInt8] = []
        output.append("{\"online\":\(online),\"\(name)\":[")
        for (index, entry) in users.enumerated() {
            if index > 0 { output.append(",") }
            write(entry.user, entry.status, into: &output)
        }
        output.append("]}")
        return output
    }

    private static func write(
        _ user: User, _ status: PresenceStatus, into output: inout [UInt8]
    ) {
        output.append("{\"id\":")
        JSONString.write(user.id.rawValue, into: &output)
        output.append(",\"name\":")
        JSONString.write(user.name, into: &output)
        output.append(",\"state\":\"\(status.rawValue)\"}")
    }
}

extension PresenceClaim {
    /// Reads `{"id","name","state","at"?}`; nil when it is not one.
    fileprivate init?(_ value: JSONValue) {
        guard let id = value["id"]?.string, let name = value["name"]?.string,
            let status = value["state"]?.string.flatMap({ PresenceStatus(rawValue: $0) })
        else { return nil }
        self.init(
            user: User(id: UserID(id), name: name), status: status,
            chosenAt: value["at"]?.int ?? 0)
    }
}
