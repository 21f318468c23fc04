// SPDX-License-Identifier: MIT
internal import JSON

/// Why a request gets no session, as the reference server numbers it.
package enum EngineRefusal: Int, Hashable, Sendable, CaseIterable {
    /// `transport` is missing or not enabled.
    case unknownTransport = 0
    /// `sid` names no session here.
    case unknownSession = 1
    /// No `sid`, and the method is not GET.
    case badHandshakeMethod = 2
    /// A malformed Origin, a transport other than the session's, or `transport=websocket` without upgrade.
    case badRequest = 3
    /// The server's own rules refuse it.
    case forbidden = 4
    /// `EIO` is not 4.
    case unsupportedProtocolVersion = 5

    /// The HTTP status of the answer; its content type is `application/json`.
    package var status: Int { self == .forbidden ? 403 : 400 }

    /// The message of the body, and all of the body where an upgrade is refused.
    package var message: String {
        switch self {
        case .unknownTransport: "Transport unknown"
        case .unknownSession: "Session ID unknown"
        case .badHandshakeMethod: "Bad handshake method"
        case .badRequest: "Bad request"
        case .forbidden: "Forbidden"
        case .unsupportedProtocolVersion: "Unsupported protocol version"
        }
    }

    /// The body, `{"code":0,"message":"Transport unknown"}`.
    package var body: [UInt8] { body(message: message) }

    /// The body with a message of the server's own, as `forbidden` may have.
    package func body(message: String) -> [UInt8] {
        let value: JSONValue = ["code": .int(Int64(rawValue)), "message": .string(message)]
        return value.bytes
    }

    /// The first reason to refuse a request, in the reference server's order; nil when there is none.
    ///
    /// - Parameters:
    ///   - method: the request's method.
    ///   - isUpgrade: whether the request upgrades to WebSocket.
    ///   - hasMalformedOrigin: whether `origin` holds characters that a field must not.
    ///   - sessionTransport: the current transport of the session that `sid` names; nil for none.
    ///   - isAllowed: whether the server's rules allow a handshake; asked only without `sid`.
    package static func first(
        for query: EngineQuery, method: String, isUpgrade: Bool, hasMalformedOrigin: Bool = false,
        sessionTransport: Transport?, isAllowed: Bool = true
    ) -> EngineRefusal? {
        guard let transport = query.transport else { return .unknownTransport }
        if hasMalformedOrigin { return .badRequest }
        if query.sid != nil {
            guard let sessionTransport else { return .unknownSession }
            return transport == (isUpgrade ? .websocket : sessionTransport) ? nil : .badRequest
        }
        guard method == "GET" else { return .badHandshakeMethod }
        // A handshake that upgrades but asks for polling would get a session nobody reads.
        guard (transport == .websocket) == isUpgrade else { return .badRequest }
        guard isAllowed else { return .forbidden }
        return query.protocolVersion == "4" ? nil : .unsupportedProtocolVersion
    }
}
