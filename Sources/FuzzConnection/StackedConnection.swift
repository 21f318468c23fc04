// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import HTTP1
internal import SocketIO
internal import Timing
internal import WebSocket

/// The pure layers stacked as the shell stacks them, one peer, one session: bytes in, bytes out, and a record
/// of what came out on top.
final class StackedConnection {
    enum Said: Hashable {
        case request(String, String)
        case refused(EngineRefusal)
        case opened(Transport)
        case malformed(HTTPError)
        case handshake(HandshakeError)
        case failed(WebSocketError)
        case closed(UInt16?)
        case engine(EngineSession.Step)
        case badPacket(EngineError)
        case packet(SocketPacket)
        case event([UInt8], Int)
        case binary(SocketPacket, [[UInt8]])
        case badSocketPacket(SocketError)
    }

    private static let http = HTTPLimits(
        maxRequestLineBytes: 256, maxFields: 16, maxFieldBytes: 1024, maxBodyBytes: 2048,
        maxChunkExtensionBytes: 64)
    private static let start = Instant(nanoseconds: 0)
    private static let sid = "s"

    private let deflates: Bool
    private let webSocketLimits: WebSocketLimits
    private var parser = RequestParser(limits: http)
    private var receiver: MessageReceiver?
    private var head: RequestHead?
    private var body: [UInt8] = []
    private var engine: EngineSession?
    private var isProbe = false
    private var decoder = SocketDecoder(
        limits: SocketLimits(maxAttachmentBytes: 256, maxNamespaceBytes: 16, maxDepth: 8))
    private var hasEnded = false
    private var unread: [UInt8] = []

    private(set) var said: [Said] = []
    private(set) var written: [UInt8] = []
    /// Methods of the requests answered, as a client has to know them.
    private(set) var answered: [String] = []
    private(set) var deflate: DeflateParameters?
    /// False once a window smaller than deflate's own is agreed on: zlib notices a reference beyond it or
    /// not, as the bytes happen to arrive.
    private(set) var isReproducible = true

    init(deflates: Bool, maxInPlaceBytes: Int) {
        self.deflates = deflates
        webSocketLimits = WebSocketLimits(
            maxMessageBytes: 2048, maxFragments: 8, maxInPlaceBytes: maxInPlaceBytes)
    }

    func receive(_ piece: ArraySlice<UInt8>) {
        guard !hasEnded else { return }
        unread += piece
        while !hasEnded {
            let used = receiver == nil ? readHTTP() : readFrames()
            guard let used else { break }
            unread.removeFirst(used)
        }
        let room = max(1024, webSocketLimits.maxInPlaceBytes, 256) + 256
        precondition(hasEnded || unread.count <= room + piece.count, "what waits is bounded")
    }

    /// The connection is lost: whatever stands must end without a trap.
    func end() {
        guard var engine else { return }
        var now = StackedConnection.start
        for _ in 0..<8 {
            now = engine.nextDeadline
            if case .close = engine.timePassed(now: now) { return }
        }
    }

    // MARK: HTTP

    /// Bytes used by one step; nil when more are needed.
    private func readHTTP() -> Int? {
        do throws(HTTPError) {
            let bytes = unread
            let step = try parser.next(in: bytes.span)
            switch step.event {
            case .needMore: return step.consumed > 0 ? step.consumed : nil
            case .head(let head): self.head = head
            case .body(let range): body += bytes[range]
            case .end: answer()
            }
            return step.consumed
        } catch {
            said.append(.malformed(error))
            respond(status: error.status, Array(error.code.utf8), keepAlive: false)
            return nil
        }
    }

    private func answer() {
        guard let head else { preconditionFailure("a request ended that never began") }
        self.head = nil
        let body = body
        self.body = []
        said.append(.request(head.method, head.path))
        let query = EngineQuery.parse(head.query)
        let isKnown = query.sid.map { $0 == StackedConnection.sid } ?? false
        let refusal = EngineRefusal.first(
            for: query, method: head.method, isUpgrade: head.upgradesToWebSocket,
            sessionTransport: isKnown ? engine?.transport : nil)
        if let refusal {
            said.append(.refused(refusal))
            return respond(status: refusal.status, refusal.body, head)
        }
        if head.upgradesToWebSocket { return upgrade(head, isProbe: query.sid != nil) }
        guard query.sid != nil else { return open(.polling, head) }
        guard head.method == "POST" else { return respond(status: 200, [0x36], head) }
        readPoll(body)
        respond(status: 200, Array("ok".utf8), head)
    }

    private func open(_ transport: Transport, _ head: RequestHead?) {
        let configuration = EngineConfiguration()
        engine = EngineSession(
            transport: transport, configuration: configuration, now: StackedConnection.start)
        said.append(.opened(transport))
        var packet: [UInt8] = []
        EngineOpen.write(
            sid: StackedConnection.sid, upgrades: transport == .polling ? [.websocket] : [],
            configuration: configuration, into: &packet)
        if let head { respond(status: 200, packet, head) } else { send(packet) }
    }

    private func readPoll(_ body: [UInt8]) {
        var reader = PollPayloadReader()
        do throws(EngineError) {
            while !hasEnded {
                switch try reader.next(in: body.span) {
                case .packet(let type, let range):
                    take(type, Array(body[range]), from: .current)
                case .binary(let bytes): takeBinary(bytes)
                case .end: return
                }
            }
        } catch {
            said.append(.badPacket(error))
            engine = nil
        }
    }

    private func respond(status: Int, _ bytes: [UInt8], _ head: RequestHead) {
        answered.append(head.method)
        let sendsBody = ResponseWriter.write(
            status: status, reason: "x", fields: [:], bodyCount: bytes.count,
            keepAlive: head.keepAlive, isHead: head.method == "HEAD", date: "",
            minorVersion: head.minorVersion, into: &written)
        if sendsBody { written += bytes }
        if !head.keepAlive { hasEnded = true }
    }

    private func respond(status: Int, _ bytes: [UInt8], keepAlive: Bool) {
        answered.append("GET")
        ResponseWriter.write(
            status: status, reason: "x", fields: [:], bodyCount: bytes.count,
            keepAlive: keepAlive, isHead: false, date: "", into: &written)
        written += bytes
        hasEnded = true
    }

    // MARK: WebSocket

    private func upgrade(_ head: RequestHead, isProbe: Bool) {
        do throws(HandshakeError) {
            let (fields, deflate) = try WebSocketHandshake.respond(
                to: head, deflate: deflates ? DeflatePolicy() : nil)
            answered.append("GET")
            ResponseWriter.write(
                status: 101, reason: "x", fields: fields, bodyCount: nil, keepAlive: true,
                isHead: false, date: "", into: &written)
            self.deflate = deflate
            if let deflate, deflate.clientMaxWindowBits < 15 { isReproducible = false }
            receiver = MessageReceiver(role: .server, limits: webSocketLimits, deflate: deflate)
            self.isProbe = isProbe
            if isProbe {
                _ = engine?.probeOpened(now: StackedConnection.start)
            } else {
                open(.websocket, nil)
            }
        } catch {
            said.append(.handshake(error))
            respond(status: error.status, Array(error.detail.utf8), head)
        }
    }

    /// Bytes used by one step; nil when more are needed.
    private func readFrames() -> Int? {
        var bytes = unread
        unread = []
        defer { unread = bytes }
        do throws(WebSocketError) {
            var span = bytes.mutableSpan
            guard let step = try receiver?.next(in: &span) else { return nil }
            switch step.event {
            case .needMore: return step.consumed > 0 ? step.consumed : nil
            case .text(let payload):
                let text = StackedConnection.bytes(payload, bytes)
                precondition(UTF8Validator.isValid(text.span), "text is UTF-8")
                takeText(text)
            case .binary(let payload): takeBinary(StackedConnection.bytes(payload, bytes))
            case .ping(let range):
                FrameWriter.write(
                    opcode: .pong, payload: bytes.span.extracting(range), into: &written)
            case .pong: break
            case .close(let code, _):
                said.append(.closed(code))
                FrameWriter.close(code: code, into: &written)
                hasEnded = true
            }
            return step.consumed
        } catch {
            said.append(.failed(error))
            FrameWriter.close(code: error.closeCode, reason: error.reason, into: &written)
            hasEnded = true
            return nil
        }
    }

    private static func bytes(_ payload: Payload, _ buffer: [UInt8]) -> [UInt8] {
        switch payload {
        case .range(let range): Array(buffer[range])
        case .assembled(let bytes): bytes
        }
    }

    // MARK: Engine.IO and Socket.IO

    private func takeText(_ text: [UInt8]) {
        do throws(EngineError) {
            let (type, range) = try EngineCodec.decodeText(text.span)
            take(type, Array(text[range]), from: isProbe ? .probe : .current)
        } catch {
            said.append(.badPacket(error))
            close(1002)
        }
    }

    private func take(
        _ type: EnginePacketType, _ payload: [UInt8], from origin: EngineSession.Origin
    ) {
        let step =
            engine?.received(
                type, isProbePayload: payload.elementsEqual("probe".utf8), from: origin,
                now: StackedConnection.start) ?? .nothing
        switch step {
        case .deliver: deliver(text: payload)
        case .confirmProbe: send(Array("3probe".utf8))
        case .completeUpgrade: isProbe = false
        case .closeProbe, .close: close(1000)
        case .nothing, .sendPing: break
        }
        if step != .deliver { said.append(.engine(step)) }
    }

    private func takeBinary(_ bytes: [UInt8]) {
        guard !isProbe else { return close(1002) }
        guard engine != nil else { return }
        do throws(SocketError) {
            let step = try decoder.binary(bytes)
            guard case .binaryPacket(let packet, let text, let attachments) = step else { return }
            precondition(attachments.count == packet.attachmentCount)
            said.append(.binary(packet, attachments))
            if let data = packet.data { echo(packet, Array(text[data])) }
        } catch {
            said.append(.badSocketPacket(error))
            close(1002)
        }
    }

    private func deliver(text: [UInt8]) {
        do throws(SocketError) {
            guard case .packet(let packet) = try decoder.text(text.span) else { return }
            said.append(.packet(packet))
            guard packet.type == .event, let data = packet.data else { return }
            let parts = try EventArguments.split(text.span, in: data, maxDepth: 8)
            said.append(.event(Array(text[parts.name]), parts.arguments.count))
            echo(packet, Array(text[data]))
        } catch {
            said.append(.badSocketPacket(error))
            close(1002)
        }
    }

    /// Answers an event with its own arguments: an acknowledgement, or the event again.
    private func echo(_ packet: SocketPacket, _ data: [UInt8]) {
        var output = [EnginePacketType.message.rawValue]
        SocketEncoder.header(
            packet.ackID == nil ? .event : .ack, namespace: packet.namespace, ackID: packet.ackID,
            into: &output)
        send(output + data)
    }

    /// Sends one packet, where a WebSocket is there to take it.
    private func send(_ packet: [UInt8]) {
        guard receiver != nil, !hasEnded else { return }
        FrameWriter.write(opcode: .text, payload: packet.span, into: &written)
    }

    private func close(_ code: UInt16) {
        guard !hasEnded else { return }
        guard receiver != nil else {
            engine = nil
            return
        }
        FrameWriter.close(code: code, into: &written)
        hasEnded = true
    }
}
