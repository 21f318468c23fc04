// SPDX-License-Identifier: MIT
internal import Bytes
package import ChatCore
internal import HTTPServer
internal import JSON
internal import JWT
package import Metrics
internal import Reactor
package import ServiceRuntime
internal import SocketIOServer
package import Store
internal import Locks
internal import Timing

/// The chat behind the wire, over all loops: gets what the writer committed and gives each loop its
/// share, once a loop and commit. Knows both wire and domain; owns neither.
package final class Gateway: CommitObserver, Sendable {
    package let configuration: GatewayConfiguration
    let authority: TokenAuthority
    let metrics: GatewayMetrics
    let recovery: RecoveryToken
    /// What follows the number in every offset.
    let offsetSuffix: [UInt8]
    let presence: PresenceHub
    /// Nil when limits are off.
    let limiter: UserLimiter?
    private let bus: any Bus
    private let feed = LogFeed()
    private let wiring = Locked(Wiring())
    /// Loops that gather publications, and for how long.
    private let windows = Locked<[Int: Duration]>([:])

    private struct Wiring {
        var store: ChatStore?
        var reader: ChatReader?
        var mailboxes: [Mailbox] = []
        var replies: [UInt64: @Sendable (Outcome) -> Void] = [:]
        var lastReply: UInt64 = 0
    }

    /// The loop number of commands that came over REST.
    private static let restLoop: Int32 = -1

    package init(
        _ configuration: GatewayConfiguration, authority: TokenAuthority, bus: any Bus,
        metrics: MetricsRegistry
    ) {
        self.configuration = configuration
        self.authority = authority
        self.bus = bus
        self.metrics = GatewayMetrics(metrics)
        recovery = RecoveryToken(key: configuration.recoveryKey)
        offsetSuffix = LogCursor.suffix(of: configuration.epoch)
        presence = PresenceHub(instance: configuration.instance, bus: bus, metrics: metrics)
        let limits = configuration.limits
        limiter =
            configuration.isUnlimited
            ? nil : UserLimiter(rate: limits.messagesPerSecond, burst: limits.requestBurst)
    }

    /// Ties the gateway to the store that it observes. Before `start`.
    package func attach(store: ChatStore, reader: ChatReader) {
        wiring.withLock {
            $0.store = store
            $0.reader = reader
        }
    }

    /// A loop begins to serve clients: from here on it gets what is committed.
    func serves(_ mailbox: Mailbox) { wiring.withLock { $0.mailboxes.append(mailbox) } }

    /// Begins to listen to other instances and to tell presence.
    package func start() {
        bus.subscribe(BusChannel.chatLog) { [weak self] payload in self?.announced(payload) }
        bus.subscribe(BusChannel.chatLive) { [weak self] payload in self?.heard(payload) }
        authority.onRevocation { [weak self] revocation in self?.revoked(revocation) }
        presence.start { [weak self] update in self?.presenceChanged(update) }
        feed.start(reader)
    }

    /// Lets go of whoever waits for the log. The server's own draining lets the clients go.
    package func drain() { feed.drain(reader) }

    /// Ends what `start` began.
    package func stop() {
        presence.stop()
        feed.stop()
    }

    var store: ChatStore {
        guard let store = wiring.withLock({ $0.store }) else {
            preconditionFailure("attach comes first")
        }
        return store
    }

    var reader: ChatReader {
        guard let reader = wiring.withLock({ $0.reader }) else {
            preconditionFailure("attach comes first")
        }
        return reader
    }

    // MARK: Commits

    /// A loop has changed how long it gathers publications. What is committed meanwhile is delivered when
    /// that is over, so commits may gather, too: for half of it, which is what it may add to an answer.
    func gathers(for window: Duration, loop: Int) {
        let longest = windows.withLock { windows in
            windows[loop] = window == .zero ? nil : window
            return windows.values.max() ?? .zero
        }
        store.gather(for: longest / 2)
    }

    package func committed(_ items: [CommitItem]) {
        var deliveries: [Delivery] = []
        deliveries.reserveCapacity(items.count)
        var count = 0
        for item in items {
            switch item {
            case .entry(let entry):
                count += 1
                if entry.kind.isEvent { deliveries.append(.entry(entry, publication(of: entry))) }
            case .outcome(let ticket, let outcome):
                if ticket.loop == Gateway.restLoop {
                    let reply = wiring.withLock { $0.replies.removeValue(forKey: ticket.token) }
                    reply?(outcome)
                } else {
                    deliveries.append(.outcome(ticket, outcome))
                }
            }
        }
        metrics.publications.increment(by: count)
        if !deliveries.isEmpty {
            toLoops { [deliveries] chat in chat.deliver(deliveries) }
        }
        if count > 0 { feed.committed(reader) }
    }

    /// An event of the log, encoded once for all.
    func publication(of entry: LogEntry) -> Publication {
        Publication(entry, offsetSuffix: offsetSuffix)
    }

    private func toLoops(_ deliver: @escaping @Sendable (LoopChat) -> Void) {
        for mailbox in wiring.withLock({ $0.mailboxes }) {
            mailbox.post { loop in
                if let chat = LoopChat.of(loop) { deliver(chat) }
            }
        }
    }

    /// Another instance has committed: the store has what it said.
    private func announced(_ payload: [UInt8]) {
        guard let announcement = LogAnnouncement(payload),
            announcement.instance != configuration.instance
        else { return }
        metrics.announcements.increment()
        let head = store.head
        // Heard by the other way already, or found by looking.
        guard announcement.last > head else { return }
        if announcement.first > head + 1 { metrics.gaps.increment() }
        metrics.pulls.increment()
        store.catchUp()
    }

    // MARK: REST

    /// Answers with a page of the log (`GET /internal/log`).
    func readLog(after: Int64, limit: Int, wait: Duration, reply: @escaping Router.Reply) {
        feed.read(reader, after: after, limit: limit, wait: wait, reply: reply)
    }

    /// Gives a command to the writer and calls back on the writer's thread.
    /// - Returns: false when the queue is full; nothing will be called then.
    func submit(
        _ command: Command, actor: Actor, reply: @escaping @Sendable (Outcome) -> Void
    ) -> Bool {
        let token = wiring.withLock { wiring in
            wiring.lastReply += 1
            wiring.replies[wiring.lastReply] = reply
            return wiring.lastReply
        }
        let ticket = Ticket(loop: Gateway.restLoop, token: token)
        if store.submit(command, actor: actor, ticket: ticket) { return true }
        _ = wiring.withLock { $0.replies.removeValue(forKey: token) }
        return false
    }

    // MARK: What is not in the log

    /// Sends an event outside the log to the clients of every loop and instance.
    func publishLive(_ event: LiveEvent) {
        deliverLive(event)
        bus.publish(
            BusChannel.chatLive, LiveEnvelope.encode(event, instance: configuration.instance))
    }

    private func deliverLive(_ event: LiveEvent) {
        let publication = Publication(event)
        toLoops { $0.deliverLive(event, publication) }
    }

    private func heard(_ payload: [UInt8]) {
        guard let value = try? JSONValue(parsing: payload),
            value["instance"]?.string != configuration.instance
        else { return }
        if let event = LiveEnvelope.decode(value) { deliverLive(event) }
    }

    private func presenceChanged(_ update: PresenceHub.Update) {
        toLoops { $0.setPresencePage(update.page) }
        deliverLive(LiveEvent(room: nil, except: nil, event: "presence", argument: update.changes))
    }

    private func revoked(_ revocation: Revocation) {
        toLoops { chat in
            chat.revoke { $0.isCovered(by: revocation) }
        }
    }
}

/// Events outside the log between instances: `{"instance","room","except","event","argument"}`.
enum LiveEnvelope {
    static func encode(_ event: LiveEvent, instance: String) -> [UInt8] {
        var output: [UInt8] = []
        let head: JSONValue = [
            "instance": .string(instance), "room": event.room.map { .string($0.rawValue) } ?? .null,
            "except": event.except.map { .string($0.rawValue) } ?? .null,
            "event": .string(event.event),
        ]
        output.append(contentsOf: head.bytes.dropLast())
        output.append(",\"argument\":")
        output.append(contentsOf: event.argument)
        output.append("}")
        return output
    }

    static func decode(_ value: JSONValue) -> LiveEvent? {
        guard let event = value["event"]?.string, let argument = value["argument"],
            argument.object != nil
        else { return nil }
        return LiveEvent(
            room: value["room"]?.string.map { RoomID($0) },
            except: value["except"]?.string.map { UserID($0) }, event: event,
            argument: argument.bytes)
    }
}
