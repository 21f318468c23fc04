// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import ServiceRuntime

/// The operator's tool.
@main
struct Chatctl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chatctl",
        abstract: "Runs, looks after and measures the chat services.",
        version: Build.version,
        subcommands: [
            UpCommand.self, TokenCommand.self, UserCommand.self, SendCommand.self, TailCommand.self,
            KeysCommand.self, BackupCommand.self, CheckCommand.self, RepairCommand.self,
            BenchCommand.self,
        ])

    /// What every command does, but being called wrongly is one line, as it is of the services.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            guard exitCode(for: error).rawValue == Settings.usageExitCode else {
                exit(withError: error)
            }
            let line = message(for: error).split(separator: "\n").joined(separator: " ")
            StandardStreams.error("chatctl: \(line) (try --help)\n")
            Glibc.exit(Settings.usageExitCode)
        }
    }
}
