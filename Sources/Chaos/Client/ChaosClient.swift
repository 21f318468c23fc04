// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import JSON
internal import Reactor
internal import SocketIO
internal import TestSupport
internal import Timing

/// A Socket.IO client that does on the wire what the official JavaScript client does, and writes down
/// everything.
///
/// ```
/// resting ──due──► connecting ──open packet, CONNECT, session──► live
///    ▲                 │                                          │
///    └──────── end of the transport, silence, refusal ◄───────────┘
/// ```
/// As in socket.io-client 4: the private id comes back with the offset of the last event handed to the
/// application; events before CONNECT's answer are kept and handed over with it, also those of a
/// connection that has broken since; `recovered` means that the private id is unchanged.
final class ChaosClient: WireOwner {
    enum Transport: Hashable, Sendable { case webSocket, polling }
    enum State: Hashable { case resting, connecting, live }

    /// A message under way: sent again with the same id until it is answered.
    private struct Send {
        var clientID: String
        var room: String
        var text: String
        /// The number of the answer that is awaited; nil when it has to be sent (again).
        var ackID: Int?
        var due: Instant
        var isRepeat = false
    }

    private enum Question {
        case send(clientID: String)
        case join(wasMember: (String) -> Bool)
        case leave(room: String)
        case page(room: String)
        case create((String) -> Void)
        case other
    }

    let number: Int
    let user: String
    let transport: Transport
    private let recorder: HistoryRecorder
    private(set) var state = State.resting
    /// Rooms as the client knows them.
    private(set) var rooms: Set<String> = []
    /// Set while the run wants no new work.
    var isQuiet = false
    var token: String

    // What the run counts.
    private(set) var connects = 0
    private(set) var refusals = 0
    private(set) var lastEvent: Instant
    private(set) var eventCount = 0
    /// Called for each durable event, with its argument.
    var onEvent: ((ChaosClient, LogFact, JSONValue) -> Void)?
    /// Called for each `presence` event.
    var onPresence: ((ChaosClient, JSONValue) -> Void)?
    /// Called when a message was first acknowledged.
    var onAck: ((ChaosClient, String, SendAnswer) -> Void)?
    /// Called when an attempt to send was refused, with the code.
    var onRefused: ((ChaosClient, String) -> Void)?
    /// Called when a page of history has come.
    var onPage: ((ChaosClient) -> Void)?
    /// Called when a room was joined, with the answer's head and whether it was new.
    var onJoined: ((ChaosClient, String, Int64, Bool) -> Void)?
    var onSession: ((ChaosClient, JSONValue) -> Void)?
    /// How long an answer may take before the message is sent again.
    var patienceForAck = Duration.seconds(5)
    /// Events that are not even looked at: for clients that are many.
    var skips: [String] = []
    /// Whether the history is written; a load client needs none.
    var keepsHistory = true

    private let loop: EventLoop
    private let pickPort: (inout SeededGenerator) -> UInt16
    private var generator: SeededGenerator
    private var wire: (any Wire)?
    private var decoder = SocketDecoder()
    private var isConnected = false
    private var privateID: String?
    private var lastOffset: String?
    private var early: [(name: String, argument: JSONValue, offset: String?)] = []
    private var restUntil: Instant
    private var silenceDeadline = Instant.distantFuture
    private var patience = Duration.seconds(45)
    private var lastAckID = 0
    private var lastMessage = 0
    private var questions: [Int: Question] = [:]
    private var sends: [Send] = []
    private var answered: [Send] = []
    private var abandonAt: Instant?

    /// - Parameters:
    ///   - recorder: what its history is written to.
    ///   - pickPort: where the next connection goes.
    ///   - startAt: when the first connection is made.
    init(
        number: Int, user: String, token: String, transport: Transport, loop: EventLoop,
        generator: SeededGenerator, startAt: Instant, recorder: HistoryRecorder,
        pickPort: @escaping (inout SeededGenerator) -> UInt16
    ) {
        self.number = number
        self.user = user
        self.token = token
        self.transport = transport
        self.loop = loop
        self.generator = generator
        self.pickPort = pickPort
        restUntil = startAt
        lastEvent = loop.now
        self.recorder = recorder
    }

    /// Whether nothing is owed to the client and the client owes nothing.
    var isSettled: Bool { state == .live && sends.isEmpty && questions.isEmpty }

    var unansweredCount: Int { sends.count }

    /// The client's ports, by which the proxies know its connections.
    var ports: [UInt16] { wire?.ports ?? [] }

    // MARK: Time

    /// Called each few hundredths of a second.
    func tick(now: Instant) {
        switch state {
        case .resting: if now >= restUntil { connect(now: now) }
        case .connecting, .live:
            if let abandonAt, now >= abandonAt {
                self.abandonAt = nil
                return rest("abandoned", after: .zero)
            }
            if now >= silenceDeadline { return rest("silence", after: .zero) }
            if state == .live { sendDue(now: now) }
        }
    }

    /// Gives the connection up at a moment, without a word to the server: as a device does that has
    /// changed its network.
    func abandon(at moment: Instant) { abandonAt = moment }

    private func connect(now: Instant) {
        state = .connecting
        connects += 1
        isConnected = false
        decoder = SocketDecoder()
        silenceDeadline = now + .seconds(6)
        let port = pickPort(&generator)
        switch transport {
        case .webSocket: wire = WebSocketWire(loop: loop, port: port, owner: self)
        case .polling: wire = PollingWire(loop: loop, port: port, owner: self)
        }
        if wire == nil { rest("no descriptor", after: .seconds(1)) }
    }

    /// Ends the connection and rests.
    func rest(_ reason: String, after delay: Duration? = nil) {
        wire?.close()
        wire = nil
        state = .resting
        isConnected = false
        questions = [:]
        for index in sends.indices { sends[index].ackID = nil }
        abandonAt = nil
        let milliseconds = Int64.random(in: 100...1000, using: &generator)
        restUntil = SystemClock.now() + (delay ?? .milliseconds(milliseconds))
    }

    /// Ends the connection for good.
    func stop() {
        rest("stopped")
        restUntil = .distantFuture
    }

    /// Ends the connection and stays away for a while.
    func disconnect(for duration: Duration, now: Instant) { rest("asked", after: duration) }

    // MARK: Asking

    /// Sends a message, again and again until it is answered.
    func say(_ text: String, in room: String, now: Instant) {
        lastMessage += 1
        sends.append(
            Send(clientID: "\(number)-\(lastMessage)", room: room, text: text, due: now))
        if state == .live { sendDue(now: now) }
    }

    /// Sends a message again that was acknowledged before.
    func repeatOne(now: Instant) {
        guard var send = answered.randomElement(using: &generator) else { return }
        guard !sends.contains(where: { $0.clientID == send.clientID }) else { return }
        (send.ackID, send.due, send.isRepeat) = (nil, now, true)
        sends.append(send)
    }

    func join(_ room: String) {
        guard state == .live else { return }
        record(.joining)
        ask("room:join", ["room": .string(room)], .join { [unowned self] in rooms.contains($0) })
    }

    func leave(_ room: String) {
        guard state == .live else { return }
        ask("room:leave", ["room": .string(room)], .leave(room: room))
    }

    func create(_ name: String, completion: @escaping (String) -> Void) {
        record(.joining)
        ask(
            "room:create", ["name": .string(name), "visibility": "public"], .create(completion))
    }

    func fetchPage(_ room: String, limit: Int) {
        guard state == .live else { return }
        ask(
            "history:fetch", ["room": .string(room), "limit": .int(Int64(limit))],
            .page(room: room))
    }

    func markRead(_ room: String, _ roomSeq: Int64) {
        guard state == .live else { return }
        ask("message:read", ["room": .string(room), "roomSeq": .int(roomSeq)], .other)
    }

    func type(in room: String) {
        guard state == .live else { return }
        var packet: [UInt8] = [EnginePacketType.message.rawValue]
        let argument: JSONValue = ["room": .string(room), "on": true]
        SocketEncoder.event(name: "typing", arguments: [argument.bytes], into: &packet)
        wire?.send(packet)
    }

    private func ask(_ name: String, _ argument: JSONValue, _ question: Question) {
        lastAckID += 1
        questions[lastAckID] = question
        var packet: [UInt8] = [EnginePacketType.message.rawValue]
        SocketEncoder.event(
            name: name, arguments: [argument.bytes], ackID: lastAckID, into: &packet)
        wire?.send(packet)
    }

    private func sendDue(now: Instant) {
        for index in sends.indices where sends[index].due <= now {
            // An answer that has not come in time is asked for again, with the same id.
            let send = sends[index]
            record(
                .sent(
                    clientID: send.clientID, room: send.room, text: Fingerprint(send.text.utf8)))
            ask(
                "message:send",
                [
                    "room": .string(send.room), "text": .string(send.text),
                    "clientId": .string(send.clientID),
                ], .send(clientID: send.clientID))
            sends[index].ackID = lastAckID
            sends[index].due = now + patienceForAck
        }
    }

    // MARK: WireOwner

    func wireEnded(_ wire: any Wire, _ reason: String) {
        guard wire === self.wire else { return }
        rest(reason)
    }

    func wireReceived(_ wire: any Wire, _ packet: [UInt8]) {
        guard wire === self.wire, let first = packet.first,
            let type = EnginePacketType(rawValue: first)
        else { return }
        if isConnected { silenceDeadline = loop.now + patience }
        switch type {
        case .open:
            let open = try? JSONValue(parsing: Array(packet.dropFirst()))
            let interval = open?["pingInterval"]?.int ?? 25_000
            let timeout = open?["pingTimeout"]?.int ?? 20_000
            patience = .milliseconds(interval + timeout)
            var auth: JSONObject = ["token": .string(token)]
            if let privateID {
                auth["pid"] = .string(privateID)
                if let lastOffset { auth["offset"] = .string(lastOffset) }
            }
            var connect: [UInt8] = [EnginePacketType.message.rawValue]
            SocketEncoder.connectRequest(auth: JSONValue.object(auth).bytes, into: &connect)
            wire.send(connect)
        case .ping: wire.send([EnginePacketType.pong.rawValue] + packet.dropFirst())
        case .close: rest("closed by the server")
        case .message: message(Array(packet.dropFirst()))
        default: break
        }
    }

    private func message(_ text: [UInt8]) {
        guard case .packet(let packet)? = try? decoder.text(text.span) else {
            return rest("not Socket.IO")
        }
        if packet.type == .event, let data = packet.data,
            skips.contains(where: { text[data].starts(with: "[\"\($0)\"".utf8) })
        {
            return
        }
        let value = packet.data.flatMap { try? JSONValue(parsing: Array(text[$0])) } ?? .null
        switch packet.type {
        case .connect:
            let id = value["pid"]?.string
            let isRecovered = id != nil && id == privateID
            privateID = id
            isConnected = true
            silenceDeadline = loop.now + patience
            record(.connected(isRecovered: isRecovered))
            let kept = early
            early = []
            for event in kept { hand(event.name, event.argument, event.offset) }
        case .connectError:
            refusals += 1
            rest("refused \(value["message"]?.string ?? "")")
        case .disconnect: rest("disconnected by the server")
        case .event:
            guard let parts = value.array, let name = parts.first?.string, parts.count > 1 else {
                return
            }
            let offset = parts.count > 2 ? parts.last?.string : nil
            if isConnected {
                hand(name, parts[1], offset)
            } else {
                early.append((name, parts[1], offset))
            }
        case .ack:
            if let id = packet.ackID, let question = questions.removeValue(forKey: id) {
                answer(question, id, value.array?.first ?? .null)
            }
        default: break
        }
    }

    private func hand(_ name: String, _ argument: JSONValue, _ offset: String?) {
        if let offset { lastOffset = offset }
        if name == "session" { return opened(argument) }
        if name == "presence" { onPresence?(self, argument) }
        guard let fact = LogFact(name: name, argument: argument) else { return }
        record(.event(fact))
        eventCount += 1
        lastEvent = loop.now
        if fact.kind == .member, argument["member"]?["id"]?.string == user {
            switch argument["action"]?.string {
            case "joined": rooms.insert(fact.room)
            case "left", "removed": rooms.remove(fact.room)
            default: break
            }
        }
        onEvent?(self, fact, argument)
    }

    private func opened(_ session: JSONValue) {
        let positions = (session["rooms"]?.array ?? []).compactMap { room -> RoomPosition? in
            guard let id = room["id"]?.string, let head = room["head"]?.int else { return nil }
            return RoomPosition(room: id, head: head)
        }
        record(.session(seq: session["seq"]?.int ?? -1, rooms: positions))
        rooms = Set(positions.map(\.room))
        state = .live
        lastEvent = loop.now
        for index in sends.indices { sends[index].due = loop.now }
        onSession?(self, session)
        sendDue(now: loop.now)
    }

    private func answer(_ question: Question, _ ackID: Int, _ answer: JSONValue) {
        let isOK = answer["ok"]?.bool == true
        switch question {
        case .send(let id): sendAnswered(id, ackID, answer, isOK: isOK)
        case .join(let wasMember):
            guard isOK, let room = answer["room"]?["id"]?.string,
                let head = answer["head"]?.int
            else { return }
            let isOld = wasMember(room)
            record(.joined(room: room, head: head, wasMember: isOld))
            rooms.insert(room)
            onJoined?(self, room, head, !isOld)
        case .create(let completion):
            guard isOK, let room = answer["room"]?["id"]?.string else { return completion("") }
            rooms.insert(room)
            completion(room)
        case .leave(let room):
            guard isOK, let seq = answer["seq"]?.int else { return }
            record(.left(room: room, seq: seq))
            rooms.remove(room)
        case .page(let room):
            guard isOK else { return }
            let facts = (answer["messages"]?.array ?? []).compactMap {
                LogFact(name: "message", argument: $0)
            }
            record(.page(room: room, facts))
            onPage?(self)
        case .other: break
        }
    }

    private func sendAnswered(_ id: String, _ ackID: Int, _ answer: JSONValue, isOK: Bool) {
        let index = sends.firstIndex { $0.clientID == id }
        if isOK, let seq = answer["seq"]?.int, let roomSeq = answer["roomSeq"]?.int {
            let told = SendAnswer(seq: seq, roomSeq: roomSeq, at: answer["at"]?.string ?? "")
            record(.acked(clientID: id, told))
            guard let index else { return }
            let send = sends.remove(at: index)
            if !send.isRepeat {
                answered.append(send)
                if answered.count > 50 { answered.removeFirst() }
                onAck?(self, id, told)
            }
            return
        }
        let code = answer["error"]?["code"]?.string ?? "none"
        record(.refused(clientID: id, code: code))
        onRefused?(self, code)
        guard let index else { return }
        switch code {
        case "busy", "rate_limited", "storage_unavailable":
            let wait = answer["error"]?["retryAfterMs"]?.int ?? 300
            sends[index].due = loop.now + .milliseconds(min(wait, 2000))
        default:
            // Not a member any more, by this client's or another device's own doing.
            sends.remove(at: index)
        }
    }

    /// The run is over: what the client has by now is what it gets.
    func markLevel() { record(.level) }

    private func record(_ step: HistoryStep) {
        if keepsHistory { recorder.append(step) }
    }
}
