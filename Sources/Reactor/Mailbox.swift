// SPDX-License-Identifier: MIT
internal import CLinux
internal import Locks

/// The one way into an event loop from another thread. Letters are kept in order, taken out all at
/// once, and the loop is woken with one eventfd write a batch.
///
/// Bounded: `tryPost` refuses past the limit and is what untrusted load goes through; `post` always
/// takes the letter, for answers whose number is bounded by the requests that asked for them.
package final class Mailbox: Sendable {
    /// Runs on the loop's own thread, with the loop.
    package typealias Letter = @Sendable (EventLoop) -> Void

    private struct State {
        var letters: [Letter] = []
        var isAwake = false
        var isClosed = false
    }

    private let state = Locked(State())
    private let limit: Int
    /// eventfd the loop polls; closed with the mailbox.
    let descriptor: Int32

    /// - Parameter limit: letters that may wait before `tryPost` refuses.
    package init(limit: Int = 65_536) {
        self.limit = limit
        descriptor = clinux_eventfd()
        precondition(descriptor >= 0, "eventfd: out of descriptors at start")
    }

    deinit { _ = clinux_close(descriptor) }

    /// Leaves a letter for the loop. False when the loop has ended: nobody will read it.
    @discardableResult
    package func post(_ letter: @escaping Letter) -> Bool {
        put(letter, limit: .max)
    }

    /// Leaves a letter unless as many as the limit wait already.
    package func tryPost(_ letter: @escaping Letter) -> Bool {
        put(letter, limit: limit)
    }

    /// Letters waiting: a gauge, stale as soon as it is read.
    package var depth: Int { state.withLock { $0.letters.count } }

    private func put(_ letter: @escaping Letter, limit: Int) -> Bool {
        let mustWake: Bool? = state.withLock { state in
            guard !state.isClosed, state.letters.count < limit else { return nil }
            state.letters.append(letter)
            defer { state.isAwake = true }
            return !state.isAwake
        }
        guard let mustWake else { return false }
        if mustWake { _ = clinux_eventfd_signal(descriptor) }
        return true
    }

    /// Takes everything out, in order, by swapping with the empty `spare`. Loop thread only.
    func take(into spare: inout [Letter]) {
        state.withLock { state in
            swap(&state.letters, &spare)
            state.isAwake = false
        }
    }

    func close() {
        state.withLock {
            $0.isClosed = true
            $0.letters.removeAll()
        }
    }
}
