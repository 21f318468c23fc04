// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
internal import Store
internal import Timing
internal import Webhooks

/// The records as the API shows them.
enum NotificationJSON {
    /// Without any secret.
    static func endpoint(_ endpoint: EndpointRecord) -> JSONValue {
        var headers = JSONObject()
        for field in endpoint.fields { headers[field.name] = .string(field.value) }
        return [
            "id": .string(endpoint.id), "url": .string(endpoint.url),
            "description": .string(endpoint.description),
            "types": .array(endpoint.types.map { .string($0) }),
            "rooms": .array(endpoint.rooms.map { .string($0) }),
            "minSeverity": .string((AlertSeverity(rank: endpoint.minSeverity) ?? .info).rawValue),
            "headers": .object(headers), "enabled": .bool(endpoint.isEnabled),
            "disabledReason": optional(endpoint.disabledReason),
            "failures": .int(Int64(endpoint.failures)),
            "failingSince": time(endpoint.failingSince),
            "previousSecretUntil": time(endpoint.previousUntil),
            "createdAt": time(endpoint.createdAt), "updatedAt": time(endpoint.updatedAt),
            "version": .int(endpoint.version),
        ]
    }

    static func delivery(_ delivery: DeliveryRecord) -> JSONValue {
        [
            "id": .string(delivery.id), "endpoint": .string(delivery.endpoint),
            "type": .string(delivery.type), "source": .string(delivery.source),
            "sequence": .int(delivery.sequence), "room": optional(delivery.room),
            "state": .string(delivery.state.name), "attempts": .int(Int64(delivery.attempts)),
            "nextAttemptAt": delivery.state == .ready ? time(delivery.nextAt) : .null,
            "createdAt": time(delivery.createdAt), "finishedAt": time(delivery.finishedAt),
            "status": delivery.status.map { .int(Int64($0)) } ?? .null,
            "error": optional(delivery.error),
        ]
    }

    static func attempt(_ attempt: AttemptRecord) -> JSONValue {
        var value: JSONObject = [
            "number": .int(Int64(attempt.number)), "startedAt": time(attempt.startedAt),
        ]
        outcome(
            status: attempt.status, error: attempt.error, peer: attempt.peer,
            timings: attempt.timings, response: attempt.response, into: &value)
        return .object(value)
    }

    /// The part that a stored attempt and a test call have in common.
    static func outcome(
        status: Int?, error: String?, peer: String, timings: AttemptTimings, response: [UInt8],
        into value: inout JSONObject
    ) {
        value["status"] = status.map { .int(Int64($0)) } ?? .null
        value["error"] = optional(error)
        value["peer"] = peer.isEmpty ? .null : .string(peer)
        value["timings"] = [
            "resolvedMicros": .int(timings.resolved), "connectedMicros": .int(timings.connected),
            "securedMicros": .int(timings.secured), "firstByteMicros": .int(timings.firstByte),
            "totalMicros": .int(timings.total),
        ]
        // What a receiver answers is a stranger's bytes: as text only when they are text.
        let isText = UTF8Validator.isValid(response.span)
        value["response"] = isText ? .string(String(decoding: response, as: UTF8.self)) : .null
        if !isText {
            value["responseBase64"] = .string(Base64.string(response, alphabet: .standard))
        }
    }

    static func time(_ time: Timestamp?) -> JSONValue { time.map { .string($0.rfc3339) } ?? .null }

    static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}
