// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Reactor
internal import ServiceRuntime
internal import Store
internal import Locks

/// `chatctl bench`: load, checked message by message, beside the floors of the same machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Load a ChatService and check every delivery.",
        discussion: """
            Messages are sent when the clock says so, whatever the server does (open loop), and \
            latency counts from the scheduled time. Without --url a suite of its own is started in a \
            directory of its own below the working directory, without limits, and removed afterwards. \
            Exit code 1 when anything was lost, doubled, reordered or refused.
            """)

    @Option(help: "Connected, authenticated clients.")
    var clients = 500
    @Option(help: "Rooms besides the lobby.")
    var rooms = 50
    @Option(help: "Rooms of each client.")
    var roomsPerClient = 5
    @Option(help: "Messages a second, of all senders together.")
    var rate = 100
    @Option(help: "Seconds of load.")
    var seconds = 20
    @Option(help: "Bytes of a message's text.")
    var bytes = 100
    @Option(help: "Clients that send.")
    var senders = 20
    @Option(help: "A running ChatService; needs --data-dir.")
    var url: String?
    @Option(help: "Its data directory, for tokens.")
    var dataDir: String?
    @Option(help: "Its process, for CPU and memory.")
    var pid: Int32?
    @Option(help: "Event loops of the server that is started.")
    var serverLoops = 1
    @Option(help: "Write all figures to this file.")
    var json: String?
    @Flag(inversion: .prefixedNo, help: "Measure the floors too: some 15 s more.")
    var floors = true

    private var plan: BenchPlan {
        BenchPlan(
            clients: clients, rooms: rooms, roomsPerClient: roomsPerClient, rate: rate,
            seconds: seconds, bytes: bytes, senders: senders)
    }

    func validate() throws {
        if let complaint = plan.complaint { throw ValidationError("\(complaint).") }
        if url != nil, dataDir == nil { throw ValidationError("--url needs --data-dir.") }
        if !(1...64).contains(serverLoops) {
            throw ValidationError("--server-loops takes 1 to 64.")
        }
    }

    func run() throws {
        Signals.prepare()
        let target = try BenchTarget(
            url: url, dataDirectory: dataDir, pid: pid, loops: serverLoops)
        target.cleanUpOnSignal()
        defer { target.close() }
        let tokens = try Accounts(dataDirectory: target.dataDirectory).tokens(
            names: (1...clients).map { "bench\($0)" }, lifetime: .seconds(3600))
        let address = try ServerAddress(url: target.url)

        let loop = EventLoop(index: 0)
        let driver = BenchDriver(
            plan: plan, address: address.socketAddress, tokens: tokens, loop: loop,
            sample: { target.pid.flatMap(ProcessUsage.of) })
        loop.attachment = driver
        driver.start()
        if let failure = driver.failure { throw Suite.Failure(failure + target.lastLines) }

        var measured = BenchFloors()
        let first = BenchReport(plan: plan, result: driver.result, floors: measured)
        if floors { measured = try measureFloors(first, directory: target.dataDirectory) }
        let report = BenchReport(plan: plan, result: driver.result, floors: measured)
        StandardStreams.output(report.table)
        if let json { try PrivateFile.replace(json, text: report.json.text + "\n") }
        if !report.isFaultless { throw ExitCode.failure }
    }

    private func measureFloors(_ report: BenchReport, directory: String) throws -> BenchFloors {
        var floors = BenchFloors()
        guard report.fanout > 0 else { return floors }
        let length = min(seconds, 5)
        floors.perMessage = try SocketFloor.run(
            sockets: clients, fanout: min(report.fanout, clients), bytes: report.deliveryBytes,
            rate: rate, seconds: length, window: nil)
        floors.coalesced = try SocketFloor.run(
            sockets: clients, fanout: min(report.fanout, clients), bytes: report.deliveryBytes,
            rate: rate, seconds: length, window: .milliseconds(20))
        let path = "\(directory)/bench-floor.db"
        defer { for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) } }
        floors.store = try StoreFloor.run(path: path, bytes: bytes)
        return floors
    }
}

/// The server that is loaded: one that runs, or a suite of our own.
final class BenchTarget: Sendable {
    let url: String
    let dataDirectory: String
    private let givenPID: Int32?
    private let suite: Suite?
    private let lines: RecentLines

    init(url: String?, dataDirectory: String?, pid: Int32?, loops: Int) throws {
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
                extraEnvironment: ["CHAT_LOOPS": String(loops), "LOG_LEVEL": "warning"]
            ) { service, line in lines.append("\(service.label) | \(line)") }
            self.suite = suite
            self.url = suite.layout.url(of: .chat)
            self.dataDirectory = directory
            let record = SuiteRecord(issuer: suite.layout.url(of: .auth), chatURL: self.url)
            try PrivateFile.replace(SuiteRecord.path(directory), text: record.text)
            do {
                guard try suite.start(ready: { _, _ in }) else { throw ExitCode.failure }
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

    /// From now on an interrupt ends the run and leaves nothing behind.
    func cleanUpOnSignal() {
        _ = WorkerThread(name: "interrupt") { [self] in
            let signal = Signals.waitForStop()
            close()
            _exit(128 + signal)
        }
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
