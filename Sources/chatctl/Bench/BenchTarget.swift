// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import HTTPClient
internal import JSON
internal import Locks
internal import ServiceRuntime

/// The server that is loaded: one that runs, or a suite of our own.
final class BenchTarget: Sendable {
    let url: String
    let dataDirectory: String
    private let givenPID: Int32?
    private let suite: Suite?
    private let lines: RecentLines

    /// - Parameter environment: settings of the services that are started.
    init(
        url: String?, dataDirectory: String?, pid: Int32?, environment: [String: String] = [:]
    ) throws {
        let lines = RecentLines()
        self.lines = lines
        givenPID = pid
        if let url, let dataDirectory {
            (self.url, self.dataDirectory, suite) = (url, dataDirectory, nil)
            return
        }
        // In the working directory: /tmp may lie in memory, where an fsync costs nothing.
        var template = Array("bench-XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
        guard mkdtemp(&template) != nil else {
            throw Suite.Failure(
                "no directory can be made here: \(String(cString: strerror(errno)))")
        }
        let directory = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var layout = SuiteLayout(dataDirectory: directory, ports: [:])
        layout.isUnlimited = true
        do {
            let suite = try Suite(
                layout: layout, services: [.auth, .chat],
                extraEnvironment: environment.merging(["LOG_LEVEL": "warning"]) { $1 }
            ) { service, line in lines.append("\(service.label) | \(line)") }
            self.suite = suite
            self.url = suite.layout.url(of: .chat)
            self.dataDirectory = directory
            let record = SuiteRecord(issuer: suite.layout.url(of: .auth), chatURL: self.url)
            try PrivateFile.replace(SuiteRecord.path(directory), text: record.text)
            do {
                guard try suite.start(ready: { _, _ in }) else { throw ExitCode.failure }
                try awaitTokens()
            } catch {
                _ = suite.stop()
                throw error
            }
        } catch {
            StandardStreams.error(lines.text)
            Tree.remove(directory)
            throw error
        }
    }

    /// Waits until the server checks tokens: it answers as soon as it can do without.
    private func awaitTokens() throws {
        for _ in 0..<300 {
            let response = try? perform(Request(url: url + "/readyz", keepsConnection: false))
            if let body = response?.body, let health = try? JSONValue(parsing: body),
                health["checks"]?["auth"]?["status"]?.string == "ok"
            {
                return
            }
            usleep(100_000)
        }
        throw Suite.Failure("the server does not get to check tokens")
    }

    /// The server's process.
    var pid: pid_t? { givenPID ?? suite?.pid(of: .chat) }

    /// What the services said last, for an error message.
    var lastLines: String { lines.text.isEmpty ? "" : "\n" + lines.text }

    /// Stops and removes what was started.
    func close() {
        guard let suite else { return }
        _ = suite.stop()
        Tree.remove(dataDirectory)
    }

    /// What the server has used so far; nil when its process is not known.
    var usage: ProcessUsage? { pid.flatMap(ProcessUsage.of) }

    /// The server's memory; nil when its process is not known.
    var memory: ProcessMemory? { pid.flatMap(ProcessMemory.of) }

    /// The server's counters and gauges as they stand.
    func metrics() throws -> MetricsText {
        let response = try? perform(Request(url: url + "/metrics", keepsConnection: false))
        guard let response, response.status == 200 else {
            throw Suite.Failure("\(url)/metrics does not answer")
        }
        return MetricsText(String(decoding: response.body, as: UTF8.self))
    }
}

/// The last lines of something that talks.
final class RecentLines: Sendable {
    private static let limit = 40
    private let lines = Locked<[String]>([])

    func append(_ line: String) {
        lines.withLock { lines in
            if lines.count == RecentLines.limit { lines.removeFirst() }
            lines.append(line)
        }
    }

    var text: String { lines.withLock { lines in lines.map { $0 + "\n" }.joined() } }
}

/// Directories of our own.
enum Tree {
    /// Removes a directory and all in it; symbolic links are removed, not followed.
    static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { remove("\(path)/\(name)") }
            }
            closedir(directory)
        }
        rmdir(path)
    }
}
