// SPDX-License-Identifier: MIT
import HTTP1
import HTTPServer
import JSON
import JWT
import ServiceRuntime
import Testing
import Timing

@Suite struct BearerGateTests {
    static let claims = AccessTokenClaims(
        issuer: "i", audience: "chat", subject: "u_a", clientID: "web",
        expiresAt: Timestamp(seconds: 2), issuedAt: Timestamp(seconds: 1), tokenID: "t",
        scope: ["chat"], name: "ada")

    static let gate = BearerGate(realm: "chat") { token in
        switch String(decoding: token, as: UTF8.self) {
        case "good": .success(claims)
        case "expired": .failure(.tokenExpired)
        case "revoked": .failure(.tokenRevoked)
        case "later": .failure(.authUnavailable)
        default: .failure(.invalidToken)
        }
    }

    private func refusal(_ request: HTTPRequest, scope: String? = nil) -> HTTPResponse? {
        if case .refused(let response) = BearerGateTests.gate.authorize(request, scope: scope) {
            response
        } else {
            nil
        }
    }

    @Test("No token: a challenge without an error (RFC 6750 §3.1)")
    func row13() {
        let response = refusal(HTTPRequest(method: "GET", path: "/"))
        #expect(response?.status == 401)
        #expect(response?.fields["www-authenticate"] == "Bearer realm=\"chat\"")
        #expect(response?.fields["cache-control"] == "no-store")
    }

    @Test("A token in the query is not looked at (OAuth 2.1 §5)")
    func row14() {
        let response = refusal(HTTPRequest(method: "GET", path: "/", query: "access_token=good"))
        #expect(response?.fields["www-authenticate"] == "Bearer realm=\"chat\"")
    }

    @Test("Two credentials (RFC 6750 §2)")
    func row15() {
        var request = HTTPRequest(
            method: "POST", path: "/",
            fields: [
                "authorization": "Bearer good",
                "content-type": "application/x-www-form-urlencoded",
            ], body: Array("access_token=good".utf8))
        #expect(refusal(request)?.status == 400)
        request = HTTPRequest(method: "GET", path: "/")
        request.fields.append("authorization", "Bearer good")
        request.fields.append("authorization", "Bearer good")
        #expect(refusal(request)?.status == 400)
    }

    @Test("Scope too small (RFC 6750 §3.1)")
    func row16() {
        let request = HTTPRequest(
            method: "GET", path: "/", fields: ["authorization": "bearer good"])
        #expect(refusal(request, scope: "chat") == nil)
        let response = refusal(request, scope: "internal:log")
        #expect(response?.status == 403)
        #expect(
            response?.fields["www-authenticate"]
                == "Bearer realm=\"chat\", error=\"insufficient_scope\", scope=\"internal:log\"")
    }

    @Test("One answer for every bad token", arguments: ["bad", "expired", "revoked", ""])
    func badTokens(_ token: String) {
        let request = HTTPRequest(
            method: "GET", path: "/", fields: ["authorization": "Bearer \(token)"])
        let bad = HTTPRequest(method: "GET", path: "/", fields: ["authorization": "Bearer x"])
        guard !token.isEmpty else { return #expect(refusal(request)?.status == 401) }
        #expect(refusal(request) == refusal(bad))
        #expect(
            refusal(bad)?.fields["www-authenticate"]
                == "Bearer realm=\"chat\", error=\"invalid_token\"")
    }

    @Test func whenTokensCannotBeChecked() {
        let request = HTTPRequest(
            method: "GET", path: "/", fields: ["authorization": "Bearer later"])
        #expect(refusal(request)?.status == 503)
        #expect(refusal(request)?.fields["retry-after"] == "1")
    }
}
