// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import JSON
internal import Metrics
internal import SocketIOServer
internal import Store
internal import Timing

/// The events a client may send: decoded, checked for form, and handed to whoever decides.
extension ChatClient {
    /// Does one event. `text` holds the packet, `event` ranges into it; whatever is wrong with it is
    /// answered to its acknowledgement, and never ends the connection.
    func handle(_ event: SocketEvent, in text: Span<UInt8>) {
        let ackID = event.ackID
        chat.gateway.metrics.requests.increment()
        // A number is a name too, though of no event of ours.
        let isString = text[event.name.lowerBound] == UInt8(ascii: "\"")
        let name = text.extracting(
            isString ? event.name.lowerBound + 1..<event.name.upperBound - 1 : event.name)
        if name.equals("typing") { return typing(fields(of: event, in: text), in: text) }
        if let refusal = admit() { return acknowledge(ackID, refused: refusal) }
        guard let fields = fields(of: event, in: text) else {
            return acknowledge(
                ackID, refused: ChatError(.badRequest, "The argument must be one JSON object."))
        }
        do throws(ChatError) {
            if name.equals("message:send") {
                try send(fields, ackID, in: text)
            } else if name.equals("message:read") {
                try markRead(fields, ackID, in: text)
            } else if name.equals("history:fetch") {
                try fetchHistory(fields, ackID, in: text)
            } else if name.equals("room:join") {
                submit(.join(room: try required("room", fields, in: text)), ackID)
            } else if name.equals("room:leave") {
                submit(.leave(room: RoomID(try required("room", fields, in: text))), ackID)
            } else if name.equals("room:create") {
                try createRoom(fields, ackID, in: text)
            } else if name.equals("room:list") {
                submit(.listRooms, ackID)
            } else if name.equals("member:invite") {
                let room = RoomID(try required("room", fields, in: text))
                submit(.invite(room: room, user: try required("user", fields, in: text)), ackID)
            } else if name.equals("presence:set") {
                try setPresence(fields, ackID, in: text)
            } else if name.equals("auth:refresh") {
                try refreshToken(fields, ackID, in: text)
            } else {
                throw ChatError(.unknownEvent, "There is no such event.")
            }
        } catch {
            acknowledge(ackID, refused: error)
        }
    }

    // MARK: Requests

    private func send(
        _ fields: JSONObjectSlices, _ ackID: Int?, in text: Span<UInt8>
    ) throws(ChatError) {
        submit(
            .send(
                room: RoomID(try required("room", fields, in: text)),
                text: try required("text", fields, in: text),
                clientID: try optional("clientId", fields, in: text),
                replyTo: try optional("replyTo", fields, in: text)), ackID)
    }

    private func markRead(
        _ fields: JSONObjectSlices, _ ackID: Int?, in text: Span<UInt8>
    ) throws(ChatError) {
        let room = RoomID(try required("room", fields, in: text))
        guard let mark = fields.count("roomSeq", in: text) else {
            throw ChatError(.badRequest, "roomSeq must be a whole number, not negative.")
        }
        submit(.markRead(room: room, roomSeq: Int64(mark)), ackID)
    }

    private func createRoom(
        _ fields: JSONObjectSlices, _ ackID: Int?, in text: Span<UInt8>
    ) throws(ChatError) {
        let name = try required("name", fields, in: text)
        let visibility = try optional("visibility", fields, in: text) ?? Visibility.public.rawValue
        guard let visibility = Visibility(rawValue: visibility) else {
            throw ChatError(.badRequest, "visibility must be public or private.")
        }
        let topic = try optional("topic", fields, in: text) ?? ""
        submit(.createRoom(name: name, visibility: visibility, topic: topic), ackID)
    }

    private func fetchHistory(
        _ fields: JSONObjectSlices, _ ackID: Int?, in text: Span<UInt8>
    ) throws(ChatError) {
        let room = RoomID(try required("room", fields, in: text))
        let page = chat.gateway.configuration.limits.historyPage
        let before = try count("before", fields, in: text)
        let after = try count("after", fields, in: text)
        let limit = try count("limit", fields, in: text) ?? 50
        guard before == nil || after == nil else {
            throw ChatError(.badRequest, "Give before or after, not both.")
        }
        guard (1...page).contains(limit) else {
            throw ChatError(.badRequest, "limit must be from 1 to \(page).")
        }
        guard isMember(of: room) else {
            throw ChatError(.notMember, "You are not a member of this room.")
        }
        guard let ackID else { return }
        start(
            .history(
                room: room, before: before.map { Int64($0) }, after: after.map { Int64($0) },
                limit: limit, ackID))
    }

    private func setPresence(
        _ fields: JSONObjectSlices, _ ackID: Int?, in text: Span<UInt8>
    ) throws(ChatError) {
        let state = try required("state", fields, in: text)
        guard let state = PresenceStatus(rawValue: state), state != .offline else {
            throw ChatError(.badRequest, "state must be online, away or dnd.")
        }
        chat.setPresence(state, of: self)
        acknowledge(ackID)
    }

    private func refreshToken(
        _ fields: JSONObjectSlices, _ ackID: Int?, in text: Span<UInt8>
    ) throws(ChatError) {
        switch refresh(token: try required("token", fields, in: text)) {
        case .success(let expiry):
            acknowledge(ackID, ok: Array(",\"expiresAt\":\"\(expiry.rfc3339)\"".utf8))
        case .failure(let error): throw error
        }
    }

    /// Typing has no acknowledgement and is dropped where it makes no sense.
    private func typing(_ fields: JSONObjectSlices?, in text: Span<UInt8>) {
        guard let fields, admit() == nil, let room = fields.string("room", in: text),
            let isOn = fields.bool("on", in: text), isMember(of: RoomID(room))
        else { return }
        var argument: [UInt8] = []
        argument.append("{\"room\":")
        JSONString.write(room, into: &argument)
        argument.append(",\"user\":")
        actor.user.writeJSON(into: &argument)
        argument.append(isOn ? ",\"on\":true}" : ",\"on\":false}")
        chat.publishLive(
            LiveEvent(room: RoomID(room), except: actor.id, event: "typing", argument: argument))
    }

    private func submit(_ command: Command, _ ackID: Int?) { start(.command(command, ackID)) }

    // MARK: One after the other

    /// The requests of a client that makes any.
    final class RequestLine {
        /// Nil when limits are off.
        let bucket: UserBucket?
        /// Those given to the writer or a reader and not answered yet.
        var underWay = 0
        /// Those that wait for these, in order.
        var waiting: [WaitingRequest] = []

        init(bucket: UserBucket?) { self.bucket = bucket }
    }

    /// What a client asks of the writer or of a reader.
    enum WaitingRequest {
        case command(Command, Int?)
        case history(room: RoomID, before: Int64?, after: Int64?, limit: Int, Int)
    }

    /// Requests of one client that may be under way at once. Writer and readers are asked in order, so
    /// that a burst, which a client may well send, would stand before everybody's; from here on it waits
    /// for itself. Its length is bounded by the rate limit.
    private static let maxUnderWay = 2

    private func start(_ request: WaitingRequest) {
        let line = requests
        // Without limits none but the machine's.
        let mayWait = line.bucket != nil
        if mayWait, line.underWay >= ChatClient.maxUnderWay { return line.waiting.append(request) }
        run(request)
    }

    private func run(_ request: WaitingRequest) {
        switch request {
        case .command(let command, let ackID):
            guard chat.submit(command, by: self, then: .acknowledge(ackID)) else {
                return acknowledge(ackID, refused: chat.gateway.store.busy)
            }
            requests.underWay += 1
        case .history(let room, let before, let after, let limit, let ackID):
            // It may have left while it waited.
            guard isMember(of: room) else {
                return acknowledge(
                    ackID, refused: ChatError(.notMember, "You are not a member of this room."))
            }
            requests.underWay += 1
            chat.readHistory(
                for: self, room: room, before: before, after: after, limit: limit, ackID: ackID)
        }
    }

    /// One that was under way has been answered.
    func finishedRequest() {
        let line = requests
        line.underWay -= 1
        while line.underWay < ChatClient.maxUnderWay, !line.waiting.isEmpty {
            run(line.waiting.removeFirst())
        }
    }

    // MARK: Answers

    /// The outcome of a command this client gave.
    func completed(_ outcome: Outcome, ackID: Int?) {
        switch outcome {
        case .refused(let error): acknowledge(ackID, refused: error)
        case .ok(let answer):
            var body: [UInt8] = []
            body.reserveCapacity(128)
            AnswerWriter.write(answer, into: &body)
            acknowledge(ackID, ok: body)
        }
        finishedRequest()
    }

    // MARK: Fields

    private func fields(of event: SocketEvent, in text: Span<UInt8>) -> JSONObjectSlices? {
        guard let first = event.arguments.first else { return nil }
        return try? JSONObjectSlices(text, in: first)
    }

    private func required(
        _ name: StaticString, _ fields: JSONObjectSlices, in text: Span<UInt8>
    ) throws(ChatError) -> String {
        guard let value = fields.string(name, in: text) else {
            throw ChatError(.badRequest, "\(name) must be a string.")
        }
        return value
    }

    private func optional(
        _ name: StaticString, _ fields: JSONObjectSlices, in text: Span<UInt8>
    ) throws(ChatError) -> String? {
        guard let range = fields.range(name, in: text) else { return nil }
        if text.extracting(range).equals("null") { return nil }
        return try required(name, fields, in: text)
    }

    private func count(
        _ name: StaticString, _ fields: JSONObjectSlices, in text: Span<UInt8>
    ) throws(ChatError) -> Int? {
        guard let range = fields.range(name, in: text) else { return nil }
        if text.extracting(range).equals("null") { return nil }
        guard let value = text.extracting(range).decimal() else {
            throw ChatError(.badRequest, "\(name) must be a whole number, not negative.")
        }
        return value
    }
}
