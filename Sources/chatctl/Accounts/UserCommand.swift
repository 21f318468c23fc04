// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ServiceRuntime

/// `chatctl user`.
struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Look after accounts.",
        subcommands: [Add.self, List.self, Disable.self, Enable.self])

    struct Directory: ParsableArguments {
        @Option(help: "The suite's data directory, or AuthService's.")
        var dataDir = "./data"

        func accounts() throws -> Accounts { try Accounts(dataDirectory: dataDir) }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an account; the password is read from standard input, or made up.",
            discussion: "A password made up is printed. None is ever taken from the command line.")

        @Argument(help: "The account's name.")
        var name: String

        @OptionGroup var directory: Directory

        @Flag(help: "Read the password from the first line of standard input.")
        var passwordStdin = false

        @Option(help: "A system-wide role; may be repeated.")
        var role: [String] = []

        func run() throws {
            var password = Accounts.password()
            if passwordStdin {
                guard let line = readLine() else { throw ValidationError("There was no password.") }
                password = line
            }
            try directory.accounts().add(name, password: password, roles: role)
            StandardStreams.output(passwordStdin ? "\(name)\n" : "\(name) \(password)\n")
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print all accounts: id, name, when made, state.")

        @OptionGroup var directory: Directory

        func run() throws {
            for line in try directory.accounts().list() { StandardStreams.output(line + "\n") }
        }
    }

    struct Disable: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Close an account: its sockets close within a second, its tokens are void.")

        @Argument(help: "The account's name.")
        var name: String

        @OptionGroup var directory: Directory

        func run() throws { try directory.accounts().disable(name) }
    }

    struct Enable: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Open a closed account again.")

        @Argument(help: "The account's name.")
        var name: String

        @OptionGroup var directory: Directory

        func run() throws { try directory.accounts().enable(name) }
    }
}
