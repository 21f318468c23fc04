// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import Store
internal import Webhooks

/// Why a request is not carried out. One place for the status, code and words of each.
enum Refusal: Error, Equatable {
    case badRequest(String)
    case notFound
    case preconditionFailed(current: Int64)
    case limitReached(Int)
    case duplicate
    case invalidURL(WebhookURLError)
    case invalidHeaders
    case inFlight
    case keyReused
    case tooLarge
    case rateLimited(seconds: Int)
    case storage

    init(_ error: StoreError) { self = .storage }

    init(_ refusal: EndpointRefusal, limit: Int) {
        self =
            switch refusal {
            case .notFound: .notFound
            case .versionMismatch(let current): .preconditionFailed(current: current)
            case .limitReached: .limitReached(limit)
            case .duplicate: .duplicate
            }
    }

    var response: HTTPResponse {
        switch self {
        case .badRequest(let detail): .problem(400, code: "bad_request", detail: detail)
        case .notFound:
            .problem(404, code: "not_found", detail: "There is nothing of yours at this path.")
        case .preconditionFailed(let current):
            .problem(
                412, code: "precondition_failed",
                detail: "The endpoint was changed meanwhile; read it again.",
                fields: ["etag": "\"\(current)\""])
        case .limitReached(let limit):
            .problem(
                409, code: "limit_reached",
                detail: "You have \(limit) endpoints, the most there are.")
        case .duplicate:
            .problem(
                409, code: "conflict",
                detail: "You have an endpoint with this URL and filter already.")
        case .invalidURL(let error): .problem(422, code: "invalid_url", detail: error.detail)
        case .invalidHeaders:
            .problem(
                422, code: "invalid_headers",
                detail: "headers holds a name or value that may not be sent.")
        case .inFlight:
            .problem(409, code: "in_flight", detail: "An attempt is under way at this moment.")
        case .keyReused:
            .problem(
                409, code: "idempotency_key_reused",
                detail: "This Idempotency-Key was used for another request.")
        case .tooLarge: .problem(413, code: "too_large", detail: "The body is too large.")
        case .rateLimited(let seconds):
            .problem(
                429, code: "rate_limited", detail: "Too many tests; wait a little.",
                fields: ["retry-after": "\(seconds)"])
        case .storage:
            .problem(
                503, code: "storage_unavailable", detail: "Nothing was changed; try again.",
                fields: ["retry-after": "1"])
        }
    }
}
