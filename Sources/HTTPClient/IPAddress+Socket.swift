// SPDX-License-Identifier: MIT
internal import Addresses
internal import Glibc

extension IPAddress {
    /// The address and port of a socket address; nil for a family that is neither.
    static func read(
        _ address: UnsafePointer<sockaddr>, count: Int
    ) -> (address: IPAddress, port: UInt16)? {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET where count >= MemoryLayout<sockaddr_in>.size:
            let four = raw.loadUnaligned(as: sockaddr_in.self)
            return (.v4(UInt32(bigEndian: four.sin_addr.s_addr)), UInt16(bigEndian: four.sin_port))
        case AF_INET6 where count >= MemoryLayout<sockaddr_in6>.size:
            let six = raw.loadUnaligned(as: sockaddr_in6.self)
            return (
                withUnsafeBytes(of: six.sin6_addr) { IPAddress(v6: $0) },
                UInt16(bigEndian: six.sin6_port)
            )
        default:
            return nil
        }
    }
}
