// SPDX-License-Identifier: MIT
internal import Crypto
internal import HTTP1
internal import Reactor
internal import WebSocket

/// What a transport tells its client, on the loop.
protocol WireOwner: AnyObject {
    /// One Engine.IO packet, type included.
    func wireReceived(_ wire: any Wire, _ packet: [UInt8])
    /// The transport is gone. Not told after `close`.
    func wireEnded(_ wire: any Wire, _ reason: String)
}

/// An Engine.IO transport of a client.
protocol Wire: AnyObject {
    /// Sends one Engine.IO packet.
    func send(_ packet: [UInt8])
    func close()
    /// The client's ports, by which the proxy knows its connections.
    var ports: [UInt16] { get }
}

/// Engine.IO over WebSocket, as the official client speaks it without compression.
final class WebSocketWire: Wire, StreamOwner {
    private weak var owner: (any WireOwner)?
    private var stream: StreamSocket?
    private let key = SecureRandom.bytes(16)
    private var parser: ResponseParser? = ResponseParser()
    private var receiver: MessageReceiver
    private var unread: [UInt8] = []
    private var mask: UInt32 = .random(in: 1 ... .max)
    private var waiting: [[UInt8]] = []

    init?(loop: EventLoop, port: UInt16, owner: any WireOwner) {
        self.owner = owner
        var limits = WebSocketLimits()
        limits.maxMessageBytes = 16 << 20
        receiver = MessageReceiver(role: .client, limits: limits)
        stream = StreamSocket(loop: loop, port: port, owner: self)
        guard stream != nil else { return nil }
    }

    var ports: [UInt16] { [stream?.localPort ?? 0] }

    func send(_ packet: [UInt8]) {
        guard parser == nil else {
            waiting.append(packet)
            return
        }
        frame(.text, packet)
    }

    private func frame(_ opcode: Opcode, _ payload: [UInt8]) {
        mask = mask &* 1_664_525 &+ 1_013_904_223
        var frame: [UInt8] = []
        FrameWriter.write(
            opcode: opcode, payload: payload.span, mask: MaskingKey(mask), into: &frame)
        stream?.write(frame)
    }

    func close() {
        owner = nil
        stream?.close()
        stream = nil
    }

    func streamOpened(_ stream: StreamSocket) {
        var fields = WebSocketHandshake.request(key: key)
        fields.set("host", "127.0.0.1")
        var request: [UInt8] = []
        RequestWriter.write(
            method: "GET", target: "/socket.io/?EIO=4&transport=websocket", fields: fields,
            into: &request)
        stream.write(request)
    }

    func streamReceived(_ stream: StreamSocket, _ bytes: UnsafeRawBufferPointer) {
        unread.append(contentsOf: bytes)
        if parser != nil, !readHandshake() { return }
        while self.stream != nil, let owner {
            var buffer: [UInt8] = []
            swap(&buffer, &unread)
            var consumed = 0
            var event = ReceiveStep.Event.needMore
            do throws(WebSocketError) {
                var span = buffer.mutableSpan
                let step = try receiver.next(in: &span)
                (consumed, event) = (step.consumed, step.event)
            } catch {
                return fail("a bad frame: \(error)")
            }
            switch event {
            case .text(.range(let range)):
                let packet = Array(buffer[range])
                buffer.removeFirst(consumed)
                swap(&buffer, &unread)
                owner.wireReceived(self, packet)
                continue
            case .text(.assembled(let packet)):
                buffer.removeFirst(consumed)
                swap(&buffer, &unread)
                owner.wireReceived(self, packet)
                continue
            case .ping(let range): frame(.pong, Array(buffer[range]))
            case .close: return fail("closed by the server")
            default: break
            }
            buffer.removeFirst(consumed)
            swap(&buffer, &unread)
            if event == .needMore { return }
        }
    }

    private func readHandshake() -> Bool {
        while true {
            let bytes = unread
            do {
                guard let step = try parser?.next(in: bytes.span) else { return true }
                unread.removeFirst(step.consumed)
                switch step.event {
                case .needMore: return false
                case .head(let head):
                    guard head.status == 101 else {
                        fail("the upgrade was refused: \(head.status)")
                        return false
                    }
                    _ = try WebSocketHandshake.verify(head, key: key)
                    parser = nil
                    for packet in waiting { frame(.text, packet) }
                    waiting = []
                    return true
                default: return false
                }
            } catch {
                fail("the upgrade failed: \(error)")
                return false
            }
        }
    }

    func streamEnded(_ stream: StreamSocket) { fail("the connection ended") }

    private func fail(_ reason: String) {
        stream?.close()
        stream = nil
        let owner = owner
        self.owner = nil
        owner?.wireEnded(self, reason)
    }
}
