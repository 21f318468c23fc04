// SPDX-License-Identifier: MIT
internal import HTTP1
package import HTTPServer
package import JWT

/// Bearer authentication of an HTTP request (RFC 6750), the same at each of our APIs: one 401 for all
/// bad tokens, so that a prober learns nothing, and no `error` where no token was sent.
package struct BearerGate: Sendable {
    package enum Decision: Sendable {
        case admitted(AccessTokenClaims)
        /// Send this and do nothing else.
        case refused(HTTPResponse)
    }

    private let realm: String
    private let judge: @Sendable ([UInt8]) -> Result<AccessTokenClaims, TokenRefusal>

    /// - Parameters:
    ///   - realm: names the API in challenges: letters, digits and hyphens.
    ///   - judge: `TokenAuthority.verify`, or AuthService's own.
    package init(
        realm: String,
        judge: @escaping @Sendable ([UInt8]) -> Result<AccessTokenClaims, TokenRefusal>
    ) {
        self.realm = realm
        self.judge = judge
    }

    /// The caller's claims, or the response that refuses it.
    ///
    /// A token in the query is not looked at: URLs end up in logs (OAuth 2.1 §5). One in the header and
    /// another in a form is `invalid_request` (RFC 6750 §2).
    /// - Parameter scope: what the token must carry; nil asks for nothing.
    package func authorize(
        _ request: HTTPRequest, scope: String? = nil
    ) -> Decision {
        let lines = request.fields.all("authorization")
        if lines.count > 1 || (!lines.isEmpty && BearerGate.hasFormToken(request)) {
            return .refused(
                challenge(
                    400, "invalid_request", "The request carries more than one credential."))
        }
        guard let token = request.bearerToken else {
            return .refused(challenge(401, nil, "This needs an access token."))
        }
        let claims: AccessTokenClaims
        switch judge(Array(token.utf8)) {
        case .success(let good): claims = good
        case .failure(.authUnavailable):
            return .refused(
                .problem(
                    503, code: TokenRefusal.authUnavailable.rawValue,
                    detail: "Tokens cannot be checked at the moment.",
                    fields: ["retry-after": "1"]))
        case .failure:
            return .refused(
                challenge(
                    401, "invalid_token", "The access token is not valid here, or not any more."))
        }
        if let scope, !claims.has(scope: scope) {
            return .refused(
                challenge(
                    403, "insufficient_scope", "The access token lacks the scope \(scope).",
                    scope: scope))
        }
        return .admitted(claims)
    }

    /// RFC 6750 §3: without credentials the challenge names no error.
    private func challenge(
        _ status: Int, _ error: String?, _ detail: String, scope: String? = nil
    ) -> HTTPResponse {
        var value = "Bearer realm=\"\(realm)\""
        if let error { value += ", error=\"\(error)\"" }
        if let scope { value += ", scope=\"\(scope)\"" }
        return .problem(
            status, code: error ?? "unauthorized", detail: detail,
            fields: ["www-authenticate": value])
    }

    private static func hasFormToken(_ request: HTTPRequest) -> Bool {
        guard
            request.fields["content-type"]?.lowercased().hasPrefix(
                "application/x-www-form-urlencoded") == true
        else { return false }
        let form = String(decoding: request.body, as: UTF8.self)
        return FormURLEncoded.first("access_token", in: form) != nil
    }
}

extension TokenAuthority {
    /// A gate that judges by this authority.
    package func gate(realm: String) -> BearerGate {
        BearerGate(realm: realm) { [self] in verify($0) }
    }
}
