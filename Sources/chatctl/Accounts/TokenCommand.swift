// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ServiceRuntime

/// `chatctl token`.
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Print access tokens, one a line.",
        discussion: """
            For NAME, or with --count for NAME1 to NAMEn. Accounts that are missing are made, \
            without passwords. Who can read the data directory can be anybody: for development, \
            tests and repair.
            """)

    @Option(help: "The suite's data directory, or AuthService's.")
    var dataDir = "./data"

    @Option(help: "The account's name.")
    var user: String

    @Option(help: "How many tokens, for NAME1 to NAMEn.")
    var count: Int?

    @Option(help: "Seconds until they expire.")
    var ttl = 3600

    @Option(help: "The service they are for: chat or notification.")
    var audience = "chat"

    @Option(help: "AuthService's issuer, where it is not the data directory's suite.")
    var issuer: String?

    func validate() throws {
        if let count, !(1...100_000).contains(count) {
            throw ValidationError("--count takes 1 to 100000.")
        }
        guard (1...2_592_000).contains(ttl) else {
            throw ValidationError("--ttl takes 1 to 2592000 seconds (30 days).")
        }
        guard ["chat", "notification"].contains(audience) else {
            throw ValidationError("--audience takes chat or notification.")
        }
    }

    func run() throws {
        let names = count.map { count in (1...count).map { "\(user)\($0)" } } ?? [user]
        let tokens = try Accounts(dataDirectory: dataDir, issuer: issuer).tokens(
            names: names, audience: audience, lifetime: .seconds(ttl))
        StandardStreams.output(tokens.map { $0 + "\n" }.joined())
    }
}
