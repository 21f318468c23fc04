// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import HTTP1
internal import JSON
internal import Reactor

/// Engine.IO by HTTP long-polling, as the official client speaks it: one GET waiting, one POST at a
/// time with everything that has gathered.
final class PollingWire: Wire {
    private weak var owner: (any WireOwner)?
    private let loop: EventLoop
    private let port: UInt16
    private var poll: HTTPExchange?
    private var post: HTTPExchange?
    private var waiting: [[UInt8]] = []
    private var sid: String?
    private var isPosting = false

    init?(loop: EventLoop, port: UInt16, owner: any WireOwner) {
        self.loop = loop
        self.port = port
        self.owner = owner
        get()
    }

    var ports: [UInt16] { [poll?.localPort ?? 0, post?.localPort ?? 0] }

    private var target: String {
        "/socket.io/?EIO=4&transport=polling" + (sid.map { "&sid=\($0)" } ?? "")
    }

    func send(_ packet: [UInt8]) {
        waiting.append(packet)
        flush()
    }

    func close() {
        owner = nil
        poll?.close()
        post?.close()
        poll = nil
        post = nil
    }

    private func get() {
        let exchange = poll ?? HTTPExchange(loop: loop, port: port)
        poll = exchange
        exchange.perform("GET", target, nil) { [weak self] result in self?.polled(result) }
    }

    private func polled(_ result: HTTPExchange.Result) {
        guard case .success(let status, let body) = result else {
            return fail("a poll broke off")
        }
        guard status == 200 else { return fail("a poll was answered \(status)") }
        var reader = PollPayloadReader()
        while owner != nil {
            let step: PollPayloadReader.Step
            do throws(EngineError) {
                step = try reader.next(in: body.span)
            } catch {
                return fail("a bad poll body: \(error)")
            }
            switch step {
            case .end:
                get()
                return flush()
            case .binary: continue
            case .packet(let type, let range):
                let packet = [type.rawValue] + body[range]
                if type == .open {
                    sid = (try? JSONValue(parsing: Array(body[range])))?["sid"]?.string
                }
                if type == .close { return fail("closed by the server") }
                if type != .noop { owner?.wireReceived(self, packet) }
            }
        }
    }

    private func flush() {
        guard sid != nil, !isPosting, !waiting.isEmpty, owner != nil else { return }
        isPosting = true
        var body: [UInt8] = []
        var writer = PollPayloadWriter()
        for packet in waiting { writer.encoded(packet.span, into: &body) }
        waiting = []
        let exchange = post ?? HTTPExchange(loop: loop, port: port)
        post = exchange
        exchange.perform("POST", target, body) { [weak self] result in
            guard let self else { return }
            isPosting = false
            guard case .success(200, _) = result else { return fail("a post failed") }
            flush()
        }
    }

    private func fail(_ reason: String) {
        let owner = owner
        close()
        owner?.wireEnded(self, reason)
    }
}

/// Requests one after another over a connection that is kept.
final class HTTPExchange: StreamOwner {
    enum Result { case success(status: Int, body: [UInt8]), failure }

    private let loop: EventLoop
    private let port: UInt16
    private var stream: StreamSocket?
    private var parser = ResponseParser()
    private var unread: [UInt8] = []
    private var status = 0
    private var body: [UInt8] = []
    private var request: [UInt8] = []
    private var completion: ((Result) -> Void)?

    init(loop: EventLoop, port: UInt16) {
        self.loop = loop
        self.port = port
    }

    var localPort: UInt16 { stream?.localPort ?? 0 }

    func perform(
        _ method: String, _ target: String, _ body: [UInt8]?,
        completion: @escaping (Result) -> Void
    ) {
        self.completion = completion
        var fields = HTTPFields()
        fields.set("host", "127.0.0.1")
        if body != nil { fields.set("content-type", "text/plain;charset=UTF-8") }
        request = []
        RequestWriter.write(
            method: method, target: target, fields: fields, bodyCount: body?.count, into: &request)
        request.append(contentsOf: body ?? [])
        if let stream, stream.isOpen { return stream.write(request) }
        parser = ResponseParser()
        unread = []
        stream = StreamSocket(loop: loop, port: port, owner: self)
        if stream == nil { finish(.failure) }
    }

    func close() {
        completion = nil
        stream?.close()
        stream = nil
    }

    func streamOpened(_ stream: StreamSocket) { stream.write(request) }

    func streamReceived(_ stream: StreamSocket, _ bytes: UnsafeRawBufferPointer) {
        unread.append(contentsOf: bytes)
        while completion != nil {
            let now = unread
            guard let step = try? parser.next(in: now.span) else { return streamEnded(stream) }
            if case .body(let range) = step.event { body.append(contentsOf: now[range]) }
            unread.removeFirst(step.consumed)
            switch step.event {
            case .needMore: return
            case .body: break
            case .head(let head):
                status = head.status
                body = []
                if !head.keepAlive {
                    // One more answer, then a new connection.
                    isLast = true
                }
            case .end:
                if isLast {
                    isLast = false
                    stream.close()
                    self.stream = nil
                }
                finish(.success(status: status, body: body))
            }
        }
    }

    private var isLast = false

    func streamEnded(_ stream: StreamSocket) {
        stream.close()
        if self.stream === stream { self.stream = nil }
        finish(.failure)
    }

    private func finish(_ result: Result) {
        guard let completion else { return }
        self.completion = nil
        completion(result)
    }
}
