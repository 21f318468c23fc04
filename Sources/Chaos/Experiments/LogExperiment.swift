// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import TestSupport
internal import Timing

/// `Chaos log`.
struct LogExperiment: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Start, memory and commits with a long log.",
        discussion: """
            Fills a log (`Chaos fill`), kills the process that did it, and starts ChatService on the \
            log: after the crash, and after its own orderly end.
            """)

    @Option(help: "Entries.") var rows = 1_000_000
    @Option(help: "Seconds that a start may take.") var limit = 5.0

    func run() throws {
        var options = Cluster.Options()
        options.instances = 1
        options.hasRedis = false
        options.hasFakeClock = false
        options.chatDiskBytes = nil
        options.startsChat = false
        let cluster = try Cluster(options)
        let output = cluster.folder.file("fill.log")
        let filler = try Program(
            "Chaos", arguments: ["fill", cluster.databasePath, "--rows", "\(rows)", "--hold"],
            output: output)
        let isFilled = try eventually(within: .seconds(900)) {
            guard filler.ended == nil else { throw TestSupportError(filler.lastLines) }
            return TextFile.read(output).contains("held ")
        }
        guard isFilled else { throw TestSupportError("not filled: \(filler.lastLines)") }
        filler.send(signal: SIGKILL)
        _ = filler.wait()
        for line in TextFile.read(output).split(separator: "\n") { say(String(line)) }
        var info = stat()
        stat(cluster.databasePath, &info)
        say("file        \(info.st_size >> 20) MiB")
        var slowest = 0.0
        for name in ["after a crash", "after its end", "after its end"] {
            let began = SystemClock.now()
            try cluster.startChat(0)
            try cluster.waitUntilReady(0)
            let seconds = Double((SystemClock.now() - began).nanoseconds) / 1e9
            slowest = max(slowest, seconds)
            say(
                "start       \(name): ready after \((seconds * 100).rounded() / 100) s, "
                    + "\(cluster.residentBytes(0) >> 20) MiB resident")
            let asked = SystemClock.now()
            cluster.drainChat(0)
            cluster.waitForDrain(0)
            say("stop        \((SystemClock.now() - asked).milliseconds) ms")
        }
        for accident in cluster.accidents { say("accident    \(accident)") }
        if slowest > limit || !cluster.accidents.isEmpty { throw ExitCode.failure }
    }
}
