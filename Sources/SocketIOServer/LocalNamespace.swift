// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import EngineIO
internal import EngineIOServer
package import JSON
internal import SocketIO
package import Timing

/// A namespace as one loop knows it: the sockets connected here and their rooms. What it sends
/// reaches those; a server of several loops brings an event to each loop by its mailbox.
package final class LocalNamespace {
    /// Makes the handler of a new socket.
    package typealias MakeHandler = (Socket) -> any SocketHandler

    package let name: String
    private unowned let server: LoopSockets
    private let makeHandler: MakeHandler
    /// Remembers what clients missed; nil where nothing is recovered, or the application does it.
    private let recovery: LocalRecovery?

    package private(set) var sockets: [Socket] = []
    private var rooms: [String: Room] = [:]
    /// Rooms with publications that have not been sent.
    private var dirtyRooms: [Room] = []
    /// Sockets with publications of their own, or of a room they have left, that have not been sent.
    private var touchedSockets: [Socket] = []
    private var awaitsFlush = false
    /// Where the publications of a socket in several rooms are brought into order.
    var gathered: [Publication] = []
    private var lastAckID = 0

    init(
        name: String, server: LoopSockets, recovery: LocalRecovery?,
        makeHandler: @escaping MakeHandler
    ) {
        self.name = name
        self.server = server
        self.recovery = recovery
        self.makeHandler = makeHandler
    }

    package var now: Instant { server.now }

    // MARK: Sockets

    func connect(_ socket: Socket, auth: Range<Int>?, in packet: Span<UInt8>) {
        socket.index = Int32(sockets.count)
        sockets.append(socket)
        let handler = makeHandler(socket)
        socket.handler = handler
        handler.connecting(socket, auth: auth, in: packet)
    }

    func forget(_ socket: Socket, _ reason: Socket.Ending) {
        recovery?.ended(socket, isLost: reason == .transportEnded, now: now)
        let last = sockets.removeLast()
        guard last !== socket else { return }
        sockets[Int(socket.index)] = last
        last.index = socket.index
    }

    /// A fresh public id: 20 characters from the system's random source.
    package static func makeID() -> String {
        Base64.string(SecureRandom.bytes(15), alphabet: .url)
    }

    /// Accepts a socket under a fresh id, or under the one it had: then its rooms are joined and what
    /// it missed is sent before the answer, as the reference does.
    /// - Parameter auth: the handshake's `auth`, whose `pid` and `offset` ask for recovery.
    /// - Returns: whether the state was recovered.
    @discardableResult
    package func accept(_ socket: Socket, auth: JSONValue?) -> Bool {
        guard let recovery else {
            socket.accept(id: LocalNamespace.makeID())
            return false
        }
        socket.keepsOffset = true
        if let privateID = auth?["pid"]?.string, let offset = auth?["offset"]?.string {
            // The old connection may not have noticed its end yet: it ends now, and is recovered.
            recovery.holder(of: privateID)?.closeTransport(.closedByPeer)
            if let session = recovery.restore(privateID, offset: offset, now: now) {
                for room in session.rooms { socket.join(room) }
                for publication in session.missed { socket.send(publication) }
                recovery.began(socket, privateID)
                socket.accept(id: session.id, privateID: privateID)
                return true
            }
        }
        let privateID = LocalNamespace.makeID()
        recovery.began(socket, privateID)
        socket.accept(id: LocalNamespace.makeID(), privateID: privateID)
        return false
    }

    // MARK: Rooms

    /// The room of that id, made when it is new here.
    package func room(_ id: String) -> Room {
        if let room = rooms[id] { return room }
        let room = Room(id: id)
        rooms[id] = room
        return room
    }

    /// The room of that id, when anybody here is in it.
    package func existingRoom(_ id: String) -> Room? { rooms[id] }

    /// Forgets a room nobody here is in.
    func release(_ room: Room) {
        if room.isEmpty, room.publications.isEmpty { rooms[room.id] = nil }
    }

    // MARK: Publications

    /// Publishes in a room at the end of the flush window: its publications of one window are laid end
    /// to end once, and each member gets them in one piece. Members of several rooms get those of all
    /// in their order.
    package func publish(_ publication: Publication, in id: String) {
        guard let room = rooms[id], !room.isEmpty else { return }
        if room.append(publication) {
            dirtyRooms.append(room)
            awaitFlush()
        }
    }

    func touched(_ socket: Socket) {
        touchedSockets.append(socket)
        awaitFlush()
    }

    private func awaitFlush() {
        guard !awaitsFlush else { return }
        awaitsFlush = true
        server.awaits(self)
    }

    /// Whether what was published goes to more than so many.
    func hasAudience(over count: Int) -> Bool {
        touchedSockets.count > count || dirtyRooms.contains { $0.count > count }
    }

    /// Sends what was published: each socket with something waiting gets one write.
    func flush(_ sent: inout LoopSockets.Flush) {
        let dirty = dirtyRooms
        dirtyRooms.removeAll(keepingCapacity: true)
        for room in dirty { sent.frames += room.members.count * room.publications.count }
        if dirty.count == 1, touchedSockets.isEmpty {
            let room = dirty[0]
            sent.receivers += room.count
            awaitsFlush = false
            // A handler may end its socket, and with it change the list under way: a copy is walked.
            let members = room.members
            for index in members.indices where members[index].first < room.publications.count {
                members[index].socket.flush(room, first: members[index].first)
            }
        } else {
            for room in dirty {
                for member in room.members where member.first < room.publications.count {
                    member.socket.touch(room, first: member.first)
                }
            }
            var touched: [Socket] = []
            swap(&touched, &touchedSockets)
            sent.receivers += touched.count
            awaitsFlush = false
            for socket in touched { socket.flushWindow() }
        }
        for room in dirty {
            room.endWindow()
            release(room)
        }
    }

    // MARK: Events at once

    /// Sends an event to the sockets of some rooms, or to all.
    /// - Parameters:
    ///   - rooms: room or socket ids; a socket in several gets the event once. Empty: everybody.
    ///   - except: room or socket ids whose sockets do not get it.
    ///   - isVolatile: only those get it for whom nothing waits.
    package func broadcast(
        _ event: String, _ arguments: SocketArguments = [], to rooms: [String] = [],
        except: [String] = [], isVolatile: Bool = false
    ) {
        let order = isVolatile ? 0 : recovery?.nextOrder() ?? 0
        let publication = Publication(
            namespace: name, event: event, arguments: arguments, order: order)
        if order > 0 { recovery?.record(publication, to: rooms, except: except, now: now) }
        for socket in targets(rooms, except: except)
        where !isVolatile || socket.connection?.engine?.isWritable == true {
            socket.send(publication)
        }
    }

    /// Sends an event and gathers the answers.
    /// - Parameter answered: called once, when all have answered or the time is up: with the answers in
    ///   the order they came, and how many are missing.
    package func broadcast(
        _ event: String, _ arguments: SocketArguments = [], to rooms: [String] = [],
        except: [String] = [], timeout: Duration,
        answered: @escaping (_ answers: [SocketArguments], _ missing: Int) -> Void
    ) {
        let id = nextAckID()
        let publication = Publication(
            namespace: name, event: event, arguments: arguments, ackID: id)
        let targets = targets(rooms, except: except)
        guard !targets.isEmpty else { return answered([], 0) }
        let gathering = Gathering(count: targets.count, answered)
        for socket in targets {
            socket.expect(ack: id, timeout: timeout) { gathering.add($0) }
            socket.send(publication)
        }
    }

    /// Counts the answers to one broadcast.
    private final class Gathering {
        private var answers: [SocketArguments] = []
        private var left: Int
        private var missing = 0
        private let answered: ([SocketArguments], Int) -> Void

        init(count: Int, _ answered: @escaping ([SocketArguments], Int) -> Void) {
            left = count
            self.answered = answered
        }

        func add(_ answer: SocketArguments?) {
            if let answer { answers.append(answer) } else { missing += 1 }
            left -= 1
            if left == 0 { answered(answers, missing) }
        }
    }

    func emit(_ event: String, _ arguments: SocketArguments, to socket: Socket) {
        let order = recovery?.nextOrder() ?? 0
        let publication = Publication(
            namespace: name, event: event, arguments: arguments, order: order)
        if order > 0 {
            recovery?.record(publication, to: [socket.id], except: [], now: now)
        }
        socket.send(publication)
    }

    /// Numbers events that ask for an answer: one for all receivers of a broadcast, so that it is
    /// encoded once.
    func nextAckID() -> Int {
        lastAckID += 1
        return lastAckID
    }

    private func targets(_ rooms: [String], except: [String]) -> [Socket] {
        var found: [Socket] = []
        if rooms.isEmpty {
            found = sockets
        } else if rooms.count == 1, let room = self.rooms[rooms[0]] {
            found = Array(room.sockets)
        } else {
            found = sockets.filter { socket in rooms.contains { socket.answers(to: $0) } }
        }
        return found.filter { socket in
            socket.isConnected && !except.contains { socket.answers(to: $0) }
        }
    }
}

extension Socket {
    /// Whether an id names this socket or a room of its.
    func answers(to id: String) -> Bool { self.id == id || isMember(of: id) }
}
