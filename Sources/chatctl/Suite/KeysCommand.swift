// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ServiceRuntime

/// `chatctl keys`: secrets between services.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Create the secrets by which services know each other.",
        subcommands: [Initialize.self])

    struct Initialize: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Create the secret files that are missing; existing ones stay.")

        @Option(help: "The directory of the secret files.")
        var dir: String

        func run() throws {
            let created = try ServiceSecrets.create(in: dir)
            for path in created { StandardStreams.output("created \(path)\n") }
            if created.isEmpty { StandardStreams.output("nothing to create in \(dir)\n") }
        }
    }
}
