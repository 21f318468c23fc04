// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import HTTP1
package import HTTPServer
internal import JSON
internal import JWT
internal import ServiceRuntime
internal import Store
internal import Timing

/// ChatService's REST interface (`swagger.yaml`): the same commands as over Socket.IO, for programs.
package struct ChatRoutes: Sendable {
    private let gateway: Gateway
    private let gate: BearerGate

    package init(gateway: Gateway) {
        self.gateway = gateway
        gate = gateway.authority.gate(realm: "chat")
    }

    package func add(to router: inout Router) {
        router.on(
            "GET", "/api/v1/me",
            .deferred(
                asUser { actor, claims, _, reply in
                    reply(
                        .json([
                            "id": .string(actor.id.rawValue), "name": .string(actor.name),
                            "roles": .array(actor.roles.map { .string($0) }),
                            "scope": .string(claims.scope.joined(separator: " ")),
                            "expiresAt": .string(claims.expiresAt.rfc3339),
                        ]))
                }))
        router.on("GET", "/api/v1/rooms", command { _, _ in .listRooms })
        router.on(
            "POST", "/api/v1/rooms",
            command(status: 201) { _, body throws(ChatError) in
                let word = try body.optional("visibility") ?? Visibility.public.rawValue
                guard let visibility = Visibility(rawValue: word) else {
                    throw ChatError(.badRequest, "visibility must be public or private.")
                }
                return .createRoom(
                    name: try body.required("name"), visibility: visibility,
                    topic: try body.optional("topic") ?? "")
            })
        router.on(
            "GET", "/api/v1/rooms/{id}",
            command { request, _ in
                .roomDetail(room: RoomID(request.parameters["id"] ?? ""))
            })
        router.on(
            "POST", "/api/v1/rooms/{id}/join",
            command { request, _ in
                .join(room: request.parameters["id"] ?? "")
            })
        router.on(
            "POST", "/api/v1/rooms/{id}/leave",
            command { request, _ in
                .leave(room: RoomID(request.parameters["id"] ?? ""))
            })
        router.on(
            "POST", "/api/v1/rooms/{id}/members",
            command(status: 201) { request, body throws(ChatError) in
                .invite(
                    room: RoomID(request.parameters["id"] ?? ""), user: try body.required("user"))
            })
        router.on(
            "POST", "/api/v1/rooms/{id}/messages",
            command(status: 201) { request, body throws(ChatError) in
                .send(
                    room: RoomID(request.parameters["id"] ?? ""), text: try body.required("text"),
                    clientID: try body.optional("clientId"), replyTo: try body.optional("replyTo"))
            })
        router.on(
            "PUT", "/api/v1/rooms/{id}/read",
            command { request, body throws(ChatError) in
                guard let mark = body.value["roomSeq"]?.int, mark >= 0 else {
                    throw ChatError(.badRequest, "roomSeq must be a whole number, not negative.")
                }
                return .markRead(room: RoomID(request.parameters["id"] ?? ""), roomSeq: mark)
            })
        router.on("GET", "/api/v1/rooms/{id}/messages", .deferred(asUser(history)))
        router.on("GET", "/internal/log", .deferred(asService("internal:log", log)))
        router.on("POST", "/internal/alerts", .deferred(asService("internal:alert", alert)))
    }

    // MARK: Who asks

    private typealias UserHandler =
        @Sendable (
            Actor, AccessTokenClaims, HTTPRequest, @escaping Router.Reply
        ) -> Void

    private func asUser(
        _ handler: @escaping UserHandler
    ) -> @Sendable (HTTPRequest, @escaping Router.Reply) -> Void {
        { [gateway, gate] request, reply in
            switch gate.authorize(request, scope: ChatClient.scope) {
            case .refused(let response): reply(response)
            case .admitted(let claims):
                let actor = Actor(
                    id: UserID(claims.subject), name: claims.name, roles: claims.roles)
                if let wait = gateway.limiter?.bucket(of: actor.id).take(now: SystemClock.now()) {
                    return reply(
                        ChatError(
                            .rateLimited, "Too many requests.",
                            retryAfterMs: Int(wait.milliseconds) + 1
                        ).response)
                }
                handler(actor, claims, request, reply)
            }
        }
    }

    private func asService(
        _ scope: String,
        _ handler: @escaping @Sendable (HTTPRequest, @escaping Router.Reply) -> Void
    ) -> @Sendable (HTTPRequest, @escaping Router.Reply) -> Void {
        { [gate] request, reply in
            switch gate.authorize(request, scope: scope) {
            case .refused(let response): reply(response)
            case .admitted: handler(request, reply)
            }
        }
    }

    // MARK: Commands

    private func command(
        status: Int = 200,
        _ make: @escaping @Sendable (HTTPRequest, Body) throws(ChatError) -> Command
    ) -> Router.Handler {
        .deferred(
            asUser { [gateway] actor, _, request, reply in
                let command: Command
                do throws(ChatError) {
                    command = try make(request, try Body(request))
                } catch {
                    return reply(error.response)
                }
                let accepted = gateway.submit(command, actor: actor) { outcome in
                    switch outcome {
                    case .refused(let error): reply(error.response)
                    case .ok(let answer):
                        var json: [UInt8] = []
                        AnswerWriter.write(answer, into: &json)
                        reply(ChatRoutes.json(json, status: status))
                    }
                }
                if !accepted { reply(gateway.store.busy.response) }
            })
    }

    /// A body of members each led by a comma, as one object.
    private static func json(_ members: [UInt8], status: Int = 200) -> HTTPResponse {
        var body: [UInt8] = [UInt8(ascii: "{")]
        body.append(contentsOf: members.dropFirst())
        body.append(UInt8(ascii: "}"))
        return HTTPResponse(
            status: status,
            fields: ["content-type": "application/json", "cache-control": "no-store"], body: body)
    }

    // MARK: Reading

    private func history(
        _ actor: Actor, _ claims: AccessTokenClaims, _ request: HTTPRequest,
        _ reply: @escaping Router.Reply
    ) {
        let room = RoomID(request.parameters["id"] ?? "")
        let page = gateway.configuration.limits.historyPage
        func number(_ name: String) -> Int64?? {
            guard let text = request.queryValue(name) else { return .some(nil) }
            guard let value = Int64(text), value >= 0 else { return nil }
            return .some(value)
        }
        guard let before = number("before"), let after = number("after"),
            let asked = number("limit"), before == nil || after == nil,
            (1...Int64(page)).contains(asked ?? 50)
        else {
            return reply(
                ChatError(
                    .badRequest,
                    "Give before or after, a roomSeq each, and limit from 1 to \(page)."
                ).response)
        }
        let limit = Int(asked ?? 50)
        // The writer knows who may see the room; the page itself is read beside it.
        let accepted = gateway.submit(.roomDetail(room: room), actor: actor) { [gateway] outcome in
            guard case .ok(.room(let detail)) = outcome else {
                if case .refused(let error) = outcome { reply(error.response) }
                return
            }
            guard detail.summary.isJoined else {
                return reply(
                    ChatError(.notMember, "You are not a member of this room.").response)
            }
            let isRead = gateway.reader.history(
                for: actor.id, room: room, before: before, after: after, limit: limit
            ) { result, _ in
                switch result {
                case .failure(let error): reply(error.response)
                case .success(let page):
                    var body: [UInt8] = []
                    AnswerWriter.write(history: page.messages, hasMore: page.hasMore, into: &body)
                    reply(ChatRoutes.json(body))
                }
            }
            if !isRead { reply(ChatError.busy.response) }
        }
        if !accepted { reply(ChatError.busy.response) }
    }

    private func log(_ request: HTTPRequest, _ reply: @escaping Router.Reply) {
        let after = request.queryValue("after").map { Int64($0) } ?? 0
        let limit = request.queryValue("limit").map { Int($0) } ?? 200
        let wait = request.queryValue("wait").map { Int($0) } ?? 0
        guard let after, after >= 0, let limit, (1...1000).contains(limit), let wait,
            (0...25).contains(wait)
        else {
            return reply(
                ChatError(
                    .badRequest, "after must be 0 or more, limit 1 to 1000, wait 0 to 25 seconds."
                ).response)
        }
        gateway.readLog(after: after, limit: limit, wait: .seconds(wait), reply: reply)
    }

    private func alert(_ request: HTTPRequest, _ reply: @escaping Router.Reply) {
        guard let body = try? request.json(), let id = body["id"]?.string, !id.isEmpty,
            id.utf8.count <= 64, let severity = body["severity"]?.string,
            ["info", "warning", "critical"].contains(severity), let text = body["text"]?.string,
            !text.isEmpty, text.utf8.count <= gateway.configuration.limits.messageBytes,
            let ttl = body["ttl"]?.int, (1...86_400).contains(ttl)
        else {
            return reply(
                ChatError(
                    .badRequest,
                    "An alert has id, severity (info, warning, critical), text and ttl in seconds."
                ).response)
        }
        let event: JSONValue = [
            "id": .string(id), "severity": .string(severity), "text": .string(text),
            "ttl": .int(ttl), "at": .string(SystemClock.timestamp().rfc3339),
        ]
        let rooms = body["rooms"]?.array?.compactMap(\.string)
        for room in rooms.map({ $0.map { RoomID($0) as RoomID? } }) ?? [nil] {
            gateway.publishLive(
                LiveEvent(room: room, except: nil, event: "alert", argument: event.bytes))
        }
        reply(.json(["id": .string(id)], status: 202))
    }
}

/// A request's JSON body; empty for methods without one.
struct Body {
    let value: JSONValue

    init(_ request: HTTPRequest) throws(ChatError) {
        guard request.method == "POST" || request.method == "PUT", !request.body.isEmpty else {
            value = [:]
            return
        }
        guard let value = try? JSONValue(parsing: request.body), value.object != nil else {
            throw ChatError(.badRequest, "The body must be one JSON object.")
        }
        self.value = value
    }

    func required(_ name: String) throws(ChatError) -> String {
        guard let text = value[name]?.string else {
            throw ChatError(.badRequest, "\(name) must be a string.")
        }
        return text
    }

    func optional(_ name: String) throws(ChatError) -> String? {
        guard let member = value[name], !member.isNull else { return nil }
        return try required(name)
    }
}

extension ChatError {
    /// How each code is said over HTTP.
    var status: Int {
        switch code {
        case .badRequest: 400
        case .unknownEvent, .notFound: 404
        case .forbidden, .notMember: 403
        case .tooLarge: 413
        case .rateLimited: 429
        case .busy, .storageUnavailable: 503
        case .conflict: 409
        case .limitReached: 422
        }
    }

    /// The problem document, with `retry-after` in whole seconds where there is a wait.
    var response: HTTPResponse {
        var fields = HTTPFields()
        if let retryAfterMs { fields.set("retry-after", "\((retryAfterMs + 999) / 1000)") }
        return .problem(status, code: code.rawValue, detail: message, fields: fields)
    }
}
