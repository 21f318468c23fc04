// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import Timing

/// An authorization request that passed every check.
package struct AuthorizationRequest: Sendable {
    package let client: Client
    package let redirectURI: String
    package let scope: [String]
    package let state: String?
    package let challenge: String?
    /// `prompt=none`: the client wants an answer without any page.
    package let isSilent: Bool
}

/// What becomes of an authorization request.
package enum AuthorizationCheck: Sendable {
    /// Neither client nor redirect URI can be trusted: show a page, never redirect (RFC 9700 §4.11).
    case page(String)
    /// Tell the client: send the browser there.
    case redirect(String)
    case valid(AuthorizationRequest)
}

extension AuthorizationServer {
    /// Longest `state` that is echoed; a browser carries it through two redirects.
    package static let maxStateBytes = 1024

    /// Judges the parameters of `/oauth/authorize`, repeats included.
    package func check(
        authorization parameters: [(name: String, value: String)]
    ) throws(AuthStoreFailure) -> AuthorizationCheck {
        func all(_ name: String) -> [String] {
            parameters.filter { $0.name == name }.map(\.value)
        }
        let ids = all("client_id")
        let client = try store.read { (reader) throws(AuthStoreFailure) -> Client? in
            guard ids.count == 1, (1...64).contains(ids[0].utf8.count) else { return nil }
            return try reader.client(id: ids[0])
        }
        guard let client, !client.redirectURIs.isEmpty else {
            return .page("The application that sent you here is not known to this server.")
        }
        let uris = all("redirect_uri")
        guard uris.count == 1, client.accepts(redirectURI: uris[0]) else {
            return .page("\(client.name) asked to be answered at an address it has not registered.")
        }
        let redirectURI = uris[0]
        let states = all("state")
        let state = states.first.flatMap {
            $0.utf8.count <= AuthorizationServer.maxStateBytes ? $0 : nil
        }
        func refuse(_ code: OAuthErrorCode, _ detail: String) -> AuthorizationCheck {
            .redirect(
                answer(
                    redirectURI, state: state,
                    [("error", code.rawValue), ("error_description", detail)]))
        }
        let known = [
            "response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge",
            "code_challenge_method", "response_mode", "prompt",
        ]
        if let name = known.first(where: { all($0).count > 1 }) {
            return refuse(.invalidRequest, "\(name) is given more than once.")
        }
        guard states.isEmpty || state != nil else {
            return refuse(.invalidRequest, "state is too long.")
        }
        if let mode = all("response_mode").first, mode != "query" {
            return refuse(.invalidRequest, "response_mode must be query.")
        }
        guard let type = all("response_type").first else {
            return refuse(.invalidRequest, "response_type is missing.")
        }
        guard type == "code" else {
            return refuse(.unsupportedResponseType, "response_type must be code.")
        }
        guard client.grantTypes.contains(.authorizationCode) else {
            return refuse(.unauthorizedClient, "This client may not ask for authorization.")
        }
        let challenge = all("code_challenge").first
        if challenge != nil || client.isPublic {
            guard let challenge, PKCE.isChallenge(challenge) else {
                return refuse(.invalidRequest, "code_challenge is missing or malformed.")
            }
            guard all("code_challenge_method").first == "S256" else {
                return refuse(.invalidRequest, "code_challenge_method must be S256.")
            }
        }
        guard let scope = grantable(all("scope").first, to: client) else {
            return refuse(
                .invalidScope, "The scope is malformed or more than this client may have.")
        }
        return .valid(
            AuthorizationRequest(
                client: client, redirectURI: redirectURI, scope: scope, state: state,
                challenge: challenge, isSilent: all("prompt").first == "none"))
    }

    /// The redirect that refuses a request which was valid: the person said no, or is not signed in.
    package func refusal(
        _ request: AuthorizationRequest, _ code: OAuthErrorCode, _ detail: String
    ) -> String {
        answer(
            request.redirectURI, state: request.state,
            [("error", code.rawValue), ("error_description", detail)])
    }

    /// Gives out a code for a person who is signed in.
    /// - Returns: where to send the browser.
    package func authorize(
        _ request: AuthorizationRequest, login: Login, visitor: Visitor, now: Timestamp
    ) throws(AuthStoreFailure) -> String {
        let code = "ac_" + SecureRandom.token()
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.insert(
                AuthorizationCode(
                    hash: SHA256.digest(code), clientID: request.client.id,
                    accountID: login.accountID, redirectURI: request.redirectURI,
                    challenge: request.challenge, scope: request.scope, loginHash: login.hash,
                    userAgent: visitor.userAgent, address: visitor.address,
                    expiresAt: now + lifetimes.code))
        }
        return answer(request.redirectURI, state: request.state, [("code", code)])
    }

    /// What a client gets of what it asks for: everything asked, or nil when some of it is not its to
    /// have. Asking for nothing means everything it may have (RFC 6749 §3.3).
    func grantable(_ text: String?, to client: Client) -> [String]? {
        guard let text, !text.isEmpty else { return client.scopes }
        guard let scopes = Scope.parse(text), scopes.allSatisfy(client.scopes.contains) else {
            return nil
        }
        return scopes
    }

    /// The redirect URI with an answer in its query; `iss` is in every one (RFC 9207 §2).
    private func answer(
        _ uri: String, state: String?, _ parameters: [(String, String)]
    ) -> String {
        var parameters = parameters
        if let state { parameters.append(("state", state)) }
        parameters.append(("iss", issuer))
        let query = parameters.map { "\($0.0)=\(PercentEncoding.encode($0.1))" }
        return uri + (uri.contains("?") ? "&" : "?") + query.joined(separator: "&")
    }
}
