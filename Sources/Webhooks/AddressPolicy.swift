// SPDX-License-Identifier: MIT
package import HTTPClient

/// A range of addresses in CIDR notation (RFC 4632, RFC 4291 §2.3).
package struct NetworkRange: Hashable, Sendable {
    package let base: IPAddress
    /// 0 to 32 or 0 to 128.
    package let prefixLength: Int

    /// Reads `10.0.0.0/8` or `fd00::/8`; a bare address is a range of one. Nil for anything else,
    /// also when bits behind the prefix are set, which is a typing error as a rule.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, let base = IPAddress(String(first)) else {
            return nil
        }
        let width = if case .v4 = base { 32 } else { 128 }
        var length = width
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = Int(parts[1]), number <= width
            else { return nil }
            length = number
        }
        guard NetworkRange.masked(base, length) == base else { return nil }
        self.base = base
        prefixLength = length
    }

    package func contains(_ address: IPAddress) -> Bool {
        switch (base, address) {
        case (.v4, .v4), (.v6, .v6): NetworkRange.masked(address, prefixLength) == base
        default: false
        }
    }

    private static func masked(_ address: IPAddress, _ length: Int) -> IPAddress {
        // Swift's smart shifts give 0 for a shift by the full width, which is what length 0 means.
        switch address {
        case .v4(let bits): return .v4(bits & (~0 << UInt32(32 - length)))
        case .v6(let high, let low):
            let upper = length >= 64 ? high : high & (~0 << UInt64(64 - length))
            return .v6(high: upper, low: length <= 64 ? 0 : low & (~0 << UInt64(128 - length)))
        }
    }
}

/// Which addresses a webhook may be sent to. Asked for each address at the moment of the connect.
///
/// Everything that is not plain global unicast is refused: loopback, private and shared networks,
/// link-local (169.254.169.254 is where clouds keep their credentials), multicast, documentation,
/// benchmarking, reserved, and every IPv6 form that carries an IPv4 address inside (mapped forms are
/// judged by what they carry; NAT64, 6to4, Teredo and IPv4-compatible are refused whole).
package struct AddressPolicy: Sendable {
    /// Ranges that may be reached although they are not global: for tests and on-premises use.
    package var allowed: [NetworkRange]
    /// Ports that stay closed inside `allowed`: our own services and Redis.
    package var refusedPorts: Set<UInt16>

    package init(allowed: [NetworkRange] = [], refusedPorts: Set<UInt16> = []) {
        self.allowed = allowed
        self.refusedPorts = refusedPorts
    }

    package func admits(_ address: IPAddress, port: UInt16) -> Bool {
        let address = AddressPolicy.unmapped(address)
        if allowed.contains(where: { $0.contains(address) }) {
            return !refusedPorts.contains(port)
        }
        return AddressPolicy.isGlobal(address)
    }

    /// Whether the address is global unicast by the IANA special-purpose registries (RFC 6890 and
    /// successors). Mapped addresses must be unmapped first.
    package static func isGlobal(_ address: IPAddress) -> Bool {
        switch address {
        case .v4: !special4.contains { $0.contains(address) }
        case .v6: globalUnicast6.contains(address) && !special6.contains { $0.contains(address) }
        }
    }

    /// `::ffff:a.b.c.d` as a.b.c.d (RFC 4291 §2.5.5.2); others as they are.
    package static func unmapped(_ address: IPAddress) -> IPAddress {
        if case .v6(0, let low) = address, low >> 32 == 0xFFFF {
            return .v4(UInt32(truncatingIfNeeded: low))
        }
        return address
    }

    private static let special4 = ranges([
        "0.0.0.0/8",  // this network, RFC 791
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // private, RFC 1918
        "100.64.0.0/10",  // shared, RFC 6598
        "127.0.0.0/8",  // loopback, RFC 1122
        "169.254.0.0/16",  // link-local, RFC 3927
        "192.0.0.0/24",  // protocol assignments, RFC 6890
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  // documentation, RFC 5737
        "192.88.99.0/24",  // 6to4 relays, RFC 7526
        "198.18.0.0/15",  // benchmarking, RFC 2544
        "224.0.0.0/4",  // multicast, RFC 5771
        "240.0.0.0/4",  // reserved and broadcast, RFC 1112, RFC 919
    ])

    /// All that is global lies in here; so loopback, unspecified, IPv4-compatible, mapped, NAT64
    /// (64:ff9b::/96, 64:ff9b:1::/48), discard (100::/64), unique local, link-local, site-local and
    /// multicast are refused by not being in it.
    private static let globalUnicast6 = ranges(["2000::/3"])[0]
    private static let special6 = ranges([
        "2001::/23",  // protocol assignments with Teredo and ORCHID, RFC 2928
        "2001:db8::/32", "3fff::/20",  // documentation, RFC 3849, RFC 9637
        "2002::/16",  // 6to4, RFC 3056
    ])

    private static func ranges(_ texts: [String]) -> [NetworkRange] {
        texts.map { text in
            guard let range = NetworkRange(text) else { preconditionFailure("bad range \(text)") }
            return range
        }
    }
}
