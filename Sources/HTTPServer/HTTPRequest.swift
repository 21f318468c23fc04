// SPDX-License-Identifier: MIT
internal import Bytes
package import HTTP1
package import JSON

/// One request as a route sees it: complete, body included.
package struct HTTPRequest: Sendable {
    /// As written: methods are case-sensitive (RFC 9110 §9.1).
    package var method: String
    /// The path before `?`, still percent-encoded, beginning with `/`.
    package var path: String
    /// What stands behind `?`, without it; empty when there is none.
    package var query: String
    package var fields: HTTPFields
    package var body: [UInt8]
    /// The client's address without port: the peer's, or what a trusted proxy says.
    package var address: String
    /// Whether it came over TLS, to us or to a proxy that is believed. False says nothing: a proxy may
    /// have ended TLS and not told.
    package var isSecure = false
    /// The host that a trusted proxy was asked for, where it tells.
    package var forwardedHost: String?
    /// What the route's `{name}` segments matched, percent-decoded.
    package var parameters: [String: String] = [:]

    package init(
        method: String, path: String, query: String = "", fields: HTTPFields = [:],
        body: [UInt8] = [], address: String = "127.0.0.1"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.fields = fields
        self.body = body
        self.address = address
    }

    /// Host and port that the client asked for: the `host` field, or what a trusted proxy says it was.
    package var authority: String? { forwardedHost ?? fields["host"] }

    /// Whether a page of that origin (`https://chat.example`) came from this server: same host and port,
    /// and over TLS `https` too. Without TLS the scheme is not held against it, since a proxy may have
    /// ended TLS and not told.
    package func isSameOrigin(_ origin: String) -> Bool {
        guard let authority else { return false }
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")]
        where origin.hasPrefix(scheme) {
            if isSecure, scheme == "http://" { return false }
            func plain(_ host: some StringProtocol) -> String {
                (host.hasSuffix(port) ? String(host.dropLast(port.count)) : String(host))
                    .lowercased()
            }
            return plain(origin.dropFirst(scheme.count)) == plain(authority)
        }
        return false
    }

    /// The first value of a query parameter, decoded as `application/x-www-form-urlencoded`.
    package func queryValue(_ name: String) -> String? {
        FormURLEncoded.first(name, in: query)
    }

    /// The credentials behind `Authorization: Bearer` (RFC 6750 §2.1), the scheme without case.
    package var bearerToken: String? {
        guard let value = fields["authorization"] else { return nil }
        let parts = value.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return String(parts[1])
    }

    /// The body as one JSON text.
    package func json() throws(JSONError) -> JSONValue {
        try JSONValue(parsing: body)
    }
}

/// `application/x-www-form-urlencoded`, as the URL standard reads it.
package enum FormURLEncoded {
    /// All pairs in order. Ill-formed escapes stay as written; bytes that are not UTF-8 are replaced.
    package static func pairs(_ text: String) -> [(name: String, value: String)] {
        text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (decode(parts[0]), parts.count > 1 ? decode(parts[1]) : "")
        }
    }

    /// The first value of that name.
    package static func first(_ name: String, in text: String) -> String? {
        pairs(text).first { $0.name == name }?.value
    }

    /// One name or value: `+` is a space, `%XX` a byte.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool = true) -> String {
        PercentEncoding.decode(String(text), plusIsSpace: plusIsSpace)
    }

    /// Percent-encodes all but the unreserved characters of RFC 3986 §2.3.
    package static func encode(_ text: String) -> String {
        PercentEncoding.encode(text)
    }
}
