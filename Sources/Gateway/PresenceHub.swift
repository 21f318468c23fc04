// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import JSON
internal import Reactor
internal import Synchronization
internal import Timing

/// Presence of the whole system as this process knows it: counts what the loops report, hears what
/// other instances tell, and once a second hands out what has changed, at most `maxChanges` of it by
/// name. So the N-th client costs everybody one entry, and a storm of them one batch a second.
final class PresenceHub: Sendable {
    /// What a tick brings.
    struct Update: Sendable {
        /// `{"online":n,"users":[…]}`: what new clients start from.
        var page: [UInt8]
        /// `{"online":n,"changes":[…]}` for everybody; nil when nothing changed.
        var changes: [UInt8]?
    }

    /// Users in the page of a new client: above it, counts tell the rest.
    static let pageCount = 200
    /// Changes named in one batch: a storm's rest shows in the count.
    static let maxChanges = 200
    /// How long what an instance told holds; told again every third of it.
    static let lease: Duration = .seconds(15)

    private let instance: String
    private let bus: any Bus
    private let state = Mutex(PresenceState())
    private let ticker = Mutex<WorkerThread?>(nil)
    private let isStopping = Atomic(false)

    init(instance: String, bus: any Bus) {
        self.instance = instance
        self.bus = bus
    }

    // MARK: From the loops

    func joined(_ user: User) { state.withLock { $0.connected(user) } }

    func left(_ user: UserID) {
        let now = SystemClock.now()
        state.withLock { $0.disconnected(user, now: now) }
    }

    func set(_ status: PresenceStatus, of user: UserID) {
        state.withLock { $0.choose(status, for: user) }
    }

    // MARK: Other instances

    /// Takes what another instance told of its users: `{"instance","presence":[{id,name,state}]}`.
    func heard(_ value: JSONValue) {
        guard let instance = value["instance"]?.string, let users = value["presence"]?.array else {
            return
        }
        let now = SystemClock.now()
        state.withLock { state in
            for user in users {
                guard let id = user["id"]?.string, let name = user["name"]?.string,
                    let status = user["state"]?.string.flatMap({ PresenceStatus(rawValue: $0) })
                else { continue }
                let known = User(id: UserID(id), name: name)
                if status == .offline {
                    state.heard(instance, lost: known.id, now: now)
                } else {
                    state.heard(instance, has: [(known, status)], until: now + PresenceHub.lease)
                }
            }
        }
    }

    private func tell(_ users: [(user: User, status: PresenceStatus)]) {
        guard !users.isEmpty, bus.isConnected else { return }
        var payload: [UInt8] = []
        payload.append("{\"instance\":")
        JSONString.write(instance, into: &payload)
        payload.append(",\"presence\":")
        PresenceHub.write(users, into: &payload)
        payload.append("}")
        bus.publish(BusChannel.chatLive, payload)
    }

    // MARK: Ticks

    /// Begins to tick; `update` is called on the hub's own thread.
    func start(_ update: @escaping @Sendable (Update) -> Void) {
        ticker.withLock {
            $0 = WorkerThread(name: "presence") { [self] in
                var count = 0
                while !isStopping.load(ordering: .relaxed) {
                    // In slices, so that a stop need not wait for the whole second.
                    SystemClock.sleep(.milliseconds(50))
                    count += 1
                    if count % 20 == 0 { tick(tellsAll: count % 100 == 0, update) }
                }
            }
        }
    }

    /// Ends the ticks.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        ticker.withLock { $0 }?.join()
    }

    private func tick(tellsAll: Bool, _ update: (Update) -> Void) {
        let now = SystemClock.now()
        let (changes, page, online, local) = state.withLock { state in
            let changes = state.tick(now: now)
            let page = changes.isEmpty ? nil : state.page(limit: PresenceHub.pageCount)
            return (changes, page, state.onlineCount, tellsAll ? state.local : [])
        }
        // Changes of other instances' users go round again; the lease they carry is theirs.
        tell(tellsAll ? local : changes.filter { $0.status == .offline || isLocal($0.user.id) })
        guard let page else { return }
        update(
            Update(
                page: PresenceHub.text(online, "users", page),
                changes: PresenceHub.text(
                    online, "changes", Array(changes.prefix(PresenceHub.maxChanges)))))
    }

    private func isLocal(_ user: UserID) -> Bool {
        state.withLock { $0.isLocal(user) }
    }

    private static func text(
        _ online: Int, _ name: String, _ users: [(user: User, status: PresenceStatus)]
    ) -> [UInt8] {
        var output: [UInt8] = []
        output.append("{\"online\":\(online),\"\(name)\":")
        write(users, into: &output)
        output.append("}")
        return output
    }

    private static func write(
        _ users: [(user: User, status: PresenceStatus)], into output: inout [UInt8]
    ) {
        output.append("[")
        for (index, entry) in users.enumerated() {
            if index > 0 { output.append(",") }
            output.append("{\"id\":")
            JSONString.write(entry.user.id.rawValue, into: &output)
            output.append(",\"name\":")
            JSONString.write(entry.user.name, into: &output)
            output.append(",\"state\":\"\(entry.status.rawValue)\"}")
        }
        output.append("]")
    }
}
