// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor
internal import TestSupport
internal import Timing

/// All clients of a run and the networks they come through, on one event loop.
final class Population: TimerTarget {
    /// How often clients look at their watches.
    private static let tick = Duration.milliseconds(20)

    let loop: EventLoop
    let proxies: [FaultProxy]
    private(set) var clients: [ChaosClient] = []
    /// What the clients saw, in their order.
    private(set) var recorders: [HistoryRecorder] = []
    /// Where histories are written; goes with the population.
    private let folder: TemporaryDirectory
    /// Called each tick, after the clients.
    var onTick: ((Instant) -> Void)?
    private var isStopped = false
    private var generator: SeededGenerator

    init(loop: EventLoop, chatPorts: [UInt16], seed: UInt64) throws {
        self.loop = loop
        generator = SeededGenerator(seed: seed)
        folder = try TemporaryDirectory()
        proxies = try chatPorts.map { try FaultProxy(loop: loop, targetPort: $0) }
    }

    func add(_ client: ChaosClient) { clients.append(client) }

    /// What the next client is to write its history to.
    func makeRecorder(user: String) -> HistoryRecorder {
        let recorder = HistoryRecorder(client: recorders.count, user: user, folder: folder.path)
        recorders.append(recorder)
        return recorder
    }

    /// Holds what everybody saw against a log, one client's history in memory at a time.
    func verify(against log: [LogRow]) throws -> Verifier.Report {
        try Verifier.verify(log: log) { body in
            for recorder in recorders { body(try recorder.read()) }
        }
    }

    /// Writes all histories into one file, in place of what it held.
    func writeHistories(to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HistoryFile.Failure(path: path) }
        defer { close(descriptor) }
        for recorder in recorders { try recorder.copy(to: descriptor) }
    }

    /// Begins to keep time.
    func start() { _ = loop.schedule(self, at: loop.now + Population.tick) }

    func timerFired(now: Instant) {
        guard !isStopped else { return }
        for client in clients { client.tick(now: now) }
        onTick?(now)
        if !isStopped { _ = loop.schedule(self, at: now + Population.tick) }
    }

    /// Ends all connections and the loop.
    func stop() {
        isStopped = true
        for client in clients { client.stop() }
        for proxy in proxies { proxy.stop() }
        loop.stop()
    }

    /// Does to the network what a fault says; `isOver` undoes it.
    func apply(_ fault: Fault, isOver: Bool) {
        let now = SystemClock.now()
        switch fault.kind {
        case .cut where !isOver:
            for proxy in proxies {
                for link in proxy.pick(fault.fraction, using: &generator) {
                    link.cut(isReset: Bool.random(using: &generator))
                }
            }
        case .freeze where !isOver:
            for client in clients
            where Double.random(in: 0..<1, using: &generator) < fault.fraction {
                freeze(client, for: .milliseconds(fault.lasts), now: now)
            }
        case .stall where !isOver:
            for proxy in proxies {
                for link in proxy.pick(fault.fraction, using: &generator) {
                    link.stall(until: now + .milliseconds(fault.lasts))
                }
            }
            // Enough for the bound of what may wait to be passed.
            for client in clients.shuffled(using: &generator).prefix(5) where !client.isQuiet {
                let room = client.rooms.sorted().last { $0 != "lobby" } ?? "lobby"
                for _ in 0..<60 {
                    client.say(Population.text(bytes: 3900, &generator), in: room, now: now)
                }
            }
        case .delay:
            for proxy in proxies {
                proxy.weather.delay = isOver ? .zero : .milliseconds(fault.amount)
            }
        case .double:
            for proxy in proxies { proxy.weather.doublesConnections = !isOver }
            // Those that are there already are none the wiser; let some come anew.
            if !isOver {
                for client in clients
                where client.transport == .webSocket
                    && Double.random(in: 0..<1, using: &generator) < 0.2
                {
                    client.abandon(at: now)
                }
            }
        default: break
        }
    }

    /// A device whose network changes: its old connection hangs in the air, and it comes back by a new
    /// one before the server can know.
    private func freeze(_ client: ChaosClient, for duration: Duration, now: Instant) {
        for port in client.ports where port != 0 {
            for proxy in proxies {
                proxy.link(ofClientPort: port)?.freeze(until: now + duration)
            }
        }
        client.abandon(
            at: now + .milliseconds(Int64.random(in: 100...2000, using: &generator)))
    }

    /// Undoes whatever the network suffers.
    func heal() {
        for proxy in proxies { proxy.weather = NetworkWeather() }
    }

    /// Words of a seeded generator, of a size.
    static func text(bytes: Int, _ generator: inout SeededGenerator) -> String {
        var text: [UInt8] = []
        while text.count < bytes {
            text.append(UInt8.random(in: 97...122, using: &generator))
            if Int.random(in: 0..<6, using: &generator) == 0 { text.append(32) }
        }
        return String(decoding: text.prefix(bytes), as: UTF8.self)
    }
}
