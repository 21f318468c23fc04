// SPDX-License-Identifier: MIT
package import Addresses

/// One request to another server. A value: `perform` reads it and keeps nothing.
package struct Request: Sendable {
    /// An RFC 9110 token, sent as written.
    package var method: String
    /// Absolute, `http` or `https`, no user information.
    package var url: String
    /// Sent in order. Names are tokens; values hold no control characters but tab.
    package var fields: [(name: String, value: String)]
    /// Sent with `content-length`; nil sends none. An empty body is sent as length 0.
    package var body: [UInt8]?
    /// Bounds name lookup, connect and TLS together.
    package var connectTimeout: Duration
    /// One absolute bound from the name lookup to the last byte of the body, so that a peer which
    /// sends a byte a second holds nothing for longer.
    package var totalTimeout: Duration
    /// How much of a body is read.
    package var maxResponseBytes: Int
    /// What happens to a body that is longer than that, or that stalls.
    package var overflow: Overflow
    /// Addresses to use in place of a name lookup; nil asks the resolver.
    package var resolve: [IPAddress]?
    /// Asked of each address just before a socket for it is opened, so that a name which changes its
    /// answer between check and use gains nothing. False skips the address. nil admits all.
    package var admits: (@Sendable (_ address: IPAddress, _ port: UInt16) -> Bool)?
    /// A PEM file with the authorities to trust in place of the system's.
    package var authoritiesFile: String?
    /// Whether the connection may serve this thread's next request to the same server.
    package var keepsConnection: Bool
    /// Asked a few times a second while waiting; true ends the request with `.cancelled`.
    package var isCancelled: (@Sendable () -> Bool)?

    package enum Overflow: Sendable {
        /// `bodyTooLarge`, and a stalled body is a failure: for a peer whose answer is needed.
        case fail
        /// The response is given with what came, `isBodyTruncated` set: the status is what counts.
        case truncate
    }

    /// - Parameters:
    ///   - connectTimeout: 5 s: three SYNs go out in 3 s, and a retry costs less than a wait.
    ///   - totalTimeout: 15 s, what Standard Webhooks 1.0.0 recommends as the least.
    ///   - maxResponseBytes: 1 MiB.
    package init(
        method: String = "GET", url: String, fields: [(name: String, value: String)] = [],
        body: [UInt8]? = nil, connectTimeout: Duration = .seconds(5),
        totalTimeout: Duration = .seconds(15), maxResponseBytes: Int = 1 << 20,
        overflow: Overflow = .fail, resolve: [IPAddress]? = nil,
        admits: (@Sendable (IPAddress, UInt16) -> Bool)? = nil, authoritiesFile: String? = nil,
        keepsConnection: Bool = true, isCancelled: (@Sendable () -> Bool)? = nil
    ) {
        self.method = method
        self.url = url
        self.fields = fields
        self.body = body
        self.connectTimeout = connectTimeout
        self.totalTimeout = totalTimeout
        self.maxResponseBytes = maxResponseBytes
        self.overflow = overflow
        self.resolve = resolve
        self.admits = admits
        self.authoritiesFile = authoritiesFile
        self.keepsConnection = keepsConnection
        self.isCancelled = isCancelled
    }
}

/// Limits that hold for every response, whatever was asked.
package enum ResponseLimits {
    /// All field lines together, interim responses and trailers included.
    package static let maxHeadBytes = 16 << 10
    /// Field lines of one response.
    package static let maxFields = 100
    /// 1xx responses before the final one.
    package static let maxInterim = 5
}
