// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import JWT
internal import OAuth
internal import ServiceRuntime

/// What the other services ask.
extension AuthAPI {
    /// The keys of the caller's own audience: with HS256 who can verify can mint, so nobody gets another's.
    func signingKeys(_ request: HTTPRequest) -> HTTPResponse {
        let refused = AuthAPI.response(.invalidClient)
        guard request.fields["authorization"] != nil,
            let presented = try? PresentedClient(request, form: nil)
        else { return refused }
        return guarded({ .problem($0, code: "storage_unavailable", detail: "Try again.") }) {
            () throws(AuthStoreFailure) in
            guard let client = try server.authenticate(presented.credential), !client.isPublic
            else { return refused }
            guard let name = request.queryValue("audience"),
                let audience = Audience(rawValue: name)
            else {
                return .problem(
                    400, code: "bad_request", detail: "audience must name one of the services.")
            }
            guard client.audience == audience else {
                return .problem(
                    403, code: "forbidden", detail: "These keys belong to another service.")
            }
            let now = now()
            let keys = server.keys.keys(for: audience, now: now).map { item -> JSONValue in
                [
                    "kid": .string(item.key.kid), "alg": "HS256",
                    "k": .string(Base64.string(item.key.secret, alphabet: .url)),
                    "state": .string(item.state.rawValue),
                ]
            }
            return .json([
                "issuer": .string(server.issuer), "audience": .string(audience.rawValue),
                "keys": .array(keys), "log": ["after": .int(try server.logStart(now: now))],
            ])
        }
    }

    /// A page of the log; with `wait`, the answer is held back until there is something to say.
    func readLog(_ request: HTTPRequest, reply: @escaping Router.Reply) {
        let isTaken = background {
            switch logQuestion(request) {
            case .answer(let response): reply(response)
            case .question(let after, let limit, let wait):
                let answer: @Sendable () -> Void = {
                    reply(logPage(after: after, limit: limit))
                }
                feed.whenPast(after, within: .seconds(wait)) {
                    // Back to the pool: the feed must not be held up by reads and sockets.
                    if !background(answer) { reply(AuthAPI.busy) }
                }
            }
        }
        if !isTaken { reply(AuthAPI.busy) }
    }

    private enum LogQuestion {
        case answer(HTTPResponse)
        case question(after: Int64, limit: Int, wait: Int64)
    }

    private func logQuestion(_ request: HTTPRequest) -> LogQuestion {
        let now = now()
        let gate = BearerGate(realm: "auth") { token in
            guard let verifier = server.keys.verifier(for: .auth, now: now) else {
                return .failure(.authUnavailable)
            }
            do throws(TokenError) {
                return .success(try verifier.verify(token, now: now))
            } catch {
                return .failure(error == .expired ? .tokenExpired : .invalidToken)
            }
        }
        if case .refused(let response) = gate.authorize(request, scope: "internal:log") {
            return .answer(response)
        }
        func number(_ name: String, _ fallback: Int, _ range: ClosedRange<Int>) -> Int? {
            guard let text = request.queryValue(name) else { return fallback }
            guard let value = Array(text.utf8).span.decimal(), range.contains(value) else {
                return nil
            }
            return value
        }
        guard let after = number("after", 0, 0...Int.max),
            let limit = number("limit", 1000, 1...1000), let wait = number("wait", 0, 0...25)
        else {
            return .answer(
                .problem(
                    400, code: "bad_request",
                    detail: "after, limit (1 to 1000) and wait (0 to 25) are whole numbers."))
        }
        return .question(after: Int64(after), limit: limit, wait: Int64(wait))
    }

    private func logPage(after: Int64, limit: Int) -> HTTPResponse {
        guarded({ .problem($0, code: "storage_unavailable", detail: "Try again.") }) {
            () throws(AuthStoreFailure) in
            let (head, entries) = try server.log(after: after, limit: limit)
            return .json([
                "source": "auth", "after": .int(after), "head": .int(head),
                "entries": .array(entries.map(\.json)),
            ])
        }
    }

    static let busy = HTTPResponse.problem(
        503, code: "busy", detail: "Too much at once; try again in a moment.",
        fields: ["retry-after": "1"])
}
