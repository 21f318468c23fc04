// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTP1
internal import HTTPServer
internal import OAuth

/// The parameters of a form post, each at most once (RFC 6749 §3.2).
struct Form: Sendable {
    private let values: [String: String]

    /// - Throws: `invalid_request` when the body is not a form, or names a parameter twice.
    init(_ request: HTTPRequest) throws(OAuthError) {
        let type = request.fields["content-type"]?.lowercased().prefix { $0 != ";" && $0 != " " }
        guard type == "application/x-www-form-urlencoded" else {
            throw OAuthError(
                .invalidRequest, "The body must be application/x-www-form-urlencoded.")
        }
        guard request.body.count <= 65_536, UTF8Validator.isValid(request.body.span) else {
            throw OAuthError(.invalidRequest, "The body is too long or not UTF-8.")
        }
        var values: [String: String] = [:]
        for (name, value) in FormURLEncoded.pairs(String(decoding: request.body, as: UTF8.self)) {
            guard values.updateValue(value, forKey: name) == nil else {
                throw OAuthError(.invalidRequest, "A parameter is given more than once.")
            }
        }
        self.values = values
    }

    /// A parameter; one without value counts as left out (RFC 6749 §3.1).
    subscript(name: String) -> String? {
        values[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// How a client said who it is.
struct PresentedClient: Sendable {
    let credential: ClientCredential

    /// Reads HTTP Basic or the body, one of the two (RFC 6749 §2.3.1).
    /// - Parameter form: nil when there is no body.
    init(_ request: HTTPRequest, form: Form?) throws(OAuthError) {
        let both = OAuthError(
            .invalidRequest, "Client credentials are given in more than one way.")
        let lines = request.fields.all("authorization")
        guard lines.count <= 1 else { throw both }
        guard let line = lines.first else {
            guard let id = form?["client_id"] else { throw .invalidClient }
            credential = ClientCredential(id: id, secret: form?["client_secret"])
            return
        }
        let parts = line.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic",
            let bytes = Base64.decode(Array(parts[1].utf8), alphabet: .standard),
            UTF8Validator.isValid(bytes.span),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        else { throw .invalidClient }
        let id = FormURLEncoded.decode(String(decoding: bytes[..<colon], as: UTF8.self))
        let secret = FormURLEncoded.decode(
            String(decoding: bytes[(colon + 1)...], as: UTF8.self))
        guard form?["client_secret"] == nil, form?["client_id"].map({ $0 == id }) ?? true else {
            throw both
        }
        credential = ClientCredential(id: id, secret: secret)
    }
}
