// SPDX-License-Identifier: MIT
internal import Addresses
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import JWT
internal import ServiceRuntime
internal import Store
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Testing
internal import Timing
internal import Webhooks

@testable internal import NotificationAPI

/// The routes over a store in a folder of its own. A token is `subject scope scope …`.
final class RouteBench: Sendable {
    let directory: TemporaryDirectory
    let store: NotificationStore
    let router: Router
    let wakes = Atomic(0)

    init(_ change: (inout NotificationLimits) -> Void = { _ in }) throws {
        directory = try TemporaryDirectory()
        let store = try NotificationStore(
            path: directory.file("notification.db"), now: SystemClock.timestamp())
        self.store = store
        var limits = NotificationLimits()
        change(&limits)
        let policy = URLPolicy(
            allowsHTTP: true, addresses: AddressPolicy(allowed: [NetworkRange("127.0.0.0/8")!]))
        let sender = WebhookSender(
            policy: policy, keeper: SecretKeeper(key: Array(repeating: 1, count: 32)),
            timeout: .seconds(5))
        let gate = BearerGate(realm: "notification") { token in
            let words = String(decoding: token, as: UTF8.self).split(separator: "+")
            guard let subject = words.first, subject != "bad" else {
                return .failure(.invalidToken)
            }
            return .success(
                AccessTokenClaims(
                    issuer: "http://issuer", audience: "notification", subject: String(subject),
                    clientID: "web", expiresAt: Timestamp(seconds: 2),
                    issuedAt: Timestamp(seconds: 1),
                    tokenID: "t", sessionID: nil, scope: words.dropFirst().map { String($0) },
                    name: "ada", roles: []))
        }
        var router = Router()
        NotificationRoutes.add(
            to: &router,
            context: NotificationContext(store: store, sender: sender, gate: gate, limits: limits))
        self.router = router
    }

    func send(
        _ method: String, _ path: String, _ body: JSONValue? = nil, fields: HTTPFields = [:],
        token: String? = "u_ada+notifications"
    ) -> HTTPResponse {
        var fields = fields
        if let token { fields.set("authorization", "Bearer \(token)") }
        if body != nil { fields.set("content-type", "application/json") }
        let parts = path.split(separator: "?", maxSplits: 1)
        let answer = Locked<HTTPResponse?>(nil)
        router.handle(
            HTTPRequest(
                method: method, path: String(parts[0]),
                query: parts.count > 1 ? String(parts[1]) : "",
                fields: fields, body: body?.bytes ?? [])
        ) { response in answer.withLock { $0 = response } }
        return answer.withLock { $0 }!
    }

    func json(_ response: HTTPResponse) -> JSONValue {
        (try? JSONValue(parsing: response.body)) ?? .null
    }

    func code(_ response: HTTPResponse) -> String? { json(response)["code"]?.string }

    func makeEndpoint(_ body: JSONValue = ["url": "https://example.com/hook"]) -> JSONValue {
        json(send("POST", "/api/v1/endpoints", body))
    }
}

@Suite struct EndpointRouteTests {
    @Test func makesShowsListsChangesAndDeletes() throws {
        let bench = try RouteBench()
        let created = bench.send(
            "POST", "/api/v1/endpoints",
            [
                "url": "https://example.com/hook", "description": "d", "types": ["message.*"],
                "rooms": ["lobby"], "minSeverity": "warning", "headers": ["x-key": "v"],
            ])
        #expect(created.status == 201)
        let endpoint = bench.json(created)
        let id = try #require(endpoint["id"]?.string)
        #expect(created.fields["location"] == "/api/v1/endpoints/\(id)")
        #expect(created.fields["etag"] == "\"1\"")
        #expect(WebhookSecret(endpoint["secret"]?.string ?? "") != nil)
        #expect(endpoint["types"] == ["message.*"])
        #expect(endpoint["rooms"] == ["lobby"])
        #expect(endpoint["minSeverity"] == "warning")
        #expect(endpoint["headers"] == ["x-key": "v"])
        #expect(endpoint["enabled"] == true)

        let shown = bench.send("GET", "/api/v1/endpoints/\(id)")
        #expect(shown.status == 200)
        #expect(bench.json(shown)["secret"] == nil)
        #expect(bench.json(shown)["url"] == "https://example.com/hook")

        let changed = bench.send(
            "PATCH", "/api/v1/endpoints/\(id)", ["enabled": false, "types": []],
            fields: ["if-match": "\"1\""])
        #expect(changed.status == 200)
        #expect(changed.fields["etag"] == "\"2\"")
        #expect(bench.json(changed)["disabledReason"] == "owner")
        #expect(bench.json(changed)["types"] == [])
        #expect(bench.json(changed)["rooms"] == ["lobby"])

        let list = bench.json(bench.send("GET", "/api/v1/endpoints"))
        #expect(list["endpoints"]?.array?.map { $0["id"] } == [.string(id)])
        #expect(bench.send("DELETE", "/api/v1/endpoints/\(id)").status == 204)
        #expect(bench.send("GET", "/api/v1/endpoints/\(id)").status == 404)
        #expect(bench.send("DELETE", "/api/v1/endpoints/\(id)").status == 404)
    }

    @Test func refusesAChangeOfWhatWasChangedMeanwhile() throws {
        let bench = try RouteBench()
        let id = try #require(bench.makeEndpoint()["id"]?.string)
        let path = "/api/v1/endpoints/\(id)"
        #expect(
            bench.send("PATCH", path, ["description": "a"], fields: ["if-match": "\"1\""]).status
                == 200)
        let late = bench.send("PATCH", path, ["description": "b"], fields: ["if-match": "\"1\""])
        #expect(late.status == 412)
        #expect(late.fields["etag"] == "\"2\"")
        #expect(bench.send("DELETE", path, fields: ["if-match": "\"1\""]).status == 412)
        #expect(
            bench.send("PATCH", path, ["description": "b"], fields: ["if-match": "W/x"]).status
                == 400)
        #expect(
            bench.send("PATCH", path, ["description": "c"], fields: ["if-match": "*"]).status == 200
        )
        #expect(bench.json(bench.send("GET", path))["description"] == "c")
    }

    @Test func hidesAnothersEndpointsAndAsksForTokenAndScope() throws {
        let bench = try RouteBench()
        let id = try #require(bench.makeEndpoint()["id"]?.string)
        for (method, path) in [
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret"),
            ("POST", "/test"),
        ] {
            let response = bench.send(
                method, "/api/v1/endpoints/\(id)\(path)", method == "GET" ? nil : [:],
                token: "u_eve+notifications")
            #expect(response.status == 404, "\(method) \(path)")
        }
        #expect(bench.send("GET", "/api/v1/endpoints", token: nil).status == 401)
        #expect(bench.send("GET", "/api/v1/endpoints", token: "bad").status == 401)
        #expect(bench.send("GET", "/api/v1/endpoints", token: "u_ada+chat").status == 403)
        #expect(
            bench.json(bench.send("GET", "/api/v1/endpoints", token: "u_eve+notifications")) == [
                "endpoints": []
            ])
    }

    @Test(
        arguments: [
            (["url": "http://10.0.0.1/"], 422, "invalid_url"),
            (["url": "ftp://example.com"], 422, "invalid_url"),
            (["url": "https://0x7f000001/"], 422, "invalid_url"), ([:], 400, "bad_request"),
            (["url": 1], 400, "bad_request"), ("x", 400, "bad_request"),
            (["url": "https://example.com/", "types": ["*.created"]], 400, "bad_request"),
            (["url": "https://example.com/", "types": "message.*"], 400, "bad_request"),
            (["url": "https://example.com/", "rooms": [""]], 400, "bad_request"),
            (["url": "https://example.com/", "minSeverity": "bad"], 400, "bad_request"),
            (
                ["url": "https://example.com/", "headers": ["webhook-id": "x"]], 422,
                "invalid_headers"
            ),
            (
                ["url": "https://example.com/", "headers": ["x": "a\r\nb: c"]], 422,
                "invalid_headers"
            ),
            (["url": "https://example.com/", "enabled": "yes"], 400, "bad_request"),
            (["url": "https://example.com/", "surprise": 1], 400, "bad_request"),
        ] as [(JSONValue, Int, String)])
    func refusesWhatIsWrong(_ body: JSONValue, _ status: Int, _ code: String) throws {
        let bench = try RouteBench()
        let response = bench.send("POST", "/api/v1/endpoints", body)
        #expect(response.status == status)
        #expect(bench.code(response) == code)
        #expect(response.fields["content-type"] == "application/problem+json")
    }

    @Test func holdsItsLimits() throws {
        let bench = try RouteBench {
            $0.endpointsPerOwner = 2
            $0.maxBodyBytes = 200
        }
        _ = bench.makeEndpoint()
        let twin = bench.send("POST", "/api/v1/endpoints", ["url": "https://example.com/hook"])
        #expect(bench.code(twin) == "conflict")
        _ = bench.makeEndpoint(["url": "https://example.com/2"])
        let third = bench.send("POST", "/api/v1/endpoints", ["url": "https://example.com/3"])
        #expect(bench.code(third) == "limit_reached")
        let large = bench.send(
            "POST", "/api/v1/endpoints",
            [
                "url": "https://example.com/",
                "description": .string(String(repeating: "x", count: 200)),
            ])
        #expect(large.status == 413)
    }

    @Test func rotatesTheSecretWithAnOverlap() throws {
        let bench = try RouteBench()
        let endpoint = bench.makeEndpoint()
        let path = "/api/v1/endpoints/\(endpoint["id"]?.string ?? "")/rotate-secret"
        let rotated = bench.json(bench.send("POST", path))
        #expect(rotated["secret"]?.string != endpoint["secret"]?.string)
        #expect(WebhookSecret(rotated["secret"]?.string ?? "") != nil)
        #expect(rotated["previousSecretUntil"]?.string != nil)
        let now = bench.json(bench.send("POST", path, ["overlapSeconds": 0]))
        #expect(now["previousSecretUntil"] == .null)
        #expect(bench.send("POST", path, ["overlapSeconds": 604_801]).status == 400)
    }

    @Test func testsAnEndpointAndTellsWhatCameOfIt() throws {
        let receiver = LoopbackServer { _ in .response(status: 418, body: [0xFF]) }
        defer { receiver.stop() }
        let bench = try RouteBench { $0.testsPerMinute = 2 }
        let endpoint = bench.makeEndpoint(["url": .string("\(receiver.url)/hook")])
        let path = "/api/v1/endpoints/\(endpoint["id"]?.string ?? "")/test"
        let response = bench.send("POST", path)
        #expect(response.status == 200)
        let result = bench.json(response)
        #expect(result["delivered"] == false)
        #expect(result["status"] == 418)
        #expect(result["error"] == "client_error")
        #expect(result["response"] == .null)
        #expect(result["responseBase64"] == "/w==")
        let request = try #require(receiver.requests.first)
        let isSigned = WebhookSignature.verify(
            request.fields["webhook-signature"] ?? "", id: request.fields["webhook-id"] ?? "",
            timestamp: request.fields["webhook-timestamp"] ?? "", body: request.body,
            secret: try #require(WebhookSecret(endpoint["secret"]?.string ?? "")),
            now: SystemClock.timestamp())
        #expect(isSigned)
        #expect(try JSONValue(parsing: request.body)["type"] == "webhook.test")
        #expect(bench.send("POST", path).status == 200)
        let third = bench.send("POST", path)
        #expect(third.status == 429)
        #expect(third.fields["retry-after"] != nil)
    }
}

@Suite struct DeliveryRouteTests {
    private func post(_ bench: RouteBench, _ count: Int64) throws {
        let now = SystemClock.timestamp()
        var entries = [
            SourceEntry(
                sequence: 1, at: now, type: nil, audience: .nobody,
                membership: .joined(room: "lobby", user: "u_ada"), data: [])
        ]
        entries += (2..<2 + count).map {
            SourceEntry(
                sequence: $0, at: now, type: "message.created", room: "lobby",
                audience: .members(room: "lobby"), data: Array("{\"n\":\($0)}".utf8))
        }
        _ = try bench.store.apply(source: "chat", after: 0, entries, rules: .webhooks, now: now)
    }

    @Test func listsPagesShowsAndRetries() throws {
        let bench = try RouteBench()
        let endpoint = try #require(bench.makeEndpoint()["id"]?.string)
        try post(bench, 5)
        var seen: [Int64] = []
        var next = ""
        for _ in 0..<3 {
            let page = bench.json(bench.send("GET", "/api/v1/deliveries?limit=2\(next)"))
            seen += page["deliveries"]?.array?.compactMap { $0["sequence"]?.int } ?? []
            guard let before = page["next"]?.int else { break }
            next = "&before=\(before)"
        }
        #expect(seen == [6, 5, 4, 3, 2])
        let all = bench.json(
            bench.send("GET", "/api/v1/deliveries?endpoint=\(endpoint)&state=queued"))
        let id = try #require(all["deliveries"]?.array?.first?["id"]?.string)
        #expect(id.hasPrefix("msg_"))
        let dead = bench.json(bench.send("GET", "/api/v1/deliveries?state=dead"))
        #expect(dead["deliveries"] == [])
        #expect(bench.send("GET", "/api/v1/deliveries?state=odd").status == 400)
        #expect(bench.send("GET", "/api/v1/deliveries?limit=201").status == 400)
        #expect(bench.send("GET", "/api/v1/deliveries?before=x").status == 400)

        let shown = bench.json(bench.send("GET", "/api/v1/deliveries/\(id)"))
        #expect(shown["payload"]?["data"] == ["n": 6])
        #expect(shown["attemptLog"] == [])
        #expect(
            bench.send("GET", "/api/v1/deliveries/\(id)", token: "u_eve+notifications").status
                == 404)

        let turn = try bench.store.turn(
            finished: [], capacity: 9, limits: DeliveryLimits(), now: SystemClock.timestamp())
        #expect(turn.claims.count == 5)
        let busy = bench.send("POST", "/api/v1/deliveries/\(id)/retry")
        #expect(bench.code(busy) == "in_flight")
        let ends = turn.claims.map {
            FinishedAttempt(
                delivery: $0.delivery, attempt: $0.attempt, endpoint: endpoint, end: .dead,
                status: 500,
                error: "server_error", response: Array("no".utf8))
        }
        _ = try bench.store.turn(
            finished: ends, capacity: 0, limits: DeliveryLimits(), now: SystemClock.timestamp())
        let after = bench.json(bench.send("GET", "/api/v1/deliveries/\(id)"))
        #expect(after["state"] == "dead")
        #expect(after["attemptLog"]?.array?.first?["response"] == "no")
        #expect(after["attemptLog"]?.array?.first?["error"] == "server_error")
        let retried = bench.send("POST", "/api/v1/deliveries/\(id)/retry")
        #expect(retried.status == 202)
        #expect(bench.json(bench.send("GET", "/api/v1/deliveries/\(id)"))["state"] == "queued")
        #expect(bench.send("POST", "/api/v1/deliveries/msg_none/retry").status == 404)
    }
}

@Suite struct AlertRouteTests {
    private let token = "client:ops+alerts"
    private let alert: JSONValue = ["severity": "critical", "text": "disk", "ttl": 60]

    @Test func storesAnAlertOncePerKeyWithItsWebhooks() throws {
        let bench = try RouteBench()
        _ = bench.makeEndpoint()
        _ = bench.makeEndpoint(["url": "https://example.com/2", "types": ["message.*"]])
        let first = bench.send(
            "POST", "/api/v1/alerts", alert, fields: ["idempotency-key": "k1"], token: token)
        #expect(first.status == 202)
        let again = bench.send(
            "POST", "/api/v1/alerts", alert, fields: ["idempotency-key": "k1"], token: token)
        #expect(again.status == 202)
        #expect(bench.json(first)["id"] == bench.json(again)["id"])
        let other = bench.send(
            "POST", "/api/v1/alerts", ["severity": "info", "text": "x"],
            fields: ["idempotency-key": "k1"], token: token)
        #expect(bench.code(other) == "idempotency_key_reused")
        #expect(try bench.store.openAlerts() == 1)
        let list = bench.json(bench.send("GET", "/api/v1/deliveries"))
        #expect(list["deliveries"]?.array?.map { $0["type"] } == ["alert.raised"])
        #expect(list["deliveries"]?.array?.map { $0["source"] } == ["alert"])
    }

    @Test func minimumSeverityAndRoomsDecideWhoHears() throws {
        let bench = try RouteBench()
        _ = bench.makeEndpoint(["url": "https://example.com/", "minSeverity": "critical"])
        func count() throws -> Int { try bench.store.ledger()[.ready] ?? 0 }
        _ = bench.send("POST", "/api/v1/alerts", ["severity": "info", "text": "x"], token: token)
        #expect(try count() == 0)
        _ = bench.send(
            "POST", "/api/v1/alerts", ["severity": "critical", "text": "x", "rooms": ["r1"]],
            token: token)
        #expect(try count() == 0)
        _ = bench.send("POST", "/api/v1/alerts", alert, token: token)
        #expect(try count() == 1)
    }

    @Test(
        arguments: [
            ["text": "x"], ["severity": "bad", "text": "x"], ["severity": "info"],
            ["severity": "info", "text": ""], ["severity": "info", "text": "x", "ttl": 0],
            ["severity": "info", "text": "x", "ttl": 86_401],
            ["severity": "info", "text": "x", "to": 1],
        ] as [JSONValue])
    func refusesWhatIsWrong(_ body: JSONValue) throws {
        let bench = try RouteBench()
        #expect(bench.send("POST", "/api/v1/alerts", body, token: token).status == 400)
    }

    @Test func asksForItsOwnScope() throws {
        let bench = try RouteBench()
        #expect(bench.send("POST", "/api/v1/alerts", alert).status == 403)
    }
}
