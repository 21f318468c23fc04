// SPDX-License-Identifier: MIT
internal import Glibc
internal import HTTPClient
internal import JSON
internal import OAuth
internal import Store
internal import Locks
internal import TestSupport
internal import Timing

/// The real services as processes: AuthService, two ChatServices on one store, a Redis. All of it in a
/// folder of its own, the chat's data on a small file system of its own where that can be had: ext4 in
/// a file, or else in memory.
final class Cluster: Sendable {
    struct Options: Sendable {
        var instances = 2
        /// The folder with the executables; nil takes the one this program lies in.
        var chatExecutable: String?
        /// For the chat services only.
        var extraEnvironment: [String: String] = [:]
        var hasRedis = true
        /// Bytes of the file system that the chat's data lies on; nil leaves it on the disk.
        var chatDiskBytes: Int? = 192 << 20
        var hasFakeClock = true
        /// Whether the instances of the chat are started at once.
        var startsChat = true
    }

    /// How a process of ours ended without being asked to.
    struct Accident: Sendable, CustomStringConvertible {
        var description: String
    }

    let redis: PrivateRedis?
    let options: Options
    let folder: TemporaryDirectory
    let authPort: UInt16
    let chatPorts: [UInt16]
    /// Whether the chat's data has a file system of its own that can be filled.
    let hasOwnDisk: Bool
    /// Whether its files can be made such that nobody can write them, not even who has them open.
    let canBeReadOnly: Bool
    /// Whether the chat services' wall clock can be set.
    let hasFakeClock: Bool
    private let auth = Locked<Program?>(nil)
    private let chats: Locked<[Program?]>
    private let draining = Locked<Set<Int>>([])
    private let found = Locked<[Accident]>([])
    private let provisioner = Locked<AccountProvisioner?>(nil)

    /// `scripts/clock-shift.c`, compiled; empty when there is none.
    private static let clockShim = getenv("CHAOS_CLOCK_SHIM").map { String(cString: $0) } ?? ""

    init(_ options: Options = Options()) throws {
        self.options = options
        folder = try TemporaryDirectory()
        redis = options.hasRedis ? try PrivateRedis() : nil
        authPort = try LoopbackPort.reserve()
        var ports: [UInt16] = []
        for _ in 0..<options.instances { ports.append(try LoopbackPort.reserve()) }
        chatPorts = ports
        chats = Locked(Array(repeating: nil, count: options.instances))
        hasFakeClock = options.hasFakeClock && access(Cluster.clockShim, R_OK) == 0
        mkdir(folder.file("chat"), 0o700)
        if let bytes = options.chatDiskBytes {
            canBeReadOnly = Cluster.mountImage(bytes: bytes, in: folder)
            hasOwnDisk =
                canBeReadOnly
                || mount("tmpfs", folder.file("chat"), "tmpfs", 0, "size=\(bytes),mode=0700") == 0
        } else {
            (canBeReadOnly, hasOwnDisk) = (false, false)
        }
        for instance in 0..<options.instances { try setClock(instance, offsetSeconds: 0) }
        try startAuth()
        guard options.startsChat else { return }
        for instance in 0..<options.instances { try startChat(instance) }
        for instance in 0..<options.instances { try waitUntilReady(instance) }
    }

    deinit {
        auth.withLock { $0 = nil }
        chats.withLock { $0 = [] }
        setReadOnly(false)
        if hasOwnDisk { umount2(folder.file("chat"), Int32(MNT_DETACH)) }
    }

    // MARK: Addresses

    var authURL: String { "http://127.0.0.1:\(authPort)" }
    func chatURL(_ instance: Int) -> String { "http://127.0.0.1:\(chatPorts[instance])" }
    var databasePath: String { folder.file("chat/chat.db") }

    // MARK: Processes

    func startAuth() throws {
        let program = try Program(
            "AuthService",
            environment: [
                "LOG_LEVEL": "warning", "REDIS_URL": redis?.url ?? "", "UNLIMITED": "1",
                "AUTH_PORT": "\(authPort)", "AUTH_ISSUER": authURL,
                "AUTH_DATA_DIR": folder.file("auth"),
                "AUTH_SERVICE_SECRETS_DIR": folder.file("secrets"),
            ], output: folder.file("auth.log"))
        auth.withLock { $0 = program }
        let isUp = try eventually(within: .seconds(30)) {
            guard program.ended == nil else {
                throw TestSupportError("AuthService ended: \(program.lastLines)")
            }
            return (try? get(authURL + "/readyz"))?.status == 200
        }
        guard isUp else { throw TestSupportError("AuthService is not ready: \(program.lastLines)") }
    }

    func killAuth() {
        auth.withLock {
            $0?.send(signal: SIGKILL)
            _ = $0?.wait()
            $0 = nil
        }
    }

    /// Starts an instance and does not wait.
    func startChat(_ instance: Int) throws {
        var environment = [
            "LOG_LEVEL": "warning", "REDIS_URL": redis?.url ?? "", "UNLIMITED": "1",
            "AUTH_URL": authURL, "AUTH_ISSUER": authURL, "CHAT_PORT": "\(chatPorts[instance])",
            "CHAT_DATA_DIR": folder.file("chat"), "CHAT_LOOPS": "2",
            "CHAT_SERVICE_SECRET_FILE": folder.file("secrets/chat-service"),
        ].merging(options.extraEnvironment) { _, extra in extra }
        if hasFakeClock {
            environment["LD_PRELOAD"] = Cluster.clockShim
            environment["CLOCK_OFFSET_FILE"] = folder.file("clock-\(instance)")
        }
        let program = try Program(
            "ChatService", path: options.chatExecutable, environment: environment,
            output: folder.file("chat-\(instance).log"))
        chats.withLock { $0[instance] = program }
    }

    private func chat(_ instance: Int) -> Program? {
        chats.withLock { instance < $0.count ? $0[instance] : nil }
    }

    func isRunning(_ instance: Int) -> Bool {
        chat(instance).map { $0.ended == nil } ?? false
    }

    /// Ends an instance as a crash would.
    func killChat(_ instance: Int) {
        chat(instance)?.send(signal: SIGKILL)
        _ = chat(instance)?.wait()
        chats.withLock { $0[instance] = nil }
    }

    func signalChat(_ instance: Int, _ signal: Int32) { chat(instance)?.send(signal: signal) }

    /// Asks an instance to stop, once it is far enough to hear it: a program that has only just been
    /// started dies of SIGTERM like any other.
    func drainChat(_ instance: Int) {
        _ = eventually(within: .seconds(10)) { (try? get(chatURL(instance) + "/readyz")) != nil }
        draining.withLock { _ = $0.insert(instance) }
        signalChat(instance, SIGTERM)
    }

    /// Waits for the end of an instance that was asked to stop.
    func waitForDrain(_ instance: Int) {
        defer { draining.withLock { _ = $0.remove(instance) } }
        guard let program = chat(instance) else { return }
        switch program.wait(within: .seconds(40)) {
        case .exited(0): break
        case .none:
            note("instance \(instance) did not drain within 40 s: \(program.lastLines)")
            program.send(signal: SIGKILL)
            _ = program.wait()
        case let end?:
            note("instance \(instance) ended its drain with \(end): \(program.lastLines)")
        }
        chats.withLock { $0[instance] = nil }
    }

    /// Looks for instances that have ended by themselves, notes it, and starts them again.
    func supervise() throws {
        for instance in chatPorts.indices {
            guard !draining.withLock({ $0.contains(instance) }), let program = chat(instance),
                let end = program.ended
            else { continue }
            note("instance \(instance) ended by itself with \(end): \(program.lastLines)")
            try startChat(instance)
        }
    }

    func note(_ text: String) { found.withLock { $0.append(Accident(description: text)) } }

    var accidents: [Accident] { found.withLock { $0 } }

    func waitUntilReady(_ instance: Int, within timeout: Duration = .seconds(60)) throws {
        let isReady = eventually(within: timeout) {
            (try? get(chatURL(instance) + "/readyz"))?.status == 200
        }
        guard isReady else {
            throw TestSupportError(
                "instance \(instance) is not ready: \(chat(instance)?.lastLines ?? "not running")")
        }
    }

    /// The process number of an instance; 0 when it does not run.
    func chatPID(_ instance: Int) -> Int32 { chat(instance)?.pid ?? 0 }

    /// What an instance has in memory; 0 when it does not run.
    func residentBytes(_ instance: Int) -> Int {
        let lines = TextFile.read("/proc/\(chatPID(instance))/status").split(separator: "\n")
        let field = lines.first { $0.hasPrefix("VmRSS:") }?.split(separator: " ").dropFirst().first
        return field.flatMap { Int($0) }.map { $0 << 10 } ?? 0
    }

    /// One of an instance's metrics without labels; nil when it cannot be had.
    func metric(_ instance: Int, _ name: String) -> Double? {
        guard let answer = try? get(chatURL(instance) + "/metrics"), answer.status == 200 else {
            return nil
        }
        for line in String(decoding: answer.body, as: UTF8.self).split(separator: "\n")
        where line.hasPrefix(name + " ") {
            return Double(line.dropFirst(name.count + 1))
        }
        return nil
    }

    /// What an instance says of its store on `/readyz`.
    func readiness(_ instance: Int) -> String {
        guard let answer = try? get(chatURL(instance) + "/readyz"),
            let store = try? answer.json()["checks"]?["store"]
        else { return "no answer" }
        return "\(answer.status) \(store.text)"
    }

    private func get(_ url: String) throws -> Response {
        try perform(
            Request(method: "GET", url: url, connectTimeout: .seconds(1), totalTimeout: .seconds(3))
        )
    }

    // MARK: Clock and disk

    /// Moves an instance's wall clock away from the true time, at once.
    func setClock(_ instance: Int, offsetSeconds: Int64) throws {
        let path = folder.file("clock-\(instance)")
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw TestSupportError("\(path): errno \(errno)") }
        defer { close(descriptor) }
        // In place and in one piece: the running process has the file mapped.
        let count = withUnsafeBytes(of: offsetSeconds) {
            pwrite(descriptor, $0.baseAddress, $0.count, 0)
        }
        guard count == 8 else { throw TestSupportError("\(path): errno \(errno)") }
    }

    /// Fills the chat's file system to the last byte.
    func fillDisk() {
        guard hasOwnDisk else { return }
        let descriptor = open(folder.file("chat/ballast"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var chunk = [UInt8](repeating: 0x42, count: 1 << 20)
        while !chunk.isEmpty {
            if write(descriptor, chunk, chunk.count) > 0 { continue }
            if errno == EINTR { continue }
            chunk.removeLast(chunk.count - chunk.count / 2)
        }
    }

    func freeDisk() { unlink(folder.file("chat/ballast")) }

    /// Makes the log's files immutable, or lets them be written again. ext4 refuses writes to such a
    /// file also through descriptors that are open: the nearest there is to a disk that turns
    /// read-only, which Linux does not let happen by `mount` while a file is open for writing.
    func setReadOnly(_ isReadOnly: Bool) {
        guard canBeReadOnly else { return }
        _ = Cluster.run(
            "/usr/bin/chattr",
            [isReadOnly ? "+i" : "-i", databasePath, databasePath + "-wal"], in: folder)
    }

    /// Makes and mounts a file system in a file.
    private static func mountImage(bytes: Int, in folder: TemporaryDirectory) -> Bool {
        let image = folder.file("chat.img")
        let descriptor = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        let isSized = ftruncate(descriptor, bytes) == 0
        close(descriptor)
        // Without blocks that are kept for root, who fills it.
        return isSized && run("/sbin/mkfs.ext4", ["-q", "-F", "-m", "0", image], in: folder)
            && run("/usr/bin/mount", ["-o", "loop", image, folder.file("chat")], in: folder)
    }

    private static func run(
        _ path: String, _ arguments: [String], in folder: TemporaryDirectory
    ) -> Bool {
        let program = try? Program(
            path, path: path, arguments: arguments,
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"],
            output: folder.file("disk.log"))
        return program?.wait() == .exited(0)
    }

    // MARK: People

    /// Access tokens for people, whose accounts are made when they are missing.
    func tokens(_ names: [String], lifetime: Duration = .seconds(604_800)) throws -> [String] {
        try operate {
            try $0.mintTokens(names: names, lifetime: lifetime, now: SystemClock.timestamp())
        }
    }

    func operate<Result>(_ body: (AccountProvisioner) throws -> Result) throws -> Result {
        try provisioner.withLock { known in
            let provisioner =
                try known
                ?? AccountProvisioner(
                    dataDirectory: folder.file("auth"), issuer: authURL,
                    now: SystemClock.timestamp())
            known = provisioner
            return try body(provisioner)
        }
    }
}
