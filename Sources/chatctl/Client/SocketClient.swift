// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import JSON
internal import SocketIO
internal import Timing

/// A small blocking Socket.IO client over WebSocket: one main-namespace connection, one request at a
/// time. Events that come while an answer is awaited are kept for `nextEvent`.
final class SocketClient {
    /// One event without the recovery offset that the server appends.
    struct Event: Hashable, Sendable {
        var name: String
        var data: JSONValue
    }

    /// How long a handshake or an answer may take.
    static let timeout = Duration.seconds(10)

    private let stream: SocketClientStream
    private var decoder = SocketDecoder()
    private var waiting: [Event] = []
    private var lastID = 0

    /// Connects with a token and waits until the server has accepted it.
    init(url: String, token: String) throws(SocketClientError) {
        let deadline = SystemClock.now() + SocketClient.timeout
        stream = try SocketClientStream(
            to: ServerAddress(url: url), target: "/socket.io/?EIO=4&transport=websocket",
            timeout: SocketClient.timeout)
        let open = try stream.next(until: deadline)
        guard open.first == EnginePacketType.open.rawValue else {
            throw .malformed("no open packet")
        }
        var packet: [UInt8] = [EnginePacketType.message.rawValue]
        SocketEncoder.connectRequest(
            auth: (["token": .string(token)] as JSONValue).bytes, into: &packet)
        try stream.send(text: packet)
        while true {
            guard let (packet, text) = try nextPacket(until: deadline) else { continue }
            switch packet.type {
            case .connect: return
            case .connectError:
                let error = try SocketClient.json(packet, text)
                let code = error["message"]?.string ?? "unknown"
                throw .refused(code: code, message: error["data"]?["message"]?.string ?? "")
            default: throw .malformed("a packet before CONNECT was answered")
            }
        }
    }

    /// Sends a request and waits for its answer.
    /// - Throws: `failed` when the answer is `{ok:false}`.
    func request(
        _ name: String, _ data: JSONValue
    ) throws(SocketClientError) -> JSONValue {
        lastID += 1
        var packet: [UInt8] = [EnginePacketType.message.rawValue]
        SocketEncoder.event(name: name, arguments: [data.bytes], ackID: lastID, into: &packet)
        try stream.send(text: packet)
        let deadline = SystemClock.now() + SocketClient.timeout
        while true {
            guard let (packet, text) = try nextPacket(until: deadline) else { continue }
            switch packet.type {
            case .ack where packet.ackID == lastID:
                let answer = try SocketClient.json(packet, text).array?.first ?? .null
                if answer["ok"]?.bool == true { return answer }
                let error = answer["error"]
                throw .failed(
                    code: error?["code"]?.string ?? "unknown",
                    message: error?["message"]?.string ?? "")
            case .event: waiting.append(try SocketClient.event(packet, text))
            default: break
            }
        }
    }

    /// Waits for the next event, without end unless a deadline is given.
    func nextEvent(
        until deadline: Instant = .distantFuture
    ) throws(SocketClientError) -> Event {
        if !waiting.isEmpty { return waiting.removeFirst() }
        while true {
            guard let (packet, text) = try nextPacket(until: deadline), packet.type == .event else {
                continue
            }
            return try SocketClient.event(packet, text)
        }
    }

    /// Leaves in good order.
    func disconnect() {
        var packet: [UInt8] = [EnginePacketType.message.rawValue]
        SocketEncoder.disconnect(into: &packet)
        _ = try? stream.send(text: packet)
        // 1000: the purpose is fulfilled (RFC 6455 §7.4.1).
        stream.close(code: 1000)
    }

    /// The next Socket.IO packet with the bytes its data lies in. Nil for an Engine.IO packet, which is
    /// dealt with here.
    private func nextPacket(
        until deadline: Instant
    ) throws(SocketClientError) -> (SocketPacket, [UInt8])? {
        let message = try stream.next(until: deadline)
        guard let first = message.first, let type = EnginePacketType(rawValue: first) else {
            throw .malformed("no Engine.IO packet")
        }
        switch type {
        case .ping:
            try stream.send(text: [EnginePacketType.pong.rawValue] + message.dropFirst())
            return nil
        case .close: throw .closed(code: nil, reason: "")
        case .message: break
        default: return nil
        }
        let text = Array(message.dropFirst())
        let step: SocketStep
        do throws(SocketError) {
            step = try decoder.text(text.span)
        } catch {
            throw .malformed("\(error)")
        }
        // Our server sends no attachments; a step that waits for some is passed over.
        guard case .packet(let packet) = step else { return nil }
        if packet.type == .disconnect { throw .closed(code: nil, reason: "") }
        return (packet, text)
    }

    private static func json(
        _ packet: SocketPacket, _ text: [UInt8]
    ) throws(SocketClientError) -> JSONValue {
        guard let range = packet.data else { return .null }
        do throws(JSONError) {
            return try JSONValue(parsing: Array(text[range]))
        } catch {
            throw .malformed("\(error)")
        }
    }

    private static func event(
        _ packet: SocketPacket, _ text: [UInt8]
    ) throws(SocketClientError) -> Event {
        guard let parts = try json(packet, text).array, let name = parts.first?.string else {
            throw .malformed("an event without a name")
        }
        return Event(name: name, data: parts.count > 1 ? parts[1] : .null)
    }
}
