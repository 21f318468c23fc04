// SPDX-License-Identifier: MIT

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
        if width == 128, length >= 96, case .v4 = base.unmapped {
            // A range of mapped addresses is one of IPv4: `contains` looks at nothing mapped.
            self.base = base.unmapped
            prefixLength = length - 96
        } else {
            self.base = base
            prefixLength = length
        }
    }

    /// Whether the address lies in the range. A mapped address (`::ffff:10.0.0.1`) is judged as the
    /// IPv4 address it carries: which form a peer has depends on the listener alone.
    package func contains(_ address: IPAddress) -> Bool {
        let address = address.unmapped
        return switch (base, address) {
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

extension NetworkRange: CustomStringConvertible {
    /// CIDR notation, with the prefix even when the range is of one.
    package var description: String { "\(base)/\(prefixLength)" }
}
