// SPDX-License-Identifier: MIT
internal import Addresses

/// Why a URL cannot be an endpoint's.
package enum WebhookURLError: Error, Hashable, Sendable, CaseIterable {
    /// Longer than 2048 bytes.
    case tooLong
    /// A character that no URL holds, or that parsers disagree about.
    case badCharacter
    /// Neither `https` nor, where that is configured, `http`.
    case scheme
    /// User name or password.
    case userInfo
    case fragment
    /// No host, or none that is a name or a plain address.
    case host
    case port
    /// An address written so that only some parsers see it: `127.1`, `0x7f000001`, `2130706433`.
    case encodedAddress
    /// An address or a name that may not be reached.
    case blockedAddress

    /// For people, as the detail of a problem document.
    package var detail: String {
        switch self {
        case .tooLong: "The URL is longer than 2048 bytes."
        case .badCharacter: "The URL holds a character that is not allowed in URLs."
        case .scheme: "The URL must begin with https://."
        case .userInfo: "The URL must not hold a user name or password."
        case .fragment: "The URL must not hold a fragment."
        case .host: "The URL needs a host: a name, or an address in its plain notation."
        case .port: "The port must be a number from 1 to 65535."
        case .encodedAddress: "Write an address in its plain notation."
        case .blockedAddress: "This address may not be reached by webhooks."
        }
    }
}

/// What an endpoint's URL must be before any name is looked up. The second check, of the addresses
/// behind the name, is made at every connect.
package struct URLPolicy: Sendable {
    package static let maxBytes = 2048
    /// Plain `http` too: for development only.
    package var allowsHTTP: Bool
    package var addresses: AddressPolicy

    package init(allowsHTTP: Bool = false, addresses: AddressPolicy = AddressPolicy()) {
        self.allowsHTTP = allowsHTTP
        self.addresses = addresses
    }

    /// Checks `text` and takes it apart.
    package func check(_ text: String) throws(WebhookURLError) -> WebhookURL {
        let bytes = Array(text.utf8)
        guard bytes.count <= URLPolicy.maxBytes else { throw .tooLong }
        // Printable ASCII without what RFC 3986 leaves out; `\` is `/` to some parsers.
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) && !"\"<>\\^`{|}".utf8.contains($0) })
        else { throw .badCharacter }
        let lower = text.prefix(8).lowercased()
        let isSecure = lower.hasPrefix("https://")
        guard isSecure || allowsHTTP && lower.hasPrefix("http://") else { throw .scheme }
        let rest = text.dropFirst(isSecure ? 8 : 7)
        guard !rest.contains("#") else { throw .fragment }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw .userInfo }
        let (host, portText) = URLPolicy.split(authority)
        var port: UInt16 = isSecure ? 443 : 80
        if let portText {
            guard portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = UInt16(portText), number > 0
            else { throw .port }
            port = number
        }
        let url = WebhookURL(text: text, host: host.lowercased(), port: port, isSecure: isSecure)
        try check(url)
        return url
    }

    private func check(_ url: WebhookURL) throws(WebhookURLError) {
        if url.host.hasPrefix("[") {
            guard url.host.hasSuffix("]"),
                let address = IPAddress(String(url.host.dropFirst().dropLast())), case .v6 = address
            else { throw .host }
            guard addresses.admits(address, port: url.port) else { throw .blockedAddress }
            return
        }
        guard !url.host.isEmpty, url.host.utf8.count <= 253 else { throw .host }
        let labels = url.host.split(separator: ".", omittingEmptySubsequences: false)
        // The URL standard's "ends in a number": such a host is an address or nothing.
        if let last = labels.last(where: { !$0.isEmpty }), URLPolicy.isNumber(last) {
            guard let address = IPAddress(url.host) else { throw .encodedAddress }
            guard addresses.admits(address, port: url.port) else { throw .blockedAddress }
            return
        }
        guard labels.allSatisfy(URLPolicy.isLabel) else { throw .host }
        // Names that only mean something inside; whoever opens inner networks may use them.
        if addresses.allowed.isEmpty, labels.count == 1 || URLPolicy.isInner(labels) {
            throw .blockedAddress
        }
    }

    private static func split(_ authority: Substring) -> (host: Substring, port: Substring?) {
        guard let colon = authority.lastIndex(of: ":"), authority.last != "]" else {
            return (authority, nil)
        }
        return (authority[..<colon], authority[authority.index(after: colon)...])
    }

    private static func isNumber(_ label: Substring) -> Bool {
        label.utf8.allSatisfy { (0x30...0x39).contains($0) } || label.hasPrefix("0x")
    }

    private static func isLabel(_ label: Substring) -> Bool {
        !label.isEmpty && label.utf8.count <= 63 && !label.hasPrefix("-") && !label.hasSuffix("-")
            && label.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D || $0 == 0x5F
            }
    }

    private static func isInner(_ labels: [Substring]) -> Bool {
        labels[0] == "metadata"
            || ["localhost", "local", "internal", "intranet", "lan", "home", "corp"].contains(
                labels[labels.count - 1])
            || labels.suffix(2) == ["home", "arpa"]
    }
}

/// A URL that passed `URLPolicy`.
package struct WebhookURL: Hashable, Sendable {
    /// As the owner wrote it.
    package let text: String
    /// In lower case; an IPv6 address with its brackets.
    package let host: String
    package let port: UInt16
    package let isSecure: Bool
}
