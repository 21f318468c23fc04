// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import OAuth

/// The authorization endpoint (RFC 6749 §3.1): a browser comes with a client's request and leaves with a
/// code, by way of the sign-in page and, for clients that are not ours, a question.
extension AuthAPI {
    func authorize(_ request: HTTPRequest) -> HTTPResponse {
        guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            let wish: AuthorizationRequest
            switch try check(request.query) {
            case .refused(let response): return response
            case .wish(let valid): wish = valid
            }
            guard let (login, account) = try signedIn(request) else {
                if wish.isSilent {
                    return AuthAPI.redirect(
                        server.refusal(wish, .loginRequired, "Nobody is signed in."))
                }
                let next = FormURLEncoded.encode("/oauth/authorize?\(request.query)")
                return AuthAPI.redirect("/login?next=\(next)")
            }
            if wish.client.isFirstParty {
                return AuthAPI.redirect(
                    try server.authorize(
                        wish, login: login, visitor: AuthAPI.visitor(request), now: now()))
            }
            if wish.isSilent {
                return AuthAPI.redirect(
                    server.refusal(wish, .accessDenied, "The person was not asked."))
            }
            return consentPage(request, wish, account)
        }
    }

    /// The answer to the consent page. The request is judged anew: the form brings only its parameters.
    func decide(_ request: HTTPRequest) -> HTTPResponse {
        guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            guard let form = try? Form(request), let query = form["request"] else {
                return errorPage(400, "That did not work", "The form could not be read.")
            }
            guard isOwnPost(request, form), let (login, _) = try signedIn(request) else {
                return forgedPostPage()
            }
            switch try check(query) {
            case .refused(let response): return response
            case .wish(let wish):
                guard form["decision"] == "allow" else {
                    return AuthAPI.redirect(
                        server.refusal(wish, .accessDenied, "The person said no."))
                }
                return AuthAPI.redirect(
                    try server.authorize(
                        wish, login: login, visitor: AuthAPI.visitor(request), now: now()))
            }
        }
    }

    private enum Checked {
        case refused(HTTPResponse)
        case wish(AuthorizationRequest)
    }

    private func check(_ query: String) throws(AuthStoreFailure) -> Checked {
        switch try server.check(authorization: FormURLEncoded.pairs(query)) {
        case .page(let text):
            return .refused(errorPage(400, "This sign-in link is not right", text))
        case .redirect(let location): return .refused(AuthAPI.redirect(location))
        case .valid(let wish): return .wish(wish)
        }
    }

    private func consentPage(
        _ request: HTTPRequest, _ wish: AuthorizationRequest, _ account: Account
    ) -> HTTPResponse {
        let guarding = formGuard(request)
        let scopes = HTML.joined(wish.scope.map { "<li>\(AuthAPI.meaning(of: $0))</li>" })
        return page(
            Page(
                title: "Allow \(wish.client.name)?",
                content: """
                    <p>You are signed in as <strong>\(account.name)</strong>. \(wish.client.name) \
                    asks to:</p><ul>\(scopes)</ul>\
                    <p class="hint">It will be answered at \(wish.redirectURI)</p>\
                    <form method="post" action="/oauth/authorize">\
                    <input type="hidden" name="csrf" value="\(guarding.token)">\
                    <input type="hidden" name="request" value="\(request.query)">\
                    <button name="decision" value="allow">Allow</button>\
                    <button class="plain" name="decision" value="deny">Cancel</button></form>
                    """), guarding: guarding)
    }

    private static func meaning(of scope: String) -> String {
        switch scope {
        case "chat": "read and write messages in your name"
        case "notifications": "manage where your notifications are sent"
        case "alerts": "send alerts to everyone"
        default: scope
        }
    }
}
