// SPDX-License-Identifier: MIT
internal import Glibc

/// TCP ports of 127.0.0.1.
enum Ports {
    /// Whether a server could listen there now. Stale as soon as it is said: it serves to word an
    /// error early, the service's own bind decides.
    static func isFree(_ port: UInt16) -> Bool { bound(port) != nil }

    /// A port that nobody listens on.
    static func anyFree() -> UInt16? { bound(0) }

    private static func bound(_ port: UInt16) -> UInt16? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // As the services do: connections of the last run in TIME_WAIT are no obstacle.
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard SocketAddress.loopback(port: port).call({ bind(descriptor, $0, $1) }) == 0,
            listen(descriptor, 1) == 0
        else { return nil }
        return SocketAddress.local(of: descriptor)?.port
    }
}

/// An IPv4 address with port.
struct SocketAddress {
    private var storage: sockaddr_in

    /// 127.`network`.`host` — all of 127.0.0.0/8 is loopback, so a client that needs more ports than
    /// one address has takes another.
    static func loopback(port: UInt16, network: UInt8 = 0, host: UInt16 = 1) -> SocketAddress {
        var storage = sockaddr_in()
        storage.sin_family = sa_family_t(AF_INET)
        storage.sin_port = port.bigEndian
        let address = 0x7F00_0000 | UInt32(network) << 16 | UInt32(host)
        storage.sin_addr = in_addr(s_addr: address.bigEndian)
        return SocketAddress(storage: storage)
    }

    /// A dotted decimal address, checked before; anything else is 0.0.0.0.
    init(host: String, port: UInt16) {
        storage = sockaddr_in()
        storage.sin_family = sa_family_t(AF_INET)
        storage.sin_port = port.bigEndian
        inet_pton(AF_INET, host, &storage.sin_addr)
    }

    private init(storage: sockaddr_in) { self.storage = storage }

    /// The address a socket is bound to.
    static func local(of descriptor: Int32) -> SocketAddress? {
        var storage = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
        }
        return result == 0 ? SocketAddress(storage: storage) : nil
    }

    var port: UInt16 { UInt16(bigEndian: storage.sin_port) }

    /// Lends the address to a system call.
    func call<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
