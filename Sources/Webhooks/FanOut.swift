// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import Store

extension FanOutRules {
    /// The rules of this service: filters decide, payloads are Standard Webhooks', ids are digests.
    package static let webhooks = FanOutRules(
        wants: { endpoint, entry in
            guard let type = entry.type else { return false }
            return EventFilter(endpoint).drop(
                type: type, room: entry.room,
                severity: entry.severity.flatMap { AlertSeverity(rank: $0) }) == nil
        },
        body: { source, entry in
            WebhookPayload.build(
                type: entry.type ?? "", at: entry.at, source: source, sequence: entry.sequence,
                room: entry.room, data: entry.data.span)
        },
        deliveryID: { endpoint, source, sequence in
            // Deterministic, so that taking the same entry in again after a loss of our database
            // gives receivers an id they know; unguessable, since endpoint ids are random. Without
            // `.`, which would make the signed text ambiguous.
            let digest = SHA256.digest("\(endpoint) \(source) \(sequence)")
            return "msg_" + Base64.string(Array(digest.prefix(18)), alphabet: .url)
        })
}

extension EventFilter {
    /// An endpoint's filter as stored.
    package init(_ endpoint: EndpointRecord) {
        self.init(
            types: endpoint.types, rooms: endpoint.rooms,
            minSeverity: AlertSeverity(rank: endpoint.minSeverity) ?? .info)
    }
}

extension AlertSeverity {
    /// The severity of a rank; nil outside 0 to 2.
    package init?(rank: Int) {
        guard let severity = AlertSeverity.allCases.first(where: { $0.rank == rank }) else {
            return nil
        }
        self = severity
    }
}
