// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Glibc
internal import HTTP1
internal import Timing
internal import WebSocket

/// A blocking WebSocket connection of a client: text messages out and in.
final class SocketClientStream {
    private let descriptor: Int32
    private var receiver = MessageReceiver(role: .client, limits: SocketClientStream.limits)
    /// Bytes read and not yet consumed.
    private var unread: [UInt8] = []

    /// Snapshots of big rooms are the largest that comes.
    private static let limits: WebSocketLimits = {
        var limits = WebSocketLimits()
        limits.maxMessageBytes = 16 << 20
        return limits
    }()

    /// Connects and switches to WebSocket at `target`.
    /// - Parameter timeout: for the whole handshake.
    init(
        to address: ServerAddress, target: String, timeout: Duration
    ) throws(SocketClientError) {
        let deadline = SystemClock.now() + timeout
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .cannotConnect(address.authority, code: errno) }
        guard address.socketAddress.call({ connect(descriptor, $0, $1) }) == 0 else {
            throw .cannotConnect(address.authority, code: errno)
        }
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        try switchProtocol(address, target, deadline)
    }

    deinit { Glibc.close(descriptor) }

    private func switchProtocol(
        _ address: ServerAddress, _ target: String, _ deadline: Instant
    ) throws(SocketClientError) {
        let key = SecureRandom.bytes(16)
        var fields = WebSocketHandshake.request(key: key)
        fields.set("host", address.authority)
        var request: [UInt8] = []
        RequestWriter.write(method: "GET", target: target, fields: fields, into: &request)
        try write(request)
        var parser = ResponseParser()
        while true {
            let step: ResponseStep
            let bytes = unread
            do throws(HTTPError) {
                step = try parser.next(in: bytes.span)
            } catch {
                throw .handshake(error.detail)
            }
            unread.removeFirst(step.consumed)
            guard case .head(let head) = step.event else {
                try readMore(until: deadline)
                continue
            }
            do throws(HandshakeError) {
                _ = try WebSocketHandshake.verify(head, key: key)
            } catch {
                throw .handshake("status \(head.status); \(error.detail)")
            }
            return
        }
    }

    /// Sends one text message.
    func send(text: [UInt8]) throws(SocketClientError) {
        try send(.text, text.span)
    }

    private func send(_ opcode: Opcode, _ payload: Span<UInt8>) throws(SocketClientError) {
        var frame: [UInt8] = []
        FrameWriter.write(
            opcode: opcode, payload: payload, mask: MaskingKey(.random(in: .min ... .max)),
            into: &frame)
        try write(frame)
    }

    /// Waits for the next text message. Pings are answered; binary messages, which our server does
    /// not send, are passed over.
    func next(until deadline: Instant) throws(SocketClientError) -> [UInt8] {
        while true {
            var consumed: Int
            let event: ReceiveStep.Event
            (consumed, event) = try receive()
            defer { unread.removeFirst(consumed) }
            switch event {
            case .needMore:
                // What is consumed must go before more is read behind it.
                unread.removeFirst(consumed)
                consumed = 0
                try readMore(until: deadline)
            case .text(.range(let range)): return Array(unread[range])
            case .text(.assembled(let bytes)): return bytes
            case .ping(let range):
                let payload = Array(unread[range])
                try send(.pong, payload.span)
            case .close(let code, let reason):
                throw .closed(
                    code: code, reason: String(decoding: unread[reason], as: UTF8.self))
            case .binary, .pong: break
            }
        }
    }

    /// One step of the receiver over what was read.
    private func receive() throws(SocketClientError) -> (Int, ReceiveStep.Event) {
        // Out of the property while the span lends it; no byte is copied.
        var buffer: [UInt8] = []
        swap(&buffer, &unread)
        defer { swap(&buffer, &unread) }
        var bytes = buffer.mutableSpan
        do throws(WebSocketError) {
            let step = try receiver.next(in: &bytes)
            return (step.consumed, step.event)
        } catch {
            throw .malformed("\(error)")
        }
    }

    /// Says goodbye; the server need not answer for us to go.
    func close(code: UInt16) {
        var frame: [UInt8] = []
        FrameWriter.close(code: code, mask: MaskingKey(.random(in: .min ... .max)), into: &frame)
        _ = try? write(frame)
    }

    private func write(_ bytes: [UInt8]) throws(SocketClientError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress! + sent, $0.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .closed(code: nil, reason: "") }
            sent += count
        }
    }

    private func readMore(until deadline: Instant) throws(SocketClientError) {
        while true {
            let left = (deadline - SystemClock.now()).milliseconds
            guard left > 0 else { throw .timedOut }
            var watch = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watch, 1, Int32(clamping: left))
            if ready == 0 || ready < 0 && errno == EINTR { continue }
            let old = unread.count
            unread.append(contentsOf: repeatElement(0, count: 65_536))
            let count = unread.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress! + old, $0.count - old, 0)
            }
            let code = errno
            unread.removeLast(unread.count - old - max(0, count))
            if count < 0, code == EINTR { continue }
            guard count > 0 else { throw .closed(code: nil, reason: "") }
            return
        }
    }
}
