// SPDX-License-Identifier: MIT
package import HTTP1
package import JSON

/// One response, complete. `content-length`, `date` and `connection` are the server's to add.
package struct HTTPResponse: Sendable, Hashable {
    package var status: Int
    package var fields: HTTPFields
    package var body: [UInt8]

    package init(status: Int, fields: HTTPFields = [:], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// `application/json`; never cached unless a field says otherwise.
    package static func json(
        _ value: JSONValue, status: Int = 200, fields: HTTPFields = [:]
    ) -> HTTPResponse {
        var response = HTTPResponse(status: status, fields: fields, body: value.bytes)
        response.fields.set("content-type", "application/json")
        if response.fields["cache-control"] == nil {
            response.fields.set("cache-control", "no-store")
        }
        return response
    }

    /// A problem document (RFC 9457): `code` is the stable word a program switches on and ends the
    /// `type` URI; `detail` is for people.
    package static func problem(
        _ status: Int, code: String, detail: String, fields: HTTPFields = [:]
    ) -> HTTPResponse {
        var response = json(
            [
                "type": .string("urn:chat:problem:\(code)"), "title": .string(reason(status)),
                "status": .int(Int64(status)), "code": .string(code), "detail": .string(detail),
            ], status: status, fields: fields)
        response.fields.set("content-type", "application/problem+json")
        return response
    }

    /// `text/plain; charset=utf-8`.
    package static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status, fields: ["content-type": "text/plain; charset=utf-8"],
            body: Array(text.utf8))
    }

    /// The reason phrases of RFC 9110 §15 and RFC 6585 that this project sends.
    package static func reason(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Unknown"
        }
    }
}
