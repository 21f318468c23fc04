// SPDX-License-Identifier: MIT
internal import HTTP1

/// Maps method and path to a handler. A value: built at start-up, then shared by all loops.
package struct Router: Sendable {
    /// Answers later, from any thread, exactly once.
    package typealias Reply = @Sendable (HTTPResponse) -> Void

    package enum Handler: Sendable {
        /// Runs on the event loop: must not block.
        case immediate(@Sendable (HTTPRequest) -> HTTPResponse)
        /// Runs on a worker thread: may read files, ask SQLite, hash passwords.
        case blocking(@Sendable (HTTPRequest) -> HTTPResponse)
        /// Runs on the event loop and answers when it can.
        case deferred(@Sendable (HTTPRequest, @escaping Reply) -> Void)
    }

    private struct Route: Sendable {
        let method: String
        let segments: [Substring]
        let handler: Handler
    }

    private var routes: [Route] = []
    /// Routes for any path at all, tried when no other knows the path.
    private var fallbacks: [Route] = []

    package init() {}

    /// Adds a route. `pattern` is a path such as `/api/v1/rooms/{id}`: a segment in braces matches
    /// any one non-empty segment; a last segment `{name...}` matches the rest, slashes included.
    /// Routes are tried in the order added, those that match every path (`/{path...}`) after all
    /// others. GET answers HEAD too.
    package mutating func on(_ method: String, _ pattern: String, _ handler: Handler) {
        let route = Route(method: method, segments: Router.split(pattern[...]), handler: handler)
        if route.segments.first?.hasSuffix("...}") == true {
            fallbacks.append(route)
        } else {
            routes.append(route)
        }
    }

    package enum Match: Sendable {
        case handler(Handler, parameters: [String: String])
        /// The path exists for these methods only (RFC 9110 §15.5.6).
        case methodNotAllowed(allow: [String])
        case notFound
    }

    /// Finds the route of a request. O(routes).
    package func match(method: String, path: String) -> Match {
        let segments = Router.split(path[...])
        for candidates in [routes, fallbacks] {
            var allowed: [String] = []
            for route in candidates {
                guard let parameters = Router.match(route.segments, segments) else { continue }
                if route.method == method || route.method == "GET" && method == "HEAD" {
                    return .handler(route.handler, parameters: parameters)
                }
                if !allowed.contains(route.method) { allowed.append(route.method) }
            }
            if !allowed.isEmpty { return .methodNotAllowed(allow: allowed) }
        }
        return .notFound
    }

    /// The answer to a request that no route takes: 404, or 405 with `allow`; to OPTIONS what the path
    /// takes (RFC 9110 §9.3.7), where no route has more to say.
    package static func refusal(_ match: Match, method: String, path: String) -> HTTPResponse {
        if method == "OPTIONS", path == "*" { return HTTPResponse(status: 204) }
        if case .methodNotAllowed(let allow) = match {
            let list = allow + (allow.contains("GET") ? ["HEAD"] : []) + ["OPTIONS"]
            if method == "OPTIONS" {
                return HTTPResponse(
                    status: 204, fields: ["allow": list.joined(separator: ", ")])
            }
            return .problem(
                405, code: "method_not_allowed",
                detail: "This path takes \(list.joined(separator: ", ")).",
                fields: ["allow": list.joined(separator: ", ")])
        }
        return .problem(404, code: "not_found", detail: "There is nothing at this path.")
    }

    /// Runs the whole way of a request on the calling thread and waits for nothing: what tests use.
    /// - Parameter reply: called once, at once for `immediate` and `blocking`.
    package func handle(_ request: HTTPRequest, reply: @escaping Reply) {
        let match = match(method: request.method, path: request.path)
        guard case .handler(let handler, let parameters) = match else {
            return reply(Router.refusal(match, method: request.method, path: request.path))
        }
        var request = request
        request.parameters = parameters
        switch handler {
        case .immediate(let run), .blocking(let run): reply(run(request))
        case .deferred(let run): run(request, reply)
        }
    }

    private static func split(_ path: Substring) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map { $0 }
    }

    private static func match(_ pattern: [Substring], _ path: [Substring]) -> [String: String]? {
        var parameters: [String: String] = [:]
        for (index, segment) in pattern.enumerated() {
            guard index < path.count else { return nil }
            if segment.hasPrefix("{"), segment.hasSuffix("...}") {
                parameters[String(segment.dropFirst().dropLast(4))] = FormURLEncoded.decode(
                    path[index...].joined(separator: "/"), plusIsSpace: false)
                return parameters
            }
            if segment.hasPrefix("{"), segment.hasSuffix("}") {
                guard !path[index].isEmpty else { return nil }
                parameters[String(segment.dropFirst().dropLast())] = FormURLEncoded.decode(
                    path[index], plusIsSpace: false)
            } else if segment != path[index] {
                return nil
            }
        }
        return pattern.count == path.count ? parameters : nil
    }
}
