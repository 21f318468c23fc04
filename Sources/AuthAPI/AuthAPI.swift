// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import HTTP1
package import HTTPServer
internal import JSON
internal import JWT
package import Logging
package import OAuth
package import Timing

/// AuthService's HTTP face: OAuth endpoints, pages for people, and what the other services ask.
///
/// | path | who | answer |
/// |---|---|---|
/// | `/.well-known/oauth-authorization-server` | anyone | metadata (RFC 8414) |
/// | `/oauth/authorize` | browsers | redirects and a consent page |
/// | `/oauth/token`, `/oauth/revoke`, `/oauth/introspect` | clients | JSON |
/// | `/oauth/userinfo` | bearers of a token | JSON |
/// | `/login`, `/register`, `/logout`, `/account` | people | pages |
/// | `/internal/keys`, `/internal/log` | services | JSON |
package struct AuthAPI: Sendable {
    /// Runs a job on a bounded pool; false when the pool is full.
    package typealias Offload = @Sendable (@escaping @Sendable () -> Void) -> Bool

    package struct Options: Sendable {
        /// Whether people may make accounts by themselves.
        package var isRegistrationOpen = true
        /// False lifts the limit on registrations, for load tests.
        package var isThrottled = true

        package init() {}
    }

    let server: AuthorizationServer
    let feed: AuthLogFeed
    let options: Options
    let now: @Sendable () -> Timestamp
    let hashing: Offload
    let background: Offload
    let log: Logger?
    let cookies: Cookies
    let formKey: HMACSHA256.Key
    let registrations = RegistrationLimit()

    /// - Parameters:
    ///   - hashing: a pool for passwords: as many threads as cores may be spent on logins, and a short
    ///     queue, so that a flood gets 503 while everything else goes on.
    ///   - background: a pool for store reads of long polls.
    package init(
        server: AuthorizationServer, feed: AuthLogFeed, options: Options = Options(),
        now: @escaping @Sendable () -> Timestamp = { SystemClock.timestamp() },
        hashing: @escaping Offload, background: @escaping Offload, log: Logger? = nil
    ) {
        self.server = server
        self.feed = feed
        self.options = options
        self.now = now
        self.hashing = hashing
        self.background = background
        self.log = log
        cookies = Cookies(isSecure: server.issuer.hasPrefix("https:"))
        formKey = HMACSHA256.Key(server.keys.secret(for: "form tokens"))
    }

    /// Adds all routes.
    package func add(to router: inout Router) {
        router.on("GET", "/.well-known/oauth-authorization-server", .blocking(metadata))
        router.on("POST", "/oauth/token", .blocking(token))
        router.on("POST", "/oauth/revoke", .blocking(revoke))
        router.on("POST", "/oauth/introspect", .blocking(introspect))
        router.on("GET", "/oauth/userinfo", .blocking(userinfo))
        for path in [
            "/.well-known/oauth-authorization-server", "/oauth/token", "/oauth/revoke",
            "/oauth/userinfo",
        ] {
            router.on("OPTIONS", path, .blocking(preflight))
        }
        router.on("GET", "/oauth/authorize", .blocking(authorize))
        router.on("POST", "/oauth/authorize", .blocking(decide))
        router.on("GET", "/login", .blocking(loginPage))
        router.on("POST", "/login", .deferred(logIn))
        router.on("GET", "/register", .blocking(registerPage))
        router.on("POST", "/register", .deferred(register))
        router.on("GET", "/logout", .blocking(logoutPage))
        router.on("POST", "/logout", .blocking(logOut))
        router.on("GET", "/account", .blocking(accountPage))
        router.on("POST", "/account/sessions", .blocking(endSession))
        router.on(
            "GET", "/",
            .immediate { _ in AuthAPI.redirect("/account") })
        router.on("GET", "/internal/keys", .blocking(signingKeys))
        router.on("GET", "/internal/log", .deferred(readLog))
    }

    /// Runs what needs the store; a store that fails is said so without details, which go to our log.
    func guarded(
        _ failed: (Int) -> HTTPResponse,
        _ body: () throws(AuthStoreFailure) -> HTTPResponse
    ) -> HTTPResponse {
        do throws(AuthStoreFailure) {
            return try body()
        } catch {
            log?.error("store failed", metadata: ["cause": "\(error)"])
            var response = failed(503)
            response.fields.set("retry-after", "1")
            return response
        }
    }

    /// 303: a GET follows, whatever came before; never 307, which would send a password on (RFC 9700
    /// §4.12).
    static func redirect(_ location: String) -> HTTPResponse {
        HTTPResponse(
            status: 303,
            fields: [
                "location": location, "cache-control": "no-store",
                "referrer-policy": "no-referrer",
            ])
    }

    static func visitor(_ request: HTTPRequest) -> Visitor {
        Visitor(address: request.address, userAgent: request.fields["user-agent"] ?? "")
    }
}
