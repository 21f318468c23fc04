// SPDX-License-Identifier: MIT
internal import Crypto

/// The ways to get tokens that a client can be allowed.
package enum GrantType: String, Sendable, CaseIterable {
    case authorizationCode = "authorization_code"
    case refreshToken = "refresh_token"
    case clientCredentials = "client_credentials"
}

/// An application that asks for tokens.
package struct Client: Hashable, Sendable {
    /// 1...48 characters of `A-Z a-z 0-9 . _ -`.
    package let id: String
    /// What people are shown.
    package var name: String
    /// SHA-256 of the secret; nil for a public client, which cannot keep one. Secrets are 256 random
    /// bits that we made, so a fast hash loses nothing and a slow one would only cost us.
    package var secretHash: [UInt8]?
    /// Absolute URIs, compared byte for byte.
    package var redirectURIs: [String]
    package var grantTypes: [GrantType]
    /// What it may ask for, and gets when it asks for nothing.
    package var scopes: [String]
    /// Ours: no consent page.
    package var isFirstParty: Bool
    /// Runs on its user's machine and may listen on any loopback port (RFC 8252 §7.3).
    package var isNative: Bool
    /// The audience whose keys it may fetch and whose tokens it may introspect: what it serves.
    package var audience: Audience?

    package init(
        id: String, name: String, secretHash: [UInt8]? = nil, redirectURIs: [String] = [],
        grantTypes: [GrantType], scopes: [String], isFirstParty: Bool = false,
        isNative: Bool = false, audience: Audience? = nil
    ) {
        self.id = id
        self.name = name
        self.secretHash = secretHash
        self.redirectURIs = redirectURIs
        self.grantTypes = grantTypes
        self.scopes = scopes
        self.isFirstParty = isFirstParty
        self.isNative = isNative
        self.audience = audience
    }

    package var isPublic: Bool { secretHash == nil }

    /// Whether this is its secret. Constant time.
    package func accepts(secret: String) -> Bool {
        guard let secretHash else { return false }
        return constantTimeEquals(secretHash, SHA256.digest(secret))
    }

    /// Whether an authorization answer may be sent to this URI: equal to a registered one, byte for byte
    /// (RFC 9700 §2.1), but for the port of a native client's loopback address (RFC 8252 §7.3).
    package func accepts(redirectURI: String) -> Bool {
        redirectURIs.contains { registered in
            if registered.utf8.elementsEqual(redirectURI.utf8) { return true }
            guard isNative, let mine = RedirectURI.loopback(registered),
                let theirs = RedirectURI.loopback(redirectURI)
            else { return false }
            return mine.host.utf8.elementsEqual(theirs.host.utf8)
                && mine.rest.utf8.elementsEqual(theirs.rest.utf8)
        }
    }

    /// The web origins of its redirect URIs: who may call us from a browser on its behalf.
    package var origins: [String] {
        var origins: [String] = []
        for origin in redirectURIs.compactMap(RedirectURI.origin) where !origins.contains(origin) {
            origins.append(origin)
        }
        return origins
    }
}

/// Redirect URIs.
package enum RedirectURI: Sendable {
    /// Whether a URI can be registered: `https`, or `http` to this machine, absolute, without user
    /// information, fragment, white space or control characters.
    package static func isRegistrable(_ uri: String) -> Bool {
        guard uri.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !uri.contains("#"),
            uri.utf8.count <= 1024, let (scheme, authority) = split(uri),
            !authority.contains("@"), !authority.isEmpty
        else { return false }
        guard scheme == "http" else { return scheme == "https" }
        let host = hostAndPort(authority).host
        return ["127.0.0.1", "[::1]", "localhost"].contains(host)
    }

    /// `scheme://host[:port]` of an `http` or `https` URI; nil for any other.
    package static func origin(_ uri: String) -> String? {
        guard let (scheme, authority) = split(uri), ["http", "https"].contains(scheme),
            !authority.isEmpty, !authority.contains("@")
        else { return nil }
        return "\(scheme)://\(authority)"
    }

    /// A loopback `http` URI taken apart; nil for any other. `localhost` is a name and does not count
    /// (RFC 8252 §8.3).
    static func loopback(_ uri: String) -> (host: String, rest: String)? {
        guard let (scheme, authority) = split(uri), scheme == "http" else { return nil }
        let (host, port) = hostAndPort(authority)
        guard ["127.0.0.1", "[::1]"].contains(host), port.map({ UInt16($0) != nil }) ?? true else {
            return nil
        }
        let rest = uri.dropFirst("http://".count + authority.count)
        return (host, String(rest))
    }

    private static func split(_ uri: String) -> (scheme: String, authority: String)? {
        for scheme in ["http", "https"] where uri.hasPrefix("\(scheme)://") {
            let rest = uri.dropFirst(scheme.count + 3)
            return (scheme, String(rest.prefix { !"/?#\\".contains($0) }))
        }
        return nil
    }

    private static func hostAndPort(_ authority: String) -> (host: String, port: String?) {
        guard let colon = authority.lastIndex(of: ":"), authority.last != "]" else {
            return (authority, nil)
        }
        return (
            String(authority[..<colon]), String(authority[authority.index(after: colon)...])
        )
    }
}
