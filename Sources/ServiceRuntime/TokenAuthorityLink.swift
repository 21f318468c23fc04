// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTPClient
internal import HTTPServer
internal import JSON

/// How a `TokenAuthority` reaches AuthService. A value of closures, so that tests answer from memory.
struct TokenAuthorityLink: Sendable {
    struct Call: Sendable {
        var method = "GET"
        /// Path and query.
        var target: String
        /// A bearer token, or nil for our client credential.
        var bearer: String?
        /// A form, or nil for no body.
        var form: [(String, String)]?
        var timeout: Duration = .seconds(5)
        /// Asked while waiting; true gives the call up.
        var isCancelled: @Sendable () -> Bool = { false }
    }

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]
    }

    let send: @Sendable (Call) -> Result<Answer, TokenAuthorityError>

    /// Over HTTP, on the calling thread.
    static func http(_ configuration: TokenAuthority.Configuration) -> TokenAuthorityLink {
        // RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
        let pair =
            FormURLEncoded.encode(configuration.clientID) + ":"
            + FormURLEncoded.encode(configuration.secret)
        let basic = "Basic " + Base64.string(Array(pair.utf8), alphabet: .standard)
        return TokenAuthorityLink { call in
            var fields = [
                (name: "authorization", value: call.bearer.map { "Bearer \($0)" } ?? basic),
                (name: "accept", value: "application/json"),
            ]
            if call.form != nil {
                fields.append(
                    (name: "content-type", value: "application/x-www-form-urlencoded"))
            }
            let body = call.form.map { pairs in
                pairs.map { "\(FormURLEncoded.encode($0.0))=\(FormURLEncoded.encode($0.1))" }
                    .joined(separator: "&")
            }
            let request = Request(
                method: call.method, url: configuration.url + call.target, fields: fields,
                body: body.map { Array($0.utf8) }, connectTimeout: .seconds(2),
                totalTimeout: call.timeout, maxResponseBytes: 4 << 20,
                authoritiesFile: configuration.authoritiesFile,
                isCancelled: call.isCancelled)
            do throws(HTTPClientError) {
                let response = try perform(request)
                return .success(Answer(status: response.status, body: response.body))
            } catch {
                return .failure(.unreachable(error.label))
            }
        }
    }

    /// The body of a 200 as JSON.
    func json(_ call: Call) throws(TokenAuthorityError) -> JSONValue {
        let answer = try send(call).get()
        guard answer.status == 200 else { throw .refused(status: answer.status) }
        guard let value = try? JSONValue(parsing: answer.body) else { throw .malformed }
        return value
    }
}
