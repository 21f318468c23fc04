// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor
internal import ServiceRuntime
internal import Locks
internal import Timing

/// Keeps one service running: starts it, passes its lines on, starts it again when it dies.
///
/// ```
///          start()            died              back-off over
/// idle ──────────────► running ─────► waiting ────────────────► running
///                        │              │
///                        └── stop() ────┴──► ended
/// ```
/// A service that exits with 64 was called wrongly and would be again: it ends at once.
final class ServiceRunner: Sendable {
    private struct State {
        var child: ChildProcess?
        var isStopping = false
        var hasStarted = false
        var hasEnded = false
        var starts = 0
    }

    let service: SuiteService
    private let path: String
    private let environment: [String: String]
    private let say: @Sendable (String) -> Void
    private let state = Locked(State())
    private let thread = Locked<WorkerThread?>(nil)

    /// - Parameter say: takes one line of output, without its end.
    init(
        _ service: SuiteService, path: String, environment: [String: String],
        say: @escaping @Sendable (String) -> Void
    ) {
        self.service = service
        self.path = path
        self.environment = environment
        self.say = say
    }

    /// Starts the service and the thread that looks after it.
    func start() {
        state.withLock { $0.hasStarted = true }
        let started = WorkerThread(name: service.rawValue) { [self] in
            run()
            state.withLock { $0.hasEnded = true }
        }
        thread.withLock { $0 = started }
    }

    /// Waits until nothing runs any more, which `stop` and `kill` bring about.
    func join() {
        let ended = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        ended?.join()
    }

    /// The service's process while it runs.
    var pid: pid_t? { state.withLock { $0.child?.pid } }

    /// Whether nothing runs: not started, or ended for good.
    var isIdle: Bool { state.withLock { !$0.hasStarted || $0.hasEnded } }

    /// Whether it was started, nothing runs any more and nothing will.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// Asks the service to stop; it is not started again.
    func stop() { end(signal: SIGTERM) }

    /// Ends the service at once.
    func kill() { end(signal: SIGKILL) }

    private func end(signal: Int32) {
        let child = state.withLock { state in
            state.isStopping = true
            return state.child
        }
        child?.send(signal: signal)
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func run() {
        var backoff = Backoff()
        while !isStopping {
            let started = SystemClock.now()
            guard let end = runOnce() else { return }
            if isStopping { return say("stopped") }
            if end == .exited(Settings.usageExitCode) {
                return say("\(end): wrong configuration, not started again")
            }
            let delay = backoff.next(afterRunning: SystemClock.now() - started)
            say("\(end); starting again in \(delay.milliseconds) ms")
            sleep(delay)
        }
    }

    /// One life of the service. Nil when there was none: we are stopping, or it cannot be started.
    private func runOnce() -> ChildEnd? {
        let child: ChildProcess
        do throws(ChildProcess.Failure) {
            child = try ChildProcess(path: path, environment: environment)
        } catch {
            say("\(error)")
            return nil
        }
        let (isWanted, starts) = state.withLock { state in
            state.child = child
            state.starts += 1
            return (!state.isStopping, state.starts)
        }
        if !isWanted { child.send(signal: SIGTERM) }
        if starts > 1 { say("started again as process \(child.pid)") }
        copyLines(of: child)
        let end = child.wait()
        state.withLock { $0.child = nil }
        return end
    }

    private func copyLines(of child: ChildProcess) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 16)
        defer { buffer.deallocate() }
        var lines = LineSplitter()
        while true {
            let count = child.read(into: buffer)
            if count == 0 { break }
            for line in lines.take(buffer[..<count]) { say(line) }
        }
        if let line = lines.finish() { say(line) }
    }

    /// Sleeps in short pieces, so that stopping need not wait for a long back-off.
    private func sleep(_ length: Duration) {
        let deadline = SystemClock.now() + length
        while !isStopping, SystemClock.now() < deadline { usleep(20_000) }
    }
}
