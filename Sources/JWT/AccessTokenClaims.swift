// SPDX-License-Identifier: MIT
package import JSON
package import Timing

/// What an access token says: the claims of RFC 9068 §2.2 and this project's own.
package struct AccessTokenClaims: Hashable, Sendable {
    /// `iss`: the authorization server's issuer identifier, compared byte for byte.
    package var issuer: String
    /// `aud`: the one service this token is for: `chat`, `notification` or `auth`.
    package var audience: String
    /// `sub`: `u_…` for people, `client:<client_id>` for services.
    package var subject: String
    /// `client_id`: the application it was given to.
    package var clientID: String
    /// `exp`, whole seconds.
    package var expiresAt: Timestamp
    /// `iat`, whole seconds.
    package var issuedAt: Timestamp
    /// `jti`: unique for each token.
    package var tokenID: String
    /// `sid`: the login session behind it; nil for services, which have none.
    package var sessionID: String?
    /// `scope`, split at its spaces.
    package var scope: [String]
    /// `name`: the user name, or the client id of a service.
    package var name: String
    /// `roles`: system-wide roles such as `admin`.
    package var roles: [String]

    package init(
        issuer: String, audience: String, subject: String, clientID: String,
        expiresAt: Timestamp, issuedAt: Timestamp, tokenID: String, sessionID: String? = nil,
        scope: [String] = [], name: String, roles: [String] = []
    ) {
        self.issuer = issuer
        self.audience = audience
        self.subject = subject
        self.clientID = clientID
        self.expiresAt = expiresAt
        self.issuedAt = issuedAt
        self.tokenID = tokenID
        self.sessionID = sessionID
        self.scope = scope
        self.name = name
        self.roles = roles
    }
}

/// What tells one token of a subject from others when it is withdrawn: all that a connection keeps of
/// it, in 20 bytes. Ids are kept as 64-bit hashes under a key of this process, so that to be taken for
/// another's is nothing that an id can be chosen for.
package struct TokenIdentity: Hashable, Sendable {
    /// 0 for none.
    private let session: UInt64
    private let token: UInt64
    /// Since 1970.
    private let issuedAtSeconds: UInt32

    package init(_ claims: AccessTokenClaims) {
        session = claims.sessionID.map(TokenIdentity.hash) ?? 0
        token = TokenIdentity.hash(claims.tokenID)
        issuedAtSeconds = UInt32(clamping: claims.issuedAt.seconds)
    }

    private static func hash(_ id: String) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(id)
        return max(1, UInt64(bitPattern: Int64(hasher.finalize())))
    }

    /// Whether it is the token of that id.
    package func isToken(_ id: String) -> Bool { token == TokenIdentity.hash(id) }

    /// Whether it belongs to the login session of that id; nil is that of tokens without one.
    package func isOfSession(_ id: String?) -> Bool {
        session == id.map(TokenIdentity.hash) ?? 0
    }

    /// Whether it was issued up to that second.
    package func isIssued(by time: Timestamp) -> Bool { Int64(issuedAtSeconds) <= time.seconds }
}

/// Who a subject is. The two kinds have prefixes of their own, so that no client can be registered
/// whose token looks like a person's (RFC 9700 §4.15).
package enum SubjectKind: Sendable, Hashable {
    /// `u_` and an opaque id.
    case user
    /// `client:` and the client id.
    case client

    /// The kind of a subject, or nil when it has neither form: 1...64 characters of
    /// `A-Z a-z 0-9 _ - .` behind the prefix.
    package init?(subject: String) {
        let prefixes: [(String, SubjectKind)] = [("u_", .user), ("client:", .client)]
        guard let (prefix, kind) = prefixes.first(where: { subject.hasPrefix($0.0) }),
            SigningKey.isKeyID(String(subject.dropFirst(prefix.count)))
        else { return nil }
        self = kind
    }
}

extension AccessTokenClaims {
    /// Whether a person or a service stands behind the token; nil for a subject that is neither, which
    /// no verified token has.
    package var subjectKind: SubjectKind? { SubjectKind(subject: subject) }

    /// Whether the token carries a scope.
    package func has(scope name: String) -> Bool { scope.contains(name) }

    /// The claims set, members in a fixed order.
    package var json: JSONValue {
        var object: JSONObject = [
            "iss": .string(issuer), "aud": .string(audience), "sub": .string(subject),
            "client_id": .string(clientID), "exp": .int(expiresAt.seconds),
            "iat": .int(issuedAt.seconds), "jti": .string(tokenID),
        ]
        if let sessionID { object["sid"] = .string(sessionID) }
        // An empty text is no scope (RFC 6749 §3.3), and is refused when read.
        if !scope.isEmpty { object["scope"] = .string(scope.joined(separator: " ")) }
        object["name"] = .string(name)
        if !roles.isEmpty { object["roles"] = .array(roles.map { .string($0) }) }
        return .object(object)
    }

    /// Reads a claims set whose MAC has been checked. Dates must be whole numbers: RFC 7519 §2 allows
    /// fractions, our signer never writes them, and every form accepted is one more to get wrong.
    init(_ claims: JSONValue, audience ours: String) throws(TokenError) {
        func string(_ name: String, max: Int = 256) throws(TokenError) -> String {
            guard let value = claims[name] else { throw .missingClaim(name) }
            guard case .string(let text) = value, (1...max).contains(text.utf8.count) else {
                throw .invalidClaim(name)
            }
            return text
        }
        func date(_ name: String) throws(TokenError) -> Timestamp {
            guard let value = claims[name] else { throw .missingClaim(name) }
            // Up to the year 9999, the last that RFC 3339 can write.
            guard case .int(let seconds) = value, (0...253_402_300_799).contains(seconds) else {
                throw .invalidClaim(name)
            }
            return Timestamp(seconds: seconds)
        }
        issuer = try string("iss")
        switch claims["aud"] {
        case .string(let one)?: guard same(one, ours) else { throw .audience }
        case .array(let list)?:
            guard list.contains(where: { $0.string.map { same($0, ours) } ?? false }) else {
                throw .audience
            }
        case nil: throw .missingClaim("aud")
        default: throw .invalidClaim("aud")
        }
        audience = ours
        subject = try string("sub")
        clientID = try string("client_id")
        guard let kind = SubjectKind(subject: subject),
            kind == .user || same(subject, "client:\(clientID)")
        else { throw .invalidClaim("sub") }
        expiresAt = try date("exp")
        issuedAt = try date("iat")
        if claims["nbf"] != nil { _ = try date("nbf") }
        tokenID = try string("jti")
        sessionID = claims["sid"] == nil ? nil : try string("sid")
        scope =
            claims["scope"] == nil
            ? [] : try string("scope", max: 2048).split(separator: " ").map(String.init)
        name = claims["name"] == nil ? subject : try string("name")
        switch claims["roles"] {
        case nil: roles = []
        case .array(let list)?:
            roles = list.compactMap(\.string)
            guard roles.count == list.count else { throw .invalidClaim("roles") }
        default: throw .invalidClaim("roles")
        }
    }
}

/// Equality of bytes. `==` on strings takes canonically equivalent Unicode for equal, which is not
/// what "compare exactly" means in RFC 7519 §2 and RFC 8725 §3.8.
func same(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
