// SPDX-License-Identifier: MIT
package import Addresses

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
        let address = address.unmapped
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
