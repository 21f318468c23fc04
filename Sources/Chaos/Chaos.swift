// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import Store
internal import TestSupport

/// The checker: clients that write down what they see, a cluster that is broken in every way we know,
/// and a verifier that holds the one against the other's log.
@main
struct Chaos: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Chaos",
        abstract: "Breaks the chat while clients use it, and proves that nothing was lost.",
        subcommands: [
            Run.self, Verify.self, RedisExperiment.self, LossExperiment.self, JoinExperiment.self,
            PresenceExperiment.self, DiskExperiment.self, LogExperiment.self,
            FillCommand.self,
        ],
        defaultSubcommand: Run.self)

    /// `Chaos run`.
    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Random faults of all kinds under many clients, then the verdict.")

        @Option(help: "What decides the faults; the same seed gives the same schedule.")
        var seed: UInt64?
        @Option(help: "Length of the run, without entering and settling.")
        var seconds = 60
        @Option(help: "How many faults.")
        var faults = 30
        @Option(help: "How many clients; every fourth polls.")
        var clients = 200
        @Option(help: "Requests a second over all clients.")
        var rate = 60
        @Option(help: "Only these kinds of faults, with commas between.")
        var kinds: String?
        @Option(help: "Another ChatService than the one beside this program.")
        var chatService: String?
        @Option(help: "Keep histories, log and database in this folder.")
        var keep: String?
        @Option(help: "The defect that a ChatService built with planted bugs is to have.")
        var plantedBug: String?
        @Flag(help: "Succeed if the verifier finds something, fail if it does not.")
        var expectViolation = false
        @Flag(help: "Say each fault as it is done.")
        var verbose = false

        func run() throws {
            var options = ChaosRun.Options(seed: seed ?? testSeed())
            options.seconds = seconds
            options.faults = faults
            options.clients = clients
            options.rate = rate
            options.isVerbose = verbose
            options.keep = keep
            if let kinds {
                options.kinds = try kinds.split(separator: ",").map { name in
                    guard let kind = Fault.Kind(rawValue: String(name)) else {
                        let known = Fault.Kind.allCases.map(\.rawValue).joined(separator: " ")
                        throw ValidationError("no fault \(name): there are \(known)")
                    }
                    return kind
                }
            }
            var setup = Cluster.Options()
            setup.chatExecutable = chatService
            setup.hasFakeClock = options.kinds?.contains(.clock) ?? true
            if let plantedBug { setup.extraEnvironment["PLANTED_BUG"] = plantedBug }
            say(
                "chaos: seed \(options.seed), \(clients) clients, \(faults) faults in \(seconds) s"
                    + (plantedBug.map { ", planted: \($0)" } ?? ""))
            let cluster = try Cluster(setup)
            if !cluster.hasOwnDisk { say("no file system of our own: no full disk (needs root)") }
            if cluster.hasOwnDisk, !cluster.canBeReadOnly {
                say("no ext4 of our own: no read-only disk")
            }
            if !cluster.hasFakeClock {
                say("no CHAOS_CLOCK_SHIM (scripts/chaos.sh makes it): no clock steps")
            }
            let outcome = try ChaosRun(options, cluster: cluster).run()
            Summary.write(outcome)
            let isFound = !outcome.report.isClean || !outcome.checkComplaints.isEmpty
            if expectViolation {
                say(isFound ? "chaos: the defect was found" : "chaos: THE DEFECT WAS NOT FOUND")
                throw isFound ? ExitCode.success : ExitCode.failure
            }
            say(
                outcome.isClean
                    ? "chaos: clean, seed \(options.seed)"
                    : "chaos: VIOLATIONS, seed \(options.seed)")
            if !outcome.isClean { throw ExitCode.failure }
        }
    }

    /// `Chaos verify`.
    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verify the histories of an earlier run again.")

        @Argument(help: "A folder that `run --keep` wrote.")
        var folder: String

        func run() throws {
            let log = try LogTable.read(path: folder + "/chat.db")
            let report = try Verifier.verify(log: log) { body in
                try HistoryFile.forEach(folder + "/histories.jsonl", body)
            }
            Summary.write(report)
            if !report.isClean { throw ExitCode.failure }
        }
    }
}

/// What a run has to say.
enum Summary {
    static func write(_ outcome: ChaosRun.Outcome) {
        let total = outcome.faults.reduce(0) { $0 + $1.count }
        let kinds = outcome.faults.map { "\($0.kind) \($0.count)" }.joined(separator: ", ")
        say("faults      \(total): \(kinds)")
        say(
            "connections \(outcome.connects), refused \(outcome.refusals); "
                + "\(outcome.bytes / 1_000_000) MB to clients")
        write(outcome.report)
        say(
            "settled     \(outcome.quiescence) after the last fault; \(outcome.unsettled) clients not"
        )
        for text in outcome.accidents { say("accident    \(text)") }
        for text in outcome.checkComplaints { say("database    \(text)") }
    }

    static func write(_ report: Verifier.Report) {
        say("log         \(report.rows) entries, \(report.messages) messages")
        say(
            "sends       \(report.sends) in \(report.attempts) attempts, \(report.acks) acks, "
                + "\(report.repeatedAcks) of them repeated; unanswered: \(report.unansweredStored) "
                + "stored, \(report.unansweredLost) not")
        say(
            "received    \(report.events) events by \(report.clients) clients; \(report.recoveries) "
                + "recoveries, \(report.freshSessions) snapshots, \(report.joins) joins, "
                + "\(report.pages) pages of history")
        for text in report.complaints { say("VIOLATION   \(text)") }
        if report.complaintCount > report.complaints.count {
            say("            and \(report.complaintCount - report.complaints.count) more")
        }
    }
}

/// Says one line at once, also when the output is a file that somebody watches.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}
