// SPDX-License-Identifier: MIT
internal import Addresses
internal import HTTP1

/// Who is at the other end of a connection.
struct Peer: Hashable, Sendable {
    /// Numeric, without port.
    let address: String
    /// Whether it is a trusted proxy: it speaks for many clients, so that neither its connections nor
    /// its requests are one client's.
    let isProxy: Bool
    /// Whether it speaks TLS with a proxy that has told so, or with another process of ours.
    var isSecure = false
}

/// Who a request comes from, as far as those say it who are believed.
struct Origin: Hashable, Sendable {
    /// Numeric, without port.
    var address: String
    /// Whether the client spoke TLS with the first of the proxies. False says nothing.
    var isSecure = false
    /// The `host` field that the first of the proxies got, where it is told.
    var host: String?
}

/// The proxies whose word about a client is taken, in the one field that they write.
struct TrustedProxies: Sendable {
    private let ranges: [NetworkRange]
    private let field: ForwardingField

    init(_ ranges: [NetworkRange], field: ForwardingField = .xForwardedFor) {
        self.ranges = ranges
        self.field = field
    }

    func peer(_ address: String) -> Peer {
        guard !ranges.isEmpty, let number = IPAddress(address) else {
            return Peer(address: address, isProxy: false)
        }
        return Peer(address: address, isProxy: trusts(number))
    }

    /// The peer that a proxy's PROXY header names. Nil: the proxy itself, `peer`.
    func peer(_ header: ProxyHeader) -> Peer? {
        guard let source = header.source?.unmapped else { return nil }
        return Peer(
            address: source.description, isProxy: trusts(source), isSecure: header.isSecure)
    }

    /// Who a request over a connection from `peer` comes from.
    func origin(of peer: Peer, _ fields: HTTPFields) -> Origin {
        guard peer.isProxy else { return Origin(address: peer.address) }
        switch field {
        case .xForwardedFor:
            // Only `https` is believed: a proxy behind the one that ends TLS says truly `http`, of a hop
            // that is not the client's.
            let last = fields.all("x-forwarded-proto").last?.split(separator: ",").last
            return Origin(
                address: client(of: peer, fields),
                isSecure: last.map(TrustedProxies.trimmed)?.lowercased() == "https")
        case .forwarded: return forwarded(peer, fields.all("forwarded"))
        }
    }

    /// As `client`, for `Forwarded`: each proxy appends an element, and the one that names the client
    /// also says how the client reached it.
    private func forwarded(_ peer: Peer, _ lines: [String]) -> Origin {
        var elements: [ForwardedElement] = []
        for line in lines {
            // What a client wrote may be anything, and makes the proxies' own words unreadable only when
            // it is not the grammar; then nobody has said anything.
            guard let more = ForwardedElement.parse(line) else {
                return Origin(address: peer.address)
            }
            elements += more
        }
        var origin = Origin(address: peer.address)
        for element in elements.reversed() {
            guard case .address(let address)? = element.node else {
                // Our own proxy hides whom it was called by; how it was called, it says all the same.
                return Origin(
                    address: peer.address, isSecure: element.proto == "https", host: element.host)
            }
            origin = Origin(
                address: address.unmapped.description, isSecure: element.proto == "https",
                host: element.host)
            if !trusts(address) { return origin }
        }
        return origin
    }

    /// The address that `X-Forwarded-For` names, numeric and without port.
    ///
    /// Each proxy appends whom it was called by, so the list is believed from its right end to the
    /// first address that is no trusted proxy: that one was written by a proxy of ours, and whatever
    /// stands left of it by somebody else. When all are trusted it is the left-most, a client inside
    /// our own network. A part that is no address on the way there makes the whole list worthless:
    /// then, and without a list, it is the peer's.
    func client(of peer: Peer, _ fields: HTTPFields) -> String {
        guard peer.isProxy else { return peer.address }
        var farthest: IPAddress?
        // Lines of one name are one list, in order (RFC 9110 §5.3).
        for line in fields.all("x-forwarded-for").reversed() {
            for part in line.split(separator: ",").reversed() {
                let text = TrustedProxies.trimmed(part)
                if text.isEmpty { continue }  // empty list elements are skipped, RFC 9110 §5.6.1.2
                guard let address = TrustedProxies.node(text)?.unmapped else { return peer.address }
                farthest = address
                if !trusts(address) { return address.description }
            }
        }
        return farthest?.description ?? peer.address
    }

    private func trusts(_ address: IPAddress) -> Bool {
        ranges.contains { $0.contains(address) }
    }

    /// An address as proxies write it: plain, or with a port behind it, which puts IPv6 in brackets.
    private static func node(_ text: Substring) -> IPAddress? {
        if let address = IPAddress(String(text)) { return address }
        let host: Substring
        let isBracketed = text.first == "["
        if isBracketed {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[..<end].dropFirst()
            guard isPort(text[end...].dropFirst()) else { return nil }
        } else {
            guard let colon = text.firstIndex(of: ":") else { return nil }
            host = text[..<colon]
            guard isPort(text[colon...]) else { return nil }
        }
        switch IPAddress(String(host)) {
        case .v4(let bits)? where !isBracketed: return .v4(bits)
        case .v6(let high, let low)? where isBracketed: return .v6(high: high, low: low)
        default: return nil
        }
    }

    /// Nothing, or a colon and one to five digits.
    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty
            || text.first == ":" && (2...6).contains(text.utf8.count)
                && text.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}
