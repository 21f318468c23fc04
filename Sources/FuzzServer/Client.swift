// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import Glibc
internal import HTTP1
internal import SocketIO
internal import WebSocket

/// One client's end of a connection: says what the script says, and reads what comes as strictly as the
/// specifications allow. Whatever it refuses is the server's fault.
final class Client {
    private let descriptor: Int32
    private var isShutDown = false
    private var methods: [String] = []
    private var requests = RequestParser(
        limits: HTTPLimits(maxFieldBytes: 1024, maxBodyBytes: 4096))
    private var unparsed: [UInt8] = []
    private var heard: [UInt8] = []

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// A client, and the descriptor of its connection's other end; nil when there are no more.
    static func pair() -> (Client, Int32)? {
        var ends: (Int32, Int32) = (-1, -1)
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let code = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, kind, 0, $0) }
        }
        return code == 0 ? (Client(ends.0), ends.1) : nil
    }

    func write(_ bytes: [UInt8]) {
        let count = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        guard count > 0 else { return }
        note(bytes.prefix(count))
    }

    /// Keeps the methods of what was asked, which tell how answers end.
    private func note(_ bytes: ArraySlice<UInt8>) {
        unparsed += bytes
        while true {
            let waiting = unparsed
            guard let step = try? requests.next(in: waiting.span) else { break }
            unparsed.removeFirst(step.consumed)
            if case .needMore = step.event { return }
            if case .head(let head) = step.event { methods.append(head.method) }
        }
        unparsed = []
    }

    /// What has arrived since the last time.
    func read() -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            all += buffer[..<count]
        }
        heard += all
        return all
    }

    func shutDown() {
        isShutDown = true
        shutdown(descriptor, Int32(SHUT_WR))
    }

    func close() { Glibc.close(descriptor) }

    // MARK: Strict reading

    /// Reads all that was heard. Only its end may be missing: the server cuts who is too slow.
    func check() {
        var rest = heard
        var parser = ResponseParser()
        var answered = 0
        exchanges: while !rest.isEmpty {
            // A request that cannot be read is answered too, and its method is not known.
            parser.requestMethod = answered < methods.count ? methods[answered] : "GET"
            while true {
                guard let step = try? parser.next(in: rest.span) else {
                    preconditionFailure("a response breaks HTTP")
                }
                rest.removeFirst(step.consumed)
                switch step.event {
                case .needMore: return
                case .head(let head):
                    if head.status == 101 { return readFrames(rest, head.fields) }
                    if head.status >= 200 { answered += 1 }
                case .body: break
                case .end: continue exchanges
                }
            }
        }
    }

    private func readFrames(_ bytes: [UInt8], _ fields: HTTPFields) {
        var rest = bytes
        let deflates = fields["sec-websocket-extensions"] != nil
        var receiver = MessageReceiver(
            role: .client, limits: WebSocketLimits(maxMessageBytes: 1 << 20),
            deflate: deflates ? DeflateParameters() : nil)
        var decoder = SocketDecoder()
        while true {
            var span = rest.mutableSpan
            guard let step = try? receiver.next(in: &span) else {
                preconditionFailure("a frame breaks RFC 6455")
            }
            switch step.event {
            case .needMore: return
            case .text(.range(let range)): packet(Array(rest[range]), &decoder)
            case .text(.assembled(let text)): packet(text, &decoder)
            case .binary(.range(let range)): attachment(Array(rest[range]), &decoder)
            case .binary(.assembled(let bytes)): attachment(bytes, &decoder)
            case .close: precondition(step.consumed == rest.count, "nothing follows a close")
            case .ping, .pong: break
            }
            rest.removeFirst(step.consumed)
        }
    }

    private func packet(_ text: [UInt8], _ decoder: inout SocketDecoder) {
        guard let (type, payload) = try? EngineCodec.decodeText(text.span) else {
            preconditionFailure("a packet breaks Engine.IO")
        }
        guard type == .message else { return }
        let message = text.span.extracting(payload)
        let step = try? decoder.text(message)
        precondition(step != nil, "a packet breaks Socket.IO")
    }

    private func attachment(_ bytes: [UInt8], _ decoder: inout SocketDecoder) {
        let step = try? decoder.binary(bytes)
        precondition(step != nil, "an attachment nobody announced")
    }
}
