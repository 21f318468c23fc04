// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Reactor
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Timing

/// `Chaos redis`.
struct RedisExperiment: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis",
        abstract: "Redis stopped under load and started empty; then its output buffers killed.")

    @Option(help: "Messages a second.") var rate = 500
    @Option(help: "Seconds that Redis is away.") var away = 60
    @Option(help: "Clients, half of them on each instance; all get all messages.") var clients = 16

    func run() throws {
        let experiment = try Experiment(Cluster.Options(), seed: 1)
        try experiment.addClients(clients, prefix: "redis") { client in
            client.onEvent = { [unowned experiment] _, fact, argument in
                if fact.kind == .message { experiment.measure(argument) }
            }
        }
        let moments = Locked<[Instant]>([])
        let isOver = Atomic(false)
        let cluster = experiment.cluster
        let away = away
        let director = WorkerThread(name: "director") {
            func mark() { moments.withLock { $0.append(SystemClock.now()) } }
            SystemClock.sleep(.seconds(3))
            mark()  // 0: normal
            SystemClock.sleep(.seconds(10))
            cluster.redis?.stop()
            mark()  // 1: away
            SystemClock.sleep(.seconds(Int64(away)))
            try? cluster.redis?.start()
            mark()  // 2: back, empty
            SystemClock.sleep(.seconds(8))
            mark()  // 3: buffers killed
            for _ in 0..<4 {
                _ = try? cluster.redis?.command(
                    ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1024 512 1"])
                _ = try? cluster.redis?.command(["CLIENT", "KILL", "TYPE", "pubsub"])
                SystemClock.sleep(.milliseconds(500))
            }
            _ = try? cluster.redis?.command(
                ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60"])
            mark()  // 4: at peace
            SystemClock.sleep(.seconds(8))
            mark()  // 5
            isOver.store(true, ordering: .releasing)
        }
        var isSending = false
        experiment.run { now in
            let all = experiment.population.clients
            if !isSending {
                isSending = all.allSatisfy { $0.state == .live }
                experiment.restartPace(now: now)
            } else if !isOver.load(ordering: .acquiring) {
                experiment.send(Double(rate), from: all, to: "lobby", now: now)
            } else {
                return !experiment.isSettled(now: now)
            }
            return true
        }
        director.join()
        let at = moments.withLock { $0 }
        say("before      \(experiment.percentiles(from: at[0], to: at[1]))")
        say("Redis away  \(experiment.percentiles(from: at[1], to: at[2])) (\(away) s)")
        say("back, empty \(experiment.percentiles(from: at[2], to: at[3]))")
        say("buffer kill \(experiment.percentiles(from: at[3], to: at[4]))")
        say("after       \(experiment.percentiles(from: at[4], to: at[5]))")
        for (name, from, to) in [("restart", at[2], at[3]), ("buffer kills", at[4], at[5])] {
            let slow = experiment.latencies.last {
                $0.at >= from && $0.at < to && $0.milliseconds > 100
            }
            let heal = slow.map { Double(($0.at - from).nanoseconds) / 1e6 } ?? 0
            say(
                "healed      \(experiment.fixed(heal)) ms after the \(name): no delivery over 100 ms from then on"
            )
        }
        try Experiment.conclude(try experiment.verify(), "redis")
    }
}
