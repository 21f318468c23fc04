// SPDX-License-Identifier: MIT
internal import Glibc

/// An Internet address as bits, so that ranges can be compared.
package enum IPAddress: Hashable, Sendable {
    /// In host order: 127.0.0.1 is 0x7F000001.
    case v4(UInt32)
    /// The upper and the lower half, each in host order.
    case v6(high: UInt64, low: UInt64)

    /// Reads the plain notation: four decimal numbers, or RFC 4291 §2.2 without brackets and zone.
    /// The loose forms of `inet_aton` (`127.1`, `0x7f000001`) are no addresses here: nil.
    package init?(_ text: String) {
        guard !text.utf8.contains(0) else { return nil }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self = .v4(UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        self = withUnsafeBytes(of: six) { IPAddress(v6: $0) }
    }

    /// Reads the 16 bytes of an IPv6 address as they travel; traps when there are fewer.
    package init(v6 bytes: UnsafeRawBufferPointer) {
        self = .v6(
            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    /// `::ffff:a.b.c.d` as a.b.c.d (RFC 4291 §2.5.5.2); others as they are.
    package var unmapped: IPAddress {
        if case .v6(0, let low) = self, low >> 32 == 0xFFFF {
            return .v4(UInt32(truncatingIfNeeded: low))
        }
        return self
    }
}

extension IPAddress: CustomStringConvertible {
    /// The plain notation; IPv6 shortened as RFC 5952 wants it, without brackets.
    package var description: String {
        switch self {
        case .v4(let bits):
            return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
        case .v6(let high, let low):
            var address = in6_addr()
            withUnsafeMutableBytes(of: &address) { bytes in
                bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
                bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) {
                buffer in
                // Cannot fail: the family is right and the buffer is as long as any address.
                _ = inet_ntop(
                    AF_INET6, &address, buffer.baseAddress!, socklen_t(INET6_ADDRSTRLEN))
                return String(cString: buffer.baseAddress!)
            }
        }
    }
}
