// SPDX-License-Identifier: MIT
package import Addresses
package import HTTP1
package import TLS
package import WebSocket

/// How a server listens and what it bears.
package struct ServerConfiguration: Sendable {
    /// Numeric IPv4 or IPv6 address.
    package var host: String
    /// 0 lets the kernel choose.
    package var port: Int
    /// Event loops, one thread each.
    package var loops: Int
    /// Threads for handlers that block.
    package var workers: Int
    /// Requests that may wait for a worker before 503 is answered.
    package var workerQueue: Int = 1024
    /// Connections over all loops; more are closed at once. The default leaves descriptors for
    /// databases below the common hard limit of 20,000.
    package var maxConnections: Int = 19_000
    /// Connections from one address, trusted proxies excepted. Nil: no bound (load tests).
    package var maxConnectionsPerAddress: Int? = 512
    /// Proxies in front of this server. What they say about a client is believed, and ignored from
    /// anybody else. Empty: clients come directly.
    package var trustedProxies: [NetworkRange] = []
    /// The field in which they say it.
    package var forwardingField = ForwardingField.xForwardedFor
    /// Whether connections from them begin with a PROXY header. One without is closed: there is no way
    /// to tell a missing header from a client's own bytes.
    package var readsProxyHeaders = false
    /// Whether answers of 1 KiB and more are compressed for clients that take gzip. Not where answers
    /// hold a secret beside what the client sent: their length would tell of it (BREACH).
    package var compressesAnswers = true
    /// What the listener proves itself with: all its connections speak TLS then. Nil: none does.
    package var tls: TLSCredentials?
    /// Bytes of messages that are not whole yet, kept for all connections together; each loop has its
    /// share, at least 8 MiB. The first 16 KiB of a connection's do not count, so that who sends little is
    /// served whatever others have begun. Who asks for more is told to come back.
    package var maxHeldBytes: Int = 64 << 20
    package var http: HTTPLimits = HTTPLimits()
    package var webSocket: WebSocketLimits = WebSocketLimits()
    /// From accept to the end of the PROXY header and the TLS handshake.
    package var handshakeTimeout: Duration = .seconds(10)
    /// From the first byte of a request to the end of its head.
    package var headerTimeout: Duration = .seconds(10)
    /// From the end of the head to the end of the body.
    package var bodyTimeout: Duration = .seconds(30)
    /// Between requests. Above nginx's 60 s towards its upstreams, so that the proxy closes first.
    package var idleTimeout: Duration = .seconds(75)
    /// Without the socket taking a single byte of what waits.
    package var writeTimeout: Duration = .seconds(30)
    /// From our close frame, or our last response, to the peer's end.
    package var closeTimeout: Duration = .seconds(3)
    /// Over how long a drain lets streams go, so that clients do not all come back at once. Below the
    /// time a service has for its whole drain.
    package var drainTime: Duration = .seconds(4)

    /// Whether the sends of a broadcast are performed together.
    package var sendBatches = SendBatches.auto

    /// Bytes from which a message is compressed, where the client takes it: shorter ones gain less than
    /// they cost. From there on what does not shrink is sent as it is; 0 compresses everything.
    package var deflateThreshold = 256

    /// Bytes of one WebSocket message, after decompression.
    package var maxMessageBytes: Int {
        get { webSocket.maxMessageBytes }
        set { webSocket.maxMessageBytes = newValue }
    }

    package init(host: String = "127.0.0.1", port: Int, loops: Int = 1, workers: Int = 4) {
        self.host = host
        self.port = port
        self.loops = loops
        self.workers = workers
    }
}

/// Whether the sends of a broadcast are performed together, by io_uring.
package enum SendBatches: String, CaseIterable, Sendable {
    /// Where the kernel has it and allows it.
    case auto
    /// A server does not start without.
    case on
    case off
}
