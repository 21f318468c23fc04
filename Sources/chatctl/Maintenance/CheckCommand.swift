// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ServiceRuntime
internal import Store

/// `chatctl check`.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check the databases: SQLite's own check, and the promises of the chat log.",
        discussion: """
            Reads everything and changes nothing; may run while the services do. Of the chat log: \
            numbers without gaps, each room's order and chain, the room index, and the projection \
            against the log replayed. \(Finding.help)
            """)

    @Argument(help: "Files to check; without any, those of the data directory.")
    var files: [String] = []

    @Option(help: "The suite's data directory, a service's, or a backup's.")
    var dataDir = "./data"

    func run() throws {
        let files = files.isEmpty ? DatabaseKind.find(in: dataDir) : files
        if files.isEmpty { StandardStreams.output("\(dataDir): no database here\n") }
        try (files.map { Finding.tell($0) }.max() ?? .missing).end()
    }
}
