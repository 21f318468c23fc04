// SPDX-License-Identifier: MIT
package import JSON
package import Timing

/// What AuthService tells the other services.
package enum AuthEventType: String, Sendable, CaseIterable {
    case userCreated = "user.created"
    case userDisabled = "user.disabled"
    case sessionCreated = "session.created"
    case sessionRevoked = "session.revoked"
    case tokenRevoked = "token.revoked"
    case keyRotated = "key.rotated"
    case refreshReuse = "security.refresh_reuse"
    case loginFailed = "security.login_failed"

    /// Whether it withdraws tokens, so that verifiers must hear of it.
    package var isRevocation: Bool {
        switch self {
        case .userDisabled, .sessionRevoked, .tokenRevoked: true
        default: false
        }
    }
}

/// One change, before it has a place in the log. Carries ids only: no token, no secret.
package struct AuthEvent: Hashable, Sendable {
    package var type: AuthEventType
    /// The account or client concerned.
    package var subject: String?
    package var sessionID: String?
    package var tokenID: String?
    /// For revocations: when the last token concerned expires by itself.
    package var expiresAt: Timestamp?
    package var data: JSONObject

    package init(
        _ type: AuthEventType, subject: String? = nil, sessionID: String? = nil,
        tokenID: String? = nil, expiresAt: Timestamp? = nil, data: JSONObject = [:]
    ) {
        self.type = type
        self.subject = subject
        self.sessionID = sessionID
        self.tokenID = tokenID
        self.expiresAt = expiresAt
        self.data = data
    }
}

/// One entry of the ordered log: written in the transaction of the change it speaks of.
package struct AuthLogEntry: Hashable, Sendable {
    /// Strictly increasing from 1.
    package let seq: Int64
    package let at: Timestamp
    package let event: AuthEvent

    package init(seq: Int64, at: Timestamp, event: AuthEvent) {
        self.seq = seq
        self.at = at
        self.event = event
    }

    /// The shape of `/internal/log` and of announcements.
    package var json: JSONValue {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        return [
            "seq": .int(seq), "at": .string(at.rfc3339), "type": .string(event.type.rawValue),
            "sub": text(event.subject), "sid": text(event.sessionID), "jti": text(event.tokenID),
            "expiresAt": text(event.expiresAt?.rfc3339), "data": .object(event.data),
        ]
    }
}
