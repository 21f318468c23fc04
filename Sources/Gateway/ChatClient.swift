// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import EngineIO
internal import EngineIOServer
internal import HTTPServer
internal import JSON
internal import JWT
internal import Metrics
internal import ServiceRuntime
internal import SocketIO
internal import Timing

/// One Socket.IO client in the main namespace, on its loop.
///
///     awaiting CONNECT ──token good──► opening ──snapshot──► [recovering ──missed──►] live ◄──┐
///         │  ▲                            │                                            │  │     │ level
///         │  └──── CONNECT_ERROR ◄────────┘                                            │  ▼     │
///         └──────────── connectTimeout, malformed packet, expiry, kick ────────────────┤ behind ┘
///                                                                                      ▼
///                                                                                    closed
///
/// A client for which too much waits falls behind: what happens meanwhile is not queued for it but
/// read from the log, a page whenever the transport has taken the last one, until it is level.
final class ChatClient: EngineDelegate {
    enum Phase { case awaitingConnect, opening, recovering, live, behind, closed }

    /// What a token must carry to take part. Tokens for the services' own talk lack it.
    static let scope = "chat"

    /// A room the client is in, and its place in that room's member list.
    struct Membership {
        let room: LocalRoom
        var index: Int
    }

    private(set) unowned var connection: EngineConnection
    unowned let chat: LoopChat
    private(set) var phase = Phase.awaitingConnect
    private var decoder: SocketDecoder

    private(set) var actor = Actor(id: "", name: "")
    private(set) var claims: AccessTokenClaims?
    /// The public socket id; empty before CONNECT.
    private(set) var socketID = ""
    private var privateID = ""
    /// Whether events carry the recovery offset (see `Publication`).
    private(set) var keepsOffset = false
    /// The state the client starts from, until it has been sent.
    private var snapshot: SessionSnapshot?

    private(set) var memberships: [Membership] = []
    /// Rooms with something for this client in the turn under way.
    var pendingRooms: [(room: LocalRoom, first: Int)] = []
    /// Publications of the turn under way that are for this client alone: of a room it is leaving, or
    /// not in.
    private var owed: [Publication] = []
    /// Whether the end of the turn has something for this client.
    var isTouched = false
    /// Live publications that came while missed ones were being read.
    private var held: [Publication] = []
    /// Where a client that is behind has got to in the log.
    private var position: Int64 = 0
    /// Publications up to here have come from the log already; 0 when none of them can come again.
    private var skipThrough: Int64 = 0
    /// Rooms entered and left while behind.
    private var changes: [MembershipChange] = []
    /// What waited when the client had been given its replay, or a page: it asked for none of that.
    private var replayBytes = 0
    /// Counts CONNECT and DISCONNECT: tells answers to this session from those to the one before.
    private(set) var session: UInt32 = 0

    private var bucket: UserBucket?
    private var wasWarned = false
    /// Whether presence counts this client.
    private(set) var hasBeenLive = false

    init(connection: EngineConnection, chat: LoopChat) {
        self.connection = connection
        self.chat = chat
        decoder = SocketDecoder(limits: SocketLimits())
        connection.deadline = chat.now + chat.gateway.configuration.connectTimeout
    }

    // MARK: EngineDelegate

    func received(text: Span<UInt8>) {
        guard !isGreedy else { return connection.close(.tooSlow) }
        do {
            switch try decoder.text(text) {
            case .packet(let packet): try received(packet, in: text)
            case .awaitingAttachments: break
            case .binaryPacket(let packet, let text, _): try received(packet, in: text.span)
            }
        } catch {
            connection.close(.protocolError)
        }
    }

    func received(binary: Span<UInt8>) {
        // Attachments are kept until all are there: not for somebody who has not signed in.
        guard isOpen || phase == .recovering, !isGreedy else {
            return connection.close(.protocolError)
        }
        do {
            // No event of ours takes attachments: their placeholders fail as wrong types.
            if case .binaryPacket(let packet, let text, _) = try decoder.binary(binary.array()) {
                try received(packet, in: text.span)
            }
        } catch {
            connection.close(.protocolError)
        }
    }

    func drained() {
        if phase == .behind { chat.readOn(for: self, after: position) }
    }

    func closed() {
        guard phase != .closed else { return }
        let wasKnown = phase != .awaitingConnect
        phase = .closed
        session += 1
        leaveAllRooms()
        held = []
        if wasKnown { chat.forget(self) }
    }

    func deadlinePassed(now: Instant) {
        switch phase {
        case .awaitingConnect, .opening, .recovering: connection.close(.protocolError)
        case .live, .behind: tokenDeadlinePassed()
        case .closed: break
        }
    }

    // MARK: Packets

    private func received(_ packet: SocketPacket, in text: Span<UInt8>) throws(SocketError) {
        guard packet.namespace == "/" else {
            guard packet.type == .connect else { throw .invalidPayload }
            var reply: [UInt8] = []
            SocketEncoder.connectError(
                namespace: packet.namespace, message: "Invalid namespace", data: nil, into: &reply)
            return connection.send(text: reply)
        }
        switch (packet.type, phase) {
        case (.connect, .awaitingConnect): connect(packet, in: text)
        case (.event, .live), (.binaryEvent, .live), (.event, .behind), (.binaryEvent, .behind):
            guard let data = packet.data else { throw .invalidPayload }
            let event = try EventArguments.split(text, in: data)
            handle(event, ackID: packet.ackID, in: text)
        // An event sent before our CONNECT is out: the snapshot it builds on is not there yet.
        case (.event, .recovering), (.binaryEvent, .recovering):
            if let ackID = packet.ackID {
                acknowledge(
                    ackID, refused: ChatError(.busy, "Still connecting.", retryAfterMs: 100))
            }
        case (.ack, .live), (.binaryAck, .live), (.ack, .behind), (.binaryAck, .behind),
            (.ack, .recovering):
            break
        case (.disconnect, .live), (.disconnect, .behind), (.disconnect, .recovering),
            (.disconnect, .opening):
            disconnected()
        case (.disconnect, .awaitingConnect): break
        default: throw .invalidPayload
        }
    }

    /// The client left the namespace; its transport stays, and must connect again in time.
    private func disconnected() {
        leaveAllRooms()
        held = []
        chat.forget(self)
        hasBeenLive = false
        phase = .awaitingConnect
        session += 1
        claims = nil
        bucket = nil
        connection.deadline = chat.now + chat.gateway.configuration.connectTimeout
    }

    // MARK: Connecting

    private func connect(_ packet: SocketPacket, in text: Span<UInt8>) {
        var token: String?
        var privateID: String?
        var offset: Int64?
        var cursor: Int64?
        var recovery: Bool?
        if let data = packet.data, let auth = try? JSONObjectSlices(text, in: data) {
            token = auth.string("token", in: text)
            privateID = auth.string("pid", in: text)
            offset = auth.string("offset", in: text).flatMap { Int64($0) }
            cursor =
                auth.string("cursor", in: text).flatMap { Int64($0) }
                ?? auth.count("cursor", in: text).map { Int64($0) }
            recovery = auth.bool("recovery", in: text)
        }
        guard let token, !token.isEmpty else {
            return refuseConnect("unauthorized", "A token is needed: auth.token.")
        }
        let claims: AccessTokenClaims
        switch chat.gateway.authority.verify(Array(token.utf8)) {
        case .success(let verified): claims = verified
        case .failure(let refusal):
            return refuseConnect(refusal.rawValue, refusal.message)
        }
        guard claims.has(scope: ChatClient.scope) else {
            return refuseConnect(
                "insufficient_scope", "The token lacks the scope \(ChatClient.scope).")
        }
        actor = Actor(id: UserID(claims.subject), name: claims.name, roles: claims.roles)
        self.claims = claims
        wasWarned = false
        bucket = chat.gateway.limiter?.bucket(of: actor.id)
        keepsOffset =
            recovery ?? (privateID != nil || OffsetSupport.isLikely(query: connection.query))
        let resumed = privateID.flatMap {
            chat.gateway.recovery.socketID(of: $0, user: claims.subject)
        }
        socketID = resumed ?? RecoveryToken.makeSocketID()
        self.privateID = chat.gateway.recovery.issue(socketID: socketID, user: claims.subject)
        phase = .opening
        let isResumed = resumed != nil && offset != nil
        let position = isResumed ? offset : cursor
        guard
            chat.submit(
                .openSession, by: self, then: .session(after: position, isResumed: isResumed))
        else {
            phase = .awaitingConnect
            return refuseConnect(ChatError.busy.code.rawValue, ChatError.busy.message)
        }
        chat.remember(self)
    }

    private func refuseConnect(_ code: String, _ message: String) {
        var reply: [UInt8] = []
        SocketEncoder.connectError(
            namespace: "/", message: code,
            data: ["code": .string(code), "message": .string(message)], into: &reply)
        connection.send(text: reply)
    }

    /// The writer's answer to the sign-in: the client's rooms at one point of the log. Events after
    /// that point reach the client from here on.
    func opened(_ outcome: Outcome, after position: Int64?, isResumed: Bool) {
        guard phase == .opening else { return }
        guard case .ok(.session(let snapshot)) = outcome else {
            chat.forget(self)
            phase = .awaitingConnect
            guard case .refused(let error) = outcome else { return }
            return refuseConnect(error.code.rawValue, error.message)
        }
        self.snapshot = snapshot
        for room in snapshot.rooms { join(chat.room(room.id)) }
        let limit = chat.gateway.configuration.limits.replayEvents
        guard let position, position <= snapshot.seq, position >= 0,
            snapshot.seq - position <= Int64(limit)
        else {
            return becomeLive(missed: [], isRecovered: false)
        }
        phase = .recovering
        if position == snapshot.seq { return becomeLive(missed: [], isRecovered: isResumed) }
        chat.readMissed(
            for: self, rooms: snapshot.rooms.map(\.id), after: position, upTo: snapshot.seq,
            isResumed: isResumed)
    }

    /// What was missed has been read, or could not be.
    func caughtUp(_ missed: [LogEntry]?, isResumed: Bool) {
        guard phase == .recovering else { return }
        becomeLive(missed: missed ?? [], isRecovered: isResumed && missed != nil)
    }

    /// Sends, in this order: what was missed, CONNECT, `session`, what came meanwhile. Clients keep
    /// events that arrive before CONNECT and deliver them after it, as the reference server expects.
    private func becomeLive(missed: [LogEntry], isRecovered: Bool) {
        guard let snapshot else { return }
        skipThrough = 0
        if !isRecovered, let claims {
            // A client takes itself for recovered when the private id comes back unchanged.
            socketID = RecoveryToken.makeSocketID()
            privateID = chat.gateway.recovery.issue(socketID: socketID, user: claims.subject)
        }
        for entry in missed {
            connection.send(text: Publication(entry).packet(keepsOffset: keepsOffset))
        }
        var reply: [UInt8] = []
        SocketEncoder.connect(namespace: "/", sid: socketID, pid: privateID, into: &reply)
        connection.send(text: reply)
        phase = .live
        var session: [UInt8] = []
        SessionEvent.write(
            snapshot, expiresAt: claims?.expiresAt, presence: chat.presence,
            limits: chat.gateway.configuration.limits, into: &session)
        send(event: "session", argument: session, offset: snapshot.seq)
        self.snapshot = nil
        armTokenDeadline()
        let held = held
        self.held = []
        for publication in held {
            connection.send(text: publication.packet(keepsOffset: keepsOffset))
        }
        replayBytes = connection.queuedBytes
        hasBeenLive = true
        chat.becameLive(self)
    }

    // MARK: Sending

    /// Whether the client has its `session` and may ask.
    var isOpen: Bool { phase == .live || phase == .behind }

    /// Sends one event of this client's own, also when it is behind: control is never queued behind
    /// messages.
    func send(event: String, argument: [UInt8], offset: Int64? = nil) {
        guard isOpen else { return }
        var packet: [UInt8] = []
        Publication.write(
            event: event, argument: argument.span, offset: keepsOffset ? offset : nil, into: &packet
        )
        connection.send(text: packet)
    }

    /// Sends one publication at once, outside the turn's batches.
    func send(_ publication: Publication) {
        guard phase == .live else { return }
        let encoded = publication.encoded(keepsOffset: keepsOffset)
        connection.send(
            frames: encoded.frame, range: 0..<encoded.frame.bytes.count,
            packets: CollectionOfOne(encoded.packet))
    }

    /// Whether far more waits than the client may keep waiting: it asks, and does not take the answers.
    private var isGreedy: Bool {
        connection.queuedBytes - replayBytes > 4 * chat.gateway.configuration.maxQueuedBytes
    }

    /// Sends an event outside the log, which may be lost by design: a client that is behind with the
    /// log's goes without.
    func sendIfKeepingUp(_ publication: Publication) {
        if connection.queuedBytes <= chat.gateway.configuration.maxQueuedBytes { send(publication) }
    }

    /// Puts by a publication for this client alone, to be sent in its place among the turn's.
    /// - Parameter isOwnRoom: whether it is of a room of the client's, which the log brings when the
    ///   client is behind.
    func owe(_ publication: Publication, isOwnRoom: Bool) {
        switch phase {
        case .live, .recovering:
            chat.owes(self)
            owed.append(publication)
        case .behind: if !isOwnRoom { owed.append(publication) }
        case .awaitingConnect, .opening, .closed: break
        }
    }

    /// Sends what the turn brought in the client's rooms: by reference when it all came in one room,
    /// gathered in the log's order when in several, so that the last offset covers all before it.
    func flushTurn() {
        defer {
            isTouched = false
            pendingRooms.removeAll(keepingCapacity: true)
        }
        switch phase {
        case .live: break
        case .opening, .recovering: return hold()
        // The log has them; they are read from there.
        case .awaitingConnect, .behind, .closed: return
        }
        // What waits now has waited since an earlier turn: the transport is full. This turn is sent
        // nevertheless, so that reading goes on behind it, at one point for all rooms.
        let isFull = connection.queuedBytes > chat.gateway.configuration.maxQueuedBytes
        if pendingRooms.count == 1, owed.isEmpty, skipThrough == 0 {
            let (room, first) = pendingRooms[0]
            let batch = room.batch(keepsOffset: keepsOffset)
            guard first < batch.packets.count, let end = batch.bounds.last else { return }
            connection.send(
                frames: batch.frames, range: batch.bounds[first]..<end,
                packets: batch.packets[first...])
        } else {
            for publication in mergedTurn() where publication.seq > skipThrough {
                send(publication)
            }
            skipThrough = 0
            owed = []
        }
        if isFull { fallBehind() }
    }

    // MARK: Behind

    /// A room entered or left while behind.
    private struct MembershipChange {
        let room: RoomID
        /// The first commit number it holds for.
        let seq: Int64
        let isMember: Bool
    }

    private func fallBehind() {
        phase = .behind
        position = chat.delivered
        changes = []
        chat.gateway.metrics.fellBehind.increment()
        connection.tellWhenDrained()
    }

    /// Notes that the client entered or left a room: the log is read with the rooms of today, and must
    /// bring what those of each moment brought.
    /// - Parameter seq: the first commit number it holds for.
    func membershipChanged(in room: RoomID, from seq: Int64, isMember: Bool) {
        guard phase == .behind else { return }
        changes.append(MembershipChange(room: room, seq: seq, isMember: isMember))
    }

    /// The rooms whose entries a client that is behind may have to be given.
    var roomsToRead: Set<RoomID> {
        Set(memberships.map(\.room.id)).union(changes.map(\.room))
    }

    private func wasMember(at seq: Int64, of room: RoomID) -> Bool {
        let here = changes.filter { $0.room == room }
        if let last = here.last(where: { $0.seq <= seq }) { return last.isMember }
        return here.first.map { !$0.isMember } ?? true
    }

    /// A page of the log for a client that is behind; nil when it could not be read.
    /// - Parameter level: the position that makes it level with what has been delivered here.
    func tookPage(_ page: (entries: [LogEntry], through: Int64)?, level: Int64) {
        guard phase == .behind else { return }
        guard let page else { return connection.close(.tooSlow) }
        var publications: [Publication] = []
        for entry in page.entries where changes.isEmpty || wasMember(at: entry.seq, of: entry.room)
        {
            publications.append(Publication(entry))
        }
        if !owed.isEmpty {
            publications.append(contentsOf: owed.filter { $0.seq <= page.through })
            publications.sort { $0.seq < $1.seq }
            owed.removeAll { $0.seq <= page.through }
        }
        for publication in publications {
            connection.send(text: publication.packet(keepsOffset: keepsOffset))
        }
        replayBytes = connection.queuedBytes
        position = page.through
        if position >= level {
            // What this turn has still to bring has been sent.
            skipThrough = position
            phase = .live
        } else {
            connection.tellWhenDrained()
        }
    }

    private func mergedTurn() -> [Publication] {
        var merged = owed
        for (room, first) in pendingRooms { merged.append(contentsOf: room.publications[first...]) }
        merged.sort { $0.seq < $1.seq }
        return merged
    }

    private func hold() {
        held.append(contentsOf: mergedTurn())
        owed = []
        if held.count > chat.gateway.configuration.limits.replayEvents {
            connection.close(.tooSlow)
        }
    }

    // MARK: Acknowledging

    /// Answers a request: `body` is the members after `"ok":true`, each led by a comma.
    func acknowledge(_ id: Int?, ok body: [UInt8] = []) {
        guard let id, isOpen else { return }
        var json: [UInt8] = []
        json.reserveCapacity(body.count + 16)
        json.append("{\"ok\":true")
        json.append(contentsOf: body)
        json.append("}")
        acknowledge(id, json: json)
    }

    func acknowledge(_ id: Int?, refused error: ChatError) {
        guard let id else { return }
        chat.gateway.metrics.refusals.increment()
        acknowledge(id, json: (["ok": false, "error": error.json] as JSONValue).bytes)
    }

    /// Outcomes come when they come: also after the client has gone, and its connection with it.
    private func acknowledge(_ id: Int, json: [UInt8]) {
        guard isOpen || phase == .recovering else { return }
        var packet: [UInt8] = []
        SocketEncoder.ack(namespace: "/", id: id, arguments: [json], into: &packet)
        connection.send(text: packet)
    }

    // MARK: Rooms

    func isMember(of room: RoomID) -> Bool { memberships.contains { $0.room.id == room } }

    func join(_ room: LocalRoom) {
        guard !memberships.contains(where: { $0.room === room }) else { return }
        memberships.append(Membership(room: room, index: room.add(self)))
    }

    func leave(_ room: LocalRoom) {
        guard let place = memberships.firstIndex(where: { $0.room === room }) else { return }
        let membership = memberships.remove(at: place)
        // What the turn has brought so far, the leaving itself included, is still theirs.
        room.publications[room.members[membership.index].first...].forEach {
            owe($0, isOwnRoom: true)
        }
        room.remove(at: membership.index)
        chat.release(room)
    }

    func moved(in room: LocalRoom, to index: Int) {
        guard let place = memberships.firstIndex(where: { $0.room === room }) else { return }
        memberships[place].index = index
    }

    private func leaveAllRooms() {
        for membership in memberships.reversed() {
            membership.room.remove(at: membership.index)
            chat.release(membership.room)
        }
        memberships = []
        pendingRooms = []
        owed = []
    }

    // MARK: Token

    /// Takes a fresh token for the same person and login session.
    func refresh(token: String) -> Result<Timestamp, ChatError> {
        switch chat.gateway.authority.verify(Array(token.utf8)) {
        case .failure(let refusal):
            return .failure(ChatError(.forbidden, refusal.message))
        case .success(let fresh):
            guard fresh.subject == claims?.subject, fresh.sessionID == claims?.sessionID else {
                return .failure(ChatError(.forbidden, "The token is for another session."))
            }
            claims = fresh
            // A new name or role counts from here on.
            actor = Actor(id: actor.id, name: fresh.name, roles: fresh.roles)
            wasWarned = false
            armTokenDeadline()
            return .success(fresh.expiresAt)
        }
    }

    private func armTokenDeadline() {
        guard let claims else { return }
        let left = Duration.milliseconds(
            claims.expiresAt.milliseconds - SystemClock.timestamp().milliseconds)
        connection.deadline =
            chat.now + (wasWarned ? left + .seconds(10) : max(left - .seconds(60), .zero))
    }

    private func tokenDeadlinePassed() {
        guard let claims else { return }
        if wasWarned {
            send(event: "auth:expired", argument: Array("{}".utf8))
            return connection.close(.unwelcome)
        }
        let expiry: JSONValue = ["expiresAt": .string(claims.expiresAt.rfc3339)]
        send(event: "auth:expiring", argument: expiry.bytes)
        wasWarned = true
        armTokenDeadline()
    }

    /// The token was withdrawn: the client is told not to come back by itself.
    func revoked() {
        send(event: "auth:expired", argument: Array("{}".utf8))
        var packet: [UInt8] = []
        SocketEncoder.disconnect(namespace: "/", into: &packet)
        connection.send(text: packet)
        connection.close(.unwelcome)
    }

    // MARK: Limits

    /// Nil when one more request is fine now; else the refusal.
    func admit() -> ChatError? {
        guard let wait = bucket?.take(now: chat.now) else { return nil }
        return ChatError(
            .rateLimited, "Too many requests.", retryAfterMs: Int(wait.milliseconds) + 1)
    }
}

extension ChatError {
    /// `{"code","message","retryAfterMs"?}`.
    var json: JSONValue {
        var value: JSONObject = ["code": .string(code.rawValue), "message": .string(message)]
        if let retryAfterMs { value["retryAfterMs"] = .int(Int64(retryAfterMs)) }
        return .object(value)
    }
}
