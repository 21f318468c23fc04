// SPDX-License-Identifier: MIT
internal import Bytes

/// Where a Redis server is and how to be let in: `redis://[user][:password@]host[:port][/database]`,
/// as registered with IANA. User and password may be percent-encoded; an IPv6 host stands in brackets.
package struct RedisURL: Hashable, Sendable {
    package var host: String
    /// Default 6379.
    package var port: UInt16
    /// For servers with access lists (Redis 6); nil means the default user.
    package var user: String?
    package var password: String?
    /// Default 0. Publish and subscribe do not care, but a server may refuse a wrong one.
    package var database: Int

    /// - Throws: what is wrong, in words for an operator. They never hold the password.
    package init(_ text: String) throws(RedisURLError) {
        let scheme = "redis://"
        if text.hasPrefix("rediss://") { throw .tlsUnsupported }
        guard text.hasPrefix(scheme) else { throw .wrongScheme }
        var rest = text.dropFirst(scheme.count)

        let path = rest.firstIndex(of: "/").map { rest[$0...].dropFirst() } ?? ""
        rest = rest.prefix { $0 != "/" }
        guard path.isEmpty || path.allSatisfy(\.isASCIIDigit), let database = Int("0" + path),
            database < 1 << 16
        else { throw .wrongDatabase }
        self.database = database

        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let user = PercentEncoding.decodeStrictly(String(parts[0])),
                let password = PercentEncoding.decodeStrictly(
                    parts.count > 1 ? String(parts[1]) : "")
            else { throw .wrongCredentials }
            self.user = user.isEmpty ? nil : user
            self.password = password.isEmpty ? nil : password
            guard self.user == nil || self.password != nil else { throw .wrongCredentials }
            rest = rest[at...].dropFirst()
        }

        let portText: Substring
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            host = String(rest[..<end].dropFirst())
            portText = rest[end...].dropFirst()
        } else {
            host = String(rest.prefix { $0 != ":" })
            portText = rest.dropFirst(host.count)
        }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "?" || $0 == "#" })
        else { throw .wrongHost }
        if portText.isEmpty {
            port = 6379
        } else {
            guard portText.first == ":", portText.dropFirst().allSatisfy(\.isASCIIDigit),
                let port = UInt16(portText.dropFirst()), port > 0
            else { throw .wrongPort }
            self.port = port
        }
    }
}

/// Why a text is not a Redis URL that we take.
package enum RedisURLError: Error, Hashable, Sendable, CustomStringConvertible {
    case wrongScheme
    case tlsUnsupported
    case wrongCredentials
    case wrongHost
    case wrongPort
    case wrongDatabase

    package var description: String {
        let problem =
            switch self {
            case .wrongScheme: "it must begin with redis://"
            case .tlsUnsupported: "rediss:// (TLS) is not supported; use a tunnel on this host"
            case .wrongCredentials:
                "user and password must be percent-encoded, and a user needs a password"
            case .wrongHost: "the host is missing or malformed"
            case .wrongPort: "the port must be 1 to 65535"
            case .wrongDatabase: "the database must be a number, as in redis://host:6379/0"
            }
        return "not a Redis URL: \(problem)"
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { isASCII && isWholeNumber }
}
