// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks

/// Ports on 127.0.0.1.
package enum LoopbackPort {
    /// A TCP port nobody listens on now. Another process may take it before you do: prefer port 0 where
    /// the server can tell what it got.
    package static func free() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw TestSupportError("socket: errno \(errno)") }
        defer { close(descriptor) }
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) != 0 || getsockname(descriptor, $0, &length) != 0
            }
        }
        if failed { throw TestSupportError("bind: errno \(errno)") }
        return UInt16(bigEndian: address.sin_port)
    }

    /// A TCP port for a server of another process, which cannot tell what it got: never one that
    /// outgoing connections are given, and no port twice in this process.
    package static func reserve() throws -> UInt16 {
        // Below Linux's ephemeral range, 32768 to 60999 unless configured otherwise.
        let range: Range<UInt16> = 20_000..<32_000
        return try next.withLock { next in
            for _ in 0..<range.count {
                let following = next.map { $0 + 1 }
                let port =
                    following.flatMap { range.contains($0) ? $0 : nil } ?? .random(in: range)
                next = port
                if isFree(port) { return port }
            }
            throw TestSupportError("no port from 20000 to 31999 is free")
        }
    }

    private static let next = Locked<UInt16?>(nil)

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = loopback(port: port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// A connected blocking socket with 2 s receive timeout, or nil. The caller closes it.
    package static func connect(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        var timeout = timeval(tv_sec: 2 * patience, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = loopback(port: port)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
