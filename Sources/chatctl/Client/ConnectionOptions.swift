// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Crypto
internal import Glibc

/// How a command reaches the chat server and as whom.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "The chat server; by default that of the data directory's suite.")
    var url: String?

    @Option(help: "Access token; or the environment's CHAT_TOKEN.")
    var token: String?

    @Option(help: "Make a token for this account instead; needs --data-dir.")
    var user: String?

    @Option(help: "The suite's data directory.")
    var dataDir = "./data"

    /// Connects.
    func connect() throws -> SocketClient {
        let known = SuiteRecord.read(dataDir)?.chatURL
        return try SocketClient(
            url: url ?? known ?? "http://127.0.0.1:3001", token: accessToken())
    }

    private func accessToken() throws -> String {
        if let token { return token }
        if let user {
            return try Accounts(dataDirectory: dataDir).tokens(
                names: [user], lifetime: .seconds(3600))[0]
        }
        // Set but empty counts as not set, as for every option.
        if let token = getenv("CHAT_TOKEN"), token.pointee != 0 { return String(cString: token) }
        throw ValidationError("Give --token, --user or the environment variable CHAT_TOKEN.")
    }
}
