// SPDX-License-Identifier: MIT
internal import CLinux
internal import DequeModule
internal import Glibc
package import Metrics
internal import Reactor
internal import Locks
internal import Timing

/// The instances of one data directory, each linked to each over local sockets: messages of the bus
/// without a broker, requests that landed on the wrong instance, and listening sockets for a
/// successor. Everything runs on one thread; nothing here blocks a caller.
///
/// Two links join each pair, one called by each side, so that who sends has a link of its own:
///
///     ┌── 0 ──┐ hello, beat, message, connection ┌── 1 ──┐
///     │  out ─┼─────────────────────────────────►│ in    │
///     │   in  │◄─────────────────────────────────┼─ out  │
///     └───────┘                                  └───────┘
///
/// A beat a second says that the sender lives. Who has not been heard for `silence` gets no requests
/// until it is heard again; who has ended is known at once, as its links end with it.
///
/// Bounds: `maxMessageBytes` and `maxParcels` wait for each peer; past the first the oldest messages
/// are dropped, as a bus may, past the second requests are refused.
package final class InstanceMesh: Sendable {
    /// Bytes of messages that may wait for one peer.
    package static let maxMessageBytes = 8 << 20
    /// Requests that may wait for one peer.
    package static let maxParcels = 256
    /// Messages of our own that may wait for our own subscribers.
    private static let maxInboxCount = 65_536
    private static let beatInterval: Duration = .seconds(1)
    private static let silence: Duration = .seconds(3)

    /// What waits for one peer, and whether it lives.
    private struct Outgoing {
        var messages = Deque<[UInt8]>()
        var messageBytes = 0
        var parcels = Deque<InstanceParcel>()
        var lastHeard: Instant

        /// Puts a message at the end and drops the oldest that are too many.
        /// - Returns: how many were dropped.
        mutating func append(message: [UInt8]) -> Int {
            messages.append(message)
            messageBytes += message.count
            var dropped = 0
            while messageBytes > InstanceMesh.maxMessageBytes, let oldest = messages.popFirst() {
                messageBytes -= oldest.count
                dropped += 1
            }
            return dropped
        }
    }

    private struct State {
        /// Peers that we have a link to.
        var outgoing: [Int: Outgoing] = [:]
        /// Our own messages, for our own subscribers.
        var inbox: [(channel: String, payload: [UInt8])] = []
        var isWoken = false
        var isStopped = false
        var onMessage: (@Sendable (String, [UInt8]) -> Void)?
        var onConnection: (@Sendable (Int32, PassedRequest) -> Void)?
        var onPeers: (@Sendable () -> Void)?
        var listeners: (@Sendable (_ host: String, _ port: Int) -> [Int32])?
        var onTakenOver: (@Sendable () -> Void)?
    }

    /// This process's number among the instances of the directory.
    package var number: Int { directory.number }

    let directory: InstanceDirectory
    private let state = Locked(State())
    private let thread = Locked<WorkerThread?>(nil)
    private let wake: Int32
    private let dropped: Counter
    private let passed: Counter
    private let returned: Counter
    private let received: Counter

    /// Takes a number and a socket in `path` and begins to look for the others.
    /// - Parameter path: a folder that is made when it is missing, mode 0700; the same one for all
    ///   instances of a data directory.
    package init(
        directory path: String, metrics: MetricsRegistry = MetricsRegistry()
    ) throws(InstanceError) {
        directory = try InstanceDirectory(path: path)
        wake = clinux_eventfd()
        precondition(wake >= 0, "eventfd: out of descriptors at start")
        dropped = metrics.counter(
            "instance_messages_dropped_total",
            help: "Messages for another instance that it did not take in time.")
        passed = metrics.counter(
            "instance_requests_passed_total",
            help: "Requests handed to the instance of their session, with their connection.")
        returned = metrics.counter(
            "instance_requests_returned_total",
            help: "Requests whose instance went away before it took them.")
        received = metrics.counter(
            "instance_requests_received_total", help: "Requests handed over by another instance.")
        metrics.gauge("instance_peers", help: "Other instances of this store heard of lately.") {
            [weak self] in Double(self?.peers.count ?? 0)
        }
        thread.withLock { $0 = WorkerThread(name: "instances") { [self] in run() } }
    }

    deinit { _ = clinux_close(wake) }

    // MARK: What comes in

    /// Sets who gets messages, on the mesh's thread, ours included: (channel, payload).
    package func onMessage(_ handler: @escaping @Sendable (String, [UInt8]) -> Void) {
        state.withLock { $0.onMessage = handler }
    }

    /// Sets who gets requests, on the mesh's thread. The descriptor is the handler's.
    package func onConnection(_ handler: @escaping @Sendable (Int32, PassedRequest) -> Void) {
        state.withLock { $0.onConnection = handler }
    }

    /// Sets who is told, on the mesh's thread, when another instance appears or goes.
    package func onPeers(_ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0.onPeers = handler }
    }

    /// Sets what a successor gets.
    /// - Parameters:
    ///   - listeners: duplicates of the listening sockets of an address; empty when it is not ours.
    ///   - takenOver: the successor accepts connections: drain and end.
    package func onTakeOver(
        listeners: @escaping @Sendable (_ host: String, _ port: Int) -> [Int32],
        takenOver: @escaping @Sendable () -> Void
    ) {
        state.withLock {
            $0.listeners = listeners
            $0.onTakenOver = takenOver
        }
    }

    // MARK: What goes out

    /// Sends a message to every instance, this one included. Never blocks.
    package func publish(_ channel: String, _ payload: [UInt8]) {
        let frame = InstanceFrame.message(channel: channel, payload: payload).encoded()
        let (mustWake, lost) = state.withLock { state -> (Bool, Int) in
            guard !state.isStopped else { return (false, 0) }
            var lost = 0
            if state.inbox.count < InstanceMesh.maxInboxCount {
                state.inbox.append((channel, payload))
            } else {
                lost += 1
            }
            for peer in state.outgoing.keys {
                lost += state.outgoing[peer]?.append(message: frame) ?? 0
            }
            defer { state.isWoken = true }
            return (!state.isWoken, lost)
        }
        if lost > 0 { dropped.increment(by: lost) }
        if mustWake { wakeUp() }
    }

    /// Hands a request with its connection to its instance.
    /// - Parameters:
    ///   - descriptor: the caller's until this returns true.
    ///   - giveBack: called on the mesh's thread when the peer went away before it took the request;
    ///     the descriptor is the caller's again.
    /// - Returns: false when there is no such instance now, or too much waits for it.
    package func pass(
        _ descriptor: Int32, _ request: PassedRequest, to peer: Int,
        giveBack: @escaping @Sendable () -> Void
    ) -> Bool {
        let frame = InstanceFrame.connection(request).encoded(descriptors: 1)
        guard frame.count <= InstanceFrame.maxBytes else { return false }
        let now = SystemClock.now()
        let (isTaken, mustWake) = state.withLock { state -> (Bool, Bool) in
            guard !state.isStopped, let outgoing = state.outgoing[peer],
                now - outgoing.lastHeard < InstanceMesh.silence,
                outgoing.parcels.count < InstanceMesh.maxParcels
            else { return (false, false) }
            state.outgoing[peer]?.parcels.append(
                InstanceParcel(
                    frame: frame, descriptors: [descriptor], giveBack: giveBack, since: now))
            defer { state.isWoken = true }
            return (true, !state.isWoken)
        }
        if isTaken { passed.increment() }
        if mustWake { wakeUp() }
        return isTaken
    }

    /// Numbers of the other instances that have been heard of lately.
    package var peers: [Int] {
        let now = SystemClock.now()
        return state.withLock { state in
            state.outgoing.filter { now - $0.value.lastHeard < InstanceMesh.silence }.keys.sorted()
        }
    }

    /// Sends what goes at once and ends the thread. Not from a handler.
    package func stop() {
        state.withLock { $0.isStopped = true }
        wakeUp()
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    private func wakeUp() { _ = clinux_eventfd_signal(wake) }

    // MARK: The thread

    private func run() {
        var links: [InstanceLink] = []
        var nextBeat = SystemClock.now()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let now = SystemClock.now()
            if now >= nextBeat {
                nextBeat = now + InstanceMesh.beatInterval
                beat(&links, now: now)
            }
            let (inbox, isStopped) = collect(links)
            if isStopped {
                for link in links { try? link.flush() }
                break
            }
            deliver(inbox)
            forEach(&links) { (link) throws(InstanceLinkError) in try link.flush() }

            var pollers = [
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
                pollfd(fd: directory.listener, events: Int16(POLLIN), revents: 0),
            ]
            for link in links {
                pollers.append(
                    pollfd(
                        fd: link.descriptor,
                        events: Int16(link.hasOutput ? POLLIN | POLLOUT : POLLIN), revents: 0))
            }
            let left = (nextBeat - SystemClock.now()).milliseconds
            poll(&pollers, nfds_t(pollers.count), Int32(clamping: max(0, left) + 1))
            if pollers[0].revents != 0 { _ = clinux_eventfd_drain(wake) }
            var ready = pollers[2...].map { $0.revents != 0 }[...]
            var called: [Int] = []
            forEach(&links) { (link) throws(InstanceLinkError) in
                guard ready.popFirst() == true else { return }
                try link.receive(buffer: buffer) { frame, descriptors in
                    if let number = received(frame, descriptors, on: link) { called.append(number) }
                }
            }
            if pollers[1].revents != 0 { accept(&links) }
            for number in called { connect(to: number, &links) }
        }
        directory.leave()
        links.removeAll()
        let rest = state.withLock { state in
            let rest = state.outgoing.values.flatMap { $0.parcels }
            state.outgoing = [:]
            state.inbox = []
            return rest
        }
        for parcel in rest { parcel.undelivered() }
    }

    /// Says that we live, looks for those not yet linked, and gives up on requests that a silent
    /// peer does not take.
    private func beat(_ links: inout [InstanceLink], now: Instant) {
        for number in directory.others() { connect(to: number, &links) }
        let beat = InstanceParcel(frame: InstanceFrame.beat.encoded())
        for link in links where link.isOutgoing && !link.hasOutput { link.queue(beat) }
        let moment = Instant(
            nanoseconds: now.nanoseconds - InstanceMesh.silence.nanoseconds)
        for link in links { link.giveUp(before: moment) }
        let late = state.withLock { state in
            var late: [InstanceParcel] = []
            for peer in state.outgoing.keys {
                while let first = state.outgoing[peer]?.parcels.first, first.since < moment {
                    late.append(first)
                    state.outgoing[peer]?.parcels.removeFirst()
                }
            }
            return late
        }
        returned.increment(by: late.count)
        for parcel in late { parcel.undelivered() }
    }

    /// Moves what waits to the links that have sent everything, so that at most twice the bounds wait.
    private func collect(
        _ links: [InstanceLink]
    ) -> (inbox: [(channel: String, payload: [UInt8])], isStopped: Bool) {
        let idle = links.filter { $0.isOutgoing && !$0.hasOutput }
        var inbox: [(channel: String, payload: [UInt8])] = []
        var loads: [(InstanceLink, Outgoing)] = []
        let isStopped = state.withLock { state in
            swap(&inbox, &state.inbox)
            state.isWoken = false
            for link in idle {
                guard let peer = link.peer, var outgoing = state.outgoing[peer] else { continue }
                loads.append((link, outgoing))
                outgoing.messages = []
                outgoing.messageBytes = 0
                outgoing.parcels = []
                state.outgoing[peer] = outgoing
            }
            return state.isStopped
        }
        for (link, load) in loads {
            for parcel in load.parcels { link.queue(parcel) }
            for frame in load.messages { link.queue(InstanceParcel(frame: frame)) }
        }
        return (inbox, isStopped)
    }

    private func deliver(_ inbox: [(channel: String, payload: [UInt8])]) {
        guard !inbox.isEmpty, let handler = state.withLock({ $0.onMessage }) else { return }
        for (channel, payload) in inbox { handler(channel, payload) }
    }

    /// Does something with each link and lets go of those that fail.
    private func forEach(
        _ links: inout [InstanceLink], _ body: (InstanceLink) throws(InstanceLinkError) -> Void
    ) {
        var ended: [InstanceLink] = []
        for link in links {
            do throws(InstanceLinkError) {
                try body(link)
            } catch {
                ended.append(link)
            }
        }
        guard !ended.isEmpty else { return }
        links.removeAll { link in ended.contains { $0 === link } }
        for link in ended where link.isOutgoing { lost(link) }
    }

    private func lost(_ link: InstanceLink) {
        guard let peer = link.peer else { return }
        let (rest, handler) = state.withLock { state in
            (state.outgoing.removeValue(forKey: peer)?.parcels ?? [], state.onPeers)
        }
        returned.increment(by: rest.count)
        for parcel in rest { parcel.undelivered() }
        handler?()
    }

    private func accept(_ links: inout [InstanceLink]) {
        while true {
            let descriptor = clinux_local_accept(directory.listener)
            guard descriptor >= 0 else { return }
            guard InstanceDirectory.isOurUser(descriptor),
                links.count < InstanceDirectory.capacity * 4
            else {
                _ = clinux_close(descriptor)
                continue
            }
            links.append(InstanceLink(descriptor, isOutgoing: false))
        }
    }

    private func connect(to peer: Int, _ links: inout [InstanceLink]) {
        guard !links.contains(where: { $0.isOutgoing && $0.peer == peer }),
            let descriptor = directory.connect(to: peer)
        else { return }
        let link = InstanceLink(descriptor, isOutgoing: true, peer: peer)
        link.queue(InstanceParcel(frame: InstanceFrame.hello(number: number).encoded()))
        links.append(link)
        let handler = state.withLock { state in
            state.outgoing[peer] = Outgoing(lastHeard: SystemClock.now())
            return state.onPeers
        }
        handler?()
    }

    /// - Returns: the number of an instance that has called and may not have been called back.
    private func received(
        _ frame: InstanceFrame, _ descriptors: [Int32], on link: InstanceLink
    ) -> Int? {
        if let peer = link.peer, !link.isOutgoing {
            let now = SystemClock.now()
            state.withLock { $0.outgoing[peer]?.lastHeard = now }
        }
        switch frame {
        case .hello(let number):
            guard !link.isOutgoing, number != self.number else { break }
            link.peer = number
            return number
        case .message(let channel, let payload):
            state.withLock({ $0.onMessage })?(channel, payload)
        case .connection(let request):
            guard descriptors.count == 1 else { break }
            guard let handler = state.withLock({ $0.onConnection }) else { break }
            received.increment()
            handler(descriptors[0], request)
            return nil
        case .listenersWanted(let host, let port):
            let listeners = state.withLock({ $0.listeners })?(host, port) ?? []
            link.queue(
                InstanceParcel(
                    frame: InstanceFrame.listeners.encoded(descriptors: listeners.count),
                    descriptors: listeners))
        case .takenOver: state.withLock({ $0.onTakenOver })?()
        case .beat, .listeners, .unknown: break
        }
        for descriptor in descriptors { _ = clinux_close(descriptor) }
        return nil
    }
}
