// SPDX-License-Identifier: MIT
import Bytes
import Crypto
import HTTPClient
import HTTPServer
import JSON
import TestSupport

/// Signs a person in as a browser does, through AuthService's pages: cookies, forms and redirects, one
/// at a time, and PKCE (RFC 7636).
final class Browser {
    /// The tokens a sign-in ends with.
    struct Tokens {
        let access: String
        let refresh: String
    }

    private let stack: ChatStack
    private var cookies: [String: String] = [:]

    init(_ stack: ChatStack) { self.stack = stack }

    /// From the client's link to the code it is answered with.
    /// - Parameter registers: makes the account on the way instead of using it.
    /// - Returns: the code and the verifier that belongs to it.
    func authorize(
        _ name: String, password: String, registers: Bool = false
    ) throws -> (code: String, verifier: String) {
        let verifier = SecureRandom.token()
        let state = SecureRandom.token(bytes: 12)
        let query = HTTP.query([
            ("response_type", "code"), ("client_id", "web"),
            ("redirect_uri", stack.redirectURI), ("scope", "chat notifications"),
            ("state", state), ("code_challenge_method", "S256"),
            ("code_challenge", Base64.string(SHA256.digest(verifier), alphabet: .url)),
        ])
        var response = try visit("GET", "/oauth/authorize?\(query)")
        for _ in 0..<6 {
            if response.status == 303, var location = response["location"] {
                if location.hasPrefix(stack.redirectURI) {
                    let query = String(location.dropFirst(stack.redirectURI.utf8.count + 1))
                    guard FormURLEncoded.first("state", in: query) == state,
                        FormURLEncoded.first("iss", in: query) == stack.url(of: .auth),
                        let code = FormURLEncoded.first("code", in: query)
                    else { throw TestSupportError("answered with \(query)") }
                    return (code, verifier)
                }
                if registers, location.hasPrefix("/login") {
                    location = "/register" + location.dropFirst("/login".count)
                }
                response = try visit("GET", location)
            } else if response.status == 200 {
                let page = String(decoding: response.body, as: UTF8.self)
                var form = [("username", name), ("password", password)]
                for field in ["csrf", "next"] {
                    form.append((field, try value(of: field, on: page)))
                }
                response = try visit("POST", registers ? "/register" : "/login", form: form)
            } else {
                break
            }
        }
        throw TestSupportError(
            "no code: \(response.status) \(String(decoding: response.body, as: UTF8.self))")
    }

    /// Exchanges a code at the token endpoint.
    func exchange(code: String, verifier: String) throws -> Response {
        try HTTP.call(
            "POST", stack.url(of: .auth) + "/oauth/token",
            form: [
                ("grant_type", "authorization_code"), ("client_id", "web"), ("code", code),
                ("redirect_uri", stack.redirectURI), ("code_verifier", verifier),
            ])
    }

    /// The whole way in.
    func signIn(_ name: String, password: String, registers: Bool = false) throws -> Tokens {
        let (code, verifier) = try authorize(name, password: password, registers: registers)
        let answer = try exchange(code: code, verifier: verifier).json()
        guard let access = answer["access_token"]?.string,
            let refresh = answer["refresh_token"]?.string
        else { throw TestSupportError("no tokens: \(answer.text)") }
        return Tokens(access: access, refresh: refresh)
    }

    private func visit(
        _ method: String, _ path: String, form: [(String, String)]? = nil
    ) throws -> Response {
        let base = stack.url(of: .auth)
        var fields: [(name: String, value: String)] = []
        if !cookies.isEmpty {
            let pairs = cookies.map { "\($0.key)=\($0.value)" }
            fields.append(("cookie", pairs.joined(separator: "; ")))
        }
        if form != nil { fields.append(("origin", base)) }
        let response = try HTTP.call(
            method, path.hasPrefix("/") ? base + path : path, form: form, fields: fields)
        for field in response.fields where field.name == "set-cookie" {
            let pair = field.value.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1)
            cookies[String(pair[0])] = pair.count == 2 ? String(pair[1]) : nil
        }
        return response
    }

    /// The value of a hidden field.
    private func value(of field: String, on page: String) throws -> String {
        guard let start = page.index(after: "name=\"\(field)\" value=\"") else {
            throw TestSupportError("no field \(field) on the page:\n\(page)")
        }
        return page[start...].prefix { $0 != "\"" }
            .split(separator: "&amp;", omittingEmptySubsequences: false).joined(separator: "&")
    }
}

extension String {
    /// Where the text after the first `mark` begins.
    fileprivate func index(after mark: String) -> String.Index? {
        indices.first { self[$0...].hasPrefix(mark) }
            .flatMap { index($0, offsetBy: mark.count, limitedBy: endIndex) }
    }
}
