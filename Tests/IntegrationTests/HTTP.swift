// SPDX-License-Identifier: MIT
import HTTPClient
import HTTPServer
import JSON

/// Requests to the services under test.
enum HTTP {
    /// One request. `json` and `form` bring their content type; another body needs it in `fields`.
    static func call(
        _ method: String, _ url: String, token: String? = nil, json: JSONValue? = nil,
        form: [(String, String)]? = nil, body: [UInt8]? = nil,
        fields: [(name: String, value: String)] = []
    ) throws -> Response {
        var fields = fields
        var body = body
        if let token { fields.append(("authorization", "Bearer \(token)")) }
        if let json {
            fields.append(("content-type", "application/json"))
            body = json.bytes
        } else if let form {
            fields.append(("content-type", "application/x-www-form-urlencoded"))
            body = Array(query(form).utf8)
        }
        return try perform(Request(method: method, url: url, fields: fields, body: body))
    }

    /// The pairs as `application/x-www-form-urlencoded`.
    static func query(_ pairs: [(String, String)]) -> String {
        pairs.map { "\(FormURLEncoded.encode($0.0))=\(FormURLEncoded.encode($0.1))" }
            .joined(separator: "&")
    }
}
