// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import HTTPServer
internal import Metrics
internal import ServiceRuntime

/// Runs the protocol layers alone on the real reactor, for the test suites and clients of others.
@main
struct Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ConformanceServer",
        abstract: "Serves one conformance profile until SIGTERM.", version: Build.version)

    @Option(help: "What to serve: \(Profile.allCases.map(\.rawValue).joined(separator: ", ")).")
    var profile: Profile

    @Option(help: "TCP port on 127.0.0.1; 0 for any.")
    var port = 0

    func run() throws {
        Signals.prepare()
        let server = profile.server(port: port)
        try server.start()
        StandardStreams.output("ready http://127.0.0.1:\(server.port)\n")
        _ = Signals.waitForStop()
        Signals.exitOnNext()
        server.stop()
    }
}
