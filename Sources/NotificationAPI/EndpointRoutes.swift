// SPDX-License-Identifier: MIT
internal import Crypto
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import JWT
internal import Store
internal import Locks
internal import Timing
internal import Webhooks

/// `/api/v1/endpoints`: where a user wants events sent. Every question is asked with the caller's
/// `sub`, so another's endpoint is not found rather than forbidden.
struct EndpointRoutes: Sendable {
    static let scope = "notifications"

    private let context: NotificationContext
    private let tests: TestLimiter

    init(_ context: NotificationContext) {
        self.context = context
        tests = TestLimiter(perMinute: context.limits.testsPerMinute)
    }

    func add(to router: inout Router) {
        let one = "/api/v1/endpoints/{id}"
        func on(
            _ method: String, _ path: String,
            _ run: @escaping @Sendable (HTTPRequest, String) throws(Refusal) -> HTTPResponse
        ) {
            router.on(
                method, path,
                context.handler(scope: EndpointRoutes.scope) {
                    (request, claims) throws(Refusal) in try run(request, claims.subject)
                })
        }
        on("GET", "/api/v1/endpoints") { (_, owner) throws(Refusal) in try list(owner) }
        on("POST", "/api/v1/endpoints") { (request, owner) throws(Refusal) in
            try create(request, owner)
        }
        on("GET", one) { (request, owner) throws(Refusal) in
            answer(try find(request, owner))
        }
        on("PATCH", one) { (request, owner) throws(Refusal) in try change(request, owner) }
        on("DELETE", one) { (request, owner) throws(Refusal) in try delete(request, owner) }
        on("POST", "\(one)/rotate-secret") { (request, owner) throws(Refusal) in
            try rotate(request, owner)
        }
        on("POST", "\(one)/test") { (request, owner) throws(Refusal) in try test(request, owner) }
    }

    private func list(_ owner: String) throws(Refusal) -> HTTPResponse {
        let endpoints = try stored { () throws(StoreError) in
            try context.store.endpoints(owner: owner)
        }
        return .json(["endpoints": .array(endpoints.map(NotificationJSON.endpoint))])
    }

    private func create(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        var fields = try RequestFields(request, maxBytes: context.limits.maxBodyBytes)
        let draft = try EndpointDraft(&fields, policy: context.sender.policy)
        guard let url = draft.url else { throw .badRequest("url is missing.") }
        let id = "ep_" + SecureRandom.token(bytes: 12)
        let secret = WebhookSecret.generate()
        var endpoint = EndpointRecord(
            id: id, owner: owner, url: url,
            secret: context.sender.keeper.seal(secret, endpoint: id), createdAt: context.now())
        draft.apply(to: &endpoint)
        let record = endpoint
        let limit = context.limits.endpointsPerOwner
        let result = try stored { () throws(StoreError) in
            try context.store.insert(record, limit: limit)
        }
        if case .failure(let refusal) = result { throw Refusal(refusal, limit: limit) }
        return answer(endpoint, status: 201, secret: secret)
    }

    private func change(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        var fields = try RequestFields(request, maxBytes: context.limits.maxBodyBytes)
        let draft = try EndpointDraft(&fields, policy: context.sender.policy)
        let endpoint = try update(request, owner) { draft.apply(to: &$0) }
        context.wakeEngine()  // What was held for it may be due.
        return answer(endpoint)
    }

    private func delete(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        let id = request.parameters["id"] ?? ""
        if let version = try EntityTag.version(request) {
            let current = try find(request, owner).version
            guard current == version else { throw .preconditionFailed(current: current) }
        }
        let isGone = try stored { () throws(StoreError) in
            try context.store.deleteEndpoint(id: id, owner: owner)
        }
        guard isGone else { throw .notFound }
        return HTTPResponse(status: 204)
    }

    /// A new secret; the one before signs too for a while, so that receivers can change over.
    private func rotate(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        var fields = try RequestFields(
            request, maxBytes: context.limits.maxBodyBytes, isOptional: true)
        let most = context.limits.maxRotationOverlap.components.seconds
        let overlap =
            try fields.int("overlapSeconds", in: 0...most).map { .seconds($0) }
            ?? context.limits.rotationOverlap
        try fields.end()
        let secret = WebhookSecret.generate()
        let id = request.parameters["id"] ?? ""
        let sealed = context.sender.keeper.seal(secret, endpoint: id)
        let now = context.now()
        let endpoint = try update(request, owner) { endpoint in
            let keeps = overlap > .zero
            endpoint.previousSecret = keeps ? endpoint.secret : nil
            endpoint.previousUntil = keeps ? now + overlap : nil
            endpoint.secret = sealed
        }
        return answer(endpoint, secret: secret)
    }

    /// Sends a `webhook.test` event now and tells what came of it. Nothing is stored or repeated.
    private func test(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        let endpoint = try find(request, owner)
        if let seconds = tests.take(owner, now: SystemClock.now()) {
            throw .rateLimited(seconds: seconds)
        }
        let now = context.now()
        let data = JSONValue.object(["endpoint": .string(endpoint.id)]).bytes
        let body = WebhookPayload.build(
            type: EventTypes.test, at: now, source: "test", sequence: 0, room: nil,
            data: data.span)
        let id = "msg_test_" + SecureRandom.token(bytes: 12)
        let sent = context.sender.send(id: id, body: body, attempt: 1, to: endpoint, now: now)
        var answer: JSONObject = [
            "id": .string(id), "delivered": .bool(sent.result.error == nil),
        ]
        var status: Int?
        if case .status(let code, _) = sent.result { status = code }
        NotificationJSON.outcome(
            status: status, error: sent.result.error, peer: sent.peer, timings: sent.timings,
            response: sent.response, into: &answer)
        return .json(.object(answer))
    }

    private func find(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> EndpointRecord {
        let id = request.parameters["id"] ?? ""
        let endpoint = try stored { () throws(StoreError) in
            try context.store.endpoint(id: id, owner: owner)
        }
        guard let endpoint else { throw .notFound }
        return endpoint
    }

    private func update(
        _ request: HTTPRequest, _ owner: String,
        _ change: @escaping @Sendable (inout EndpointRecord) -> Void
    ) throws(Refusal) -> EndpointRecord {
        let id = request.parameters["id"] ?? ""
        let version = try EntityTag.version(request)
        let now = context.now()
        let result = try stored { () throws(StoreError) in
            try context.store.update(id: id, owner: owner, version: version, now: now, change)
        }
        switch result {
        case .success(let endpoint): return endpoint
        case .failure(let refusal):
            throw Refusal(refusal, limit: context.limits.endpointsPerOwner)
        }
    }

    /// The endpoint with its entity tag; the secret only where it is new.
    private func answer(
        _ endpoint: EndpointRecord, status: Int = 200, secret: WebhookSecret? = nil
    ) -> HTTPResponse {
        var value = NotificationJSON.endpoint(endpoint)
        if let secret, case .object(var object) = value {
            object["secret"] = .string(secret.text)
            value = .object(object)
        }
        var response = HTTPResponse.json(
            value, status: status, fields: ["etag": "\"\(endpoint.version)\""])
        if status == 201 {
            response.fields.set("location", "/api/v1/endpoints/\(endpoint.id)")
        }
        return response
    }
}

/// Runs a question to the store; what it cannot answer now is 503.
func stored<Result>(_ body: () throws(StoreError) -> Result) throws(Refusal) -> Result {
    do throws(StoreError) {
        return try body()
    } catch {
        throw Refusal(error)
    }
}

/// `If-Match` (RFC 9110 §13.1.1) over versions.
enum EntityTag {
    /// The version that the caller saw; nil when any will do.
    static func version(_ request: HTTPRequest) throws(Refusal) -> Int64? {
        guard let value = request.fields["if-match"], value != "*" else { return nil }
        guard value.utf8.count >= 3, value.hasPrefix("\""), value.hasSuffix("\"") else {
            throw .badRequest("If-Match must hold one strong entity tag.")
        }
        // A tag that is none of ours matches nothing; versions start at 1.
        return Int64(value.dropFirst().dropLast()) ?? 0
    }
}

/// How often each owner tested lately: a window of one minute.
final class TestLimiter: Sendable {
    private let perMinute: Int
    private let windows = Locked<[String: (start: Instant, count: Int)]>([:])

    init(perMinute: Int) { self.perMinute = perMinute }

    /// Nil when the test may go on, else in how many seconds to ask again.
    func take(_ owner: String, now: Instant) -> Int? {
        windows.withLock { windows in
            if windows.count > 1000 {
                windows = windows.filter { now - $0.value.start < .seconds(60) }
            }
            var window = windows[owner] ?? (now, 0)
            if now - window.start >= .seconds(60) { window = (now, 0) }
            guard window.count < perMinute else {
                return Int((.seconds(60) - (now - window.start)).components.seconds) + 1
            }
            window.count += 1
            windows[owner] = window
            return nil
        }
    }
}
