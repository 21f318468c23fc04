// SPDX-License-Identifier: MIT
internal import Glibc
internal import Timing

/// Why a connection to Redis ended, in words for an operator's log.
struct RedisLinkError: Error, Hashable, Sendable {
    let description: String
}

/// One non-blocking connection to a Redis server, used by one thread. Owns its descriptor.
final class RedisLink {
    let descriptor: Int32
    /// When the server was last heard, and when a PING last left.
    private(set) var lastHeard: Instant
    private var lastPing: Instant
    /// Bytes not sent yet, from `sent` on.
    private var output: [UInt8] = []
    private var sent = 0
    private var reader = RedisReplyReader()
    private var input = [UInt8](repeating: 0, count: 65_536)

    /// The server is asked for a sign of life this often, and given up after three times as long.
    static let pingInterval: Duration = .seconds(1)

    /// Connects, at most for `timeout` at each of the host's addresses, and queues the greeting: its
    /// replies come first.
    init(to url: RedisURL, timeout: Duration = .seconds(1)) throws(RedisLinkError) {
        descriptor = try RedisLink.connect(url.host, url.port, timeout)
        lastHeard = SystemClock.now()
        lastPing = lastHeard
        if let password = url.password {
            queue(["AUTH"] + (url.user.map { [$0] } ?? []) + [password])
        }
        if url.database != 0 { queue(["SELECT", "\(url.database)"]) }
        queue(["PING"])
    }

    deinit { close(descriptor) }

    /// Whether bytes wait to be sent.
    var hasOutput: Bool { sent < output.count }

    /// Queues a command.
    func queue(_ words: [String]) { RedisCommand.write(words, into: &output) }

    /// Queues bytes that are whole commands.
    func queue(_ commands: [UInt8]) {
        if hasOutput { output += commands } else { (output, sent) = (commands, 0) }
    }

    /// Sends what goes without waiting.
    func flush() throws(RedisLinkError) {
        while hasOutput {
            let count = output.withUnsafeBytes { bytes in
                send(
                    descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return }
                throw RedisLinkError(description: "sending failed: errno \(errno)")
            }
            sent += count
        }
        output.removeAll(keepingCapacity: output.capacity <= 1 << 20)
        sent = 0
    }

    /// Takes in what has arrived and gives each whole reply to `body`.
    func receive(
        _ body: (RedisReply) throws(RedisLinkError) -> Void
    ) throws(RedisLinkError) {
        while true {
            let count = recv(descriptor, &input, input.count, 0)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return }
                throw RedisLinkError(description: "receiving failed: errno \(errno)")
            }
            guard count > 0 else {
                throw RedisLinkError(description: "the server closed the connection")
            }
            lastHeard = SystemClock.now()
            // A local: of a span of the property itself the 6.3 optimiser says that it escapes.
            do {
                let input = input
                reader.feed(input.span.extracting(0..<count))
            }
            do throws(RedisProtocolError) {
                while let reply = try reader.next() { replies.append(reply) }
            } catch {
                throw RedisLinkError(description: "not the Redis protocol: \(error.description)")
            }
            for reply in replies { try body(reply) }
            replies.removeAll(keepingCapacity: true)
            if count < input.count { return }
        }
    }

    private var replies: [RedisReply] = []

    /// Asks for a sign of life when it is time, and gives up a server that gives none.
    func beat(now: Instant) throws(RedisLinkError) {
        if now - lastHeard > RedisLink.pingInterval * 3 {
            throw RedisLinkError(description: "the server does not answer")
        }
        if now - lastPing >= RedisLink.pingInterval {
            lastPing = now
            queue(["PING"])
        }
    }

    private static func connect(
        _ host: String, _ port: UInt16, _ timeout: Duration
    ) throws(RedisLinkError) -> Int32 {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0 else {
            throw RedisLinkError(description: "the name \(host) cannot be resolved")
        }
        defer { freeaddrinfo(list) }
        var failure = "no address for \(host)"
        var next = list
        while let address = next {
            next = address.pointee.ai_next
            let descriptor = socket(
                address.pointee.ai_family,
                Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else {
                failure = "no socket: errno \(errno)"
                continue
            }
            var code = Glibc.connect(
                descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen)
            if code != 0, errno == EINPROGRESS {
                var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                code = -1
                errno = ETIMEDOUT
                if poll(&poller, 1, Int32(clamping: timeout.milliseconds)) == 1 {
                    var problem: Int32 = 0
                    var length = socklen_t(MemoryLayout<Int32>.size)
                    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &problem, &length)
                    code = problem == 0 ? 0 : -1
                    errno = problem
                }
            }
            if code == 0 {
                var one: Int32 = 1
                setsockopt(
                    descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one,
                    socklen_t(MemoryLayout<Int32>.size))
                // A server cut off by the network is noticed by PINGs; the kernel need not send on.
                var patience = Int32(RedisLink.pingInterval.milliseconds * 4)
                setsockopt(
                    descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &patience,
                    socklen_t(MemoryLayout<Int32>.size))
                setsockopt(
                    descriptor, SOL_SOCKET, SO_KEEPALIVE, &one,
                    socklen_t(MemoryLayout<Int32>.size))
                return descriptor
            }
            failure = "\(host):\(port) cannot be reached: errno \(errno)"
            close(descriptor)
        }
        throw RedisLinkError(description: failure)
    }
}
