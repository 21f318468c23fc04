// SPDX-License-Identifier: MIT
internal import HTTPServer
internal import JSON
internal import JWT
internal import Store

/// `/api/v1/deliveries`: what became of each event at each of the caller's endpoints.
struct DeliveryRoutes: Sendable {
    private let context: NotificationContext

    init(_ context: NotificationContext) { self.context = context }

    func add(to router: inout Router) {
        router.on(
            "GET", "/api/v1/deliveries",
            context.handler(scope: EndpointRoutes.scope) { (request, claims) throws(Refusal) in
                try list(request, claims.subject)
            })
        router.on(
            "GET", "/api/v1/deliveries/{id}",
            context.handler(scope: EndpointRoutes.scope) { (request, claims) throws(Refusal) in
                try show(request, claims.subject)
            })
        router.on(
            "POST", "/api/v1/deliveries/{id}/retry",
            context.handler(scope: EndpointRoutes.scope) { (request, claims) throws(Refusal) in
                try retry(request, claims.subject)
            })
    }

    /// Newest first, a page at a time: `next` is the `before` of the next page, null at the end.
    private func list(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        let state = try request.queryValue("state").map { (name) throws(Refusal) in
            guard let state = DeliveryState.allCases.first(where: { $0.name == name }) else {
                throw .badRequest("state must be queued, in_flight, delivered or dead.")
            }
            return state
        }
        let most = Int64(context.limits.maxPage)
        let limit = try number("limit", in: 1...most, request) ?? min(50, most)
        let before = try number("before", in: 1...Int64.max, request)
        let endpoint = request.queryValue("endpoint")
        let page = try stored { () throws(StoreError) in
            try context.store.deliveries(
                owner: owner, endpoint: endpoint, state: state, before: before, limit: Int(limit))
        }
        let next: JSONValue = page.count == limit ? .int(page.last?.number ?? 0) : .null
        return .json(
            ["deliveries": .array(page.map(NotificationJSON.delivery)), "next": next])
    }

    private func show(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        let id = request.parameters["id"] ?? ""
        let found = try stored { () throws(StoreError) in
            try context.store.delivery(id: id, owner: owner)
        }
        guard let found, case .object(var value) = NotificationJSON.delivery(found.delivery) else {
            throw .notFound
        }
        value["attemptLog"] = .array(found.attempts.map(NotificationJSON.attempt))
        value["payload"] = (try? JSONValue(parsing: found.body)) ?? .null
        return .json(.object(value))
    }

    /// Due now, with the same id and bytes, whatever became of it before.
    private func retry(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        let id = request.parameters["id"] ?? ""
        let now = context.now()
        let outcome = try stored { () throws(StoreError) in
            try context.store.retry(id: id, owner: owner, now: now)
        }
        switch outcome {
        case .notFound: throw .notFound
        case .inFlight: throw .inFlight
        case .queued:
            context.wakeEngine()
            return .json(["id": .string(id), "state": "queued"], status: 202)
        }
    }

    private func number(
        _ name: String, in range: ClosedRange<Int64>, _ request: HTTPRequest
    ) throws(Refusal) -> Int64? {
        guard let text = request.queryValue(name) else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw .badRequest(
                "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }
}
