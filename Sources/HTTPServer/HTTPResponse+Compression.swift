// SPDX-License-Identifier: MIT
internal import HTTP1
internal import WebSocket

extension HTTPResponse {
    /// Bytes below which compression is not tried: one packet either way.
    static let leastCompressedBytes = 1024

    /// Puts gzip on the body when the client takes it, the body is text of a size worth it, and it
    /// shrinks. An answer with an encoding, a tag or a range of its own is left alone: those are about
    /// the bytes as they are.
    mutating func compress(for request: HTTPRequest, with encoder: @autoclosure () -> GzipEncoder) {
        guard body.count >= HTTPResponse.leastCompressedBytes, isText,
            fields["content-encoding"] == nil, fields["etag"] == nil, status != 206
        else { return }
        // Whether or not this client takes it: caches must not give one client's answer to another.
        if !fields.lists("vary", token: "accept-encoding") {
            fields.append("vary", "Accept-Encoding")
        }
        guard AcceptEncoding(request.fields).best(of: ["gzip"]) != nil,
            let shorter = encoder().encode(body)
        else { return }
        body = shorter
        fields.set("content-encoding", "gzip")
    }

    private var isText: Bool {
        guard let type = fields["content-type"]?.lowercased() else { return false }
        return type.hasPrefix("text/") || type.hasPrefix("application/json")
            || type.hasPrefix("application/problem+json")
            || type.hasPrefix("application/javascript")
            || type.hasPrefix("image/svg+xml")
    }
}
