// SPDX-License-Identifier: MIT
internal import JSON

/// How the suite of a data directory is reached: written by `chatctl up`, read by the commands that
/// mint tokens or connect, so that they need no address to be given.
struct SuiteRecord: Hashable, Sendable {
    var issuer: String
    var chatURL: String

    /// Where the record lies.
    static func path(_ dataDirectory: String) -> String { "\(dataDirectory)/suite.json" }

    init(issuer: String, chatURL: String) {
        self.issuer = issuer
        self.chatURL = chatURL
    }

    /// Nil when the text is no record.
    init?(text: String) {
        guard let value = try? JSONValue(parsing: Array(text.utf8)),
            let issuer = value["issuer"]?.string, let chatURL = value["chatUrl"]?.string
        else { return nil }
        self.init(issuer: issuer, chatURL: chatURL)
    }

    var text: String {
        (["issuer": .string(issuer), "chatUrl": .string(chatURL)] as JSONValue).text + "\n"
    }

    /// The record of a data directory; nil when no suite has run there.
    static func read(_ dataDirectory: String) -> SuiteRecord? {
        (try? PrivateFile.read(path(dataDirectory))).flatMap(SuiteRecord.init)
    }
}
