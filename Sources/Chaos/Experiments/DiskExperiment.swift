// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Reactor
internal import Store
internal import TestSupport
internal import Timing

/// `Chaos disk`.
struct DiskExperiment: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disk",
        abstract: "A full disk and a read-only one under load: refusals, readers, healing.",
        discussion: "Needs root, for a file system of its own.")

    @Option(help: "Messages a second.") var rate = 200
    @Option(help: "Seconds that each trouble lasts.") var lasts = 10
    @Option(help: "Clients, half of them on each instance.") var clients = 16

    /// What happened while there was trouble. Touched by the clients' loop alone.
    private final class Trouble {
        let name: String
        let began: Instant
        var ended: Instant?
        var refusals: [String: Int] = [:]
        var acksInside = 0
        var sessions = 0
        var pages = 0
        /// By instance.
        var healed: [Int: Instant] = [:]

        init(_ name: String, at now: Instant) {
            self.name = name
            began = now
        }
    }

    func run() throws {
        let experiment = try Experiment(Cluster.Options(), seed: 5)
        let cluster = experiment.cluster
        guard cluster.canBeReadOnly else {
            throw ValidationError("no file system of our own here: run it as root")
        }
        var troubles: [Trouble] = []
        try experiment.addClients(clients, prefix: "disk") { client in
            client.onRefused = { _, code in troubles.last?.refusals[code, default: 0] += 1 }
            client.onAck = { client, _, _ in
                guard let trouble = troubles.last else { return }
                let now = SystemClock.now()
                if trouble.ended == nil {
                    trouble.acksInside += 1
                } else if trouble.healed[client.number % 2] == nil {
                    trouble.healed[client.number % 2] = now
                }
            }
            client.onPage = { _ in
                if troubles.last?.ended == nil { troubles.last?.pages += 1 }
            }
            client.onSession = { _, _ in
                if troubles.last?.ended == nil { troubles.last?.sessions += 1 }
            }
        }
        var readiness: [String] = []
        let acts: [(name: String, begin: () -> Void, end: () -> Void)] = [
            ("full", cluster.fillDisk, cluster.freeDisk),
            ("read-only", { cluster.setReadOnly(true) }, { cluster.setReadOnly(false) }),
        ]
        var next = 0
        var due = Instant.distantFuture
        var isOver = false
        var lastVisit = SystemClock.now()
        let all = experiment.population.clients
        experiment.run { now in
            guard all.allSatisfy({ $0.state == .live }) || due != .distantFuture else {
                experiment.restartPace(now: now)
                return true
            }
            if due == .distantFuture { due = now + .seconds(3) }
            guard !isOver else { return !experiment.isSettled(now: now) }
            experiment.send(Double(rate), from: all, to: "lobby", now: now)
            if let trouble = troubles.last, trouble.ended == nil {
                // Readers come and read meanwhile.
                if now - lastVisit > .milliseconds(250) {
                    lastVisit = now
                    all.randomElement()?.disconnect(for: .zero, now: now)
                    all.randomElement()?.fetchPage("lobby", limit: 20)
                }
                if now >= due {
                    readiness.append(cluster.readiness(0))
                    acts[next].end()
                    trouble.ended = SystemClock.now()
                    next += 1
                    due = now + .seconds(5)
                }
            } else if now >= due {
                guard next < acts.count else {
                    isOver = true
                    return true
                }
                acts[next].begin()
                troubles.append(Trouble(acts[next].name, at: SystemClock.now()))
                due = now + .seconds(Int64(lasts))
            }
            return true
        }
        var isGood = true
        for (trouble, ready) in zip(troubles, readiness) {
            let codes = trouble.refusals.sorted { $0.key < $1.key }
                .map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            say(
                "\(trouble.name): refused \(codes); acknowledged meanwhile \(trouble.acksInside); "
                    + "\(trouble.sessions) sessions and \(trouble.pages) pages of history served")
            say("            /readyz: \(ready)")
            for instance in cluster.chatPorts.indices {
                let time = trouble.healed[instance].flatMap { healed in
                    trouble.ended.map { Double((healed - $0).nanoseconds) / 1e6 }
                }
                isGood = isGood && time.map { $0 < 2000 } ?? false
                say(
                    "            instance \(instance): first acknowledgement "
                        + (time.map { "\(experiment.fixed($0)) ms after" } ?? "NEVER"))
            }
            isGood =
                isGood && trouble.refusals.keys.allSatisfy { $0 == "storage_unavailable" }
                && !trouble.refusals.isEmpty && trouble.sessions > 0 && trouble.pages > 0
        }
        let check = try ChatLogCheck.run(path: cluster.databasePath)
        say("check       \(check.isSound ? "sound" : "\(check.complaints)")")
        for accident in cluster.accidents { say("accident    \(accident)") }
        try Experiment.conclude(try experiment.verify(), "disk")
        if !isGood || !check.isSound || !cluster.accidents.isEmpty {
            say("disk: NOT AS PROMISED")
            throw ExitCode.failure
        }
    }
}
