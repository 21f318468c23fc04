// SPDX-License-Identifier: MIT
import AuthAPI
import HTTP1
import HTTPServer
import JSON
import OAuth
import Store
import Locks
import TestSupport
import Testing
import Timing

@Suite struct PageTests {
    private func logIn(
        _ browser: inout Browser, _ name: String = "ada", _ password: String = Harness.password,
        address: String = "127.0.0.1"
    ) -> HTTPResponse {
        let page = browser.get("/login")
        return browser.post(
            "/login",
            [
                ("csrf", Browser.csrf(page)), ("next", Browser.field("next", page)),
                ("username", name), ("password", password),
            ], address: address)
    }

    @Test func signingInLeadsBackToTheRequest() throws {
        let harness = try Harness()
        _ = harness.signedIn()
        var browser = Browser(harness: harness)
        let target = "/oauth/authorize?" + Harness.query(Harness.request)
        let page = browser.get(browser.get(target).location)
        let answer = browser.post(
            "/login",
            [
                ("csrf", Browser.csrf(page)), ("next", target), ("username", "ADA"),
                ("password", Harness.password),
            ])
        #expect(answer.status == 303)
        #expect(answer.location == target)
        #expect(browser.get(target).redirect["code"] != nil)
    }

    @Test("Posts from elsewhere (RFC 9700 §4.7)")
    func row36() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        for path in ["/login", "/register", "/logout", "/account/sessions"] {
            let answer = browser.post(path, [("csrf", "forged"), ("session", "all")])
            #expect(answer.status == 403, "\(path)")
            #expect(harness.post(path, [("session", "all")]).status == 403, "\(path)")
        }
        let page = browser.get("/account")
        let form = [("csrf", Browser.csrf(page)), ("session", "all")]
        for fields: HTTPFields in [
            ["sec-fetch-site": "cross-site"], ["sec-fetch-site": "same-site"],
            ["origin": "https://evil.example", "host": "127.0.0.1:3002"], ["origin": "null"],
        ] {
            #expect(browser.post("/account/sessions", form, fields).status == 403)
        }
        for fields: HTTPFields in [
            ["sec-fetch-site": "same-origin", "origin": "null"],
            ["origin": "http://localhost:3002", "host": "localhost:3002"], [:],
        ] {
            #expect(browser.post("/account/sessions", form, fields).status == 303)
        }
    }

    @Test(
        "No redirects to elsewhere (RFC 9700 §4.11)",
        arguments: [
            "https://evil.example", "//evil.example", "/\\evil.example", "/%2f%2fevil.example",
            "/oauth/authorize?x\\y", "/oauth/authorizeevil", "/account?x", "javascript:alert(1)",
            "/oauth/authorize?a b",
        ])
    func row37(_ target: String) throws {
        let harness = try Harness()
        let next = FormURLEncoded.encode(target)
        #expect(harness.get("/login?next=\(next)").status == 400)
        #expect(harness.get("/register?next=\(next)").status == 400)
        #expect(harness.get("/logout?post_logout_redirect_uri=\(next)").status == 400)
    }

    @Test func afterSigningOutRegisteredPlacesAreFine() throws {
        let harness = try Harness()
        for target in [Harness.callback, "http://127.0.0.1:3001/", "http://127.0.0.1:3001"] {
            let uri = FormURLEncoded.encode(target)
            #expect(harness.get("/logout?post_logout_redirect_uri=\(uri)").location == target)
        }
    }

    @Test(
        "Headers of every page (RFC 9700 §4.16)",
        arguments: [
            "/login", "/register", "/oauth/authorize", "/login?next=x",
        ])
    func row38(_ path: String) throws {
        let harness = try Harness()
        let fields = harness.get(path).fields
        let policy = fields["content-security-policy"] ?? ""
        #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
        #expect(policy.contains("form-action 'self' "))
        #expect(policy.contains(" http://127.0.0.1:3001;"))
        #expect(fields["x-frame-options"] == "DENY")
        #expect(fields["referrer-policy"] == "no-referrer")
        #expect(fields["x-content-type-options"] == "nosniff")
        #expect(fields["cache-control"] == "no-store")
        #expect(fields["strict-transport-security"] == nil)
    }

    @Test func pagesFetchNothingAndEscapeEverything() throws {
        let harness = try Harness()
        var browser = Browser(harness: harness)
        let name = "\"><script>alert('x')</script>"
        let page = logIn(&browser, name).text
        #expect(!page.contains("<script"))
        #expect(page.contains("&quot;&gt;&lt;script&gt;"))
        #expect(!page.contains("http://") && !page.contains("https://"))
    }

    @Test("Cookies: strict over https, and a new one at each login (ASVS V3)")
    func row41() throws {
        let secure = try Harness(issuer: "https://auth.example")
        let cookie = secure.get("/login").fields["set-cookie"] ?? ""
        #expect(cookie.hasPrefix("__Host-chat-form="))
        for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            #expect(cookie.contains(attribute))
        }
        #expect(secure.get("/login").fields["strict-transport-security"] != nil)

        let harness = try Harness()
        var browser = harness.signedIn()
        let first = browser.cookies["chat-login"]
        #expect(first?.utf8.count == 43)
        // What an attacker planted before the login is worth nothing after it.
        browser.cookies = ["chat-login": String(repeating: "A", count: 43)]
        #expect(logIn(&browser).status == 303)
        #expect(browser.cookies["chat-login"] != String(repeating: "A", count: 43))
        let second = browser
        let page = browser.get("/logout")
        let answer = browser.post("/logout", [("csrf", Browser.csrf(page))])
        #expect(answer.location == "/login")
        #expect(browser.cookies["chat-login"] == nil)
        // Dead on the server too.
        var thief = second
        #expect(thief.get("/account").location.hasPrefix("/login"))
    }

    @Test func loginsExpireIdleAndAbsolutely() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        for _ in 0..<4 {
            harness.advance(.seconds(6 * 86_400))
            #expect(browser.get("/account").status == 200)
        }
        harness.advance(.seconds(6 * 86_400))
        #expect(browser.get("/account").status == 303)
        let other = try Harness()
        var idle = other.signedIn()
        other.advance(.seconds(7 * 86_400))
        #expect(idle.get("/account").status == 303)
    }

    @Test("One answer for unknown names and wrong passwords (OWASP Authentication)")
    func row42() throws {
        let harness = try Harness()
        _ = harness.signedIn()
        _ = try AccountProvisioner(server: harness.server).createAccount(
            name: "bot", password: nil, now: harness.now)
        func answer(_ name: String) -> (Int, String) {
            var browser = Browser(harness: harness)
            let page = browser.get("/login")
            let response = browser.post(
                "/login",
                [("csrf", Browser.csrf(page)), ("username", name), ("password", "wrong password")])
            // The page repeats the name and carries a fresh form token.
            let text = response.text.split(separator: "\"").filter {
                $0 != name && $0.utf8.count != 43
            }
            return (response.status, text.joined())
        }
        let wrong = answer("ada")
        #expect(wrong.0 == 403)
        #expect(answer("eve") == wrong)
        #expect(answer("bot") == wrong)
        #expect(answer("no such name at all") == wrong)
    }

    @Test("Back-off from the fifth failure; no lock (SP 800-63B §5.2.2)")
    func row43() throws {
        let harness = try Harness()
        _ = harness.signedIn()
        var browser = Browser(harness: harness)
        for _ in 0..<5 { #expect(logIn(&browser, "ada", "wrong").status == 403) }
        let held = logIn(&browser, "ada", Harness.password)
        #expect(held.status == 429)
        #expect((Int(held.fields["retry-after"] ?? "") ?? 0) >= 1)
        #expect(logIn(&browser, "ada", address: "10.0.0.9").status == 303)
        harness.advance(.seconds(2))
        var patient = Browser(harness: harness)
        #expect(logIn(&patient).status == 303)
    }

    @Test("A full pool says so; a huge password is refused (OWASP Password Storage)")
    func row44() throws {
        let harness = try Harness(isHashingFull: true)
        var browser = Browser(harness: harness)
        let answer = logIn(&browser)
        #expect(answer.status == 503)
        #expect(answer.fields["retry-after"] == "1")
        let other = try Harness()
        var hasty = Browser(harness: other)
        #expect(logIn(&hasty, "ada", String(repeating: "x", count: 60_000)).status == 403)
    }

    @Test(
        "Passwords and names at registration",
        arguments: [
            ("ada", "1234567", 422), ("ada", "12345678", 422), ("ada", "1234567890", 422),
            ("ada", "ada-and-more", 422), ("a", Harness.password, 422),
            ("a b", Harness.password, 422),
            ("ada", String(repeating: "pass phrase ", count: 5), 303),
            ("ada", "ünïcödé ist gut", 303),
            ("taken", Harness.password, 409), ("TAKEN", Harness.password, 409),
        ])
    func row45(_ name: String, _ password: String, _ status: Int) throws {
        let harness = try Harness()
        _ = harness.signedIn("taken")
        var browser = Browser(harness: harness)
        let page = browser.get("/register")
        let answer = browser.post(
            "/register",
            [("csrf", Browser.csrf(page)), ("username", name), ("password", password)])
        #expect(answer.status == status)
    }

    @Test func registrationCanBeClosed() throws {
        let harness = try Harness(isRegistrationOpen: false)
        #expect(harness.get("/register").status == 403)
        #expect(harness.post("/register", []).status == 403)
        #expect(!harness.get("/login").text.contains("/register"))
    }

    @Test func peopleSeeAndEndTheirSessions() throws {
        let harness = try Harness()
        var ada = harness.signedIn()
        let tokens = harness.exchange(harness.code(&ada)).json
        let access = tokens["access_token"]?.string ?? ""
        let page = ada.get("/account")
        let id = Browser.field("session", page)
        #expect(id.hasPrefix("s_"))
        #expect(page.text.contains("this browser"))
        var eve = harness.signedIn("eve")
        let other = eve.get("/account")
        _ = eve.post("/account/sessions", [("csrf", Browser.csrf(other)), ("session", id)])
        #expect(harness.isActive(access))
        _ = ada.post("/account/sessions", [("csrf", Browser.csrf(page)), ("session", id)])
        #expect(!harness.isActive(access))
    }

    @Test func signingOutEndsTheSessionsOfThatBrowser() throws {
        let harness = try Harness()
        var laptop = harness.signedIn()
        var phone = Browser(harness: harness)
        _ = logIn(&phone)
        let onLaptop = harness.exchange(harness.code(&laptop)).json["access_token"]?.string ?? ""
        let onPhone = harness.exchange(harness.code(&phone)).json["access_token"]?.string ?? ""
        let page = phone.get("/logout")
        _ = phone.post("/logout", [("csrf", Browser.csrf(page))])
        #expect(!harness.isActive(onPhone))
        #expect(harness.isActive(onLaptop))
    }
}

@Suite struct LogFeedTests {
    @Test func aLongPollIsAnsweredByTheNextEntry() throws {
        let harness = try Harness()
        let token =
            harness.post(
                "/oauth/token",
                [
                    ("grant_type", "client_credentials"), ("audience", "auth"),
                    ("scope", "internal:log"),
                ],
                Harness.basic("chat-service", Harness.serviceSecret)
            ).json["access_token"]?.string ?? ""
        let answers = Locked<[HTTPResponse]>([])
        func poll(_ query: String) {
            harness.router.handle(
                HTTPRequest(
                    method: "GET", path: "/internal/log", query: query,
                    fields: ["authorization": "Bearer \(token)"])
            ) { response in answers.withLock { $0.append(response) } }
        }
        poll("after=1&wait=20")
        #expect(answers.withLock { $0.isEmpty })
        _ = harness.signedIn()
        let page = answers.withLock { $0.first?.json }
        #expect(page?["head"]?.int == 2)
        #expect(page?["entries"]?.array?.first?["type"]?.string == "user.created")
        poll("after=2&wait=20")
        harness.feed.drain()
        #expect(answers.withLock { $0.count } == 2)
        poll("after=2")
        poll("after=99&wait=20")
        #expect(answers.withLock { $0.count } == 4)
    }

    @Test func entriesOfOtherProcessesAreFoundByTheTick() throws {
        let harness = try Harness()
        let heard = Locked<[Int64]>([])
        harness.feed.onEntries { entries in
            heard.withLock { $0 += entries.map(\.seq) }
        }
        let other = try AccountProvisioner(
            dataDirectory: harness.directory.path + "/auth", issuer: Harness.issuer,
            now: harness.now)
        _ = try other.createAccount(name: "bob", password: nil, now: harness.now)
        #expect(heard.withLock { $0.isEmpty })
        try harness.feed.tick()
        #expect(heard.withLock { $0 } == [2])
        _ = harness.signedIn()
        try harness.feed.tick()
        #expect(heard.withLock { $0 } == [2, 3])
    }

    @Test func aLongAnnouncementLeavesItsEntriesOut() throws {
        let entries = (1...1000).map {
            AuthLogEntry(
                seq: $0, at: Timestamp(seconds: 1), event: AuthEvent(.userCreated, subject: "u_x"))
        }
        let short = try JSONValue(
            parsing: AuthLogFeed.announcement(Array(entries.prefix(2)), instance: "i"))
        #expect(short["entries"]?.array?.count == 2)
        let long = try JSONValue(parsing: AuthLogFeed.announcement(entries, instance: "i"))
        #expect(long["entries"]?.array?.isEmpty == true)
        #expect(long["first"]?.int == 1 && long["last"]?.int == 1000)
    }
}
