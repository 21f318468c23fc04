// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks

/// A redis-server of the test's own: free port on 127.0.0.1, nothing kept on disk, stopped when the
/// value goes away and also when the test process dies (its keeper sees the pipe close).
package final class PrivateRedis: Sendable {
    /// The TCP port, the same after a restart.
    package let port: UInt16
    /// The password clients must give, if any.
    package let password: String?
    private let folder: TemporaryDirectory
    private let keeper = Locked<Keeper?>(nil)

    private struct Keeper { let pid: pid_t, pipe: Int32 }

    /// Starts a server and waits until it answers.
    /// - Throws: `TestSupportError` with the install command when there is no redis-server.
    package init(password: String? = nil) throws {
        folder = try TemporaryDirectory()
        self.password = password
        port = try LoopbackPort.free()
        try start()
    }

    deinit { stop() }

    /// The URL to give to a client.
    package var url: String {
        "redis://\(password.map { ":\($0)@" } ?? "")127.0.0.1:\(port)"
    }

    /// The server's own process, for signals such as SIGSTOP. Nil when it is not running.
    package var pid: Int32? {
        let descriptor = open(folder.file("pid"), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &bytes, 32)
        return Int32(
            String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
                .split(separator: "\n").first ?? "")
    }

    /// Starts the server again after `stop`, empty, on the same port.
    package func start() throws {
        try keeper.withLock { keeper in
            guard keeper == nil else { return }
            var ends: (Int32, Int32) = (0, 0)
            let failed = withUnsafeMutablePointer(to: &ends) {
                $0.withMemoryRebound(to: Int32.self, capacity: 2) {
                    // Not a pipe: only this call sets close-on-exec in the same step, and a copy in
                    // another child would hide our end's closing.
                    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0, $0) != 0
                }
            }
            if failed { throw TestSupportError("socketpair: errno \(errno)") }
            defer { close(ends.0) }
            keeper = Keeper(pid: try spawn(standardInput: ends.0), pipe: ends.1)
        }
        guard eventually(within: .seconds(10), { isAnswering }) else {
            stop()
            throw TestSupportError(
                "redis-server does not start. Install it: apt-get install redis-server")
        }
    }

    /// Stops the server and waits for its end. What clients were owed is lost, as in an outage.
    package func stop() {
        let stopped = keeper.withLock { keeper in
            defer { keeper = nil }
            return keeper
        }
        guard let stopped else { return }
        close(stopped.pipe)
        var status: Int32 = 0
        while waitpid(stopped.pid, &status, 0) < 0, errno == EINTR {}
        unlink(folder.file("pid"))
    }

    /// Whether the server answers a PING now.
    package var isAnswering: Bool {
        (try? command(["PING"]))?.hasPrefix("+PONG") ?? false
    }

    /// Sends one command over a connection of its own and gives up to 64 KiB of the raw answer.
    package func command(_ words: [String]) throws -> String {
        guard let descriptor = LoopbackPort.connect(to: port) else {
            throw TestSupportError("redis-server on port \(port) is not listening")
        }
        defer { close(descriptor) }
        if let password { _ = try exchange(["AUTH", password], on: descriptor) }
        return try exchange(words, on: descriptor)
    }

    private func exchange(_ words: [String], on descriptor: Int32) throws -> String {
        let text =
            "*\(words.count)\r\n"
            + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        let request = Array(text.utf8)
        guard
            send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count
        else { throw TestSupportError("redis-server closed the connection") }
        var answer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &answer, answer.count, 0)
        guard count > 0 else { throw TestSupportError("redis-server does not answer") }
        return String(decoding: answer.prefix(count), as: UTF8.self)
    }

    /// The keeper is a shell that ends the server when its standard input closes, for whatever reason.
    private func spawn(standardInput: Int32) throws -> pid_t {
        let script = """
            "$@" </dev/null >\(folder.file("log")) 2>&1 &
            child=$!
            read -r _
            kill -CONT $child 2>/dev/null
            kill -KILL $child 2>/dev/null
            wait $child 2>/dev/null
            """
        var words = [
            "sh", "-c", script, "keeper", "redis-server", "--port", "\(port)", "--bind",
            "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir",
            folder.path, "--pidfile", folder.file("pid"),
        ]
        if let password { words += ["--requirepass", password] }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput, 0)
        // Test threads may block signals, and a shell that cannot hear SIGCHLD waits for ever.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, "sh", &actions, &attributes, &arguments, environ)
        guard code == 0 else { throw TestSupportError("cannot start a shell: errno \(code)") }
        return pid
    }
}
