// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ChatCore
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

    @Option(help: "Times the output buffers are killed.") var kills = 5

    /// How long one instance was without Redis after it could have had it again.
    private struct Outage {
        var name: String
        var instance: Int
        /// Nil when it was not back in time.
        var healed: Duration?
    }

    func run() throws {
        let experiment = try Experiment(Cluster.Options(), seed: 1)
        try experiment.addClients(clients, prefix: "redis") { client in
            client.onEvent = { [unowned experiment] _, fact, argument in
                if fact.kind == .message { experiment.measure(argument) }
            }
        }
        let moments = Locked<[Instant]>([])
        let outages = Locked<[Outage]>([])
        let isOver = Atomic(false)
        let cluster = experiment.cluster
        let (away, kills) = (away, kills)
        let director = WorkerThread(name: "director") {
            func mark() { moments.withLock { $0.append(SystemClock.now()) } }
            func heal(_ name: String, _ former: [Double]) {
                let began = SystemClock.now()
                for instance in cluster.chatPorts.indices {
                    let isBack = eventually(within: .seconds(20)) {
                        (cluster.metric(instance, "bus_losses_total") ?? 0) > former[instance]
                            && cluster.metric(instance, "bus_connected") == 1
                    }
                    let time = isBack ? SystemClock.now() - began : nil
                    outages.withLock {
                        $0.append(Outage(name: name, instance: instance, healed: time))
                    }
                }
            }
            func losses() -> [Double] {
                cluster.chatPorts.indices.map { cluster.metric($0, "bus_losses_total") ?? 0 }
            }
            SystemClock.sleep(.seconds(3))
            mark()  // 0: normal
            SystemClock.sleep(.seconds(10))
            let before = losses()
            cluster.redis?.stop()
            mark()  // 1: away
            SystemClock.sleep(.seconds(Int64(away)))
            mark()  // 2: back, empty; from before its start on
            try? cluster.redis?.start()
            heal("restart", before)
            SystemClock.sleep(.seconds(8))
            mark()  // 3: buffers killed
            for number in 1...kills {
                let before = losses()
                _ = try? cluster.redis?.command(
                    ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 32768 0 0"])
                // No announcement, but longer than a subscriber may owe: the server ends them all.
                let bait = String(repeating: "x", count: 1 << 20)
                _ = try? cluster.redis?.command(["PUBLISH", BusChannel.chatLog, bait])
                _ = try? cluster.redis?.command(
                    ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60"])
                heal("buffer kill \(number)", before)
                SystemClock.sleep(.milliseconds(500))
            }
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
        var isLate = false
        for outage in outages.withLock({ $0 }) {
            let time = outage.healed.map { Double($0.nanoseconds) / 1e6 }
            isLate = isLate || time.map { $0 > 2000 } ?? true
            say(
                "healed      \(outage.name): instance \(outage.instance) after "
                    + (time.map { "\(experiment.fixed($0)) ms" } ?? "NEVER"))
        }
        for (name, from, to) in [("restart", at[2], at[3]), ("buffer kills", at[3], at[5])] {
            let slow = experiment.latencies.last {
                $0.at >= from && $0.at < to && $0.milliseconds > 100
            }
            let heal = slow.map { Double(($0.at - from).nanoseconds) / 1e6 } ?? 0
            say(
                "deliveries  the last over 100 ms came \(experiment.fixed(heal)) ms after the first "
                    + "of the \(name)")
        }
        if isLate { say("redis: NOT HEALED WITHIN 2 s") }
        try Experiment.conclude(try experiment.verify(), "redis")
        if isLate { throw ExitCode.failure }
    }
}
