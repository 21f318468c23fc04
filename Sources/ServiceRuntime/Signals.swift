// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor

/// SIGTERM and SIGINT as something to wait for. The first asks to drain, the second means at once.
///
/// ```
/// prepare() ──► threads start ──► waitForStop() ──► exitOnNext() ──► drain ──► exit(0)
/// ```
///
/// No handler runs: the signals stay blocked in all threads and one thread takes them with `sigwait`,
/// so that nothing has to be safe inside a signal handler.
package enum Signals {
    /// Blocks the two signals and ignores SIGPIPE. Before any other thread starts: threads inherit
    /// what their maker blocks.
    package static func prepare() {
        var signals = stops()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        // A peer that closed makes a write fail with EPIPE, which is handled where it happens.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Blocks SIGHUP too, for `waitForHangUp`. Before any other thread starts.
    package static func prepareHangUps() {
        var signals = hangUp()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Waits on the calling thread for SIGHUP, `timeout` at most.
    /// - Returns: whether it came.
    package static func waitForHangUp(timeout: Duration) -> Bool {
        wait(for: hangUp(), timeout: timeout) != nil
    }

    /// Waits on the calling thread for the first of the two signals.
    /// - Returns: its number.
    package static func waitForStop() -> Int32 {
        var signals = stops()
        var number: Int32 = 0
        // sigwait fails only for a set without valid signals.
        while sigwait(&signals, &number) != 0 {}
        return number
    }

    /// Waits on the calling thread for one of the two signals, `timeout` at most.
    /// - Returns: its number; nil when none came in time.
    package static func waitForStop(timeout: Duration) -> Int32? {
        wait(for: stops(), timeout: timeout)
    }

    private static func wait(for signals: sigset_t, timeout: Duration) -> Int32? {
        var signals = signals
        let (seconds, attoseconds) = timeout.components
        var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        let number = sigtimedwait(&signals, nil, &time)
        return number > 0 ? number : nil
    }

    /// From now on the next of the two signals ends the process at once, with 128 + its number.
    package static func exitOnNext() {
        _ = WorkerThread(name: "signals") { _exit(128 + waitForStop()) }
    }

    /// Sends this process SIGTERM: how a part that cannot go on asks for an orderly end.
    package static func requestStop() { kill(getpid(), SIGTERM) }

    private static func hangUp() -> sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGHUP)
        return signals
    }

    private static func stops() -> sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        return signals
    }
}
