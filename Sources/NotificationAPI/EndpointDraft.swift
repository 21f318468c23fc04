// SPDX-License-Identifier: MIT
internal import Store
internal import Webhooks

/// What a caller says of an endpoint, checked; nil where nothing is said.
struct EndpointDraft: Sendable {
    var url: String?
    private var description: String?
    private var types: [String]?
    private var rooms: [String]?
    private var minSeverity: AlertSeverity?
    private var headers: [EndpointRecord.Field]?
    private var isEnabled: Bool?

    init(_ fields: inout RequestFields, policy: URLPolicy) throws(Refusal) {
        if let text = try fields.string("url", maxBytes: URLPolicy.maxBytes * 2) {
            do throws(WebhookURLError) {
                url = try policy.check(text).text
            } catch {
                throw .invalidURL(error)
            }
        }
        description = try fields.string("description", maxBytes: 500)
        types = try fields.strings(
            "types", maxCount: EventFilter.maxPatterns, of: "event types or patterns",
            where: EventFilter.isPattern)
        rooms = try fields.strings("rooms", maxCount: EventFilter.maxRooms, of: "room ids") {
            !$0.isEmpty && $0.utf8.count <= 64
        }
        if let text = try fields.string("minSeverity", maxBytes: 64) {
            guard let severity = AlertSeverity(rawValue: text) else {
                throw .badRequest("minSeverity must be info, warning or critical.")
            }
            minSeverity = severity
        }
        if let pairs = try fields.pairs("headers") {
            guard FieldPolicy.admits(pairs) else { throw .invalidHeaders }
            headers = pairs.map { .init(name: $0.name, value: $0.value) }
        }
        isEnabled = try fields.bool("enabled")
        try fields.end()
    }

    func apply(to endpoint: inout EndpointRecord) {
        if let url { endpoint.url = url }
        if let description { endpoint.description = description }
        if let types { endpoint.types = types }
        if let rooms { endpoint.rooms = rooms }
        if let minSeverity { endpoint.minSeverity = minSeverity.rank }
        if let headers { endpoint.fields = headers }
        if let isEnabled {
            endpoint.isEnabled = isEnabled
            endpoint.disabledReason = isEnabled ? nil : endpoint.disabledReason ?? "owner"
        }
    }
}
