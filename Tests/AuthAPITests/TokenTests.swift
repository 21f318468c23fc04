// SPDX-License-Identifier: MIT
import AuthAPI
import Bytes
import HTTP1
import HTTPServer
import JSON
import OAuth
import Store
import Synchronization
import TestSupport
import Testing
import Timing

@Suite struct CodeTests {
    private func expectInvalidGrant(_ answer: HTTPResponse) {
        #expect(answer.status == 400)
        #expect(answer.error == "invalid_grant")
        #expect(answer.fields["cache-control"] == "no-store")
        #expect(answer.fields["pragma"] == "no-cache")
        #expect(answer.fields["content-type"] == "application/json")
    }

    @Test func aCodeGivesTokensOnce() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let answer = harness.exchange(harness.code(&browser))
        #expect(answer.status == 200)
        #expect(answer.fields["cache-control"] == "no-store")
        #expect(answer.json["token_type"]?.string == "Bearer")
        #expect(answer.json["expires_in"]?.int == 600)
        #expect(answer.json["scope"]?.string == "chat notifications")
        #expect(harness.isActive(answer.json["access_token"]?.string ?? ""))
    }

    @Test(
        "A wrong verifier (RFC 7636 §4.6)",
        arguments: [
            nil, "", "short", String(repeating: "a", count: 43), String(repeating: "a", count: 129),
            Harness.verifier + "\u{0}",
        ])
    func row22(_ verifier: String?) throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        expectInvalidGrant(
            harness.exchange(harness.code(&browser), ["code_verifier": verifier]))
    }

    @Test("Five wrong verifiers kill the code")
    func row22Five() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let code = harness.code(&browser)
        let wrong = String(repeating: "a", count: 43)
        for _ in 0..<4 { _ = harness.exchange(code, ["code_verifier": wrong]) }
        let other = harness.code(&browser)
        for _ in 0..<5 { _ = harness.exchange(other, ["code_verifier": wrong]) }
        #expect(harness.exchange(code).status == 200)
        expectInvalidGrant(harness.exchange(other))
    }

    @Test("A replay with the right verifier ends the session (RFC 6749 §4.1.2)")
    func row23() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let code = harness.code(&browser)
        let tokens = harness.exchange(code).json
        let access = tokens["access_token"]?.string ?? ""
        #expect(harness.isActive(access))
        expectInvalidGrant(harness.exchange(code))
        #expect(!harness.isActive(access))
        expectInvalidGrant(harness.refresh(tokens["refresh_token"]?.string ?? ""))
        #expect(try harness.events().last == .sessionRevoked)
    }

    @Test(
        "A replay with anything wrong changes nothing (OAuth 2.1)",
        arguments: [
            ["code_verifier": String(repeating: "a", count: 43)], ["client_id": "other"],
            ["redirect_uri": "http://127.0.0.1:3001/"],
        ])
    func row24(_ changes: [String: String?]) throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let code = harness.code(&browser)
        let access = harness.exchange(code).json["access_token"]?.string ?? ""
        expectInvalidGrant(harness.exchange(code, changes))
        #expect(harness.isActive(access))
    }

    @Test("Of a hundred exchanges at once exactly one succeeds")
    func row25() async throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let code = harness.code(&browser)
        let answers = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<100 {
                group.addTask { harness.exchange(code).status }
            }
            return await group.reduce(into: [:] as [Int: Int]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == [200: 1, 400: 99])
    }

    @Test("Codes are for one client, one redirect URI, one minute")
    func row26() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        expectInvalidGrant(harness.exchange(harness.code(&browser), ["client_id": "other"]))
        expectInvalidGrant(
            harness.exchange(harness.code(&browser), ["redirect_uri": Harness.callback + "/"]))
        expectInvalidGrant(harness.exchange(harness.code(&browser), ["redirect_uri": nil]))
        expectInvalidGrant(harness.exchange("ac_unknown"))
        let code = harness.code(&browser)
        let late = harness.code(&browser)
        harness.advance(.seconds(59))
        #expect(harness.exchange(code).status == 200)
        harness.advance(.seconds(1))
        expectInvalidGrant(harness.exchange(late))
    }

    @Test func signingOutVoidsCodesUnderWay() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let code = harness.code(&browser)
        let page = browser.get("/logout")
        #expect(browser.post("/logout", [("csrf", Browser.csrf(page))]).status == 303)
        expectInvalidGrant(harness.exchange(code))
    }

    @Test func aTokenIsForOneService() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let answer = harness.exchange(harness.code(&browser), ["audience": "notification"])
        let token = answer.json["access_token"]?.string ?? ""
        #expect(!harness.isActive(token, by: "chat-service"))
        #expect(harness.isActive(token, by: "notification-service"))
        #expect(
            harness.exchange(harness.code(&browser), ["audience": "auth"]).error
                == "invalid_target")
    }

    @Test func administrativeScopeIsForAdministrators() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        var parameters = Harness.request.filter { $0.0 != "scope" }
        parameters.append(("scope", "chat alerts"))
        #expect(
            harness.exchange(harness.code(&browser, parameters)).json["scope"]?.string == "chat")
        try AccountProvisioner(server: harness.server).setRoles(
            ["admin"], of: "ada", now: harness.now)
        #expect(
            harness.exchange(harness.code(&browser, parameters)).json["scope"]?.string
                == "chat alerts")
    }
}

@Suite struct RefreshTests {
    @Test func rotates() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        let answer = harness.refresh(tokens.refresh)
        #expect(answer.status == 200)
        let next = answer.json["refresh_token"]?.string ?? ""
        #expect(next != tokens.refresh)
        #expect(harness.isActive(answer.json["access_token"]?.string ?? ""))
        #expect(harness.refresh(next).status == 200)
    }

    @Test("Reuse after the grace ends the session (RFC 9700 §4.14.2)")
    func row27() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        let next = harness.refresh(tokens.refresh).json
        harness.advance(.seconds(11))
        let answer = harness.refresh(tokens.refresh)
        #expect(answer.status == 400)
        #expect(answer.error == "invalid_grant")
        #expect(!harness.isActive(next["access_token"]?.string ?? ""))
        #expect(harness.refresh(next["refresh_token"]?.string ?? "").error == "invalid_grant")
        #expect(try harness.events().suffix(2) == [.refreshReuse, .sessionRevoked])
    }

    @Test("Twice within the grace gives the same successor; a grandparent is reuse")
    func row28() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        let first = harness.refresh(tokens.refresh).json["refresh_token"]?.string
        harness.advance(.seconds(10))
        let second = harness.refresh(tokens.refresh)
        #expect(second.status == 200)
        #expect(second.json["refresh_token"]?.string == first)
        #expect(harness.refresh(first ?? "").status == 200)
        #expect(harness.refresh(tokens.refresh).error == "invalid_grant")
    }

    @Test("Nothing minted after a revocation is active, however they race")
    func row29() async throws {
        let harness = try Harness(isThrottled: false)
        var browser = harness.signedIn()
        for _ in 0..<50 {
            let tokens = harness.exchange(harness.code(&browser)).json
            let token = tokens["refresh_token"]?.string ?? ""
            let minted = await withTaskGroup(of: String?.self) { group in
                group.addTask { harness.refresh(token).json["access_token"]?.string }
                group.addTask {
                    _ = harness.post("/oauth/revoke", [("token", token), ("client_id", "web")])
                    return nil
                }
                return await group.reduce(into: [String]()) {
                    if let token = $1 { $0.append(token) }
                }
            }
            for token in minted { #expect(!harness.isActive(token)) }
            #expect(harness.refresh(token).error == "invalid_grant")
        }
    }

    @Test("More scope, another client's token (RFC 6749 §6)")
    func row30() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        #expect(
            harness.refresh(tokens.refresh, [("scope", "chat alerts")]).error == "invalid_scope")
        let foreign = harness.post(
            "/oauth/token",
            [
                ("grant_type", "refresh_token"), ("client_id", "other"),
                ("refresh_token", tokens.refresh),
            ])
        #expect(foreign.error == "invalid_grant")
        let less = harness.refresh(tokens.refresh, [("scope", "chat")])
        #expect(less.json["scope"]?.string == "chat")
    }

    @Test func idleAndAbsoluteExpiry() throws {
        let harness = try Harness()
        var token = harness.tokens().refresh
        #expect(harness.refresh(token).status == 200)
        let idle = harness.tokens("bob").refresh
        harness.advance(.seconds(14 * 86_400))
        #expect(harness.refresh(idle).error == "invalid_grant")
        let fresh = try Harness()
        token = fresh.tokens().refresh
        for _ in 0..<3 {
            fresh.advance(.seconds(9 * 86_400))
            token = fresh.refresh(token).json["refresh_token"]?.string ?? ""
            #expect(!token.isEmpty)
        }
        fresh.advance(.seconds(4 * 86_400))
        #expect(fresh.refresh(token).error == "invalid_grant")
    }

    @Test func aClosedAccountGetsNothing() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        let provisioner = AccountProvisioner(server: harness.server)
        try provisioner.disable("ada", now: harness.now)
        #expect(harness.refresh(tokens.refresh).error == "invalid_grant")
        #expect(!harness.isActive(tokens.access))
        #expect(try harness.events().suffix(2) == [.sessionRevoked, .userDisabled])
    }
}

@Suite struct ClientEndpointTests {
    private let credentials = [("grant_type", "client_credentials")]

    @Test func servicesGetTokensOfTheirOwn() throws {
        let harness = try Harness()
        let answer = harness.post(
            "/oauth/token", credentials + [("audience", "auth"), ("scope", "internal:log")],
            Harness.basic("chat-service", Harness.serviceSecret))
        #expect(answer.status == 200)
        #expect(answer.json["refresh_token"] == nil)
        let token = answer.json["access_token"]?.string ?? ""
        let page = harness.get("/internal/log", ["authorization": "Bearer \(token)"])
        #expect(page.status == 200)
        #expect(page.json["source"]?.string == "auth")
        #expect(page.json["head"]?.int == 1)
        #expect(
            harness.get("/internal/log?limit=0", ["authorization": "Bearer \(token)"]).status == 400
        )
        #expect(harness.get("/internal/log").fields["www-authenticate"] == "Bearer realm=\"auth\"")
        let person = harness.tokens().access
        #expect(harness.get("/internal/log", ["authorization": "Bearer \(person)"]).status == 401)
    }

    @Test(
        "RFC 9110 §15.5.2: a 401 MUST name a scheme; unknown client and wrong secret are alike"
    )
    func row31() throws {
        let harness = try Harness()
        let wrong = harness.post("/oauth/token", credentials, Harness.basic("chat-service", "x"))
        let unknown = harness.post("/oauth/token", credentials, Harness.basic("nobody", "x"))
        #expect(wrong == unknown)
        #expect(wrong.status == 401)
        #expect(wrong.error == "invalid_client")
        #expect(wrong.fields["www-authenticate"]?.hasPrefix("Basic") == true)
        let body = harness.post(
            "/oauth/token",
            credentials + [("client_id", "chat-service"), ("client_secret", "x")])
        #expect(body == wrong)
        // A confidential client must show its secret, a public one has none to show.
        #expect(
            harness.post("/oauth/token", credentials + [("client_id", "chat-service")]).status
                == 401)
        #expect(
            harness.exchange("x", ["client_secret": "guess"]).error == "invalid_client")
    }

    @Test("Malformed token requests (RFC 6749 §5.2)")
    func row32() throws {
        let harness = try Harness()
        let basic = Harness.basic("chat-service", Harness.serviceSecret)
        func error(_ form: [(String, String)], _ fields: HTTPFields = basic) -> String? {
            harness.post("/oauth/token", form, fields).error
        }
        #expect(
            error(credentials + [("client_secret", Harness.serviceSecret)]) == "invalid_request")
        #expect(error(credentials + [("client_id", "web")]) == "invalid_request")
        #expect(error(credentials + credentials) == "invalid_request")
        #expect(error([]) == "invalid_request")
        #expect(error([("grant_type", "password")]) == "unsupported_grant_type")
        #expect(error([("grant_type", "made_up")]) == "unsupported_grant_type")
        #expect(
            error([("grant_type", "authorization_code"), ("code", "x")]) == "unauthorized_client")
        #expect(error(credentials + [("client_id", "web")], [:]) == "unauthorized_client")
        #expect(error(credentials + [("scope", "chat")]) == "invalid_scope")
        var json = basic
        json.set("content-type", "application/json")
        #expect(error(credentials, json) == "invalid_request")
        let get = harness.get("/oauth/token")
        #expect(get.status == 405)
        #expect(get.fields["allow"]?.hasPrefix("POST") == true)
    }

    @Test("Introspection tells nothing to strangers (RFC 7662 §2.2)")
    func row33() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        #expect(harness.post("/oauth/introspect", [("token", tokens.access)]).status == 401)
        #expect(
            harness.post(
                "/oauth/introspect", [("token", tokens.access), ("client_id", "web")]
            ).status == 401)
        let basic = Harness.basic("notification-service", Harness.serviceSecret)
        for token in [tokens.access, tokens.refresh, "x", tokens.access + "x", "a.b.c"] {
            let answer = harness.post("/oauth/introspect", [("token", token)], basic)
            #expect(answer.status == 200)
            #expect(answer.text == "{\"active\":false}")
        }
        let mine = harness.post(
            "/oauth/introspect", [("token", tokens.access)],
            Harness.basic("chat-service", Harness.serviceSecret))
        #expect(mine.json["active"]?.bool == true)
        #expect(mine.json["username"]?.string == "ada")
        harness.advance(.seconds(600))
        #expect(!harness.isActive(tokens.access))
    }

    @Test("Revocation (RFC 7009 §2.1-2.2)")
    func row34() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        let unknown = harness.post("/oauth/revoke", [("token", "x"), ("client_id", "web")])
        #expect(unknown.status == 200 && unknown.body.isEmpty)
        for token in [tokens.access, tokens.refresh] {
            let foreign = harness.post("/oauth/revoke", [("token", token), ("client_id", "other")])
            #expect(foreign.error == "unauthorized_client")
        }
        #expect(harness.isActive(tokens.access))
        for _ in 0..<2 {
            #expect(
                harness.post(
                    "/oauth/revoke", [("token", tokens.access), ("client_id", "web")]
                ).status == 200)
        }
        #expect(!harness.isActive(tokens.access))
        let next = harness.refresh(tokens.refresh)
        #expect(next.status == 200)
        _ = harness.post(
            "/oauth/revoke",
            [("token", next.json["refresh_token"]?.string ?? ""), ("client_id", "web")])
        #expect(!harness.isActive(next.json["access_token"]?.string ?? ""))
        #expect(try harness.events().suffix(2) == [.tokenRevoked, .sessionRevoked])
    }

    @Test("Userinfo is for people (rows 13 to 15)")
    func userinfo() throws {
        let harness = try Harness()
        let tokens = harness.tokens()
        let answer = harness.get(
            "/oauth/userinfo", ["authorization": "Bearer \(tokens.access)"])
        #expect(answer.json["name"]?.string == "ada")
        #expect(answer.fields["cache-control"] == "no-store")
        #expect(
            harness.get("/oauth/userinfo").fields["www-authenticate"] == "Bearer realm=\"auth\"")
        #expect(harness.get("/oauth/userinfo?access_token=\(tokens.access)").status == 401)
        let service = harness.post(
            "/oauth/token", credentials, Harness.basic("chat-service", Harness.serviceSecret))
        let token = service.json["access_token"]?.string ?? ""
        #expect(harness.get("/oauth/userinfo", ["authorization": "Bearer \(token)"]).status == 403)
    }

    @Test("CORS for exact origins, without cookies (RFC 9700 §2.6)")
    func row40() throws {
        let harness = try Harness()
        for path in ["/oauth/token", "/oauth/revoke", "/oauth/userinfo"] {
            for (origin, isKnown) in [
                ("http://127.0.0.1:3001", true), ("http://127.0.0.1:3002", false),
                ("http://127.0.0.1:30010", false), ("null", false), ("https://evil.example", false),
            ] {
                let answer = harness.send(
                    HTTPRequest(method: "OPTIONS", path: path, fields: ["origin": origin]))
                #expect(answer.fields["access-control-allow-origin"] == (isKnown ? origin : nil))
                #expect(answer.fields["access-control-allow-credentials"] == nil)
            }
        }
        let error = harness.post("/oauth/token", [], ["origin": "http://127.0.0.1:3001"])
        #expect(error.fields["access-control-allow-origin"] == "http://127.0.0.1:3001")
        #expect(error.fields["vary"] == "origin")
    }

    @Test("Each service gets its own keys and no others")
    func keys() throws {
        let harness = try Harness()
        let basic = Harness.basic("chat-service", Harness.serviceSecret)
        let answer = harness.get("/internal/keys?audience=chat", basic)
        #expect(answer.status == 200)
        #expect(answer.json["issuer"]?.string == Harness.issuer)
        let key = answer.json["keys"]?.array?.first
        #expect(key?["state"]?.string == "active")
        #expect(
            Base64.decode(Array((key?["k"]?.string ?? "").utf8), alphabet: .url)?.count == 32)
        #expect(harness.get("/internal/keys?audience=notification", basic).status == 403)
        #expect(harness.get("/internal/keys?audience=auth", basic).status == 403)
        #expect(harness.get("/internal/keys?audience=x", basic).status == 400)
        #expect(harness.get("/internal/keys?audience=chat").status == 401)
        #expect(
            harness.get("/internal/keys?audience=chat", Harness.basic("chat-service", "x")).status
                == 401)
    }
}
