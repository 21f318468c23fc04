// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks

/// One of the project's executables, running. It is killed when the value goes away, and the services
/// end by themselves when the test process dies, since their standard input ends then.
package final class Program: Sendable {
    /// How it ended.
    package enum End: Hashable, Sendable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    private let name: String
    /// Its process number; another's may have it after the end has been seen.
    package let pid: Int32
    private let lifeline: Int32
    private let output: String
    private let end = Locked<End?>(nil)

    /// - Parameters:
    ///   - name: of an executable that lies beside the test bundle, or whichever program this is.
    ///   - path: where it lies instead.
    ///   - environment: all of it; nothing is inherited.
    ///   - output: the file that standard output is appended to.
    ///   - errors: the file for standard error; nil takes the same.
    /// - Throws: `TestSupportError` when it is missing or cannot be started.
    package init(
        _ name: String, path: String? = nil, arguments: [String] = [],
        environment: [String: String] = [:], output: String, errors: String? = nil
    ) throws {
        let path = try path ?? Program.path(of: name)
        self.name = name
        self.output = output
        var ends: (Int32, Int32) = (0, 0)
        let failed = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) {
                // Not a pipe: only this call sets close-on-exec in the same step, and a copy in another
                // child would hide our end's closing.
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0, $0) != 0
            }
        }
        if failed { throw TestSupportError("socketpair: errno \(errno)") }
        defer { close(ends.0) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends.0, 0)
        let mode = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 1, output, mode, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors ?? output, mode, 0o600)
        // Test threads may block signals; the program must not inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let words = ([path] + arguments).map { strdup($0) } + [nil]
        let variables =
            environment.merging(["SUPERVISED": "1"]) { given, _ in given }
            .map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, words, variables)
        guard code == 0 else {
            close(ends.1)
            throw TestSupportError("cannot start \(path): \(String(cString: strerror(code)))")
        }
        self.pid = pid
        lifeline = ends.1
    }

    deinit {
        if ended == nil {
            kill(pid, SIGKILL)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        }
        close(lifeline)
    }

    /// Sends a signal, unless the end has been seen: the number may be another's then.
    package func send(signal: Int32) {
        end.withLock { if $0 == nil { kill(pid, signal) } }
    }

    /// How it ended, nil while it runs.
    package var ended: End? {
        end.withLock { end in
            if let end { return end }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            // WIFSIGNALED and WEXITSTATUS are macros that Swift cannot import (wait(2)).
            let signal = status & 0x7F
            end = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
            return end
        }
    }

    /// Waits for the end. Nil when it still runs after `timeout`.
    package func wait(within timeout: Duration = .seconds(10)) -> End? {
        _ = eventually(within: timeout) { ended != nil }
        return ended
    }

    /// The last lines it wrote, for the message of a failure.
    package var lastLines: String {
        let lines = TextFile.read(output).split(separator: "\n")
        return "\(name):\n" + lines.suffix(8).joined(separator: "\n")
    }

    /// The tests run from the bundle, so that is what this process is.
    private static func path(of name: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let bundle = String(
            decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = bundle.prefix(upTo: bundle.lastIndex(of: "/") ?? bundle.startIndex)
        let path = "\(folder)/\(name)"
        guard access(path, X_OK) == 0 else {
            throw TestSupportError("\(path) is missing: build all products first (swift build)")
        }
        return path
    }
}

/// Small files of text.
package enum TextFile {
    /// The text of a file; empty when it cannot be read.
    package static func read(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            text += buffer[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Writes a file in place of what it held.
    /// - Throws: `TestSupportError` with the errno.
    package static func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw TestSupportError("\(path): errno \(errno)") }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw TestSupportError("\(path): errno \(errno)")
        }
    }
}
