// SPDX-License-Identifier: MIT
import Crypto
import OAuth
import Testing
import Timing

@Suite struct PKCETests {
    /// RFC 7636 appendix B.
    @Test func exampleOfTheRFC() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        #expect(PKCE.challenge(of: verifier) == challenge)
        #expect(PKCE.verify(verifier, against: challenge))
        #expect(!PKCE.verify(verifier.dropLast() + "l", against: challenge))
    }

    @Test(arguments: [
        (42, false), (43, true), (128, true), (129, false),
    ])
    func verifierLengths(_ count: Int, _ isGood: Bool) {
        #expect(PKCE.isVerifier(String(repeating: "a", count: count)) == isGood)
    }

    @Test(arguments: ["é", " ", "+", "/", "=", "\0", "%"])
    func verifierCharacters(_ character: String) {
        #expect(!PKCE.isVerifier(String(repeating: "a", count: 50) + character))
    }

    @Test(arguments: [
        "", "plain", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM",
    ])
    func thingsThatAreNoChallenge(_ text: String) {
        #expect(!PKCE.isChallenge(text))
    }
}

@Suite struct ClientTests {
    static let web = Client(
        id: "web", name: "Web", redirectURIs: ["http://127.0.0.1:3001/callback"],
        grantTypes: [.authorizationCode], scopes: ["chat"])
    static let native = Client(
        id: "cli", name: "CLI",
        redirectURIs: ["http://127.0.0.1/callback", "http://[::1]/callback"],
        grantTypes: [.authorizationCode], scopes: ["chat"], isNative: true)

    @Test(arguments: [
        "http://127.0.0.1:3001/callback/", "http://127.0.0.1:3002/callback",
        "http://127.0.0.1:3001/Callback", "http://127.0.0.1:3001/callback?x=1",
        "http://127.0.0.1:3001/callback#x", "http://x@127.0.0.1:3001/callback",
        "HTTP://127.0.0.1:3001/callback", "https://127.0.0.1:3001/callback",
        "http://127.0.0.1:3001/%63allback", "http://127.0.0.1:3001/callback ",
        "http://127.0.0.1:3001//callback", "http://127.0.0.1.evil.test:3001/callback",
        "http://localhost:3001/callback", "",
    ])
    func redirectURIsAreComparedExactly(_ uri: String) {
        #expect(ClientTests.web.accepts(redirectURI: "http://127.0.0.1:3001/callback"))
        #expect(!ClientTests.web.accepts(redirectURI: uri))
    }

    @Test(arguments: [
        ("http://127.0.0.1:51004/callback", true), ("http://[::1]:8/callback", true),
        ("http://127.0.0.1/callback", true), ("http://localhost:51004/callback", false),
        ("http://127.0.0.1:99999/callback", false),
        ("http://127.0.0.1:80@evil.test/callback", false),
        ("http://127.0.0.1:1/other", false), ("https://127.0.0.1:1/callback", false),
    ])
    func aNativeClientMayUseAnyLoopbackPort(_ uri: String, _ isGood: Bool) {
        #expect(ClientTests.native.accepts(redirectURI: uri) == isGood)
    }

    @Test(arguments: [
        ("https://app.example/cb", true), ("http://localhost:3001/cb", true),
        ("http://app.example/cb", false), ("https://a@b.example/cb", false),
        ("https://app.example/cb#x", false), ("javascript:alert(1)", false), ("/cb", false),
        ("https://app.exämple/cb", false),
    ])
    func whatCanBeRegistered(_ uri: String, _ isGood: Bool) {
        #expect(RedirectURI.isRegistrable(uri) == isGood)
    }

    @Test func originsOfRedirectURIs() {
        #expect(ClientTests.web.origins == ["http://127.0.0.1:3001"])
        #expect(RedirectURI.origin("https://app.example/a/b?c") == "https://app.example")
        #expect(RedirectURI.origin("https://evil.test\\@app.example/") == "https://evil.test")
    }
}

@Suite struct ScopeTests {
    @Test(arguments: [
        ("chat", ["chat"]), ("chat notifications", ["chat", "notifications"]),
        ("chat chat", ["chat"]),
    ])
    func parses(_ text: String, _ scopes: [String]) {
        #expect(Scope.parse(text) == scopes)
    }

    @Test(arguments: ["", " ", "chat ", "a  b", "a\"b", "a\\b", "é", "a\nb"])
    func refuses(_ text: String) {
        #expect(Scope.parse(text) == nil)
    }

    @Test func eachScopeHasItsServices() {
        #expect(Scope.audiences(of: ["chat", "notifications"]) == [.chat, .notification])
        #expect(Scope.audiences(of: ["internal:log"]) == [.auth, .chat])
        #expect(Scope.audiences(of: ["unknown"]).isEmpty)
    }
}

@Suite struct NameAndPasswordTests {
    @Test(arguments: ["ada", "A1", "grace.hopper", "x_y-z", String(repeating: "a", count: 32)])
    func goodNames(_ name: String) { #expect(AccountName.isValid(name)) }

    @Test(arguments: [
        "", "a", ".ada", "ada lovelace", "ada@x", "аda", "u_AAAA", "a\0b", "<b>",
        String(repeating: "a", count: 33),
    ])
    func badNames(_ name: String) { #expect(!AccountName.isValid(name)) }

    @Test(arguments: [
        ("short", PasswordPolicy.Complaint.tooShort), ("1234567", .tooShort),
        ("1234567890", .tooCommon), ("password123", .tooCommon), ("passwordpassword", .tooCommon),
        ("aaaaaaaaaaaa", .tooCommon), ("abababababab", .tooCommon),
        ("ada-loves-engines", .containsName), ("My ADA password", .containsName),
        (String(repeating: "abcd ", count: 26), .tooLong),
    ])
    func badPasswords(_ password: String, _ complaint: PasswordPolicy.Complaint) {
        #expect(PasswordPolicy.complaint(about: password, name: "ada") == complaint)
    }

    @Test(arguments: [
        "correct horse battery", "ünïcödé ist erlaubt", String(repeating: "word ", count: 13),
        "passwordless is the future",
    ])
    func goodPasswords(_ password: String) {
        #expect(PasswordPolicy.complaint(about: password, name: "ada") == nil)
    }
}
