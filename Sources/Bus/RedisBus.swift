// SPDX-License-Identifier: MIT
internal import ChatCore
internal import DequeModule
internal import Glibc
package import Metrics
internal import Reactor
internal import Locks
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
/// publishing drops, and when too much waits for a slow server, the oldest: readers of announcements
/// find what they missed in the log, and what was live is stale by then. After a reconnect everything
/// is subscribed again.
///
/// A message of our own goes round through the server each second: its time is `bus_lag_seconds`.
package final class RedisBus: Bus {
    /// Bytes that may wait for the server before the oldest messages are dropped.
    package static let maxQueueBytes = 8 << 20

    private struct State {
        var handlers: [String: [@Sendable ([UInt8]) -> Void]] = [:]
        /// Channels the server has confirmed on this connection.
        var confirmed: Set<String> = []
        var isServing = false
        var isStopped = false
        /// Whether the thread will look at this state without being woken.
        var isWoken = false
        /// Whole commands, oldest first.
        var outgoing = Deque<[UInt8]>()
        var outgoingBytes = 0
        var lastFailure: String?
        /// Since when a beat is on its way; nil: the last one is back.
        var beatSent: Instant?
        var lag: Duration = .zero
        /// Since when there has been no connection after there was one.
        var lostSince: Instant?
        var lastHeal: Duration = .zero

        /// Takes in a command and drops the oldest that are too many.
        /// - Returns: how many were dropped.
        mutating func append(_ command: [UInt8]) -> Int {
            outgoing.append(command)
            outgoingBytes += command.count
            var dropped = 0
            while outgoingBytes > RedisBus.maxQueueBytes, let oldest = outgoing.popFirst() {
                outgoingBytes -= oldest.count
                dropped += 1
            }
            return dropped
        }

        mutating func takeOutgoing() -> [UInt8] {
            defer {
                outgoing.removeAll(keepingCapacity: true)
                outgoingBytes = 0
            }
            var all: [UInt8] = []
            all.reserveCapacity(outgoingBytes)
            for command in outgoing { all.append(contentsOf: command) }
            return all
        }
    }

    private let url: RedisURL
    private let state = Locked(State())
    private let thread = Locked<WorkerThread?>(nil)
    /// A byte written to `.1` ends the thread's sleep.
    private let wakeEnds: (read: Int32, write: Int32)
    private let published: Counter
    private let dropped: Counter
    private let received: Counter
    private let connections: Counter
    private let losses: Counter
    /// Where our beats go: a channel of this process alone.
    private let beatChannel: String

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
        beatChannel = "chat:beat:\(UInt64.random(in: 0 ... .max))"
        published = metrics.counter(
            "bus_published_total", help: "Messages given to the bus and taken.")
        dropped = metrics.counter(
            "bus_dropped_total", help: "Messages dropped: no connection or a full queue.")
        received = metrics.counter("bus_received_total", help: "Messages received.")
        connections = metrics.counter(
            "bus_connections_total", help: "Times a connection to the broker was made.")
        losses = metrics.counter(
            "bus_losses_total", help: "Times a connection to the broker that served was lost.")
        metrics.gauge("bus_connected", help: "1 while messages go through, else 0.") {
            [weak self] in self?.isConnected == true ? 1 : 0
        }
        metrics.gauge(
            "bus_lag_seconds",
            help: "Time a message takes through the broker and back, or has taken so far."
        ) { [weak self] in (self?.lag.nanoseconds).map { Double($0) / 1e9 } ?? 0 }
        metrics.gauge(
            "bus_heal_seconds",
            help: "How long the last outage of the broker took, until all was subscribed again."
        ) { [weak self] in
            (self?.state.withLock { $0.lastHeal.nanoseconds }).map { Double($0) / 1e9 } ?? 0
        }
        thread.withLock { $0 = WorkerThread(name: "chat-bus") { [self] in run() } }
    }

    deinit {
        close(wakeEnds.read)
        close(wakeEnds.write)
    }

    package func publish(_ channel: String, _ payload: [UInt8]) {
        var command: [UInt8] = []
        RedisCommand.writePublish(channel, payload, into: &command)
        let (lost, mustWake) = state.withLock { [command] state -> (Int?, Bool) in
            guard state.isServing, !state.isStopped else { return (nil, false) }
            let lost = state.append(command)
            defer { state.isWoken = true }
            return (lost, !state.isWoken)
        }
        if lost != nil { published.increment() }
        dropped.increment(by: lost ?? 1)
        if mustWake { wake() }
    }

    package func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        state.withLock { $0.handlers[channel, default: []].append(handler) }
        wake()
    }

    /// How long a message takes through the server and back: of the last one, or of the one under way
    /// when that has taken longer already.
    package var lag: Duration {
        let now = SystemClock.now()
        return state.withLock { state in
            max(state.lag, state.beatSent.map { now - $0 } ?? .zero)
        }
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
                    if state.isServing {
                        state.lostSince = state.lostSince ?? SystemClock.now()
                        losses.increment()
                    }
                    state.isServing = false
                    state.confirmed = []
                    _ = state.takeOutgoing()
                    state.beatSent = nil
                    state.lastFailure = error.description
                }
                sleep(RedisBus.backOff(after: failures))
                failures += 1
            }
        }
    }

    /// 50 ms, doubled each time up to 0.8 s, and up to half of it taken off by chance, so that not all
    /// processes come back to a restarted server in the same moment. No outage lasts longer than this
    /// for being over: what depends on the server is to heal within two seconds.
    static func backOff(after failures: Int) -> Duration {
        let milliseconds = 50 << min(failures, 4)
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
        // Its own messages come back once it is subscribed to them: the first may be missed.
        var nextBeat = SystemClock.now() + RedisLink.pingInterval
        subscriber.queue(["SUBSCRIBE", beatChannel])
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
                if takesOutput { outgoing = state.takeOutgoing() }
                state.isWoken = false
                return (
                    isReady && asked.count < state.handlers.count
                        ? state.handlers.keys.filter { !asked.contains($0) } : [],
                    state.isStopped
                )
            }
            if isReady { onGreeted() }
            if !outgoing.isEmpty { publisher.queue(outgoing) }
            if isReady, SystemClock.now() >= nextBeat {
                nextBeat = beat(publisher)
            }
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

    /// Sends a message to ourselves, unless the last one is still on its way.
    /// - Returns: when the next is due.
    private func beat(_ publisher: RedisLink) -> Instant {
        let now = SystemClock.now()
        let isFree = state.withLock { state in
            // One that has not come for so long never will: it was dropped, not delayed.
            guard state.beatSent.map({ now - $0 > RedisLink.pingInterval * 3 }) ?? true else {
                return false
            }
            state.beatSent = now
            return true
        }
        if isFree {
            var command: [UInt8] = []
            RedisCommand.writePublish(beatChannel, [], into: &command)
            publisher.queue(command)
        }
        return now + RedisLink.pingInterval
    }

    private func beatCame() {
        let now = SystemClock.now()
        state.withLock { state in
            if let sent = state.beatSent { state.lag = now - sent }
            state.beatSent = nil
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
            case .message(beatChannel, _): beatCame()
            case .message(let channel, let payload): messages.append((channel, payload))
            case .subscribed(beatChannel): break
            case .subscribed(let channel): confirmed.append(channel)
            case .other: try RedisBus.check(reply, &isGreeted)
            }
        }
        let handlers = state.withLock { state in
            state.confirmed.formUnion(confirmed)
            if let lost = state.lostSince, state.confirmed.count == state.handlers.count {
                state.lastHeal = SystemClock.now() - lost
                state.lostSince = nil
            }
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
