// SPDX-License-Identifier: MIT

/// Request line and fields of one request, checked.
package struct RequestHead: Hashable, Sendable {
    /// As written: methods are case-sensitive (RFC 9110 §9.1).
    package var method: String
    /// The request target as written, where path and query do not tell it: the absolute form, and a
    /// `?` with nothing behind.
    private var writtenTarget: String?
    /// The path, still percent-encoded, beginning with `/`; `*` for the asterisk form.
    package var path: String
    /// What stands behind the target's first `?`, without it; empty when there is none.
    package var query: String
    /// 0 for HTTP/1.0, else 1: a higher minor version is spoken to as 1.1 (RFC 9110 §2.5).
    package var minorVersion: Int
    /// The fields. `host` is the target's own when that is in absolute form (RFC 9112 §3.2.2).
    package var fields: HTTPFields
    /// How the body ends.
    package var framing: BodyFraming
    /// Whether the peer lets the connection live on after this exchange (RFC 9112 §9.3).
    package var keepAlive: Bool
    /// Whether the peer waits for 100 before it sends the body (RFC 9110 §10.1.1). False for HTTP/1.0
    /// and where there is no body.
    package var expectsContinue: Bool
    /// Whether this asks to switch to WebSocket: a GET over HTTP/1.1 whose `connection` lists
    /// `upgrade` and whose `upgrade` lists `websocket` (RFC 6455 §4.2.1). The rest of the handshake is
    /// checked by the WebSocket layer.
    package var upgradesToWebSocket: Bool

    /// A head made by hand, as tests and clients do; nothing is checked.
    package init(
        method: String, target: String, path: String, query: String = "", minorVersion: Int = 1,
        fields: HTTPFields, framing: BodyFraming = .none, keepAlive: Bool = true,
        expectsContinue: Bool = false, upgradesToWebSocket: Bool = false
    ) {
        self.method = method
        writtenTarget = target == RequestHead.target(path, query) ? nil : target
        self.path = path
        self.query = query
        self.minorVersion = minorVersion
        self.fields = fields
        self.framing = framing
        self.keepAlive = keepAlive
        self.expectsContinue = expectsContinue
        self.upgradesToWebSocket = upgradesToWebSocket
    }
}

extension RequestHead {
    /// The request target as written.
    package var target: String { writtenTarget ?? RequestHead.target(path, query) }

    /// Whether the target is in absolute form and its scheme `https`: only who has secured the
    /// connection may answer that (RFC 9110 §7.4).
    package var asksForHTTPS: Bool {
        writtenTarget?.prefix("https:".count).lowercased() == "https:"
    }

    private static func target(_ path: String, _ query: String) -> String {
        query.isEmpty ? path : "\(path)?\(query)"
    }

    /// Puts line and fields together and checks what spans both.
    init(line: RequestLine, fields: HTTPFields, maxBodyBytes: Int) throws(HTTPError) {
        var fields = fields
        let host = fields.find("host")
        guard host.count < 2 else { throw .severalHosts }
        if host.count > 0 {
            let bytes = fields.bytes
            guard
                RequestLine.isAuthority(bytes.span.extracting(host.first), mayBeEmpty: true)
            else { throw .badHost }
        } else if line.minorVersion > 0 {
            throw .missingHost
        }
        if let authority = line.authority { fields.set("host", authority) }

        let framing = try BodyFraming.declared(
            by: fields, minorVersion: line.minorVersion, maxBodyBytes: maxBodyBytes)
        let closes = fields.lists("connection", token: "close")
        let staysOpen =
            line.minorVersion > 0 || fields.lists("connection", token: "keep-alive")

        var expectsContinue = false
        // RFC 9110 §10.1.1: an expectation in an HTTP/1.0 request is ignored.
        if line.minorVersion > 0, fields.find("expect").count > 0 {
            for expectation in fields.items("expect") {
                guard expectation.lowercased() == "100-continue" else { throw .unknownExpectation }
                expectsContinue = true
            }
        }
        let hasBody = framing != nil && framing != .length(0)
        method = line.method
        writtenTarget = line.writtenTarget
        path = line.path
        query = line.query
        minorVersion = line.minorVersion
        self.framing = framing ?? .none
        keepAlive = staysOpen && !closes
        self.expectsContinue = expectsContinue && hasBody
        upgradesToWebSocket =
            line.method == "GET" && line.minorVersion > 0
            && fields.lists("connection", token: "upgrade")
            && fields.lists("upgrade", token: "websocket")
        self.fields = fields
    }
}
