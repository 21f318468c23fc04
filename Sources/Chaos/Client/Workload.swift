// SPDX-License-Identifier: MIT
internal import Reactor
internal import TestSupport
internal import Timing

/// What the clients do while things go wrong, from the first sign-in to the last answer.
///
/// ```
/// entering ──all live, rooms made and joined──► working ──told──► quiescing ──settled──► over
/// ```
final class Workload {
    enum Phase: Hashable { case entering, working, quiescing, over }

    /// How long nothing may happen before the run counts as over: longer than the longest pull.
    private static let quiet = Duration.seconds(3)
    private static let patience = Duration.seconds(90)

    let population: Population
    private(set) var phase = Phase.entering
    /// How long it took from the last fault's end to the last event.
    private(set) var quiescence = Duration.zero
    /// Clients that had something open when patience ended.
    private(set) var unsettled = 0
    private let rate: Int
    private let roomCount: Int
    private let prefix: String
    private var generator: SeededGenerator
    private var rooms: [String] = []
    private var askedRooms = 0
    private var phaseStart: Instant
    private var credit = 0.0
    private var lastTick: Instant

    init(population: Population, rate: Int, rooms: Int, seed: UInt64) {
        self.population = population
        self.rate = rate
        roomCount = rooms
        prefix = "room-\(seed % 100_000)"
        generator = SeededGenerator(seed: seed)
        phaseStart = population.loop.now
        lastTick = population.loop.now
    }

    /// The workload of a loop.
    static func of(_ loop: EventLoop) -> Workload? { loop.attachment as? Workload }

    func tick(now: Instant) {
        let elapsed = now - lastTick
        lastTick = now
        switch phase {
        case .entering: enter(now: now)
        case .working:
            credit += Double(rate) * Double(elapsed.nanoseconds) / 1e9
            while credit >= 1 {
                credit -= 1
                act(now: now)
            }
        case .quiescing: settle(now: now)
        case .over: break
        }
    }

    private func enter(now: Instant) {
        let clients = population.clients
        guard clients.allSatisfy({ $0.state == .live }) else { return }
        if askedRooms == 0 {
            for number in 0..<roomCount {
                askedRooms += 1
                clients[number % clients.count].create("\(prefix)-\(number)") { [unowned self] id in
                    rooms.append(id)
                }
            }
            return
        }
        guard rooms.count == roomCount else { return }
        for client in clients {
            for room in rooms.shuffled(using: &generator).prefix(3)
            where !client.rooms.contains(room) {
                client.join(room)
            }
        }
        phase = .working
        phaseStart = now
    }

    private func act(now: Instant) {
        let client = population.clients.randomElement(using: &generator)!
        let own = client.rooms.sorted()
        let isLobby = Int.random(in: 0..<5, using: &generator) == 0
        let room = isLobby ? "lobby" : own.randomElement(using: &generator) ?? "lobby"
        switch Int.random(in: 0..<100, using: &generator) {
        case ..<80:
            let bytes = Int.random(in: 8...300, using: &generator)
            client.say(Population.text(bytes: bytes, &generator), in: room, now: now)
        case ..<86: client.repeatOne(now: now)
        case ..<91: client.join(rooms.randomElement(using: &generator)!)
        case ..<94: if room != "lobby" { client.leave(room) }
        case ..<96: client.fetchPage(room, limit: Int.random(in: 1...60, using: &generator))
        case ..<98: client.markRead(room, Int64.random(in: 1...500, using: &generator))
        default: client.type(in: room)
        }
    }

    /// Nothing new from now on; what is open is to be answered, what is owed to arrive.
    func quiesce() {
        population.heal()
        for client in population.clients { client.isQuiet = true }
        phase = .quiescing
        phaseStart = SystemClock.now()
    }

    private func settle(now: Instant) {
        let clients = population.clients
        let last = clients.map(\.lastEvent).max() ?? now
        let isSettled =
            clients.allSatisfy(\.isSettled) && now - last > Workload.quiet
            && now - phaseStart > Workload.quiet
        guard isSettled || now - phaseStart > Workload.patience else { return }
        phase = .over
        quiescence = last < phaseStart ? .zero : last - phaseStart
        unsettled = clients.count { !$0.isSettled }
        // With something under way still, nobody can be said to have everything.
        if isSettled { for client in clients { client.markLevel() } }
        population.stop()
    }
}
