// SPDX-License-Identifier: MIT
internal import Bytes
package import EngineIO
internal import EngineIOServer
internal import HTTPServer
package import JSON
internal import SocketIO
package import Timing

/// One client in one namespace, on its loop.
///
///     connecting ──accept──► connected ──DISCONNECT either way, transport ends──► closed
///         └──refuse, DISCONNECT, transport ends───────────────────────────────────►┘
///
/// A client that joins the namespace again gets a new one.
package final class Socket {
    package enum Phase: Sendable { case connecting, connected, closed }

    /// What becomes of publications in the socket's rooms.
    package enum Delivery: Sendable {
        /// They are sent at the end of each flush window.
        case live
        /// They are not for this socket now: its handler reads them from elsewhere.
        case dropped
    }

    /// Why a socket ended.
    package enum Ending: Hashable, Sendable {
        /// The client sent DISCONNECT.
        case clientLeft
        /// `disconnect` was called here.
        case serverLeft
        /// The transport ended under it.
        case transportEnded
        /// CONNECT was refused.
        case refused
    }

    /// A room and the socket's place in its member list.
    struct Membership {
        let room: Room
        var index: Int32
    }

    package let namespace: LocalNamespace
    /// The public id, known to the client; empty until accepted. 15 bytes are kept in place.
    package private(set) var id = ""
    var connection: SocketConnection?
    package internal(set) var handler: (any SocketHandler)?
    /// When the handler wants to be called.
    package var deadline = Instant.distantFuture { didSet { connection?.rearm() } }
    /// Publications up to this place have come another way, and are left out of the next flush that
    /// has any; 0 for none.
    package var skipThrough: Int64 = 0
    /// Rooms with something for this socket in the flush under way.
    private var pending: [(room: Room, first: Int)] = []
    /// Publications that wait for the flush and are for this socket alone.
    private var owed: [Publication] = []
    private var acks: PendingAcks?
    private var memberships = Few<Membership>()
    package private(set) var phase = Phase.connecting
    package var delivery = Delivery.live
    /// Whether events carry the recovery offset (see `Publication`).
    package var keepsOffset = false
    /// The place in the namespace's list.
    var index: Int32 = 0
    private var isTouched = false
    /// Whether the handler waits to hear that the queue is empty.
    var wantsDrained = false

    init(namespace: LocalNamespace, connection: SocketConnection) {
        self.namespace = namespace
        self.connection = connection
    }

    // MARK: What it came with

    /// The request that opened the session; nil unless the server keeps it
    /// (`SocketServerConfiguration.keepsHandshake`).
    package var handshake: SocketHandshake? { connection?.handshake }
    /// Whether the official JavaScript client is at the other end, as far as its request tells. It keeps
    /// recovery offsets without a word; python-socketio hands them to the application as one argument
    /// too many.
    package var isOfficialClient: Bool { connection?.engine?.isOfficialClient ?? false }
    /// The client's address.
    package var address: String { connection?.engine?.address ?? "" }
    /// Which transport carries it now; nil once it is closed.
    package var transport: Transport? { connection?.engine?.transport }
    package var isConnected: Bool { phase == .connected }
    /// Bytes that wait for a slow client, of all its namespaces.
    package var queuedBytes: Int { connection?.engine?.queuedBytes ?? 0 }

    // MARK: Joining the namespace

    /// Answers CONNECT. What has been sent before, clients keep and deliver after it.
    /// - Parameters:
    ///   - id: the public id.
    ///   - privateID: what lets the client recover its state; nil where nothing can be recovered.
    package func accept(id: String, privateID: String? = nil) {
        guard phase == .connecting else { return }
        self.id = id
        var packet: [UInt8] = []
        SocketEncoder.connect(namespace: namespace.name, sid: id, pid: privateID, into: &packet)
        send(packet: packet)
        phase = .connected
        connection?.accepted()
    }

    /// Refuses CONNECT; the client may try again on the same transport.
    /// - Parameters:
    ///   - message: what the client's `connect_error` handler gets as the error's message.
    ///   - data: details; nil leaves the member out.
    package func refuse(_ message: String, data: JSONValue? = nil) {
        guard phase == .connecting else { return }
        var packet: [UInt8] = []
        SocketEncoder.connectError(
            namespace: namespace.name, message: message, data: data, into: &packet)
        send(packet: packet)
        end(.refused)
    }

    // MARK: Sending

    /// Sends one whole packet, without Engine.IO's type.
    package func send(packet: [UInt8]) {
        guard phase != .closed else { return }
        connection?.engine?.send(text: packet)
    }

    /// Sends one publication in this turn, outside the rooms' batches.
    package func send(_ publication: Publication) {
        guard phase != .closed else { return }
        guard let engine = connection?.engine else { return }
        engine.send(publication.encoded(for: receiverClass(engine)) { engine.deflated($0) })
    }

    /// Sends an event to this client; recoverable where the namespace recovers.
    package func emit(_ event: String, _ arguments: SocketArguments = []) {
        guard phase != .closed else { return }
        namespace.emit(event, arguments, to: self)
    }

    /// Sends an event that may be lost: only when nothing waits for this client.
    package func emitVolatile(_ event: String, _ arguments: SocketArguments = []) {
        guard connection?.engine?.isWritable == true else { return }
        send(Publication(namespace: namespace.name, event: event, arguments: arguments))
    }

    /// Sends an event and asks for an answer.
    /// - Parameters:
    ///   - timeout: nil waits as long as the socket lives.
    ///   - answered: called once: with the arguments, or with nil at the timeout or the socket's end.
    package func emit(
        _ event: String, _ arguments: SocketArguments = [], timeout: Duration? = nil,
        answered: @escaping (SocketArguments?) -> Void
    ) {
        guard phase != .closed else { return answered(nil) }
        let id = namespace.nextAckID()
        expect(ack: id, timeout: timeout, answered)
        send(
            Publication(
                namespace: namespace.name, event: event, arguments: arguments, ackID: id))
    }

    /// Answers an event of the client's. The caller answers each at most once.
    package func acknowledge(_ ackID: Int, _ arguments: SocketArguments) {
        connection?.letGoIfGreedy()
        guard phase != .closed else { return }
        var packet: [UInt8] = []
        SocketEncoder.ack(
            namespace: namespace.name, id: ackID, arguments: arguments.items,
            attachmentCount: arguments.attachments.count, into: &packet)
        send(packet: packet)
        for attachment in arguments.attachments {
            guard phase != .closed else { return }
            connection?.engine?.send(binary: attachment)
        }
    }

    /// Answers an event by a packet that is encoded already.
    package func acknowledge(packet: [UInt8]) {
        connection?.letGoIfGreedy()
        send(packet: packet)
    }

    /// Has the handler told, once, when everything that waits now is with the kernel.
    package func tellWhenDrained() {
        guard phase != .closed else { return }
        wantsDrained = true
        connection?.engine?.tellWhenDrained()
    }

    /// Forgives what waits now: a replay that the server chose to send is not the client's greed.
    package func forgiveQueue() { connection?.forgive() }

    // MARK: Ending

    /// Sends the client out of the namespace. A stock client does not come back by itself.
    /// - Parameter reason: ends the transport too, and with it all the client's namespaces; nil leaves
    ///   it open.
    package func disconnect(closing reason: EngineSession.CloseReason? = nil) {
        guard phase != .closed else { return }
        let engine = connection?.engine
        var packet: [UInt8] = []
        SocketEncoder.disconnect(namespace: namespace.name, into: &packet)
        send(packet: packet)
        end(.serverLeft)
        if let reason { engine?.close(reason) }
    }

    /// Ends the transport, and with it all the client's namespaces. A stock client comes back.
    package func closeTransport(_ reason: EngineSession.CloseReason) {
        connection?.engine?.close(reason)
    }

    func end(_ reason: Ending) {
        guard phase != .closed else { return }
        namespace.forget(self, reason)
        phase = .closed
        leaveAll()
        let acks = acks
        self.acks = nil
        connection?.forget(self)
        connection = nil
        let handler = handler
        self.handler = nil
        for answered in acks?.takeAll() ?? [] { answered(nil) }
        handler?.disconnected(reason)
    }

    // MARK: Rooms

    /// The rooms it is in, in the order of joining.
    package var rooms: some Collection<Room> { memberships.lazy.map(\.room) }

    package func isMember(of room: String) -> Bool {
        memberships.contains { $0.room.id == room }
    }

    /// Enters a room; what waits to be sent in it now is not for this socket.
    package func join(_ room: String) {
        guard phase != .closed, !isMember(of: room) else { return }
        let room = namespace.room(room)
        memberships.append(Membership(room: room, index: Int32(room.add(self))))
    }

    /// Leaves a room; what has been published in it so far is still sent.
    package func leave(_ room: String) {
        guard let place = memberships.firstIndex(where: { $0.room.id == room }) else { return }
        let membership = memberships.remove(at: place)
        let left = membership.room
        left.publications[left.members[Int(membership.index)].first...].forEach { owe($0) }
        left.remove(at: Int(membership.index))
        namespace.release(left)
    }

    func moved(in room: Room, to index: Int) {
        guard let place = memberships.firstIndex(where: { $0.room === room }) else { return }
        memberships[place].index = Int32(index)
    }

    private func leaveAll() {
        for membership in memberships.reversed() {
            membership.room.remove(at: Int(membership.index))
            namespace.release(membership.room)
        }
        memberships = .none
        pending = []
        owed = []
    }

    // MARK: The flush

    /// Puts by a publication for this socket alone, to be sent in its place among the rooms'.
    package func owe(_ publication: Publication) {
        guard phase != .closed, delivery != .dropped else { return }
        touch()
        owed.append(publication)
    }

    /// Notes that a room has publications for this socket in this flush.
    func touch(_ room: Room, first: Int) {
        touch()
        pending.append((room, first))
    }

    private func touch() {
        guard !isTouched else { return }
        isTouched = true
        namespace.touched(self)
    }

    /// Sends what has been gathered: by reference when it all came in one room, brought into order when
    /// in several, so that the last offset covers all before it.
    func flushWindow() {
        isTouched = false
        if pending.count == 1, owed.isEmpty {
            let (room, first) = pending[0]
            pending.removeAll(keepingCapacity: true)
            return flush(room, first: first)
        }
        for (room, first) in pending {
            namespace.gathered.append(contentsOf: room.publications[first...])
        }
        pending.removeAll(keepingCapacity: true)
        flushGathered()
    }

    /// Sends what has been gathered so far, so that what is sent next comes behind it.
    package func flushNow() {
        for membership in memberships {
            namespace.gathered.append(
                contentsOf: membership.room.take(ofMember: Int(membership.index)))
        }
        flushGathered()
    }

    /// Sends what was gathered in its only room with anything for this socket.
    func flush(_ room: Room, first: Int) {
        guard delivery == .live, skipThrough == 0 else {
            namespace.gathered.append(contentsOf: room.publications[first...])
            return flushGathered()
        }
        guard let connection, let engine = connection.engine else { return }
        // What waits now has waited since an earlier turn: the transport is full. This window is sent
        // nevertheless, so that reading goes on behind it, at one point for all rooms.
        let isFull = engine.queuedBytes > connection.maxQueuedBytes
        engine.sendNow(room.batch(for: receiverClass(engine), by: engine), from: first)
        if isFull { handler?.fellBehind(self) }
    }

    /// Sends what stands in the namespace's list, and what is owed, in order.
    private func flushGathered() {
        var publications: [Publication] = []
        swap(&publications, &namespace.gathered)
        defer {
            // Goes back emptied, so that the next socket need not make one.
            publications.removeAll(keepingCapacity: publications.capacity <= 4096)
            swap(&publications, &namespace.gathered)
        }
        if !owed.isEmpty {
            publications.append(contentsOf: owed)
            owed = []
        }
        guard delivery == .live, !publications.isEmpty else { return }
        publications.sort { $0.order < $1.order }
        let skipped = skipThrough
        skipThrough = 0
        guard let connection, let engine = connection.engine else { return }
        let isFull = engine.queuedBytes > connection.maxQueuedBytes
        let receiver = receiverClass(engine)
        engine.sendNow(
            publications.filter { $0.order > skipped }
                .map { $0.encoded(for: receiver) { engine.deflated($0) } })
        if isFull { handler?.fellBehind(self) }
    }

    private func receiverClass(_ engine: EngineConnection) -> ReceiverClass {
        ReceiverClass(keepsOffset: keepsOffset, takesDeflated: engine.takesDeflated)
    }

    // MARK: Acknowledgements

    func expect(ack id: Int, timeout: Duration?, _ answered: @escaping (SocketArguments?) -> Void) {
        let acks = acks ?? PendingAcks()
        self.acks = acks
        let deadline = timeout.map { namespace.now + $0 } ?? .distantFuture
        let missing = acks.add(id, deadline: deadline, answered)
        if timeout != nil { connection?.rearm() }
        missing?(nil)
    }

    /// The client's answer; one that nobody waits for is ignored, as the reference does.
    func answered(_ ackID: Int, _ arguments: @autoclosure () -> SocketArguments) {
        acks?.take(ackID)?(arguments())
    }

    /// The earlier of the handler's deadline and the acknowledgements'.
    var nextDeadline: Instant { min(deadline, acks?.nextDeadline ?? .distantFuture) }

    func timePassed(now: Instant) {
        for answered in acks?.takeExpired(now: now) ?? [] { answered(nil) }
        if deadline <= now, phase != .closed {
            deadline = .distantFuture
            handler?.deadlinePassed(now: now)
        }
    }
}
