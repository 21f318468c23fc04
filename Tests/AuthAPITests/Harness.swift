// SPDX-License-Identifier: MIT
import AuthAPI
import Bytes
import Crypto
import HTTP1
import HTTPServer
import JSON
import OAuth
import Store
import Locks
import TestSupport
import Timing

/// The whole service but its sockets: real store, real routes, a clock the test turns. Jobs of the pools
/// run at once, on the caller's thread.
final class Harness: Sendable {
    static let issuer = "http://127.0.0.1:3002"
    static let callback = "http://127.0.0.1:3001/callback"
    static let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    static let password = "correct horse battery"
    static let serviceSecret = "0123456789abcdef0123456789abcdef"

    let directory: TemporaryDirectory
    let server: AuthorizationServer
    let store: SQLiteAuthStore
    let feed: AuthLogFeed
    let router: Router
    private let time = Locked(Timestamp(seconds: 1_800_000_000))

    init(
        isThrottled: Bool = true, isRegistrationOpen: Bool = true, isHashingFull: Bool = false,
        issuer: String = Harness.issuer
    ) throws {
        directory = try TemporaryDirectory()
        (server, store) = try AuthDirectory.open(
            directory.path + "/auth", issuer: issuer, isThrottled: isThrottled,
            now: Timestamp(seconds: 1_800_000_000))
        try server.register(
            Client(
                id: "web", name: "Chat", redirectURIs: [Harness.callback],
                grantTypes: [.authorizationCode, .refreshToken],
                scopes: ["chat", "notifications", "alerts"], isFirstParty: true))
        try server.register(
            Client(
                id: "other", name: "Other <App>", redirectURIs: ["https://other.example/cb?a=1"],
                grantTypes: [.authorizationCode, .refreshToken], scopes: ["chat"]))
        for (id, audience) in [
            ("chat-service", Audience.chat), ("notification-service", .notification),
        ] {
            try server.register(
                Client(
                    id: id, name: id, secretHash: SHA256.digest(Harness.serviceSecret),
                    grantTypes: [.clientCredentials], scopes: ["internal:log", "internal:alert"],
                    isFirstParty: true, audience: audience))
        }
        feed = try AuthLogFeed(store: store)
        var options = AuthAPI.Options()
        options.isRegistrationOpen = isRegistrationOpen
        options.isThrottled = isThrottled
        var router = Router()
        // The routes ask the clock through a box, since the harness is not built yet.
        let clock = ClockBox()
        AuthAPI(
            server: server, feed: feed, options: options, now: { clock.now() },
            hashing: { job in
                if isHashingFull { return false }
                job()
                return true
            },
            background: { job in
                job()
                return true
            }
        ).add(to: &router)
        self.router = router
        clock.source.withLock { $0 = { [unowned self] in self.now } }
    }

    private final class ClockBox: Sendable {
        let source = Locked<(@Sendable () -> Timestamp)>({ Timestamp(seconds: 0) })
        func now() -> Timestamp { source.withLock { $0 }() }
    }

    var now: Timestamp { time.withLock { $0 } }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }

    func send(_ request: HTTPRequest) -> HTTPResponse {
        let box = Locked<HTTPResponse?>(nil)
        router.handle(request) { response in box.withLock { $0 = response } }
        return box.withLock { $0 } ?? HTTPResponse(status: 0)
    }

    func get(_ target: String, _ fields: HTTPFields = [:]) -> HTTPResponse {
        let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
        return send(
            HTTPRequest(
                method: "GET", path: parts[0], query: parts.count > 1 ? parts[1] : "",
                fields: fields))
    }

    func post(
        _ path: String, _ form: [(String, String)], _ fields: HTTPFields = [:],
        address: String = "127.0.0.1"
    ) -> HTTPResponse {
        var fields = fields
        if fields["content-type"] == nil {
            fields.set("content-type", "application/x-www-form-urlencoded")
        }
        let body = form.map { "\(FormURLEncoded.encode($0.0))=\(FormURLEncoded.encode($0.1))" }
        return send(
            HTTPRequest(
                method: "POST", path: path, fields: fields,
                body: Array(body.joined(separator: "&").utf8), address: address))
    }

    static func basic(_ id: String, _ secret: String) -> HTTPFields {
        [
            "authorization": "Basic "
                + Base64.string(Array("\(id):\(secret)".utf8), alphabet: .standard)
        ]
    }

    /// The parameters of a good authorization request.
    static var request: [(String, String)] {
        [
            ("response_type", "code"), ("client_id", "web"), ("redirect_uri", callback),
            ("scope", "chat notifications"), ("state", "xyz"),
            ("code_challenge", PKCE.challenge(of: verifier)), ("code_challenge_method", "S256"),
        ]
    }

    static func query(_ parameters: [(String, String)]) -> String {
        parameters.map { "\($0.0)=\(FormURLEncoded.encode($0.1))" }.joined(separator: "&")
    }

    /// Makes an account and returns a browser that is signed in to it.
    func signedIn(_ name: String = "ada") -> Browser {
        var browser = Browser(harness: self)
        let page = browser.get("/register")
        _ = browser.post(
            "/register",
            [
                ("csrf", Browser.csrf(page)), ("next", "/account"), ("username", name),
                ("password", Harness.password),
            ])
        return browser
    }

    /// A code for the person of a browser.
    func code(_ browser: inout Browser, _ parameters: [(String, String)] = request) -> String {
        let answer = browser.get("/oauth/authorize?" + Harness.query(parameters))
        return answer.redirect["code"] ?? ""
    }

    func exchange(_ code: String, _ changes: [String: String?] = [:]) -> HTTPResponse {
        var form: [String: String] = [
            "grant_type": "authorization_code", "client_id": "web", "code": code,
            "redirect_uri": Harness.callback, "code_verifier": Harness.verifier,
        ]
        for (name, value) in changes { form[name] = value }
        return post("/oauth/token", form.map { ($0.key, $0.value) })
    }

    func refresh(_ token: String, _ more: [(String, String)] = []) -> HTTPResponse {
        post(
            "/oauth/token",
            [("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", token)] + more
        )
    }

    /// Tokens of a fresh session.
    func tokens(_ name: String = "ada") -> (access: String, refresh: String) {
        var browser = signedIn(name)
        let answer = exchange(code(&browser)).json
        return (
            answer["access_token"]?.string ?? "", answer["refresh_token"]?.string ?? ""
        )
    }

    func isActive(_ token: String, by client: String = "chat-service") -> Bool {
        let answer = post(
            "/oauth/introspect", [("token", token)],
            Harness.basic(client, Harness.serviceSecret))
        return answer.json["active"]?.bool ?? false
    }

    func events() throws -> [AuthEventType] {
        try server.log(after: 0, limit: 1000).entries.map(\.event.type)
    }
}

/// Cookies by name, as a browser keeps them.
struct Browser {
    let harness: Harness
    var cookies: [String: String] = [:]

    mutating func get(_ target: String) -> HTTPResponse {
        keep(harness.get(target, ["cookie": header]))
    }

    mutating func post(
        _ path: String, _ form: [(String, String)], _ fields: HTTPFields = [:],
        address: String = "127.0.0.1"
    ) -> HTTPResponse {
        var fields = fields
        fields.set("cookie", header)
        return keep(harness.post(path, form, fields, address: address))
    }

    private var header: String { cookies.map { "\($0.key)=\($0.value)" }.joined(separator: "; ") }

    private mutating func keep(_ response: HTTPResponse) -> HTTPResponse {
        for line in response.fields.all("set-cookie") {
            let pair = line.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1)
            cookies[String(pair[0])] =
                line.contains("Max-Age=0") || pair.count < 2 ? nil : String(pair[1])
        }
        return response
    }

    static func csrf(_ page: HTTPResponse) -> String {
        field("csrf", page)
    }

    static func field(_ name: String, _ page: HTTPResponse) -> String {
        let text = page.text
        guard let start = text.range(of: "name=\"\(name)\" value=\"") else { return "" }
        return String(text[start...].prefix { $0 != "\"" })
    }
}

extension String {
    /// The index behind the first occurrence.
    func range(of needle: String) -> String.Index? {
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(needle) { return rest.index(rest.startIndex, offsetBy: needle.count) }
            rest = rest.dropFirst()
        }
        return nil
    }
}

extension HTTPResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    var location: String { fields["location"] ?? "" }
    var error: String? { json["error"]?.string }

    /// The query parameters of where it redirects to.
    var redirect: [String: String] {
        let query = location.split(separator: "?", maxSplits: 1).last.map(String.init) ?? ""
        return Dictionary(FormURLEncoded.pairs(query)) { first, _ in first }
    }
}

extension Dictionary where Key == String, Value == String {
    fileprivate init(_ pairs: [(name: String, value: String)], _ pick: (String, String) -> String) {
        self.init(pairs.map { ($0.name, $0.value) }, uniquingKeysWith: pick)
    }
}
