// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Reactor
internal import TestSupport
internal import Timing

/// `Chaos loss`.
struct LossExperiment: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loss",
        abstract: "Impatient senders over a network that loses packets.",
        discussion: """
            Packets to and from the chat are dropped by netfilter: run it as root in a network \
            namespace of its own (scripts/chaos.sh loss).
            """)

    @Option(help: "Per cent of the packets that are lost.") var percent = 5
    @Option(help: "Clients.") var clients = 40
    @Option(help: "Messages a second.") var rate = 100
    @Option(help: "Seconds.") var seconds = 30

    func run() throws {
        let experiment = try Experiment(Cluster.Options(), seed: 2)
        for port in experiment.cluster.chatPorts {
            for side in ["--dport", "--sport"] {
                let rule = try Program(
                    "iptables", path: "/usr/sbin/iptables",
                    arguments: [
                        "-A", "INPUT", "-p", "tcp", side, "\(port)", "-m", "statistic", "--mode",
                        "random", "--probability", "\(Double(percent) / 100)", "-j", "DROP",
                    ], output: experiment.cluster.folder.file("iptables.log"))
                guard rule.wait() == .exited(0) else {
                    throw ValidationError("iptables cannot drop packets here: \(rule.lastLines)")
                }
            }
        }
        try experiment.addClients(clients, prefix: "loss") {
            $0.patienceForAck = .milliseconds(150)
        }
        var ending: Instant?
        experiment.run { now in
            let all = experiment.population.clients
            guard let end = ending else {
                experiment.restartPace(now: now)
                if all.allSatisfy({ $0.state == .live }) { ending = now + .seconds(Int64(seconds)) }
                return true
            }
            guard now < end else {
                return !experiment.isSettled(now: now) && now < end + .seconds(90)
            }
            experiment.send(Double(rate), from: all, to: "lobby", now: now)
            if Int(now.nanoseconds / 20_000_000) % 5 == 0 {
                all.randomElement()?.repeatOne(now: now)
            }
            return true
        }
        say(
            "loss        \(percent) % of the packets, \(experiment.said) messages, each sent again after 150 ms without an answer"
        )
        let report = try experiment.verify()
        say(
            "rows        \(report.messages) for \(report.sends) distinct sends in \(report.attempts) "
                + "attempts; \(report.repeatedAcks) repeated acks, all identical: \(report.isClean)"
        )
        if report.messages != report.sends { throw ExitCode.failure }
        try Experiment.conclude(report, "loss")
    }
}
