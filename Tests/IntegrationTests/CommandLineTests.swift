// SPDX-License-Identifier: MIT
import Store
import TestSupport
import Testing

/// Programs that are called wrongly say so in one line and exit with 64.
@Suite struct CommandLineTests {
    struct Mistake: Sendable, CustomTestStringConvertible {
        let program: String
        var arguments: [String] = []
        var environment: [String: String] = [:]
        /// What the line must name.
        let named: String

        var testDescription: String {
            "\(program) \(arguments) \(environment.filter { !$0.key.hasSuffix("SECRET") })"
        }
    }

    static let secret = String(repeating: "s", count: 40)

    static let mistakes: [Mistake] =
        [
            ("ChatService", "CHAT"), ("AuthService", "AUTH"),
            ("NotificationService", "NOTIFICATION"),
        ].flatMap { program, prefix in
            let secret = ["\(prefix)_SERVICE_SECRET": CommandLineTests.secret]
            func mistake(_ arguments: [String], named: String) -> Mistake {
                Mistake(
                    program: program, arguments: arguments, environment: secret, named: named)
            }
            func mistake(_ name: String, _ value: String) -> Mistake {
                Mistake(
                    program: program, environment: secret.merging([name: value]) { $1 }, named: name
                )
            }
            return [
                mistake(["--nonsense"], named: "--nonsense"), mistake(["file"], named: "file"),
                mistake(["--\(prefix.lowercased())-port", "http"], named: "-port"),
                mistake(["--log-level"], named: "--log-level"), mistake("\(prefix)_PORT", "70000"),
                mistake("LOG_LEVEL", "loud"), mistake("LOG_FORMAT", "xml"),
                mistake("REDIS_URL", "http://127.0.0.1"), mistake("REDIS_URL", "redis://:@x:1/x"),
                mistake("UNLIMITED", "perhaps"), mistake("AUTH_ISSUER", "here"),
                mistake("TLS_CERT_FILE", "/nowhere/chat.crt"), mistake("TLS_KEY_FILE", "chat.key"),
                mistake(
                    [
                        "--tls-cert-file", "/nowhere/chat.crt", "--tls-key-file",
                        "/nowhere/chat.key",
                    ],
                    named: "/nowhere/chat.crt"),
                mistake("PROXY_PROTOCOL", "1"),
            ]
        } + [
            Mistake(program: "ChatService", named: "CHAT_SERVICE_SECRET"),
            Mistake(
                program: "ChatService", environment: ["CHAT_SERVICE_SECRET": "short"],
                named: "CHAT_SERVICE_SECRET"),
            Mistake(program: "NotificationService", named: "NOTIFICATION_SERVICE_SECRET"),
            Mistake(
                program: "NotificationService",
                environment: [
                    "NOTIFICATION_SERVICE_SECRET": secret,
                    "NOTIFICATION_ALLOW_NETWORKS": "10.0.0.0/99",
                ], named: "NOTIFICATION_ALLOW_NETWORKS"),
            Mistake(
                program: "AuthService", environment: ["AUTH_WEB_REDIRECT_URIS": "ftp://x"],
                named: "AUTH_WEB_REDIRECT_URIS"),
            Mistake(program: "chatctl", arguments: ["--nonsense"], named: "--nonsense"),
            Mistake(program: "chatctl", arguments: ["dance"], named: "dance"),
            Mistake(program: "chatctl", arguments: ["up", "--chat-port", "70000"], named: "70000"),
            Mistake(
                program: "chatctl", arguments: ["up"],
                environment: ["TLS_CERT_FILE": "chat.crt", "TLS_KEY_FILE": "chat.key"],
                named: "TLS_CERT_FILE"),
            Mistake(
                program: "chatctl", arguments: ["token", "--ttl", "0", "--user", "a"],
                named: "--ttl"),
            Mistake(program: "chatctl", arguments: ["send", "x"], named: "--room"),
            Mistake(
                program: "chatctl", arguments: ["tail"], environment: ["CHAT_TOKEN": ""],
                named: "CHAT_TOKEN"),
        ]

    /// A database that a newer version wrote ends the start, with both versions in the log.
    @Test(arguments: [
        ("ChatService", "CHAT", "chat.db"), ("AuthService", "AUTH", "auth.db"),
        ("NotificationService", "NOTIFICATION", "notification.db"),
    ])
    func aNewerDatabaseIsRefused(_ program: String, _ prefix: String, _ file: String) throws {
        let folder = try TemporaryDirectory()
        try SQLiteDatabase(path: folder.file(file)).execute("PRAGMA user_version=99")
        let running = try Program(
            program,
            environment: [
                "\(prefix)_DATA_DIR": folder.path, "\(prefix)_PORT": "0",
                "\(prefix)_SERVICE_SECRET": String(repeating: "s", count: 43),
                "AUTH_SERVICE_SECRETS_DIR": folder.file("secrets"), "LOG_LEVEL": "warning",
            ], output: folder.file("out"))
        #expect(running.wait() == .exited(1))
        #expect(running.lastLines.contains("schema version 99; this program knows up to"))
    }

    @Test(arguments: mistakes)
    func aMistakeIsOneLineAnd64(_ mistake: Mistake) throws {
        let folder = try TemporaryDirectory()
        // Should it start after all, then not in the folder of the one who tests.
        let directories = ["CHAT", "AUTH", "NOTIFICATION"].map {
            ("\($0)_DATA_DIR", folder.file("data"))
        }
        let program = try Program(
            mistake.program, arguments: mistake.arguments,
            environment: Dictionary(uniqueKeysWithValues: directories)
                .merging(mistake.environment) { $1 },
            output: folder.file("out"), errors: folder.file("err"))
        #expect(program.wait() == .exited(64))
        let said = TextFile.read(folder.file("err"))
        #expect(said.split(separator: "\n").count == 1, "\(said)")
        #expect(said.contains(mistake.named), "\(said)")
        #expect(TextFile.read(folder.file("out")) == "")
    }
}
