// SPDX-License-Identifier: MIT
internal import Crypto
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import JWT
internal import Store
internal import Timing
internal import Webhooks

/// `POST /api/v1/alerts`: a system alert, to everybody or to the members of some rooms, in their
/// clients and as webhooks. 202 means that it is stored and will be passed on.
struct AlertRoutes: Sendable {
    static let scope = "alerts"

    private let context: NotificationContext

    init(_ context: NotificationContext) { self.context = context }

    func add(to router: inout Router) {
        router.on(
            "POST", "/api/v1/alerts",
            context.handler(scope: AlertRoutes.scope) { (request, claims) throws(Refusal) in
                try raise(request, claims.subject)
            })
    }

    private func raise(_ request: HTTPRequest, _ owner: String) throws(Refusal) -> HTTPResponse {
        var fields = try RequestFields(request, maxBytes: context.limits.maxBodyBytes)
        let severityText = try fields.string("severity", maxBytes: 64)
        guard let severity = severityText.flatMap({ AlertSeverity(rawValue: $0) }) else {
            throw .badRequest("severity must be info, warning or critical.")
        }
        let text = try fields.string("text", maxBytes: 2000) ?? ""
        guard !text.isEmpty else { throw .badRequest("text is missing.") }
        let ttl = try fields.int("ttl", in: 1...86_400) ?? 300
        let rooms = try fields.strings("rooms", maxCount: EventFilter.maxRooms, of: "room ids") {
            !$0.isEmpty && $0.utf8.count <= 64
        }
        try fields.end()
        let key = request.fields["idempotency-key"]
        if let key {
            guard (1...255).contains(key.utf8.count),
                key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
            else { throw .badRequest("Idempotency-Key must be 1 to 255 printable characters.") }
        }

        let now = context.now()
        let id = "al_" + SecureRandom.token(bytes: 12)
        var alert: JSONObject = [
            "id": .string(id), "severity": .string(severity.rawValue), "text": .string(text),
            "ttl": .int(ttl),
        ]
        if let rooms { alert["rooms"] = .array(rooms.map { .string($0) }) }
        var data = alert
        data["at"] = .string(now.rfc3339)
        let entry = SourceEntry(
            sequence: 0, at: now, type: "alert.raised",
            audience: rooms.map { .membersOfAny($0) } ?? .everyone, severity: severity.rank,
            data: JSONValue.object(data).bytes)
        let new = NewAlert(
            id: id, owner: owner, key: key, digest: SHA256.digest(request.body),
            body: JSONValue.object(alert).bytes, expiresAt: now + .seconds(ttl), entry: entry)
        let outcome = try stored { () throws(StoreError) in
            try context.store.raise(new, rules: .webhooks, now: now)
        }
        switch outcome {
        case .conflict: throw .keyReused
        case .repeated(let id): return .json(["id": .string(id)], status: 202)
        case .accepted:
            context.wakeEngine()
            context.wakeForwarder()
            return .json(["id": .string(id)], status: 202)
        }
    }
}
