// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks

/// How a child ended.
enum ChildEnd: Hashable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    init(status: Int32) {
        // WIFSIGNALED and WEXITSTATUS are macros that Swift cannot import (wait(2)).
        let signal = status & 0x7F
        self = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    }

    var description: String {
        switch self {
        case .exited(let code): "ended with exit code \(code)"
        case .killed(let signal): "was ended by signal \(signal)"
        }
    }
}

/// One running program: its standard input is a pipe of ours that stays empty and closes with this
/// process, its standard output and error are one pipe that we read.
///
/// It runs in a process group of its own, so that Ctrl-C at the terminal reaches chatctl alone and
/// each service is asked to stop exactly once.
final class ChildProcess: Sendable {
    /// posix_spawn or pipe failed.
    struct Failure: Error, CustomStringConvertible {
        let path: String
        let errno: Int32
        var description: String { "cannot start \(path): \(String(cString: strerror(errno)))" }
    }

    let pid: pid_t
    private let output: Int32
    private let lifeline: Int32
    private let isReaped = Locked(false)

    /// Held from making the pipes until they are marked close-on-exec: another thread that spawned
    /// in between would hand them to its own child, and they would never be seen to close.
    private static let spawning = Locked(())

    init(path: String, arguments: [String] = [], environment: [String: String]) throws(Failure) {
        let started = ChildProcess.spawning.withLock { _ in
            ChildProcess.spawn(path, arguments, environment)
        }
        (pid, output, lifeline) = try started.get()
    }

    deinit {
        close(output)
        close(lifeline)
    }

    /// Waits for more output.
    /// - Returns: how many bytes were read; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            let count = Glibc.read(output, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            return max(0, count)
        }
    }

    /// Sends a signal, unless the child has been waited for: its number may be another's then.
    func send(signal: Int32) {
        isReaped.withLock { if !$0 { kill(pid, signal) } }
    }

    /// Waits for the end of the child. Once.
    func wait() -> ChildEnd {
        var information = siginfo_t()
        // First only look, then reap under the lock: between the two the number is still ours.
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return isReaped.withLock { isReaped in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            isReaped = true
            return ChildEnd(status: status)
        }
    }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: [String: String]
    ) -> Result<(pid_t, Int32, Int32), Failure> {
        guard let input = Pipe() else {
            return .failure(Failure(path: path, errno: errno))
        }
        guard let output = Pipe() else {
            let code = errno
            input.closeBoth()
            return .failure(Failure(path: path, errno: code))
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.reading, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output.writing, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output.writing, STDERR_FILENO)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What we block and ignore for ourselves must not be inherited.
        var none = sigset_t()
        sigemptyset(&none)
        var ignored = sigset_t()
        sigemptyset(&ignored)
        sigaddset(&ignored, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &ignored)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let argv = ([path] + arguments).map { strdup($0) } + [nil]
        let envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, argv, envp)
        close(input.reading)
        close(output.writing)
        guard code == 0 else {
            close(input.writing)
            close(output.reading)
            return .failure(Failure(path: path, errno: code))
        }
        return .success((pid, output.reading, input.writing))
    }
}

/// Two ends of a pipe, close-on-exec.
private struct Pipe {
    let reading: Int32
    let writing: Int32

    /// Nil leaves the reason in `errno`.
    init?() {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        (reading, writing) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    func closeBoth() {
        close(reading)
        close(writing)
    }
}
