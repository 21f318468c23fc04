// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import OAuth

/// Signing in and making an account.
extension AuthAPI {
    /// Where a page may send the browser afterwards: the authorization request that brought it, or the
    /// account page. A list of our own paths, so no address of anybody else's can pass (RFC 9700 §4.11).
    static func next(_ text: String?) -> String? {
        guard let text, !text.isEmpty else { return "/account" }
        guard text.utf8.count <= 4096, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            text == "/account" || text.hasPrefix("/oauth/authorize?"), !text.contains("\\")
        else { return nil }
        return text
    }

    func loginPage(_ request: HTTPRequest) -> HTTPResponse {
        guard let next = AuthAPI.next(request.queryValue("next")) else { return badNext() }
        return guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            if try signedIn(request) != nil { return AuthAPI.redirect(next) }
            return signInPage(request, next: next, name: "", complaint: nil, status: 200)
        }
    }

    func logIn(_ request: HTTPRequest, reply: @escaping Router.Reply) {
        onHashingPool(reply) { logInNow(request) }
    }

    private func logInNow(_ request: HTTPRequest) -> HTTPResponse {
        guard let form = try? Form(request) else {
            return errorPage(400, "That did not work", "The form could not be read.")
        }
        guard let next = AuthAPI.next(form["next"]) else { return badNext() }
        guard isOwnPost(request, form) else { return forgedPostPage() }
        let name = form["username"] ?? ""
        let again: (Int, String) -> HTTPResponse = { status, complaint in
            signInPage(request, next: next, name: name, complaint: complaint, status: status)
        }
        return guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            switch try server.logIn(
                name: name, password: form["password"] ?? "",
                device: cookies.value(.device, in: request), visitor: AuthAPI.visitor(request),
                now: now())
            {
            case .success(let login): return welcome(login, next: next)
            case .failure(.wrongCredentials):
                // No 401: that has to name a scheme to answer with (RFC 9110 §15.5.2), and a form has none.
                return again(403, "The user name or the password is not right.")
            case .failure(.throttled(let wait)):
                let seconds = max(1, wait.components.seconds + 1)
                var response = again(
                    429, "Too many attempts. Please wait \(seconds) seconds before the next.")
                response.fields.set("retry-after", "\(seconds)")
                return response
            case .failure(.busy): return storeFailedPage(503)
            }
        }
    }

    func registerPage(_ request: HTTPRequest) -> HTTPResponse {
        guard let next = AuthAPI.next(request.queryValue("next")) else { return badNext() }
        guard options.isRegistrationOpen else { return registrationClosed() }
        return guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            if try signedIn(request) != nil { return AuthAPI.redirect(next) }
            return signUpPage(request, next: next, name: "", complaint: nil, status: 200)
        }
    }

    func register(_ request: HTTPRequest, reply: @escaping Router.Reply) {
        onHashingPool(reply) { registerNow(request) }
    }

    private func registerNow(_ request: HTTPRequest) -> HTTPResponse {
        guard options.isRegistrationOpen else { return registrationClosed() }
        guard let form = try? Form(request) else {
            return errorPage(400, "That did not work", "The form could not be read.")
        }
        guard let next = AuthAPI.next(form["next"]) else { return badNext() }
        guard isOwnPost(request, form) else { return forgedPostPage() }
        let name = form["username"] ?? ""
        let again: (Int, String) -> HTTPResponse = { status, complaint in
            signUpPage(request, next: next, name: name, complaint: complaint, status: status)
        }
        if options.isThrottled, let wait = registrations.admit(request.address, now: now()) {
            let seconds = wait.components.seconds + 1
            var response = again(429, "Too many new accounts from your address. Please wait.")
            response.fields.set("retry-after", "\(seconds)")
            return response
        }
        return guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            switch try server.register(
                name: name, password: form["password"] ?? "", now: now())
            {
            case .success(let login): return welcome(login, next: next)
            case .failure(.invalidName):
                return again(
                    422, "Use 2 to 32 letters, digits, dots, hyphens or underscores for the name.")
            case .failure(.password(let complaint)): return again(422, complaint.text)
            case .failure(.nameTaken): return again(409, "This user name is taken.")
            case .failure(.busy): return storeFailedPage(503)
            }
        }
    }

    /// The login and account behind the request's cookie.
    func signedIn(
        _ request: HTTPRequest
    ) throws(AuthStoreFailure) -> (login: Login, account: Account)? {
        guard let secret = cookies.value(.login, in: request) else { return nil }
        return try server.login(secret: secret, now: now())
    }

    /// A fresh login cookie with a fresh value: whatever the browser had before is void (session
    /// fixation).
    private func welcome(_ login: NewLogin, next: String) -> HTTPResponse {
        var response = AuthAPI.redirect(next)
        cookies.set(.login, login.secret, lifetime: login.lifetime, on: &response)
        cookies.set(.device, login.device, lifetime: 180 * 86_400, on: &response)
        cookies.clear(.form, on: &response)
        return response
    }

    private func onHashingPool(
        _ reply: @escaping Router.Reply, _ job: @escaping @Sendable () -> HTTPResponse
    ) {
        if hashing({ reply(job()) }) { return }
        var response = errorPage(
            503, "Busy", "Too many people are signing in right now. Please try again in a moment.")
        response.fields.set("retry-after", "1")
        reply(response)
    }

    private func signInPage(
        _ request: HTTPRequest, next: String, name: String, complaint: String?, status: Int
    ) -> HTTPResponse {
        let guarding = formGuard(request)
        let other = "/register?next=\(FormURLEncoded.encode(next))"
        let foot: HTML =
            options.isRegistrationOpen
            ? "<p class=\"foot\">New here? <a href=\"\(other)\">Create an account</a></p>" : ""
        return page(
            Page(
                title: "Sign in",
                content: """
                    <p>Welcome back.</p>\(AuthAPI.alert(complaint))\
                    <form method="post" action="/login">\
                    <input type="hidden" name="csrf" value="\(guarding.token)">\
                    <input type="hidden" name="next" value="\(next)">\
                    <label for="username">User name</label>\
                    <input id="username" name="username" value="\(name)" autocomplete="username" \
                    autocapitalize="none" spellcheck="false" maxlength="64" required autofocus>\
                    <label for="password">Password</label>\
                    <input id="password" name="password" type="password" \
                    autocomplete="current-password" maxlength="128" required>\
                    <button>Sign in</button></form>\(foot)
                    """), status: status, guarding: guarding)
    }

    private func signUpPage(
        _ request: HTTPRequest, next: String, name: String, complaint: String?, status: Int
    ) -> HTTPResponse {
        let guarding = formGuard(request)
        let other = "/login?next=\(FormURLEncoded.encode(next))"
        return page(
            Page(
                title: "Create an account",
                content: """
                    <p>A name and a password are all it takes.</p>\(AuthAPI.alert(complaint))\
                    <form method="post" action="/register">\
                    <input type="hidden" name="csrf" value="\(guarding.token)">\
                    <input type="hidden" name="next" value="\(next)">\
                    <label for="username">User name</label>\
                    <input id="username" name="username" value="\(name)" autocomplete="username" \
                    autocapitalize="none" spellcheck="false" minlength="2" maxlength="32" required \
                    autofocus aria-describedby="name-hint">\
                    <p class="hint" id="name-hint">Letters, digits, dots, hyphens, underscores.</p>\
                    <label for="password">Password</label>\
                    <input id="password" name="password" type="password" \
                    autocomplete="new-password" minlength="\(PasswordPolicy.minCount)" \
                    maxlength="\(PasswordPolicy.maxCount)" required \
                    aria-describedby="password-hint">\
                    <p class="hint" id="password-hint">At least \(PasswordPolicy.minCount) \
                    characters; a few random words are best.</p>\
                    <button>Create account</button></form>\
                    <p class="foot">Have an account? <a href="\(other)">Sign in</a></p>
                    """), status: status, guarding: guarding)
    }

    static func alert(_ complaint: String?) -> HTML {
        complaint.map { "<p class=\"error\" role=\"alert\">\($0)</p>" } ?? ""
    }

    private func badNext() -> HTTPResponse {
        errorPage(
            400, "That link is not right", "It wants to send you somewhere we do not know.")
    }

    private func registrationClosed() -> HTTPResponse {
        errorPage(
            403, "Registration is closed", "Ask the operator of this service for an account.")
    }
}
