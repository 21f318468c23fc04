// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import JSON
internal import JWT
internal import Logging
internal import OAuth
internal import ServiceRuntime

extension AuthAPI {
    /// RFC 8414 §3.2, and RFC 9207 §3 for `iss` in answers.
    func metadata(_ request: HTTPRequest) -> HTTPResponse {
        let issuer = server.issuer
        func endpoint(_ path: String) -> JSONValue { .string(issuer + path) }
        let answer: JSONValue = [
            "issuer": .string(issuer),
            "authorization_endpoint": endpoint("/oauth/authorize"),
            "token_endpoint": endpoint("/oauth/token"),
            "revocation_endpoint": endpoint("/oauth/revoke"),
            "introspection_endpoint": endpoint("/oauth/introspect"),
            "userinfo_endpoint": endpoint("/oauth/userinfo"),
            "end_session_endpoint": endpoint("/logout"),
            "scopes_supported": .array(Scope.all.map { .string($0.name) }),
            "response_types_supported": ["code"], "response_modes_supported": ["query"],
            "grant_types_supported": .array(GrantType.allCases.map { .string($0.rawValue) }),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [
                "none", "client_secret_basic", "client_secret_post",
            ],
            "revocation_endpoint_auth_methods_supported": [
                "none", "client_secret_basic", "client_secret_post",
            ],
            "introspection_endpoint_auth_methods_supported": [
                "client_secret_basic", "client_secret_post",
            ],
            "authorization_response_iss_parameter_supported": true,
        ]
        return withCORS(
            request, .json(answer, fields: ["cache-control": "public, max-age=300"]))
    }

    func token(_ request: HTTPRequest) -> HTTPResponse {
        endpoint(request) { (form, client) throws(AuthStoreFailure) in
            guard let name = form["grant_type"] else {
                return .failure(OAuthError(.invalidRequest, "grant_type is missing."))
            }
            guard let grant = GrantType(rawValue: name) else {
                return .failure(
                    OAuthError(.unsupportedGrantType, "This server knows no such grant."))
            }
            guard client.grantTypes.contains(grant) else {
                return .failure(
                    OAuthError(.unauthorizedClient, "This client may not use this grant."))
            }
            return try answer(grant, form, client, request).map { answer in
                var json: JSONObject = [
                    "access_token": .string(answer.accessToken), "token_type": "Bearer",
                    "expires_in": .int(answer.expiresIn),
                ]
                if let token = answer.refreshToken { json["refresh_token"] = .string(token) }
                json["scope"] = .string(answer.scope.joined(separator: " "))
                return .json(.object(json))
            }
        }
    }

    private func answer(
        _ grant: GrantType, _ form: Form, _ client: Client, _ request: HTTPRequest
    ) throws(AuthStoreFailure) -> Result<TokenAnswer, OAuthError> {
        let now = now()
        // RFC 8707 calls it `resource`, others `audience`; either names one of our services.
        let audience = form["audience"] ?? form["resource"]
        switch grant {
        case .authorizationCode:
            guard let code = form["code"] else {
                return .failure(OAuthError(.invalidRequest, "code is missing."))
            }
            return try server.exchange(
                code: code, redirectURI: form["redirect_uri"], verifier: form["code_verifier"],
                audience: audience, client: client, visitor: AuthAPI.visitor(request), now: now)
        case .refreshToken:
            guard let token = form["refresh_token"] else {
                return .failure(OAuthError(.invalidRequest, "refresh_token is missing."))
            }
            return try server.refresh(
                token: token, scope: form["scope"], audience: audience, client: client, now: now)
        case .clientCredentials:
            return server.clientCredentials(
                scope: form["scope"], audience: audience, client: client, now: now)
        }
    }

    func revoke(_ request: HTTPRequest) -> HTTPResponse {
        endpoint(request) { (form, client) throws(AuthStoreFailure) in
            guard let token = form["token"] else {
                return .failure(OAuthError(.invalidRequest, "token is missing."))
            }
            if let error = try server.revoke(token: token, client: client, now: now()) {
                return .failure(error)
            }
            return .success(HTTPResponse(status: 200, fields: ["cache-control": "no-store"]))
        }
    }

    func introspect(_ request: HTTPRequest) -> HTTPResponse {
        endpoint(request) { (form, client) throws(AuthStoreFailure) in
            // RFC 7662 §2.1: who asks must prove who it is, or tokens could be fished for.
            guard !client.isPublic else { return .failure(.invalidClient) }
            guard let token = form["token"] else {
                return .failure(OAuthError(.invalidRequest, "token is missing."))
            }
            return .success(
                .json(try server.introspect(token: token, client: client, now: now())))
        }
    }

    /// The person behind a token, whichever of our services it is for.
    func userinfo(_ request: HTTPRequest) -> HTTPResponse {
        let gate = BearerGate(realm: "auth") { token in
            do throws(AuthStoreFailure) {
                let claims = try server.activeToken(token, now: now())
                return claims.map { .success($0) } ?? .failure(.invalidToken)
            } catch {
                log?.error("store failed", metadata: ["cause": "\(error)"])
                return .failure(.authUnavailable)
            }
        }
        switch gate.authorize(request) {
        case .refused(let response): return withCORS(request, response)
        case .admitted(let claims) where claims.subjectKind == .user:
            return withCORS(
                request,
                .json([
                    "sub": .string(claims.subject), "name": .string(claims.name),
                    "preferred_username": .string(claims.name),
                    "roles": .array(claims.roles.map { .string($0) }),
                ]))
        case .admitted:
            return withCORS(
                request,
                .problem(403, code: "forbidden", detail: "No person stands behind this token."))
        }
    }

    /// What the three client endpoints share: form, client authentication, error forms, CORS.
    private func endpoint(
        _ request: HTTPRequest,
        _ body: (Form, Client) throws(AuthStoreFailure) -> Result<HTTPResponse, OAuthError>
    ) -> HTTPResponse {
        let form: Form
        let presented: PresentedClient
        do throws(OAuthError) {
            form = try Form(request)
            presented = try PresentedClient(request, form: form)
        } catch {
            return withCORS(request, AuthAPI.response(error))
        }
        let response = guarded({ _ in AuthAPI.response(.unavailable) }) {
            () throws(AuthStoreFailure) in
            guard let client = try server.authenticate(presented.credential) else {
                return AuthAPI.response(.invalidClient)
            }
            switch try body(form, client) {
            case .success(var response):
                response.fields.set("pragma", "no-cache")
                return response
            case .failure(let error):
                return AuthAPI.response(error)
            }
        }
        return withCORS(request, response)
    }

    /// RFC 6749 §5.2. A 401 names a scheme, however the client said who it is (RFC 9110 §15.5.2).
    static func response(_ error: OAuthError) -> HTTPResponse {
        var response = HTTPResponse.json(
            [
                "error": .string(error.code.rawValue), "error_description": .string(error.detail),
            ], status: error.code.status)
        response.fields.set("pragma", "no-cache")
        if response.status == 401 {
            response.fields.set("www-authenticate", "Basic realm=\"auth\", charset=\"UTF-8\"")
        }
        return response
    }
}
