// SPDX-License-Identifier: MIT
internal import ArgumentParser
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
            KeysCommand.self, BenchCommand.self,
        ])
}
