// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import OAuth

/// Cross-origin calls from browsers: the exact origins of registered redirect URIs, never a wildcard and
/// never with cookies (RFC 9700 §2.6). `/oauth/authorize` and the pages have none at all.
extension AuthAPI {
    func preflight(_ request: HTTPRequest) -> HTTPResponse {
        var response = HTTPResponse(status: 204, fields: ["cache-control": "no-store"])
        if isKnownOrigin(request) {
            response.fields.set("access-control-allow-methods", "GET, POST")
            response.fields.set("access-control-allow-headers", "authorization, content-type")
            response.fields.set("access-control-max-age", "600")
        }
        return withCORS(request, response)
    }

    func withCORS(_ request: HTTPRequest, _ response: HTTPResponse) -> HTTPResponse {
        var response = response
        response.fields.append("vary", "origin")
        if let origin = request.fields["origin"], isKnownOrigin(request) {
            response.fields.set("access-control-allow-origin", origin)
        }
        return response
    }

    private func isKnownOrigin(_ request: HTTPRequest) -> Bool {
        guard let origin = request.fields["origin"] else { return false }
        return clientOrigins().contains { $0.utf8.elementsEqual(origin.utf8) }
    }

    /// The origins of all clients' redirect URIs; empty when the store fails.
    func clientOrigins() -> [String] {
        let clients = try? server.store.read { (reader) throws(AuthStoreFailure) in
            try reader.clients()
        }
        return (clients ?? []).flatMap(\.origins)
    }
}
