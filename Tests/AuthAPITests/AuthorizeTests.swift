// SPDX-License-Identifier: MIT
import AuthAPI
import HTTP1
import HTTPServer
import JSON
import OAuth
import Testing

@Suite struct AuthorizeTests {
    private func changed(_ changes: [String: String?]) -> [(String, String)] {
        var parameters = Harness.request.filter { changes[$0.0] == nil }
        parameters += changes.compactMap { name, value in value.map { (name, $0) } }
        return parameters
    }

    @Test(
        "Unknown client or redirect URI: a page, never a redirect (RFC 9700 §4.1)",
        arguments: [
            ["client_id": "nobody"], ["client_id": nil], ["client_id": "chat-service"],
            ["redirect_uri": nil], ["redirect_uri": Harness.callback + "/"],
            ["redirect_uri": "http://127.0.0.1:3009/callback"],
            ["redirect_uri": "http://127.0.0.1:3001/Callback"],
            ["redirect_uri": Harness.callback + "?x=1"], ["redirect_uri": Harness.callback + "#x"],
            ["redirect_uri": "http://a@127.0.0.1:3001/callback"],
            ["redirect_uri": "http://127.0.0.1:3001/%63allback"],
            ["redirect_uri": "https://evil.example/"], ["redirect_uri": "//evil.example"],
        ] as [[String: String?]])
    func row18(_ changes: [String: String?]) throws {
        let harness = try Harness()
        let answer = harness.get("/oauth/authorize?" + Harness.query(changed(changes)))
        #expect(answer.status == 400)
        #expect(answer.location.isEmpty)
        #expect(answer.fields["content-type"] == "text/html; charset=utf-8")
    }

    @Test(
        "Other response types and modes (RFC 9700 §2.1.2)",
        arguments: [
            ("response_type", "token", "unsupported_response_type"),
            ("response_type", "id_token", "unsupported_response_type"),
            ("response_type", "code token", "unsupported_response_type"),
            ("response_mode", "fragment", "invalid_request"),
            ("response_mode", "form_post", "invalid_request"),
            ("scope", "chat internal:log", "invalid_scope"), ("scope", "a  b", "invalid_scope"),
            ("state", String(repeating: "s", count: 1025), "invalid_request"),
        ])
    func row19(_ name: String, _ value: String, _ error: String) throws {
        let harness = try Harness()
        let answer = harness.get("/oauth/authorize?" + Harness.query(changed([name: value])))
        #expect(answer.status == 303)
        #expect(answer.location.hasPrefix(Harness.callback + "?"))
        #expect(answer.redirect["error"] == error)
        #expect(answer.redirect["iss"] == Harness.issuer)
        #expect(answer.redirect["state"] == (name == "state" ? nil : "xyz"))
    }

    @Test(
        "No challenge, or another method than S256 (OAuth 2.1 §4.1.2.1)",
        arguments: [
            ["code_challenge": nil], ["code_challenge": "short"], ["code_challenge_method": nil],
            ["code_challenge_method": "plain"], ["code_challenge_method": "s256"],
        ] as [[String: String?]])
    func row20(_ changes: [String: String?]) throws {
        let harness = try Harness()
        let answer = harness.get("/oauth/authorize?" + Harness.query(changed(changes)))
        #expect(answer.redirect["error"] == "invalid_request")
    }

    @Test(
        "A parameter given twice (RFC 6749 §3.1)", arguments: ["state", "scope", "code_challenge"])
    func repeats(_ name: String) throws {
        let harness = try Harness()
        let parameters = Harness.request + [(name, "again")]
        let answer = harness.get("/oauth/authorize?" + Harness.query(parameters))
        #expect(answer.redirect["error"] == "invalid_request")
        let client = Harness.request + [("client_id", "web")]
        #expect(harness.get("/oauth/authorize?" + Harness.query(client)).status == 400)
    }

    @Test("`iss` in every answer and byte-equal metadata (RFC 9207)")
    func row35() throws {
        let harness = try Harness()
        let metadata = harness.get("/.well-known/oauth-authorization-server").json
        #expect(metadata["issuer"]?.string == Harness.issuer)
        #expect(metadata["authorization_response_iss_parameter_supported"]?.bool == true)
        #expect(metadata["code_challenge_methods_supported"]?.array == ["S256"])
        var browser = harness.signedIn()
        let answer = browser.get("/oauth/authorize?" + Harness.query(Harness.request))
        #expect(answer.redirect["iss"] == Harness.issuer)
        #expect(answer.redirect["state"] == "xyz")
    }

    @Test func whoIsNotSignedInIsSentToTheSignInPageAndBack() throws {
        let harness = try Harness()
        let target = "/oauth/authorize?" + Harness.query(Harness.request)
        let answer = harness.get(target)
        #expect(answer.status == 303)
        #expect(answer.location.hasPrefix("/login?next="))
        #expect(answer.redirect["next"] == target)
        #expect(answer.fields["access-control-allow-origin"] == nil)
    }

    @Test func promptNoneNeverShowsAPage() throws {
        let harness = try Harness()
        let target = "/oauth/authorize?" + Harness.query(Harness.request + [("prompt", "none")])
        #expect(harness.get(target).redirect["error"] == "login_required")
        var browser = harness.signedIn()
        #expect(browser.get(target).redirect["code"] != nil)
    }

    @Test func clientsThatAreNotOursAreAskedAbout() throws {
        let harness = try Harness()
        var browser = harness.signedIn()
        let parameters = changed([
            "client_id": "other", "redirect_uri": "https://other.example/cb?a=1", "scope": "chat",
        ])
        let page = browser.get("/oauth/authorize?" + Harness.query(parameters))
        #expect(page.status == 200)
        #expect(page.text.contains("Other &lt;App&gt;") && !page.text.contains("<App>"))
        let form = [
            ("csrf", Browser.csrf(page)), ("request", Harness.query(parameters)),
        ]
        let yes = browser.post("/oauth/authorize", form + [("decision", "allow")])
        #expect(yes.location.hasPrefix("https://other.example/cb?a=1&code="))
        let no = browser.post("/oauth/authorize", form + [("decision", "deny")])
        #expect(no.redirect["error"] == "access_denied")
        let forged = browser.post(
            "/oauth/authorize", [("csrf", "x"), form[1], ("decision", "allow")])
        #expect(forged.status == 403)
    }
}
