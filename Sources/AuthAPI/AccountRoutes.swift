// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import OAuth
internal import Timing

/// What people do with their own account: see where they are signed in, end sessions, sign out.
extension AuthAPI {
    func accountPage(_ request: HTTPRequest) -> HTTPResponse {
        guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            guard let (login, account) = try signedIn(request) else {
                return AuthAPI.redirect("/login?next=%2Faccount")
            }
            let now = now()
            let sessions = try server.sessions(of: account.id, now: now)
            let guarding = formGuard(request)
            let items = sessions.prefix(100).map { session -> HTML in
                let here: HTML = session.loginHash == login.hash ? " (this browser)" : ""
                return """
                    <li><strong>\(AuthAPI.device(session))</strong>\(here)\
                    <p class="hint">Used \(AuthAPI.ago(session.lastSeenAt, now)), from \
                    \(session.address.isEmpty ? "the command line" : session.address)</p>\
                    <form method="post" action="/account/sessions">\
                    <input type="hidden" name="csrf" value="\(guarding.token)">\
                    <input type="hidden" name="session" value="\(session.id)">\
                    <button class="plain">End session</button></form></li>
                    """
            }
            let list: HTML =
                items.isEmpty ? "<p>No application is signed in.</p>" : "<ul>\(.joined(items))</ul>"
            return page(
                Page(
                    title: account.name,
                    content: """
                        <p>Your account.</p><h2>Where you are signed in</h2>\(list)\
                        <form method="post" action="/account/sessions">\
                        <input type="hidden" name="csrf" value="\(guarding.token)">\
                        <input type="hidden" name="session" value="all">\
                        <button class="plain">End all sessions</button></form>\
                        <form method="post" action="/logout">\
                        <input type="hidden" name="csrf" value="\(guarding.token)">\
                        <button>Sign out of this browser</button></form>
                        """), guarding: guarding)
        }
    }

    func endSession(_ request: HTTPRequest) -> HTTPResponse {
        guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            guard let form = try? Form(request), let id = form["session"] else {
                return errorPage(400, "That did not work", "The form could not be read.")
            }
            guard isOwnPost(request, form), let (_, account) = try signedIn(request) else {
                return forgedPostPage()
            }
            try server.endSession(
                id: id == "all" ? nil : id, of: account.id, now: now())
            return AuthAPI.redirect("/account")
        }
    }

    func logoutPage(_ request: HTTPRequest) -> HTTPResponse {
        guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            guard let target = logoutTarget(request.queryValue("post_logout_redirect_uri")) else {
                return badLogoutTarget()
            }
            guard let (_, account) = try signedIn(request) else { return AuthAPI.redirect(target) }
            let guarding = formGuard(request)
            return page(
                Page(
                    title: "Sign out?",
                    content: """
                        <p>You are signed in as <strong>\(account.name)</strong>. Signing out ends \
                        the sessions that were opened from this browser.</p>\
                        <form method="post" action="/logout">\
                        <input type="hidden" name="csrf" value="\(guarding.token)">\
                        <input type="hidden" name="post_logout_redirect_uri" value="\(target)">\
                        <button>Sign out</button></form>\
                        <p class="foot"><a href="/account">Stay signed in</a></p>
                        """), guarding: guarding)
        }
    }

    func logOut(_ request: HTTPRequest) -> HTTPResponse {
        guarded(storeFailedPage) { () throws(AuthStoreFailure) in
            guard let form = try? Form(request) else {
                return errorPage(400, "That did not work", "The form could not be read.")
            }
            guard let target = logoutTarget(form["post_logout_redirect_uri"]) else {
                return badLogoutTarget()
            }
            guard isOwnPost(request, form) else { return forgedPostPage() }
            if let secret = cookies.value(.login, in: request) {
                try server.logOut(secret: secret, now: now())
            }
            var response = AuthAPI.redirect(target)
            cookies.clear(.login, on: &response)
            return response
        }
    }

    /// Where to go after signing out: our sign-in page, or a place a client has registered (a redirect
    /// URI or the root of its origin), else nil (RFC 9700 §4.11).
    private func logoutTarget(_ text: String?) -> String? {
        guard let text, text != "/login" else { return "/login" }
        let known =
            (try? server.store.read { (reader) throws(AuthStoreFailure) in try reader.clients() })
            ?? []
        let allowed = known.flatMap { $0.redirectURIs + $0.origins + $0.origins.map { $0 + "/" } }
        return allowed.first { $0.utf8.elementsEqual(text.utf8) }
    }

    private func badLogoutTarget() -> HTTPResponse {
        errorPage(
            400, "That link is not right", "It wants to send you somewhere we do not know.")
    }

    /// A name for the program of a session, as far as it can be told.
    private static func device(_ session: Grant) -> String {
        let agent = session.userAgent
        let systems = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"]
        let browsers = [
            ("Firefox/", "Firefox"), ("Edg/", "Edge"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
        ]
        guard let browser = browsers.first(where: { agent.contains($0.0) })?.1 else {
            return agent.isEmpty ? session.clientID : String(agent.prefix(40))
        }
        return systems.first { agent.contains($0) }.map { "\(browser) on \($0)" } ?? browser
    }

    private static func ago(_ time: Timestamp, _ now: Timestamp) -> String {
        let minutes = max(0, now.seconds - time.seconds) / 60
        switch minutes {
        case 0: return "just now"
        case 1..<60: return "\(minutes) min ago"
        case 60..<2880: return "\(minutes / 60) h ago"
        default: return "\(minutes / 1440) days ago"
        }
    }
}
