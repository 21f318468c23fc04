// SPDX-License-Identifier: MIT
package import JSON
internal import Timing

/// A Socket.IO client that shows every packet as it came: over WebSocket on one connection, or over
/// polling with one connection a request. Blocking, for one thread; every wait is bounded.
package final class WireClient {
    private enum Link {
        case webSocket(RawClient)
        case polling
    }

    private let port: Int
    private let link: Link
    /// The query of polling requests, without the session's id.
    private let query: String
    /// The Engine.IO session's id; empty when the server refused to open one.
    package private(set) var sid = ""
    /// Packets received and not yet taken, Engine.IO type included.
    private var inbox: [String] = []
    private var lastAck = 0
    /// The `session` event's argument.
    package private(set) var session: JSONValue = .null
    /// The answer to CONNECT.
    package private(set) var connectReply: JSONValue = .null
    /// Packets that came before `session`, or the refusal.
    package private(set) var early: [String] = []
    /// Packets that came before the answer to CONNECT: the official client would get them twice if the
    /// connection broke then.
    package private(set) var beforeConnect = 0
    /// The code of the server's close frame: 1005 when it named none, nil when there was no frame.
    package private(set) var closeCode: UInt16?
    /// Whether the server closed the WebSocket, as opposed to having been silent.
    package private(set) var hasEnded = false

    private init(port: Int, link: Link, query: String = "EIO=4&transport=polling") {
        self.port = port
        self.link = link
        self.query = query
    }

    /// Opens a WebSocket and, without `sid`, a session on it.
    /// - Parameter receiveBuffer: bytes of SO_RCVBUF: a small one makes a slow reader.
    package static func webSocket(
        port: Int, sid: String? = nil, query: String = "EIO=4&transport=websocket",
        receiveBuffer: Int32? = nil
    ) -> WireClient {
        let raw = RawClient(port: port, receiveBuffer: receiveBuffer)
        let suffix = sid.map { "&sid=\($0)" } ?? ""
        raw.send(
            "GET /socket.io/?\(query)\(suffix) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        _ = raw.read(until: "\r\n\r\n")
        let client = WireClient(port: port, link: .webSocket(raw))
        if sid == nil { client.readOpen() }
        return client
    }

    /// Opens a session by polling.
    package static func polling(
        port: Int, query: String = "EIO=4&transport=polling"
    ) -> WireClient {
        let client = WireClient(port: port, link: .polling, query: query)
        client.inbox = client.poll()
        client.readOpen()
        return client
    }

    private func readOpen() {
        guard let open = next(), open.hasPrefix("0") else { return }
        sid = (try? JSONValue(parsing: Array(open.dropFirst().utf8)))?["sid"]?.string ?? ""
    }

    // MARK: Requests of polling

    /// One request on a connection of its own.
    package func request(_ method: String, sid: String? = nil, body: String? = nil) -> (
        head: String, body: String
    ) {
        let raw = RawClient(port: port)
        let query = query + (sid.map { "&sid=\($0)" } ?? "")
        var text = "\(method) /socket.io/?\(query) HTTP/1.1\r\nHost: x\r\n"
        if let body {
            text +=
                "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: \(body.utf8.count)\r\n"
        }
        raw.send(text + "\r\n" + (body ?? ""))
        return raw.readResponse()
    }

    private func poll() -> [String] {
        let body = request("GET", sid: sid.isEmpty ? nil : sid).body
        return body.split(separator: "\u{1E}", omittingEmptySubsequences: false).map(String.init)
    }

    // MARK: Packets

    /// Sends one Engine.IO packet.
    package func send(_ packet: String) {
        switch link {
        case .polling: _ = request("POST", sid: sid, body: packet)
        case .webSocket(let raw): raw.send(WireClient.frame(packet))
        }
    }

    /// Sends Engine.IO packets in one write.
    package func send(all packets: [String]) {
        switch link {
        case .polling: send(packets.joined(separator: "\u{1E}"))
        case .webSocket(let raw): raw.send(packets.flatMap(WireClient.frame))
        }
    }

    /// One text message as a client's frame (RFC 6455 §5.2). The masking key is zero, which masks
    /// nothing and keeps vectors readable.
    package static func frame(_ packet: String) -> [UInt8] {
        let payload = Array(packet.utf8)
        var frame: [UInt8] = [0x81]
        let sizes: Int
        switch payload.count {
        case ..<126: (sizes, frame) = (0, frame + [0x80 | UInt8(payload.count)])
        case ..<65_536: (sizes, frame) = (2, frame + [0x80 | 126])
        default: (sizes, frame) = (8, frame + [0x80 | 127])
        }
        for byte in (0..<sizes).reversed() {
            frame.append(UInt8(truncatingIfNeeded: payload.count >> (8 * byte)))
        }
        return frame + [0, 0, 0, 0] + payload
    }

    /// Pings that have come.
    package private(set) var pings = 0

    /// The next packet; pings are answered, counted and passed over. Nil after two seconds, or at the end.
    package func next() -> String? {
        while true {
            if !inbox.isEmpty {
                let packet = inbox.removeFirst()
                if packet != "2" { return packet }
                pings += 1
                send("3")
                continue
            }
            switch link {
            case .polling:
                inbox = poll().filter { $0 != "6" }
                if inbox.isEmpty || inbox == [""] { return nil }
            case .webSocket(let raw):
                guard !hasEnded, let packet = readFrame(raw) else { return nil }
                inbox = [packet]
            }
        }
    }

    private func readFrame(_ raw: RawClient) -> String? {
        func exactly(_ count: Int) -> [UInt8]? {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let more = raw.read(count - bytes.count)
                if more.isEmpty {
                    hasEnded = raw.hasEnded
                    return nil
                }
                bytes += more
            }
            return bytes
        }
        guard let head = exactly(2) else { return nil }
        var length = Int(head[1])
        if length >= 126 {
            guard let more = exactly(length == 126 ? 2 : 8) else { return nil }
            length = more.reduce(0) { $0 << 8 | Int($1) }
        }
        guard let payload = exactly(length) else { return nil }
        guard head[0] != 0x88 else {
            closeCode = payload.count < 2 ? 1005 : UInt16(payload[0]) << 8 | UInt16(payload[1])
            hasEnded = true
            // Like any client, let the server go: it waits for our half.
            raw.shutdownWrite()
            return nil
        }
        return String(decoding: payload, as: UTF8.self)
    }

    // MARK: Socket.IO

    /// The next packet while an answer is owed, which a machine under load may take its time for: nil
    /// ten seconds after the question, or at the end.
    private func answer(since asked: Instant) -> String? {
        while !hasEnded, SystemClock.now() - asked < .seconds(10) * patience {
            if let packet = next() { return packet }
        }
        return nil
    }

    /// Connects to the main namespace and reads up to `session`, or up to the refusal.
    /// - Parameter more: further members of the auth object, each led by a comma.
    package func connect(token: String, more: String = "") {
        send("40{\"token\":\"\(token)\"\(more)}")
        while let packet = answer(since: SystemClock.now()) {
            if packet.hasPrefix("40") {
                connectReply = (try? JSONValue(parsing: Array(packet.dropFirst(2).utf8))) ?? .null
                beforeConnect = early.count
                continue
            }
            if let (name, argument) = WireClient.event(packet), name == "session" {
                session = argument
                return
            }
            early.append(packet)
            if packet.hasPrefix("44") { return }
        }
    }

    /// Sends an event and gives its acknowledgement; events that come in between wait in order. Null
    /// when there is none.
    package func ask(_ event: String, _ argument: JSONValue) -> JSONValue {
        lastAck += 1
        send("42\(lastAck)[\"\(event)\",\(argument.text)]")
        var others: [String] = []
        defer { inbox = others + inbox }
        let asked = SystemClock.now()
        while let packet = answer(since: asked) {
            if packet.hasPrefix("43\(lastAck)[") {
                let json = packet.dropFirst("43\(lastAck)".count)
                return (try? JSONValue(parsing: Array(json.utf8)))?.array?.first ?? .null
            }
            others.append(packet)
        }
        return .null
    }

    /// Forgets the packets that have come.
    package func forget() { inbox = [] }

    /// Sends an event without acknowledgement.
    package func tell(_ event: String, _ argument: JSONValue) {
        send("42[\"\(event)\",\(argument.text)]")
    }

    /// The argument of the next event of a name; others are passed over. Nil when the server was
    /// silent for two seconds or is gone.
    package func event(_ name: String) -> JSONValue? {
        while let packet = next() {
            if let (found, argument) = WireClient.event(packet), found == name { return argument }
        }
        return nil
    }

    /// The next event of a name that satisfies a condition, waiting for `timeout` in all however much
    /// else arrives or does not.
    package func event(
        _ name: String, within timeout: Duration, where isWanted: (JSONValue) -> Bool
    ) -> JSONValue? {
        let deadline = SystemClock.now() + timeout
        while !hasEnded, SystemClock.now() < deadline {
            guard let packet = next(), let (found, argument) = WireClient.event(packet) else {
                continue
            }
            if found == name, isWanted(argument) { return argument }
        }
        return nil
    }

    /// The name and first argument of an event packet; nil for other packets.
    package static func event(_ packet: String) -> (name: String, argument: JSONValue)? {
        guard packet.hasPrefix("42"),
            let parts = (try? JSONValue(parsing: Array(packet.dropFirst(2).utf8)))?.array,
            let name = parts.first?.string, parts.count > 1
        else { return nil }
        return (name, parts[1])
    }
}
