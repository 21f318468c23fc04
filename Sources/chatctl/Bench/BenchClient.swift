// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Glibc
internal import HTTP1
internal import JSON
internal import Reactor
internal import Timing
internal import WebSocket

/// One load client: a stock Socket.IO client's bytes over WebSocket, driven by one loop of the load
/// generator.
///
/// ```
/// connecting ──► upgrading ──► opening ──► joining ──► ready
///  (TCP)       (HTTP 101)   (Engine.IO)  (CONNECT, session event)
/// ```
/// From any state a failure of the connection leads to `closed`, which ends the run.
final class BenchClient: DescriptorHandler, TimerTarget {
    private enum State { case connecting, upgrading, opening, joining, ready, closed }

    /// A room of this client and how far it has been followed.
    struct Membership {
        /// Index among the run's rooms; the last is the lobby.
        let room: Int
        let key: UInt64
        var sequence: SequenceChecker
    }

    let index: Int
    var memberships: [Membership] = []

    /// When the message of each slot was sent, in a closed loop; one slot for each in flight.
    var flights: [Int64] = []
    /// Bytes a second that are read; nil reads all there is.
    private(set) var pace: Int?
    /// Whether `readNow` alone reads.
    var isReadByTheClock = false { didSet { watch() } }

    private unowned let worker: LoadWorker
    private let loop: EventLoop
    private let token: String
    private let handshakeKey: [UInt8]
    private let offersDeflate: Bool
    private let descriptor: Int32
    private var registration: Registration?
    private var state = State.connecting
    /// Bytes read that end in the middle of a frame.
    private var tail: [UInt8] = []
    /// Bytes that the socket did not take.
    private var outbox: [UInt8] = []
    private var deflate: DeflateParameters?
    /// While it holds, what is sent waits in the outbox, to go in one call.
    private var isCorked = false
    private var answers: [Int: (JSONValue) -> Void] = [:]
    private var lastID = BenchClient.firstRequestID
    /// Frames are masked with a counter's hash: the mask protects proxies from scripts, and here is
    /// neither.
    private var maskState: UInt32

    /// Load messages use their number as ack id; other requests count from here.
    static let firstRequestID = 1_000_000_000

    /// Begins to connect. Nil when there is no descriptor or port left.
    /// - Parameter receiveBuffer: bytes the kernel may keep for it; nil for its default.
    init?(
        index: Int, token: String, worker: LoadWorker, loop: EventLoop, offersDeflate: Bool = false,
        receiveBuffer: Int32? = nil
    ) {
        self.index = index
        self.token = token
        self.worker = worker
        self.offersDeflate = offersDeflate
        self.loop = loop
        maskState = UInt32(truncatingIfNeeded: index) &* 2_654_435_761 | 1
        handshakeKey = SecureRandom.bytes(16)
        descriptor = socket(
            AF_INET,
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        if var receiveBuffer {
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer,
                socklen_t(MemoryLayout<Int32>.size))
        }
        // 500 clients an address: below the limit of connections that a server allows one address.
        let source = SocketAddress.loopback(port: 0, host: UInt16(2 + index / 500))
        guard source.call({ bind(descriptor, $0, $1) }) == 0,
            worker.address.call({ connect(descriptor, $0, $1) }) == 0 || errno == EINPROGRESS,
            let registration = loop.register(descriptor, for: .writable, handler: self)
        else {
            Glibc.close(descriptor)
            return nil
        }
        self.registration = registration
    }

    /// Closes the connection. The client is spent.
    func close() {
        guard let registration else { return }
        loop.unregister(descriptor, registration)
        self.registration = nil
        Glibc.close(descriptor)
        state = .closed
    }

    /// Sends a request whose answer `completion` gets.
    func request(_ name: String, _ data: JSONValue, completion: @escaping (JSONValue) -> Void) {
        lastID += 1
        answers[lastID] = completion
        var text = Array("42\(lastID)".utf8)
        JSONValue.array([.string(name), data]).write(into: &text)
        send(text: text.span)
    }

    /// Sends a load message.
    /// - Parameters:
    ///   - id: of the acknowledgement, below `firstRequestID`.
    ///   - clientID: unique among all messages of the client's user.
    func sendMessage(id: Int, room: [UInt8], text: [UInt8], clientID: String) {
        var packet: [UInt8] = []
        packet.reserveCapacity(text.count + 128)
        packet.append("42")
        packet.append(decimal: id)
        packet.append("[\"message:send\",{\"room\":\"")
        packet.append(contentsOf: room)
        packet.append("\",\"text\":\"")
        packet.append(contentsOf: text)
        packet.append("\",\"clientId\":\"")
        packet.append(clientID)
        packet.append("\"}]")
        send(text: packet.span)
    }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.writable) {
            if state == .connecting { upgrade() } else { flush() }
        }
        if !readiness.isDisjoint(with: [.readable, .hangUp]) {
            isCorked = true
            read()
            isCorked = false
            if !outbox.isEmpty { flush() }
        }
    }

    /// Reads what there is.
    func readNow() {
        if state != .closed { corked { read() } }
    }

    /// Sends what `body` makes it send in one call.
    func corked(_ body: () -> Void) {
        isCorked = true
        body()
        isCorked = false
        if !outbox.isEmpty { flush() }
    }

    /// From now on reads so many bytes a second, as one who is on a bad line; nil reads freely again.
    func setPace(_ bytes: Int?) {
        pace = bytes
        watch()
        if bytes != nil { _ = loop.schedule(self, at: SystemClock.now() + .seconds(1)) }
    }

    func timerFired(now: Instant) {
        guard let pace, state != .closed else { return }
        read(atMost: pace)
        if self.pace != nil, state != .closed { _ = loop.schedule(self, at: now + .seconds(1)) }
    }

    private func upgrade() {
        state = .upgrading
        var fields = WebSocketHandshake.request(
            key: handshakeKey, deflate: offersDeflate ? DeflatePolicy() : nil)
        fields.set("host", "127.0.0.1")
        var request: [UInt8] = []
        RequestWriter.write(
            method: "GET", target: "/socket.io/?EIO=4&transport=websocket", fields: fields,
            into: &request)
        write(request)
        watch()
    }

    private func send(text: Span<UInt8>, opcode: Opcode = .text) {
        maskState = maskState &* 1_664_525 &+ 1_013_904_223
        var frame: [UInt8] = []
        FrameWriter.write(opcode: opcode, payload: text, mask: MaskingKey(maskState), into: &frame)
        write(frame)
    }

    private func write(_ bytes: [UInt8]) {
        guard state != .closed else { return }
        outbox.append(contentsOf: bytes)
        if outbox.count == bytes.count, !isCorked { flush() }
    }

    private func flush() {
        guard !outbox.isEmpty, registration != nil else { return watch() }
        let count = outbox.withUnsafeBytes {
            Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if count > 0 { outbox.removeFirst(count) }
        if count < 0, errno != EAGAIN, errno != EINTR { return fail("its connection broke") }
        if !outbox.isEmpty || state == .upgrading { watch() }
    }

    private func watch() {
        guard let registration else { return }
        var interest: Readiness = pace == nil && !isReadByTheClock ? .readable : []
        if !outbox.isEmpty { interest.insert(.writable) }
        loop.modify(descriptor, registration, for: interest)
    }

    private func read(atMost limit: Int = .max) {
        guard state != .closed else { return }
        var buffer = loop.readBuffer
        // An answer larger than the loop's buffer needs one of its own.
        let needsOwn = tail.count * 2 > buffer.count
        if needsOwn { buffer = .allocate(byteCount: tail.count * 2, alignment: 64) }
        defer { if needsOwn { buffer.deallocate() } }
        let old = tail.count
        tail.withUnsafeBytes { buffer.copyMemory(from: $0) }
        let count = recv(
            descriptor, buffer.baseAddress! + old, min(buffer.count - old, limit), 0)
        guard count > 0 else {
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            return fail("the server closed its connection")
        }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<(old + count)])
        let consumed = state == .upgrading ? readUpgrade(bytes) : 0
        let used = consumed + readFrames(UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
        tail.removeAll(keepingCapacity: true)
        if used < bytes.count { tail.append(contentsOf: bytes[used...]) }
    }

    /// The server's answer to the upgrade. Returns how many bytes it took.
    private func readUpgrade(_ bytes: UnsafeRawBufferPointer) -> Int {
        let text = Array(bytes)
        var parser = ResponseParser()
        do {
            let step = try parser.next(in: text.span)
            // Nothing is kept between calls: a head in two pieces is read anew from its start.
            guard case .head(let head) = step.event else { return 0 }
            deflate = try WebSocketHandshake.verify(
                head, key: handshakeKey, deflate: offersDeflate ? DeflatePolicy() : nil)
            if let deflate, !deflate.serverNoContextTakeover {
                fail("the server would compress for each client alone")
                return 0
            }
            state = .opening
            return step.consumed
        } catch {
            fail("the upgrade failed: \(error)")
            return 0
        }
    }

    /// Takes whole frames off the front. Returns how many bytes they had.
    private func readFrames(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard state != .upgrading, state != .closed else { return 0 }
        let now = SystemClock.now()
        let before = worker.deliveries
        defer { if worker.deliveries != before { worker.countRead() } }
        var offset = 0
        do throws(ServerFrame.Failure) {
            while let frame = try ServerFrame.read(
                UnsafeRawBufferPointer(rebasing: bytes[offset...]),
                allowsCompression: deflate != nil),
                bytes.count - offset >= frame.count
            {
                let start = offset + frame.headerBytes
                let payload = UnsafeRawBufferPointer(
                    rebasing: bytes[start..<(start + frame.payloadBytes)])
                let whole = UnsafeRawBufferPointer(
                    rebasing: bytes[offset..<(offset + frame.count)])
                offset += frame.count
                if frame.isCompressed {
                    takeCompressed(whole, now: now)
                    if state == .closed { return offset }
                    continue
                }
                switch frame.opcode {
                case 1: take(payload, frameBytes: frame.count, now: now)
                case 9:
                    let text = Array(payload)
                    send(text: text.span, opcode: .pong)
                case 8: fail("the server closed its WebSocket")
                default: break
                }
                if state == .closed { return offset }
            }
        } catch {
            fail("the server sent an unexpected frame")
        }
        return offset
    }

    /// A frame that the server deflated, for us or for all.
    private func takeCompressed(_ frame: UnsafeRawBufferPointer, now: Instant) {
        guard let deflate, let text = worker.inflate(frame, parameters: deflate) else {
            return fail("the server sent a frame that does not inflate")
        }
        text.withUnsafeBytes { take($0, frameBytes: frame.count, now: now) }
    }

    /// One Engine.IO packet.
    @inline(__always)
    private func take(_ packet: UnsafeRawBufferPointer, frameBytes: Int, now: Instant) {
        if let delivery = BenchDelivery.read(packet) {
            return worker.delivered(delivery, to: self, bytes: frameBytes, now: now)
        }
        switch packet.first {
        case UInt8(ascii: "0"):
            state = .joining
            var connect = Array("40".utf8)
            (["token": .string(token)] as JSONValue).write(into: &connect)
            send(text: connect.span)
        case UInt8(ascii: "2"):
            worker.countPing()
            let pong = Array("3".utf8)
            send(text: pong.span)
        case UInt8(ascii: "4"): takeMessage(packet, now: now)
        default: break
        }
    }

    private func takeMessage(_ packet: UnsafeRawBufferPointer, now: Instant) {
        if let answer = BenchAnswer.read(packet) {
            guard answer.id >= BenchClient.firstRequestID else {
                return worker.answered(answer, packet, by: self, now: now)
            }
            let completion = answers.removeValue(forKey: answer.id)
            let body = try? JSONValue(parsing: Array(packet[answer.payload...]))
            guard let completion, let value = body?.array?.first, value["ok"]?.bool == true else {
                return fail("a request was refused: \(body?.text ?? "no JSON")")
            }
            return completion(value)
        }
        let text = String(decoding: packet.prefix(64), as: UTF8.self)
        if text.hasPrefix("44") {
            return fail("it was refused: \(String(decoding: packet.prefix(300), as: UTF8.self))")
        }
        if text.hasPrefix("42[\"presence\"") { return worker.countPresence() }
        if text.hasPrefix("42[\"session\""), state == .joining {
            guard let head = BenchClient.lobbyHead(of: Span(_unsafeBytes: packet)) else {
                return fail("its session event names no lobby")
            }
            state = .ready
            worker.opened(self, lobbyHead: head)
        }
    }

    /// The lobby's head in `42["session",{…,"rooms":[…],…}]`. Read in place: a storm brings a page of
    /// presence with each of these.
    private static func lobbyHead(of packet: Span<UInt8>) -> Int64? {
        do throws(JSONError) {
            var scanner = JSONScanner(at: 2)
            var head: Int64?
            try scanner.array(in: packet) { (scanner) throws(JSONError) in
                let value = try scanner.value(in: packet)
                guard packet[value.lowerBound] == UInt8(ascii: "{") else { return }
                let session = try JSONObjectSlices(packet, in: value)
                guard let rooms = session.range("rooms", in: packet) else { return }
                var inner = JSONScanner(at: rooms.lowerBound)
                try inner.array(in: packet) { (scanner) throws(JSONError) in
                    let room = try JSONObjectSlices(packet, in: try scanner.value(in: packet))
                    guard room.string("id", in: packet) == "lobby" else { return }
                    head = room.count("head", in: packet).map(Int64.init)
                }
            }
            return head
        } catch {
            return nil
        }
    }

    private func fail(_ reason: String) {
        close()
        worker.failed(self, reason)
    }
}
