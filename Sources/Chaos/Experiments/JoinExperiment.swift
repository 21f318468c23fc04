// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Reactor
internal import Timing

/// `Chaos join`.
struct JoinExperiment: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Joins under load: the first live event is always head + 1.")

    @Option(help: "Messages a second in the room.") var rate = 1000
    @Option(help: "Joins in all.") var joins = 1000
    @Option(help: "Clients that send.") var senders = 20
    @Option(help: "Clients that join and leave.") var joiners = 10

    func run() throws {
        let experiment = try Experiment(Cluster.Options(), seed: 3)
        var room: String?
        var awaited: [Int: Int64] = [:]
        var done = 0
        var wrong = 0
        try experiment.addClients(senders, prefix: "sender") { _ in }
        try experiment.addClients(joiners, prefix: "joiner") { client in
            client.onJoined = { client, _, head, isNew in
                if isNew { awaited[client.number] = head + 1 }
            }
            client.onEvent = { client, fact, _ in
                guard fact.room == room, let first = awaited.removeValue(forKey: client.number)
                else { return }
                done += 1
                if fact.roomSeq != first {
                    wrong += 1
                    say("client \(client.number): first event \(fact.roomSeq), not \(first)")
                }
                client.leave(fact.room)
            }
        }
        let all = experiment.population.clients
        var hasAsked = false
        var deadline = Instant.distantFuture
        let began = SystemClock.now()
        experiment.run { now in
            guard all.allSatisfy({ $0.state == .live }) || hasAsked else { return true }
            if !hasAsked {
                hasAsked = true
                all[0].create("busy-\(now.nanoseconds)") { id in
                    room = id
                    for sender in all[1..<senders] { sender.join(id) }
                }
            }
            guard let room else {
                experiment.restartPace(now: now)
                return true
            }
            if done < joins {
                let inside = all[..<senders].filter { $0.rooms.contains(room) }
                experiment.send(Double(rate), from: inside, to: room, now: now)
                for joiner in all[senders...]
                where joiner.isSettled && !joiner.rooms.contains(room) { joiner.join(room) }
                return now - began < .seconds(300)
            }
            if deadline == .distantFuture { deadline = now + .seconds(60) }
            return !experiment.isSettled(now: now) && now < deadline
        }
        say(
            "joins       \(done) under \(rate) messages/s (\(experiment.said) messages); first event "
                + "not head + 1: \(wrong)")
        guard done >= joins, wrong == 0 else { throw ExitCode.failure }
        try Experiment.conclude(try experiment.verify(), "join")
    }
}
