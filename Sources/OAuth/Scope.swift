// SPDX-License-Identifier: MIT

/// The services that take access tokens. Each has keys of its own.
package enum Audience: String, Sendable, CaseIterable {
    case chat
    case notification
    case auth
}

/// What a token allows. Each scope is of use at some audiences; a token for another cannot be had by it.
package enum Scope: Sendable {
    /// The catalogue, in the order metadata lists it.
    package static let all: [(name: String, audiences: [Audience])] = [
        ("chat", [.chat]),
        ("notifications", [.notification]),
        ("alerts", [.notification]),
        ("internal:log", [.auth, .chat]),
        ("internal:alert", [.chat]),
    ]

    /// Scopes that only a person with the role `admin` is given.
    package static let administrative: Set<String> = ["alerts"]

    /// The audiences at which one of these scopes is of use, the first scope's first.
    package static func audiences(of scopes: [String]) -> [Audience] {
        var found: [Audience] = []
        for scope in scopes {
            for audience in all.first(where: { $0.name == scope })?.audiences ?? []
            where !found.contains(audience) {
                found.append(audience)
            }
        }
        return found
    }

    /// Splits a `scope` parameter (RFC 6749 §3.3): tokens of `%x21 / %x23-5B / %x5D-7E` between single
    /// spaces, repeats dropped. Nil when ill-formed or longer than 1 KiB.
    package static func parse(_ text: String) -> [String]? {
        guard text.utf8.count <= 1024 else { return nil }
        var scopes: [String] = []
        for part in text.split(separator: " ", omittingEmptySubsequences: false) {
            guard !part.isEmpty,
                part.utf8.allSatisfy({
                    (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C
                })
            else { return nil }
            if !scopes.contains(String(part)) { scopes.append(String(part)) }
        }
        return scopes
    }
}
