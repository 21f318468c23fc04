// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import DequeModule
internal import HTTPServer
internal import Metrics
internal import Reactor
internal import SocketIOServer
internal import Store
internal import Timing

/// What one loop delivers of a commit, in its order.
enum Delivery: Sendable {
    case entry(LogEntry, Publication)
    case outcome(Ticket, Outcome)
}

/// An event that is not in the log: typing, presence, an alert.
struct LiveEvent: Sendable {
    /// Its room; nil for everybody.
    var room: RoomID?
    /// Whose own clients do not get it.
    var except: UserID?
    var event: String
    var argument: [UInt8]

    /// Whether it may be left out where too much waits: who types is news for a moment. Presence and alerts
    /// are told to everybody they are for.
    var mayBeLost: Bool { event == "typing" }
}

/// The chat on one loop: its clients, the rooms they are in, and the way out for everything that
/// happens in those rooms. All of it is a cache of what the writer decided, kept current by the
/// deliveries, which come in the log's order.
final class LoopChat {
    /// Who is waiting for a command's outcome.
    enum Continuation {
        case session(after: Int64?, formerID: String?)
        case acknowledge(Int?)
    }

    private struct Waiting {
        let client: ChatClient
        let continuation: Continuation
        let isJoin: Bool
    }

    unowned let gateway: Gateway
    private let namespace: LocalNamespace
    private let loop: EventLoop
    private var users: [UserID: Few<ChatClient>] = [:]
    private var waiting: [UInt64: Waiting] = [:]
    private var lastToken: UInt64 = 0
    /// The page of presence that new clients start from.
    private(set) var presence: [UInt8] = Array("{\"online\":0,\"users\":[]}".utf8)

    /// - Parameter sockets: what the chat is served over; its main namespace is the chat's.
    init(gateway: Gateway, sockets: LoopSockets) {
        self.gateway = gateway
        recent = RecentLog(maxBytes: gateway.configuration.recentBytes)
        loop = sockets.loop
        weak var chat: LoopChat?
        namespace = sockets.serve("/") { socket in
            guard let chat else { preconditionFailure("the chat lives as long as its loop") }
            return ChatClient(socket: socket, chat: chat)
        }
        chat = self
        let gauge = gateway.metrics.flushWindow(loop: loop.index)
        var window = Duration.zero
        sockets.flushed = { [unowned sockets, gateway, index = loop.index] deliveries in
            gateway.metrics.deliveries.increment(by: deliveries)
            guard sockets.window.length != window else { return }
            window = sockets.window.length
            gauge.set(Int(window.nanoseconds / 1000))
            gateway.gathers(for: window, loop: index)
        }
    }

    var now: Instant { loop.now }

    // MARK: Clients

    func remember(_ client: ChatClient) {
        users[client.actor.id, default: .none].append(client)
        gateway.metrics.clients.add(1)
    }

    func forget(_ client: ChatClient) {
        let id = client.actor.id
        guard var clients = users[id], let index = clients.firstIndex(where: { $0 === client })
        else {
            return
        }
        clients.remove(at: index)
        users[id] = clients.isEmpty ? nil : clients
        gateway.metrics.clients.add(-1)
        if client.hasBeenLive { gateway.presence.left(client.actor.id) }
    }

    func becameLive(_ client: ChatClient) {
        gateway.presence.joined(client.actor.user)
    }

    func setPresence(_ status: PresenceStatus, of client: ChatClient) {
        gateway.presence.set(status, of: client.actor.id)
    }

    func revoke(_ isRevoked: (ChatClient) -> Bool) {
        for client in Array(users.values.joined()) where isRevoked(client) { client.revoked() }
    }

    // MARK: Commands

    /// Hands a command to the writer. False: it takes no more now, and nothing will come of this one.
    func submit(_ command: Command, by client: ChatClient, then continuation: Continuation) -> Bool
    {
        lastToken += 1
        let ticket = Ticket(loop: Int32(loop.index), token: lastToken)
        let isJoin =
            switch command {
            case .join, .createRoom: true
            default: false
            }
        guard gateway.store.submit(command, actor: client.actor, ticket: ticket) else {
            return false
        }
        waiting[lastToken] = Waiting(
            client: client, continuation: continuation, isJoin: isJoin)
        return true
    }

    // MARK: Deliveries

    /// The latest commit number delivered on this loop.
    private(set) var delivered: Int64 = 0
    private var recent: RecentLog

    /// Takes one commit, in order.
    func deliver(_ deliveries: [Delivery]) {
        for (index, delivery) in deliveries.enumerated() {
            switch delivery {
            case .entry(let entry, let publication):
                deliver(entry, publication, before: deliveries[(index + 1)...])
            case .outcome(let ticket, let outcome):
                if ticket.loop == Int32(loop.index) { complete(ticket.token, outcome) }
            }
        }
    }

    /// The client that asked for a join and is about to be answered: its first live event of the room is
    /// the one after the answer's head.
    /// - Parameter deliveries: what follows the join's own entry. A command's outcome is the first behind
    ///   its entries.
    private func asker(ofJoining room: RoomID, in deliveries: ArraySlice<Delivery>) -> ChatClient? {
        for delivery in deliveries {
            guard case .outcome(let ticket, let outcome) = delivery else { continue }
            guard ticket.loop == Int32(loop.index), case .ok(.room(let detail)) = outcome,
                detail.summary.id == room, let waiting = waiting[ticket.token], waiting.isJoin
            else { return nil }
            return waiting.client
        }
        return nil
    }

    private func deliver(
        _ entry: LogEntry, _ publication: Publication, before later: ArraySlice<Delivery>
    ) {
        delivered = entry.seq
        recent.append(
            .init(
                seq: entry.seq, room: entry.room,
                reader: entry.kind == .receipt ? entry.actor : nil, publication: publication))
        namespace.publish(publication, in: entry.room.rawValue)
        guard entry.kind == .member, let content = try? entry.content(),
            case .member(let action, let user) = content, let clients = users[user.id]
        else { return }
        switch action {
        case .joined:
            let asker = asker(ofJoining: entry.room, in: later)
            for client in clients where client.isInRooms {
                let asked = client === asker
                guard !client.isMember(of: entry.room) else { continue }
                if !asked { client.owe(publication, isOwnRoom: true) }
                client.socket.join(entry.room.rawValue)
                client.membershipChanged(
                    in: entry.room, from: asked ? entry.seq + 1 : entry.seq, isMember: true)
            }
        case .left, .removed:
            for client in clients where client.isMember(of: entry.room) {
                client.socket.leave(entry.room.rawValue)
                client.membershipChanged(in: entry.room, from: entry.seq + 1, isMember: false)
            }
        case .invited:
            for client in clients where !client.isMember(of: entry.room) {
                client.owe(publication, isOwnRoom: false)
            }
        }
    }

    private func complete(_ token: UInt64, _ outcome: Outcome) {
        guard let waiting = waiting.removeValue(forKey: token) else { return }
        let client = waiting.client
        guard client.phase != .closed else { return }
        switch waiting.continuation {
        case .session(let position, let formerID):
            client.opened(outcome, after: position, formerID: formerID)
        case .acknowledge(let id):
            // Another device of theirs may have brought them into the room in this very turn: what
            // the answer's head covers goes before it, so that head + 1 is what follows.
            if waiting.isJoin { client.socket.flushNow() }
            client.completed(outcome, ackID: id)
        }
    }

    // MARK: Fan-out

    /// Sends an event outside the log from this loop to all others, and to other instances.
    func publishLive(_ event: LiveEvent) { gateway.publishLive(event) }

    private struct ToldEvent {
        let publication: Publication
        let except: UserID?
    }

    private var rounds = Rounds<ToldEvent, ChatClient>()

    /// Gives an event outside the log to the clients here, in this turn or, where they are many, over
    /// several.
    func deliverLive(_ event: LiveEvent, _ publication: Publication) {
        let clients: [ChatClient]
        if let id = event.room {
            guard let room = namespace.existingRoom(id.rawValue) else { return }
            clients = room.sockets.compactMap { $0.handler as? ChatClient }
        } else {
            clients = Array(users.values.joined())
        }
        let isTaken = rounds.begin(
            ToldEvent(publication: publication, except: event.except), to: clients,
            mayBeLost: event.mayBeLost, give: LoopChat.tell)
        if !isTaken { gateway.metrics.leftOut.increment() }
    }

    private static func tell(_ event: ToldEvent, _ client: ChatClient) {
        if client.actor.id != event.except { client.sendIfKeepingUp(event.publication) }
    }

    /// The turn ends: goes on with what is given to crowds, and with those who are behind.
    func turnEnds() {
        if !rounds.isEmpty { rounds.goOn(give: LoopChat.tell) }
        pagesGiven = 0
        while pagesGiven < LoopChat.pagesPerTurn, let client = behind.popFirst() {
            client.drained()
        }
        if !rounds.isEmpty || !behind.isEmpty { loop.wake(at: loop.now) }
    }

    /// Takes the page of presence that new clients start from.
    func setPresencePage(_ page: [UInt8]) { presence = page }

    // MARK: Reading

    func readHistory(
        for client: ChatClient, room: RoomID, before: Int64?, after: Int64?, limit: Int, ackID: Int
    ) {
        let mailbox = loop.mailbox
        // The letter that brings the answer finds its client by name: clients never leave their loop.
        let token = park(client)
        let accepted = gateway.reader.history(
            for: client.actor.id, room: room, before: before, after: after, limit: limit
        ) { result, claim in
            // Written here, on the reader's thread: the loop has but to send it.
            let answer = result.map { page in
                var body: [UInt8] = []
                AnswerWriter.write(history: page.messages, hasMore: page.hasMore, into: &body)
                return body
            }
            mailbox.post { loop in
                defer { claim.end() }
                guard let client = LoopChat.of(loop)?.unpark(token) else { return }
                switch answer {
                case .failure(let error): client.acknowledge(ackID, refused: error)
                case .success(let body): client.acknowledge(ackID, ok: body)
                }
                client.finishedRequest()
            }
        }
        if !accepted {
            unpark(token)?.acknowledge(ackID, refused: .busy)
            client.finishedRequest()
        }
    }

    /// Entries in one page for a client that is behind.
    private static let catchUpPage = 256
    /// Pages a turn that are given from memory: some two milliseconds. A fast reader far behind asks for
    /// the next one at once, and a crowd of them would keep the loop from all else.
    private static let pagesPerTurn = 8
    private var pagesGiven = 0
    /// Clients whose next page is in memory, and has to wait for a turn.
    private var behind = Deque<ChatClient>()

    /// Finds a page for a client that is recovering or behind, or reads one.
    /// - Parameter through: the last position of interest; nil for what has been delivered here.
    func readOn(for client: ChatClient, rooms: Set<RoomID>, after: Int64, through: Int64?) {
        let end = through ?? delivered
        guard after < end else {
            return client.tookPage(.init(items: [], through: after), level: delivered)
        }
        if recent.reaches(back: after) {
            guard pagesGiven < LoopChat.pagesPerTurn else {
                behind.append(client)
                return loop.wake(at: loop.now)
            }
            pagesGiven += 1
            let page = recent.page(
                rooms: rooms, after: after, through: end, limit: LoopChat.catchUpPage)
            return client.tookPage(page, level: delivered)
        }
        let gateway = gateway
        let mailbox = loop.mailbox
        let token = park(client)
        let accepted = gateway.reader.missed(
            for: client.actor.id, rooms: rooms, after: after, through: end,
            limit: LoopChat.catchUpPage, maxBytes: CatchUp.pageBytes
        ) { result, claim in
            let page = (try? result.get()).map { page in
                CatchUp.Page(
                    items: page.entries.map {
                        .init(
                            seq: $0.seq, room: $0.room,
                            reader: $0.kind == .receipt ? $0.actor : nil,
                            publication: gateway.publication(of: $0))
                    }, through: page.through)
            }
            mailbox.post { loop in
                defer { claim.end() }
                guard let chat = LoopChat.of(loop), let client = chat.unpark(token) else { return }
                client.tookPage(page, level: chat.delivered)
            }
        }
        if !accepted { unpark(token)?.tookPage(nil, level: delivered) }
    }

    /// Reads which rooms a client's user entered and left while it was away.
    func readMoves(for client: ChatClient, after: Int64, through: Int64) {
        let mailbox = loop.mailbox
        let token = park(client)
        let accepted = gateway.reader.moves(of: client.actor.id, after: after, through: through) {
            result, claim in
            mailbox.post { loop in
                defer { claim.end() }
                LoopChat.of(loop)?.unpark(token)?.tookMoves(try? result.get())
            }
        }
        if !accepted { unpark(token)?.tookMoves(nil) }
    }

    private var parked: [UInt64: ChatClient] = [:]

    private func park(_ client: ChatClient) -> UInt64 {
        lastToken += 1
        parked[lastToken] = client
        return lastToken
    }

    /// The client that waits under a token; nil when it has gone.
    private func unpark(_ token: UInt64) -> ChatClient? {
        guard let client = parked.removeValue(forKey: token), client.phase != .closed else {
            return nil
        }
        return client
    }

    /// The chat of a loop.
    static func of(_ loop: EventLoop) -> LoopChat? {
        ((loop.attachment as? LoopServer)?.streams as? ChatStreams)?.chat
    }
}
