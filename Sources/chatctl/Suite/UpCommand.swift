// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import ServiceRuntime
internal import Timing

/// `chatctl up`: the whole suite on one machine.
struct UpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run all three services until interrupted.",
        discussion: """
            Creates what is missing: directories, secrets, keys and two demo accounts. The services' \
            other options are taken from the environment; each lists its own with --help.
            """)

    @Option(help: "Where everything is kept.")
    var dataDir = "./data"

    @Option(help: "Port of ChatService; 0 takes a free one.")
    var chatPort: UInt16 = 3001

    @Option(help: "Port of AuthService; 0 takes a free one.")
    var authPort: UInt16 = 3002

    @Option(help: "Port of NotificationService; 0 takes a free one.")
    var notificationPort: UInt16 = 3003

    @Option(help: "Redis for announcements between processes; none is needed.")
    var redisURL = ""

    @Option(help: "Directory of the built web client, served by ChatService.")
    var webRoot = ""

    @Flag(help: "Switch off rate and connection limits: for load tests only.")
    var unlimited = false

    static func say(_ service: SuiteService, _ line: String) {
        StandardStreams.output("\(service.label) | \(line)\n")
    }

    func run() throws {
        Signals.prepare()
        if unlimited {
            StandardStreams.output("WARNING: rate and connection limits are OFF (--unlimited)\n")
        }
        var layout = SuiteLayout(
            dataDirectory: dataDir,
            ports: [.chat: chatPort, .auth: authPort, .notification: notificationPort])
        layout.redisURL = redisURL
        layout.isUnlimited = unlimited
        if access("\(webRoot)/index.html", R_OK) == 0 {
            layout.webRoot = webRoot
        } else if !webRoot.isEmpty {
            StandardStreams.output("no index.html in \(webRoot): the web client is not served\n")
        }

        let suite = try Suite(layout: layout, say: UpCommand.say)
        let issuer = getenv("AUTH_ISSUER").map { String(cString: $0) } ?? ""
        let record = SuiteRecord(
            issuer: issuer.isEmpty ? suite.layout.url(of: .auth) : issuer,
            chatURL: suite.layout.url(of: .chat))
        try PrivateFile.replace(SuiteRecord.path(dataDir), text: record.text)
        let accounts = try Accounts(dataDirectory: dataDir, issuer: record.issuer).demoAccounts(
            file: suite.layout.accountsFile)

        do {
            let isUp = try suite.start { service, time in
                StandardStreams.output(
                    "\(service.label) \(suite.layout.url(of: service)) ready in "
                        + "\(time.milliseconds) ms\n")
            }
            if isUp {
                for account in accounts { StandardStreams.output("account \(account)\n") }
                StandardStreams.output("ready \(suite.layout.url(of: .chat))\n")
                waitForTheEnd(of: suite)
            }
        } catch {
            _ = suite.stop()
            throw error
        }
        let hasLostAService = suite.hasLostAService
        StandardStreams.output("stopping\n")
        let isPolite = suite.stop()
        StandardStreams.output(isPolite ? "stopped\n" : "stopped by force\n")
        if hasLostAService || !isPolite { throw ExitCode.failure }
    }

    /// Until a signal asks to stop or a service has ended for good.
    private func waitForTheEnd(of suite: Suite) {
        while !suite.hasLostAService {
            if Signals.waitForStop(timeout: .milliseconds(250)) != nil { return }
        }
    }
}
