// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import EngineIO
internal import HTTPServer
internal import JSON
internal import JWT
internal import Metrics
internal import ServiceRuntime
internal import SocketIO
internal import SocketIOServer
internal import Store
internal import Timing

/// One signed-in client of the chat: the main namespace's socket and what the chat knows of it.
///
///     connecting ──token good──► opening ──snapshot──► [recovering ──missed──►] live ◄──┐
///      ▲  │  ▲                      │                       │                    │ ▲     │ level
///      └──┘  └─── for the moment ───┤                       └─► behind ◄─────────┘ └─ behind
///     CONNECT_ERROR ◄───────────────┘                               all ──► closed
///
/// Who cannot be let in for the moment, because tokens cannot be checked yet or the writer takes no more,
/// is tried again and again before it is refused (`SignIn`).
///
/// A client that is recovering or behind is not queued for: what happens meanwhile is read from the
/// log, a page whenever the transport has taken the last one, until the client is level.
final class ChatClient: SocketHandler {
    enum Phase { case connecting, opening, recovering, live, behind, closed }

    /// What is still to be done before the client is live.
    private enum Errand {
        case none
        /// It is not yet let in.
        case signingIn(SignIn)
        /// It is recovering or behind.
        case catchingUp(CatchUp)
    }

    /// What a token must carry to take part. Tokens for the services' own talk lack it.
    static let scope = "chat"

    /// Held until the socket ends, which lets go of this handler.
    let socket: Socket
    unowned let chat: LoopChat
    private(set) var actor = Actor(id: "", name: "")
    /// Of who asks for anything: most only listen.
    private var asked: RequestLine?
    private var errand = Errand.none
    /// Until when the token holds.
    private var expiresAt = Timestamp(milliseconds: 0)
    /// The token it came with last.
    private var token: TokenIdentity?
    private(set) var phase = Phase.connecting
    private var wasWarned = false
    /// Whether presence counts this client.
    private(set) var hasBeenLive = false

    private var signIn: SignIn? {
        if case .signingIn(let signIn) = errand { signIn } else { nil }
    }

    private var catchUp: CatchUp? {
        if case .catchingUp(let catchUp) = errand { catchUp } else { nil }
    }

    init(socket: Socket, chat: LoopChat) {
        self.socket = socket
        self.chat = chat
    }

    // MARK: SocketHandler

    func received(_ event: SocketEvent, in packet: Span<UInt8>) { handle(event, in: packet) }

    func drained() {
        switch phase {
        case .recovering, .behind: readOn()
        case .connecting, .opening, .live, .closed: break
        }
    }

    func disconnected(_ reason: Socket.Ending) {
        let wasKnown = phase != .connecting
        phase = .closed
        errand = .none
        asked?.waiting = []
        if wasKnown { chat.forget(self) }
    }

    func deadlinePassed(now: Instant) {
        if phase == .connecting { letIn() } else { tokenDeadlinePassed() }
    }

    // MARK: Connecting

    func connecting(_ socket: Socket, auth: Range<Int>?, in packet: Span<UInt8>) {
        guard let auth, let signIn = SignIn(auth, in: packet, now: chat.now) else {
            return refuse("unauthorized", "A token is needed: auth.token.")
        }
        guard signIn.token.count <= AccessTokenVerifier.maxTokenBytes else {
            let refusal = TokenRefusal.invalidToken
            return refuse(refusal.rawValue, refusal.message)
        }
        errand = .signingIn(signIn)
        letIn()
    }

    /// Lets the client in if it may come, and tries again later where nobody can tell yet.
    private func letIn() {
        guard let signIn else { return }
        let claims: AccessTokenClaims
        switch chat.gateway.authority.verify(signIn.token) {
        case .success(let verified): claims = verified
        case .failure(.authUnavailable):
            return putOff(
                TokenRefusal.authUnavailable.rawValue, TokenRefusal.authUnavailable.message)
        case .failure(let refusal): return refuse(refusal.rawValue, refusal.message)
        }
        guard claims.has(scope: ChatClient.scope) else {
            return refuse("insufficient_scope", "The token lacks the scope \(ChatClient.scope).")
        }
        actor = Actor(id: UserID(claims.subject), name: claims.name, roles: claims.roles)
        token = TokenIdentity(claims)
        expiresAt = claims.expiresAt
        socket.keepsOffset =
            signIn.wantsOffset ?? (signIn.privateID != nil || socket.isOfficialClient)
        let former = signIn.privateID.flatMap {
            chat.gateway.recovery.socketID(of: $0, user: claims.subject)
        }
        let mark = LogCursor.mark(of: chat.gateway.configuration.epoch)
        // A private id is of this epoch or proves nothing (`RecoveryKey`), so a number beside it may be
        // bare. Nothing but its mark says what history a cursor is of.
        let resumed =
            former == nil ? nil : signIn.offset.flatMap { $0.mark ?? mark == mark ? $0 : nil }
        let place = resumed ?? signIn.cursor.flatMap { $0.mark == mark ? $0 : nil }
        guard
            chat.submit(
                .openSession, by: self,
                then: .session(after: place?.seq, formerID: resumed == nil ? nil : former))
        else {
            let busy = chat.gateway.store.busy
            return putOff(busy.code.rawValue, busy.message)
        }
        phase = .opening
        chat.remember(self)
    }

    /// Comes back to a client that cannot be let in for the moment. The official clients take a refusal
    /// as final and do not come back by themselves, so one is told only when it has lasted.
    private func putOff(_ code: String, _ message: String) {
        guard let signIn,
            let pause = signIn.nextPause(
                now: chat.now, patience: chat.gateway.configuration.signInPatience)
        else { return refuse(code, message) }
        socket.deadline = chat.now + pause
    }

    private func refuse(_ code: String, _ message: String) {
        socket.refuse(code, data: ["code": .string(code), "message": .string(message)])
    }

    /// The writer's answer to the sign-in: the client's rooms at one point of the log. Events after
    /// that point reach the client from here on.
    /// - Parameters:
    ///   - position: where in the log the client says it was; nil when it does not say.
    ///   - formerID: the public id that its private one proves; nil without.
    func opened(_ outcome: Outcome, after position: Int64?, formerID: String?) {
        guard phase == .opening else { return }
        guard case .ok(.session(let snapshot)) = outcome else {
            guard case .refused(let error) = outcome else { return }
            guard error.code == .busy || error.code == .storageUnavailable else {
                return refuse(error.code.rawValue, error.message)
            }
            phase = .connecting
            chat.forget(self)
            return putOff(error.code.rawValue, error.message)
        }
        errand = .none
        for room in snapshot.rooms { socket.join(room.id.rawValue) }
        guard let position, position <= snapshot.seq, position >= 0,
            chat.gateway.reader.canReplay(
                rooms: snapshot.rooms.map(\.id), after: position, through: snapshot.seq)
        else { return begin(snapshot, socketID: nil, isRecovered: false) }
        guard position < snapshot.seq else {
            return begin(snapshot, socketID: formerID, isRecovered: true)
        }
        phase = .recovering
        socket.delivery = .dropped
        errand = .catchingUp(
            CatchUp(from: position, to: .init(snapshot: snapshot, socketID: formerID)))
        chat.readMoves(for: self, after: position, through: snapshot.seq)
    }

    /// The rooms entered and left while away: of each is replayed what happened from the entering to
    /// the leaving, the leaving itself included. Nil when they could not be read.
    func tookMoves(_ moves: [LogEntry]?) {
        guard phase == .recovering else { return }
        guard let moves, let catchUp, let snapshot = catchUp.recovery?.snapshot,
            moves.count <= CatchUp.maxMoves
        else { return couldNotRead() }
        catchUp.moved(moves)
        // The bounds of a replay hold for rooms that were left, too.
        guard
            moves.isEmpty
                || chat.gateway.reader.canReplay(
                    rooms: snapshot.rooms.map(\.id) + catchUp.stays.rooms,
                    after: catchUp.position, through: snapshot.seq)
        else { return couldNotRead() }
        readOn()
    }

    /// Answers CONNECT, before anything that was missed: the official client keeps what comes earlier
    /// and does not forget it when the connection breaks, so that a replay cut off in the middle would
    /// come twice; and a client that has its answer remembers how far it got.
    /// - Parameter formerID: the public id to go on with. A client takes itself for recovered when its
    ///   private id comes back unchanged; nil makes new ones.
    private func accept(_ formerID: String?) {
        guard !socket.isConnected else { return }
        let id = formerID ?? RecoveryToken.makeSocketID()
        socket.accept(
            id: id,
            privateID: chat.gateway.recovery.issue(socketID: id, user: actor.id.rawValue))
        // From here on, also while the client is fed what it missed: it can be told.
        armTokenDeadline()
    }

    /// Sends `session`: what was missed up to the snapshot has been sent, or nothing has.
    private func begin(_ snapshot: SessionSnapshot, socketID: String?, isRecovered: Bool) {
        accept(socketID)
        phase = .live
        var session: [UInt8] = []
        SessionEvent.write(
            snapshot, epoch: LogCursor.mark(of: chat.gateway.configuration.epoch),
            isRecovered: isRecovered, expiresAt: expiresAt, presence: chat.presence,
            limits: chat.gateway.configuration.limits, into: &session)
        send(event: "session", argument: session, offset: snapshot.seq)
        socket.forgiveQueue()
        hasBeenLive = true
        chat.becameLive(self)
    }

    // MARK: Sending

    /// Whether CONNECT has been answered, so that the client may ask: the official ones send what they have
    /// gathered right behind that, while the last of what they missed may still be on its way.
    var isOpen: Bool {
        switch phase {
        case .live, .behind: true
        case .recovering: socket.isConnected
        case .connecting, .opening, .closed: false
        }
    }

    /// Whether the client is in its rooms, and what happens there concerns it.
    var isInRooms: Bool { isOpen || phase == .recovering }

    /// Sends one event of this client's own, also when it is behind: control is never queued behind
    /// messages.
    func send(event: String, argument: [UInt8], offset: Int64? = nil) {
        guard isOpen else { return }
        var packet: [UInt8] = []
        Publication.write(
            event: event, argument: argument.span, offset: socket.keepsOffset ? offset : nil,
            offsetSuffix: chat.gateway.offsetSuffix, into: &packet)
        socket.send(packet: packet)
    }

    /// Sends an event outside the log, which may be lost by design: a client that is behind with the
    /// log's goes without.
    func sendIfKeepingUp(_ publication: Publication) {
        guard phase == .live,
            socket.queuedBytes <= chat.gateway.configuration.maxQueuedBytes
        else { return }
        socket.send(publication)
    }

    /// Puts by a publication for this client alone, to be sent in its place among the turn's.
    /// - Parameter isOwnRoom: whether it is of a room of the client's, which the log brings when the
    ///   client is behind.
    func owe(_ publication: Publication, isOwnRoom: Bool) {
        switch phase {
        case .live: socket.owe(publication)
        case .recovering, .behind: if !isOwnRoom { catchUp?.owed.append(publication) }
        case .connecting, .opening, .closed: break
        }
    }

    // MARK: Behind

    func fellBehind(_ socket: Socket) {
        guard phase == .live else { return }
        phase = .behind
        socket.delivery = .dropped
        errand = .catchingUp(CatchUp(from: chat.delivered))
        chat.gateway.metrics.fellBehind.increment()
        socket.tellWhenDrained()
    }

    /// Notes that the client entered or left a room: the log is read with the rooms of today, and must
    /// bring what those of each moment brought.
    /// - Parameter seq: the first commit number it holds for.
    func membershipChanged(in room: RoomID, from seq: Int64, isMember: Bool) {
        guard let catchUp, !catchUp.changed(in: room, from: seq, isMember: isMember) else { return }
        socket.closeTransport(.tooSlow)
    }

    /// Asks for the next page: up to the snapshot while recovering, then up to what has been
    /// delivered here.
    private func readOn() {
        guard let catchUp else { return }
        let rooms = Set(socket.rooms.map { RoomID($0.id) }).union(catchUp.stays.rooms)
        chat.readOn(
            for: self, rooms: rooms, after: catchUp.position,
            through: catchUp.recovery?.snapshot.seq)
    }

    /// A page of the log for a client that is recovering or behind; nil when it could not be read.
    /// - Parameter level: the position that makes it level with what has been delivered here.
    func tookPage(_ page: CatchUp.Page?, level: Int64) {
        guard let catchUp else { return }
        guard let page else { return couldNotRead() }
        var publications = page.items.filter { catchUp.stays.wasMember(at: $0.seq, of: $0.room) }
            .map(\.publication)
        let owed = catchUp.takeOwed(through: page.through)
        if !owed.isEmpty {
            publications.append(contentsOf: owed)
            publications.sort { $0.order < $1.order }
        }
        if let recovery = catchUp.recovery { accept(recovery.socketID) }
        for publication in publications { socket.send(publication) }
        socket.forgiveQueue()
        catchUp.reached(page.through)
        if let recovery = catchUp.recovery, page.through >= recovery.snapshot.seq {
            catchUp.recovery = nil
            begin(recovery.snapshot, socketID: recovery.socketID, isRecovered: true)
            if phase == .live { phase = .behind }
        }
        guard phase != .closed else { return }
        if phase == .behind, page.through >= level {
            // What this turn has still to bring has been sent.
            socket.skipThrough = page.through
            socket.delivery = .live
            phase = .live
            errand = .none
        } else {
            socket.tellWhenDrained()
        }
    }

    /// A client that has been sent nothing yet starts anew; one that has comes back, and asks again.
    private func couldNotRead() {
        guard let catchUp, let recovery = catchUp.recovery, !socket.isConnected else {
            return socket.closeTransport(.tooSlow)
        }
        catchUp.recovery = nil
        catchUp.position = recovery.snapshot.seq
        begin(recovery.snapshot, socketID: nil, isRecovered: false)
        guard phase == .live else { return }
        phase = .behind
        socket.tellWhenDrained()
    }

    // MARK: Acknowledging

    /// Answers a request: `body` is the members after `"ok":true`, each led by a comma.
    func acknowledge(_ id: Int?, ok body: [UInt8] = []) {
        guard let id else { return }
        acknowledge(id, capacity: body.count + 12) { packet in
            packet.append("{\"ok\":true")
            packet.append(contentsOf: body)
            packet.append("}")
        }
    }

    func acknowledge(_ id: Int?, refused error: ChatError) {
        guard let id else { return }
        chat.gateway.metrics.refusals.increment()
        acknowledge(id, capacity: 256) { packet in
            (["ok": false, "error": error.json] as JSONValue).write(into: &packet)
        }
    }

    /// Outcomes come when they come: also after the client has gone.
    /// - Parameter capacity: bytes that `argument` is expected to append.
    private func acknowledge(_ id: Int, capacity: Int, _ argument: (inout [UInt8]) -> Void) {
        guard isOpen else { return }
        var packet: [UInt8] = []
        packet.reserveCapacity(capacity + 24)
        SocketEncoder.ack(id: id, into: &packet, argument: argument)
        socket.acknowledge(packet: packet)
    }

    // MARK: Rooms

    func isMember(of room: RoomID) -> Bool { socket.isMember(of: room.rawValue) }

    // MARK: Token

    /// Takes a fresh token for the same person and login session.
    func refresh(token: String) -> Result<Timestamp, ChatError> {
        switch chat.gateway.authority.verify(Array(token.utf8)) {
        case .failure(let refusal):
            return .failure(ChatError(.forbidden, refusal.message))
        case .success(let fresh):
            guard fresh.subject == actor.id.rawValue,
                self.token?.isOfSession(fresh.sessionID) == true
            else {
                return .failure(ChatError(.forbidden, "The token is for another session."))
            }
            self.token = TokenIdentity(fresh)
            expiresAt = fresh.expiresAt
            // A new name or role counts from here on.
            actor = Actor(id: actor.id, name: fresh.name, roles: fresh.roles)
            wasWarned = false
            armTokenDeadline()
            return .success(fresh.expiresAt)
        }
    }

    private func armTokenDeadline() {
        let left = Duration.milliseconds(
            expiresAt.milliseconds - SystemClock.timestamp().milliseconds)
        socket.deadline =
            chat.now + (wasWarned ? left + .seconds(10) : max(left - .seconds(60), .zero))
    }

    private func tokenDeadlinePassed() {
        if wasWarned {
            send(event: "auth:expired", argument: Array("{}".utf8))
            return socket.closeTransport(.unwelcome)
        }
        let expiry: JSONValue = ["expiresAt": .string(expiresAt.rfc3339)]
        send(event: "auth:expiring", argument: expiry.bytes)
        wasWarned = true
        armTokenDeadline()
    }

    /// Whether a revocation withdraws the token.
    func isCovered(by revocation: Revocation) -> Bool {
        token.map { revocation.covers($0, of: actor.id.rawValue) } ?? false
    }

    /// The token was withdrawn: the client is told not to come back by itself.
    func revoked() {
        send(event: "auth:expired", argument: Array("{}".utf8))
        socket.disconnect(closing: .unwelcome)
    }

    // MARK: Limits

    /// What the client has asked for.
    var requests: RequestLine {
        if let asked { return asked }
        let line = RequestLine(bucket: chat.gateway.limiter?.bucket(of: actor.id))
        asked = line
        return line
    }

    /// Nil when one more request is fine now; else the refusal.
    func admit() -> ChatError? {
        guard let wait = requests.bucket?.take(now: chat.now) else { return nil }
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
