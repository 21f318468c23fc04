// SPDX-License-Identifier: MIT
internal import Glibc

/// Where a chat server is: host and port of an `http` URL.
struct ServerAddress: Hashable, Sendable {
    /// Dotted decimal.
    let host: String
    let port: UInt16

    /// Reads `http://HOST[:PORT]`. Clients of ours run beside the server, in clear text: HOST is a
    /// numeric IPv4 address or `localhost`.
    init(url: String) throws(SocketClientError) {
        guard url.hasPrefix("http://") else { throw .badURL(url) }
        let authority = url.dropFirst(7).prefix { $0 != "/" }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        let host = parts[0] == "localhost" ? "127.0.0.1" : String(parts[0])
        var address = in_addr()
        guard parts.count <= 2, inet_pton(AF_INET, host, &address) == 1,
            let port = parts.count == 2 ? UInt16(parts[1]) : 80, port > 0
        else { throw .badURL(url) }
        self.host = host
        self.port = port
    }

    var authority: String { "\(host):\(port)" }

    /// The address for system calls.
    var socketAddress: SocketAddress { SocketAddress(host: host, port: port) }
}
