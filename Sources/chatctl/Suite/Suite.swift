// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import HTTPClient
internal import ServiceRuntime
internal import Store
internal import Timing

/// The three services as processes of this machine.
final class Suite: Sendable {
    /// Why a suite does not come up, in words for the one who called.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// How long a service may take to be ready: databases of any size open at once, so what takes
    /// longer hangs.
    static let startTimeout = Duration.seconds(30)
    /// How long services may drain before they are killed.
    static let stopTimeout = Duration.seconds(10)

    let layout: SuiteLayout
    private let runners: [ServiceRunner]

    /// Checks what can be checked before anything runs, creates directories and secrets.
    /// - Parameters:
    ///   - services: those to run.
    ///   - extraEnvironment: put over this process's environment.
    ///   - say: takes one line of a service's output.
    init(
        layout: SuiteLayout, services: [SuiteService] = SuiteService.allCases,
        extraEnvironment: [String: String] = [:],
        say: @escaping @Sendable (SuiteService, String) -> Void
    ) throws {
        let inherited = Suite.environment().merging(extraEnvironment) { $1 }
        if let complaint = SuiteLayout.complaint(inherited: inherited) {
            throw ValidationError(complaint)
        }
        try DataDirectory.prepare(layout.dataDirectory)
        guard try PrivateFile.lock(layout.lockFile) else {
            throw Failure("\(layout.dataDirectory) is in use by another chatctl up")
        }
        var layout = layout
        for service in services {
            try DataDirectory.prepare(layout.directory(of: service))
            let wanted = layout.ports[service] ?? 0
            if wanted == 0 {
                guard let port = Ports.anyFree() else { throw Failure("there is no free port") }
                layout.ports[service] = port
            } else if !Ports.isFree(wanted) {
                throw Failure(
                    "port \(wanted) of 127.0.0.1 is taken; choose another with "
                        + "--\(service.rawValue)-port")
            }
        }
        _ = try ServiceSecrets.create(in: layout.secretsDirectory)
        self.layout = layout
        let folder = try Suite.programDirectory()
        runners = try services.map { service in
            let path = "\(folder)/\(service.executable)"
            guard access(path, X_OK) == 0 else {
                throw Failure("\(path) is missing: build all products first")
            }
            return ServiceRunner(
                service, path: path,
                environment: layout.environment(of: service, inherited: inherited)
            ) { say(service, $0) }
        }
    }

    /// Starts one service after the other, each when the one before is ready, since it will ask it.
    /// - Parameter ready: called once a service, with how long it took.
    /// - Returns: false when a signal asked to stop meanwhile.
    func start(ready: (SuiteService, Duration) -> Void) throws(Failure) -> Bool {
        for runner in runners {
            let started = SystemClock.now()
            runner.start()
            while !isReady(runner.service) {
                if runner.hasEnded { throw Failure("\(runner.service.rawValue) did not start") }
                if SystemClock.now() - started > Suite.startTimeout {
                    throw Failure("\(runner.service.rawValue) was not ready in time")
                }
                if Signals.waitForStop(timeout: .milliseconds(10)) != nil { return false }
            }
            ready(runner.service, SystemClock.now() - started)
        }
        return true
    }

    /// The process of a service while it runs.
    func pid(of service: SuiteService) -> pid_t? {
        runners.first { $0.service == service }?.pid
    }

    /// Whether a service has ended for good although nobody asked it to.
    var hasLostAService: Bool { runners.contains(where: \.hasEnded) }

    /// Stops all services: politely, after `stopTimeout` or a signal by force. Last started, first
    /// stopped, since those ask the others.
    /// - Returns: whether all went politely.
    func stop() -> Bool {
        for runner in runners.reversed() { runner.stop() }
        let deadline = SystemClock.now() + Suite.stopTimeout
        var isPolite = true
        while !runners.allSatisfy(\.isIdle) {
            let signal = Signals.waitForStop(timeout: .milliseconds(20))
            if signal != nil || SystemClock.now() > deadline {
                isPolite = false
                for runner in runners { runner.kill() }
            }
        }
        for runner in runners { runner.join() }
        return isPolite
    }

    private func isReady(_ service: SuiteService) -> Bool {
        let request = Request(
            url: layout.url(of: service) + "/readyz", connectTimeout: .seconds(1),
            totalTimeout: .seconds(2), keepsConnection: false)
        return (try? perform(request))?.status == 200
    }

    /// The directory of the running executable.
    private static func programDirectory() throws -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                readlink("/proc/self/exe", $0.baseAddress!, $0.count)
            }
        }
        guard count > 0, let slash = buffer[..<count].lastIndex(of: UInt8(ascii: "/")) else {
            throw Failure("/proc/self/exe cannot be read")
        }
        return String(decoding: buffer[..<slash], as: UTF8.self)
    }

    /// This process's environment.
    private static func environment() -> [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { result[String(pair[0])] = String(pair[1]) }
            entry += 1
        }
        return result
    }
}
