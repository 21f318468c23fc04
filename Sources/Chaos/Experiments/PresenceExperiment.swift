// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Reactor
internal import Timing

/// `Chaos presence`.
struct PresenceExperiment: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "presence",
        abstract: "Half of many users reconnect at once on two instances.")

    @Option(help: "Users, one client each.") var users = 3000
    @Option(help: "Seconds to watch after the reconnects.") var watch = 30

    func run() throws {
        var files = rlimit(rlim_cur: 0, rlim_max: 0)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        files.rlim_cur = files.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        let experiment = try Experiment(Cluster.Options(), seed: 4)
        var online: [Int: Int64] = [:]
        var flaps = 0
        var isWatching = false
        try experiment.addClients(users, prefix: "user") { client in
            client.keepsHistory = false
            client.skips = ["member", "receipt"]
            client.onSession = { client, session in
                online[client.number] = session["presence"]?["online"]?.int
            }
            client.onPresence = { client, event in
                online[client.number] = event["online"]?.int
                guard isWatching else { return }
                flaps += (event["changes"]?.array ?? []).count { $0["state"]?.string == "offline" }
            }
        }
        let all = experiment.population.clients
        var entered: Instant?
        var cut: Instant?
        var back: Instant?
        var converged: Instant?
        var bytesBefore = 0
        let began = SystemClock.now()
        func bytes() -> Int { experiment.population.proxies.reduce(0) { $0 + $1.deliveredBytes } }
        func isExact() -> Bool { all.allSatisfy { online[$0.number] == Int64(users) } }
        experiment.run { now in
            if entered == nil {
                if isExact() { entered = now }
                return now - began < .seconds(240)
            }
            if cut == nil, let entered, now - entered > .seconds(3) {
                cut = now
                isWatching = true
                bytesBefore = bytes()
                for client in all where client.number % 4 < 2 {
                    online[client.number] = nil
                    client.disconnect(for: .milliseconds(Int64.random(in: 0...1000)), now: now)
                }
            }
            guard let cut else { return true }
            if back == nil, all.allSatisfy({ $0.state == .live }) { back = now }
            if back != nil, converged == nil, isExact() { converged = now }
            return now - cut < .seconds(Int64(watch))
        }
        guard let entered, let cut, let back, let converged else {
            say(
                "presence: did not converge: \(online.count { $0.value == Int64(users) }) of \(users) exact"
            )
            throw ExitCode.failure
        }
        func seconds(_ duration: Duration) -> String {
            experiment.fixed(Double(duration.nanoseconds) / 1e9)
        }
        say("entered     \(users) users, all exact after \(seconds(entered - began)) s")
        say("reconnect   \(users / 2) users at once, all back after \(seconds(back - cut)) s")
        say("converged   \(seconds(converged - cut)) s after the cut: everybody counts \(users)")
        say("flaps       \(flaps) offline changes told to anybody in \(watch) s")
        say("bytes       \((bytes() - bytesBefore) / users) per client in those \(watch) s")
        if flaps > 0 { throw ExitCode.failure }
    }
}
