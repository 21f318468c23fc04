// SPDX-License-Identifier: MIT
internal import Glibc
internal import Timing

/// Lets the processes that write one log take turns.
///
/// SQLite's write lock is what keeps writers apart; but it is polled for, and a process that commits
/// without pause leaves it free only for microseconds, which the others mostly miss. So who wants the
/// write lock first takes the turn, and gives it back once it has the lock: the process that has just
/// committed finds the turn taken by the one that waits, and comes after it.
///
/// ```
///  A: lock ──commit──┐ wants the turn … ──► turn, waits for the lock ──► lock …
///  B: turn, waits for the lock ─────────► lock, gives the turn back ──commit──┐
/// ```
///
/// Advice only: nothing is decided by it, and who does not get it soon (its holder was stopped, say)
/// goes on without. A `flock` on a file of its own, which dies with its holder. Belongs to one thread.
final class WriterTurn {
    private let descriptor: Int32
    /// How long to wait for the turn: longer than a slow commit, far shorter than the lock's timeout.
    private static let patience: Duration = .milliseconds(100)

    /// Nil when the file cannot be made; then there are no turns.
    init?(log path: String) {
        descriptor = open(path + "-turn", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0 { return nil }
    }

    deinit { close(descriptor) }

    /// Waits for the turn, not for ever.
    func take() {
        guard flock(descriptor, LOCK_EX | LOCK_NB) != 0 else { return }
        let deadline = SystemClock.now() + WriterTurn.patience
        while SystemClock.now() < deadline {
            usleep(100)
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
        }
    }

    /// Gives the turn back, if it was had.
    func pass() { flock(descriptor, LOCK_UN) }
}
