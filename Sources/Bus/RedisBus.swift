// SPDX-License-Identifier: MIT
internal import ChatCore
internal import Glibc
package import Metrics
internal import Reactor
internal import Synchronization
internal import Timing

/// Publish and subscribe over a Redis server, on one thread with two connections (a connection that
/// subscribes can do nothing else in version 2 of the protocol).
///
/// ```
///   connecting ──both greeted──► serving ──a connection ends──► waiting ──back-off──► connecting
///        └──────────────────────── fails ─────────────────────────▲
/// ```
///
/// What is published in one round of the thread leaves in one write. While there is no connection,
/// publishing drops: readers of announcements find what they missed in the log, and what was live is
/// stale by then. After a reconnect everything is subscribed again.
package final class RedisBus: Bus {
    /// Bytes that may wait for the server before publishing drops.
    package static let maxQueueBytes = 8 << 20

    private struct State {
        var handlers: [String: [@Sendable ([UInt8]) -> Void]] = [:]
        /// Channels the server has confirmed on this connection.
        var confirmed: Set<String> = []
        var isServing = false
        var isStopped = false
        /// Whether the thread will look at this state without being woken.
        var isWoken = false
        var outgoing: [UInt8] = []
        var lastFailure: String?
    }

    private let url: RedisURL
    private let state = Mutex(State())
    private let thread = Mutex<WorkerThread?>(nil)
    /// A byte written to `.1` ends the thread's sleep.
    private let wakeEnds: (read: Int32, write: Int32)
    private let published: Counter
    private let dropped: Counter
    private let received: Counter
    private let connections: Counter

    /// Starts connecting; returns at once. `isConnected` tells when it is done.
    /// - Parameter url: `redis://[user][:password@]host[:port][/database]`.
    /// - Throws: when the URL is none; never because the server is away.
    package init(url: String, metrics: MetricsRegistry = MetricsRegistry()) throws(RedisURLError) {
        self.url = try RedisURL(url)
        var ends: (Int32, Int32) = (-1, -1)
        let code = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) {
                socketpair(
                    AF_UNIX,
                    Int32(
                        SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0,
                    $0)
            }
        }
        precondition(code == 0, "no descriptors at start")
        wakeEnds = ends
        published = metrics.counter(
            "bus_published_total", help: "Messages given to the bus and taken.")
        dropped = metrics.counter(
            "bus_dropped_total", help: "Messages dropped: no connection or a full queue.")
        received = metrics.counter("bus_received_total", help: "Messages received.")
        connections = metrics.counter(
            "bus_connections_total", help: "Times a connection to the broker was made.")
        metrics.gauge("bus_connected", help: "1 while messages go through, else 0.") {
            [weak self] in self?.isConnected == true ? 1 : 0
        }
        thread.withLock { $0 = WorkerThread(name: "chat-bus") { [self] in run() } }
    }

    deinit {
        close(wakeEnds.read)
        close(wakeEnds.write)
    }

    package func publish(_ channel: String, _ payload: [UInt8]) {
        let (isTaken, mustWake) = state.withLock { state -> (Bool, Bool) in
            guard state.isServing, !state.isStopped,
                state.outgoing.count + payload.count <= RedisBus.maxQueueBytes
            else { return (false, false) }
            RedisCommand.writePublish(channel, payload, into: &state.outgoing)
            defer { state.isWoken = true }
            return (true, !state.isWoken)
        }
        if isTaken { published.increment() } else { dropped.increment() }
        if mustWake { wake() }
    }

    package func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        state.withLock { $0.handlers[channel, default: []].append(handler) }
        wake()
    }

    /// Whether both connections are greeted and the server has confirmed every channel.
    package var isConnected: Bool {
        state.withLock { $0.isServing && $0.confirmed.count == $0.handlers.count }
    }

    /// Why there is no connection, for a health page or a log; nil while there is one.
    package var lastFailure: String? {
        state.withLock { $0.isServing ? nil : $0.lastFailure }
    }

    /// Sends what goes at once and ends the thread. Not from a handler.
    package func stop() {
        state.withLock { $0.isStopped = true }
        wake()
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    private func wake() {
        var byte: UInt8 = 1
        // A full pipe means that it is awake anyway.
        _ = write(wakeEnds.write, &byte, 1)
    }

    // MARK: The thread

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func run() {
        var failures = 0
        while !isStopped {
            do throws(RedisLinkError) {
                let publisher = try RedisLink(to: url)
                let subscriber = try RedisLink(to: url)
                try serve(publisher, subscriber, onGreeted: { failures = 0 })
            } catch {
                state.withLock { state in
                    state.isServing = false
                    state.confirmed = []
                    state.outgoing = []
                    state.lastFailure = error.description
                }
                sleep(RedisBus.backOff(after: failures))
                failures += 1
            }
        }
    }

    /// 50 ms, doubled each time up to 1.6 s, and up to half of it taken off by chance, so that not all
    /// processes come back to a restarted server in the same moment.
    static func backOff(after failures: Int) -> Duration {
        let milliseconds = 50 << min(failures, 5)
        return .milliseconds(milliseconds - Int.random(in: 0...milliseconds / 2))
    }

    private func sleep(_ duration: Duration) {
        let end = SystemClock.now() + duration
        while !isStopped {
            let left = (end - SystemClock.now()).milliseconds
            guard left > 0 else { return }
            var pollers = [pollfd(fd: wakeEnds.read, events: Int16(POLLIN), revents: 0)]
            poll(&pollers, 1, Int32(clamping: left))
            drainWakes()
        }
    }

    private func drainWakes() {
        var bytes: (UInt64, UInt64) = (0, 0)
        while read(wakeEnds.read, &bytes, 16) == 16 {}
    }

    /// Serves until stopped; throws when a connection ends.
    private func serve(
        _ publisher: RedisLink, _ subscriber: RedisLink, onGreeted: () -> Void
    ) throws(RedisLinkError) {
        var greeted: (publisher: Bool, subscriber: Bool) = (false, false)
        var asked: Set<String> = []
        while true {
            let isReady = greeted.publisher && greeted.subscriber
            // Takes the next load only when the last has left, so at most two queues' worth wait.
            let takesOutput = isReady && !publisher.hasOutput
            var outgoing: [UInt8] = []
            let (wanted, isStopped) = state.withLock { state in
                if isReady, !state.isServing {
                    state.isServing = true
                    connections.increment()
                }
                if takesOutput { swap(&outgoing, &state.outgoing) }
                state.isWoken = false
                return (
                    isReady && asked.count < state.handlers.count
                        ? state.handlers.keys.filter { !asked.contains($0) } : [],
                    state.isStopped
                )
            }
            if isReady { onGreeted() }
            if !outgoing.isEmpty { publisher.queue(outgoing) }
            asked.formUnion(wanted)
            // Large sets in parts: one huge command would hold up everything behind it.
            for start in stride(from: 0, to: wanted.count, by: 512) {
                subscriber.queue(["SUBSCRIBE"] + wanted[start..<min(start + 512, wanted.count)])
            }
            let now = SystemClock.now()
            try publisher.beat(now: now)
            try subscriber.beat(now: now)
            try publisher.flush()
            try subscriber.flush()
            if isStopped { return }

            var pollers = [
                pollfd(fd: wakeEnds.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: publisher.descriptor, events: interest(publisher), revents: 0),
                pollfd(fd: subscriber.descriptor, events: interest(subscriber), revents: 0),
            ]
            poll(&pollers, 3, Int32(RedisLink.pingInterval.milliseconds / 2))
            if pollers[0].revents != 0 { drainWakes() }
            if pollers[1].revents != 0 {
                try publisher.receive { (reply) throws(RedisLinkError) in
                    try RedisBus.check(reply, &greeted.publisher)
                }
            }
            if pollers[2].revents != 0 { try receive(subscriber, &greeted.subscriber) }
        }
    }

    private func interest(_ link: RedisLink) -> Int16 {
        Int16(link.hasOutput ? POLLIN | POLLOUT : POLLIN)
    }

    private func receive(_ link: RedisLink, _ isGreeted: inout Bool) throws(RedisLinkError) {
        var confirmed: [String] = []
        var messages: [(channel: String, payload: [UInt8])] = []
        try link.receive { (reply) throws(RedisLinkError) in
            switch RedisPush(reply) {
            case .message(let channel, let payload): messages.append((channel, payload))
            case .subscribed(let channel): confirmed.append(channel)
            case .other: try RedisBus.check(reply, &isGreeted)
            }
        }
        let handlers = state.withLock { state in
            state.confirmed.formUnion(confirmed)
            return state.handlers
        }
        received.increment(by: messages.count)
        for (channel, payload) in messages {
            for handler in handlers[channel] ?? [] { handler(payload) }
        }
    }

    /// The greeting ends with the answer to its PING; an error before means that we are not let in,
    /// one after it (out of memory, read only) concerns a message that is lost, as any may be.
    private static func check(
        _ reply: RedisReply, _ isGreeted: inout Bool
    ) throws(RedisLinkError) {
        switch reply {
        case .status("PONG"): isGreeted = true
        case .error(let text) where !isGreeted:
            throw RedisLinkError(description: "the server refuses us: \(text)")
        default: break
        }
    }
}
