// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import HTTP1
internal import HTTPServer
internal import OAuth

/// The cookies of the pages.
///
/// With an `https` issuer they carry `Secure` and the prefix `__Host-`, which makes browsers refuse a
/// cookie of that name from a subdomain or over plain HTTP (RFC 6265bis §4.1.3.2). On plain HTTP, which is
/// for loopback, browsers would throw such a cookie away; there they have other names and no `Secure`.
struct Cookies: Sendable {
    let isSecure: Bool

    enum Name: String, Sendable {
        /// The login of this browser.
        case login
        /// What form tokens are bound to before there is a login.
        case form
        /// Proof of an earlier login, for `LoginThrottle`.
        case device
    }

    private func name(_ name: Name) -> String {
        (isSecure ? "__Host-chat-" : "chat-") + name.rawValue
    }

    /// The value of a cookie; nil when absent, repeated, or not of a form we give out.
    func value(_ cookie: Name, in request: HTTPRequest) -> String? {
        let name = name(cookie)
        var found: String?
        for line in request.fields.all("cookie") {
            for pair in line.split(separator: ";") {
                let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0] == name else { continue }
                guard found == nil else { return nil }
                found = String(parts[1])
            }
        }
        guard let found, found.utf8.count <= 128 else { return nil }
        return found
    }

    /// Sets a cookie: not readable by scripts, not sent with cross-site posts.
    /// - Parameter lifetime: seconds; nil for the browser's session.
    func set(_ cookie: Name, _ value: String, lifetime: Int64?, on response: inout HTTPResponse) {
        var line = "\(name(cookie))=\(value); Path=/; HttpOnly; SameSite=Lax"
        if isSecure { line += "; Secure" }
        if let lifetime { line += "; Max-Age=\(lifetime)" }
        response.fields.append("set-cookie", line)
    }

    func clear(_ cookie: Name, on response: inout HTTPResponse) {
        set(cookie, "", lifetime: 0, on: &response)
    }
}

/// Protection of form posts from other sites (RFC 9700 §4.7): a token bound to the browser, and what the
/// browser says about where the post comes from.
extension AuthAPI {
    /// What a page needs for its form.
    struct FormGuard {
        /// For the hidden field.
        let token: String
        /// A cookie to set, when the browser has nothing to bind to yet.
        let freshCookie: String?
    }

    func formGuard(_ request: HTTPRequest) -> FormGuard {
        if let binding = binding(request) {
            return FormGuard(token: formToken(binding), freshCookie: nil)
        }
        let fresh = SecureRandom.token()
        return FormGuard(token: formToken("form \(fresh)"), freshCookie: fresh)
    }

    /// Whether a post was made from our own page in this browser.
    func isOwnPost(_ request: HTTPRequest, _ form: Form) -> Bool {
        guard let binding = binding(request), let token = form["csrf"],
            constantTimeEquals(token, formToken(binding))
        else { return false }
        // Current browsers say it outright. `Origin` is `null` for our own posts there, because the
        // pages send no referrer (Fetch §3.1), so it only counts where the other is missing.
        if let site = request.fields["sec-fetch-site"] {
            return site == "same-origin" || site == "none"
        }
        guard let origin = request.fields["origin"] else { return true }
        let host = request.fields["host"] ?? ""
        return server.issuer == origin || (!host.isEmpty && origin == "http://\(host)")
            || (!host.isEmpty && origin == "https://\(host)")
    }

    private func binding(_ request: HTTPRequest) -> String? {
        if let login = cookies.value(.login, in: request) { return "login \(login)" }
        return cookies.value(.form, in: request).map { "form \($0)" }
    }

    private func formToken(_ binding: String) -> String {
        Base64.string(formKey.sign(Array(binding.utf8)), alphabet: .url)
    }
}
