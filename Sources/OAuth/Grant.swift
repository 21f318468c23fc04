// SPDX-License-Identifier: MIT
internal import Crypto
package import Timing

/// A browser that is signed in to this server: what the login cookie stands for. The cookie's value is
/// known to the browser only; the store has its SHA-256.
package struct Login: Hashable, Sendable {
    package let hash: [UInt8]
    package let accountID: String
    package let createdAt: Timestamp
    /// Moves with use, in steps of a minute, so that a page view is not a write.
    package var lastSeenAt: Timestamp
    package let expiresAt: Timestamp
    package var endedAt: Timestamp?

    package init(
        hash: [UInt8], accountID: String, createdAt: Timestamp, lastSeenAt: Timestamp,
        expiresAt: Timestamp, endedAt: Timestamp? = nil
    ) {
        self.hash = hash
        self.accountID = accountID
        self.createdAt = createdAt
        self.lastSeenAt = lastSeenAt
        self.expiresAt = expiresAt
        self.endedAt = endedAt
    }
}

/// One application signed in for one person: the session (`sid`) that all tokens of one authorization
/// share, and that is ended as a whole.
package struct Grant: Hashable, Sendable {
    /// `s_` and 22 characters of base64url.
    package let id: String
    package let accountID: String
    package let clientID: String
    package let scope: [String]
    package let createdAt: Timestamp
    /// No refresh reaches beyond this point.
    package let expiresAt: Timestamp
    /// The login it was given in, ended together with it; nil for provisioned sessions.
    package let loginHash: [UInt8]?
    /// The browser or program, as it called itself.
    package let userAgent: String
    package let address: String
    package var lastSeenAt: Timestamp
    /// When the last access token given out expires: how long verifiers must remember a revocation.
    package var lastTokenExpiry: Timestamp
    package var revokedAt: Timestamp?

    package init(
        id: String = "s_" + SecureRandom.token(bytes: 16), accountID: String, clientID: String,
        scope: [String], createdAt: Timestamp, expiresAt: Timestamp, loginHash: [UInt8]? = nil,
        userAgent: String = "", address: String = "", lastSeenAt: Timestamp,
        lastTokenExpiry: Timestamp, revokedAt: Timestamp? = nil
    ) {
        self.id = id
        self.accountID = accountID
        self.clientID = clientID
        self.scope = scope
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.loginHash = loginHash
        self.userAgent = userAgent
        self.address = address
        self.lastSeenAt = lastSeenAt
        self.lastTokenExpiry = lastTokenExpiry
        self.revokedAt = revokedAt
    }

    /// Whether tokens may still be issued and used under it.
    package func isActive(at now: Timestamp) -> Bool { revokedAt == nil && now < expiresAt }
}

/// An authorization code that was given out. It stays in the store after its use, so that a replay is
/// noticed.
package struct AuthorizationCode: Hashable, Sendable {
    /// SHA-256 of the code.
    package let hash: [UInt8]
    package let clientID: String
    package let accountID: String
    package let redirectURI: String
    /// S256 challenge; nil only for confidential clients that sent none.
    package let challenge: String?
    package let scope: [String]
    package let loginHash: [UInt8]?
    package let userAgent: String
    package let address: String
    package let expiresAt: Timestamp
    /// The session that its exchange opened.
    package var grantID: String?
    /// Wrong verifiers so far.
    package var failures: Int

    package init(
        hash: [UInt8], clientID: String, accountID: String, redirectURI: String,
        challenge: String?, scope: [String], loginHash: [UInt8]?, userAgent: String,
        address: String, expiresAt: Timestamp, grantID: String? = nil, failures: Int = 0
    ) {
        self.hash = hash
        self.clientID = clientID
        self.accountID = accountID
        self.redirectURI = redirectURI
        self.challenge = challenge
        self.scope = scope
        self.loginHash = loginHash
        self.userAgent = userAgent
        self.address = address
        self.expiresAt = expiresAt
        self.grantID = grantID
        self.failures = failures
    }
}

/// A refresh token that was given out. Used ones stay until the session ends, so that theft shows.
package struct RefreshToken: Hashable, Sendable {
    /// SHA-256 of the token.
    package let hash: [UInt8]
    package let grantID: String
    package let expiresAt: Timestamp
    /// When it was first exchanged for its successor.
    package var usedAt: Timestamp?

    package init(
        hash: [UInt8], grantID: String, expiresAt: Timestamp, usedAt: Timestamp? = nil
    ) {
        self.hash = hash
        self.grantID = grantID
        self.expiresAt = expiresAt
        self.usedAt = usedAt
    }
}
