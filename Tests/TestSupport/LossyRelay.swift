// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks
internal import Synchronization

/// A TCP relay on 127.0.0.1 whose connections can go half-open: nothing passes any more, and neither
/// end hears of it, as when a cable is pulled. Ends when it is let go.
package final class LossyRelay: Sendable {
    /// Where clients connect.
    package let port: UInt16
    private let target: UInt16
    private let listener: Int32
    private let state = Locked(State())

    private struct State {
        /// Connections made up to this one pass nothing.
        var lostThrough = 0
        var losesNew = false
        var made = 0
        var open: Set<Int32> = []
        var isStopped = false
    }

    /// - Parameter target: the port on 127.0.0.1 that is relayed to.
    package init(to target: UInt16) {
        self.target = target
        (listener, port) = LoopbackServer.listen(0)
        let listener = listener
        // Holds nothing but what it needs: the relay ends when its owner lets go of it.
        LoopbackServer.spawn { [weak self] in
            while true {
                let accepted = accept(listener, nil, nil)
                guard accepted >= 0 else { break }
                guard let self else {
                    close(accepted)
                    break
                }
                take(accepted)
            }
            close(listener)
        }
    }

    deinit { stop() }

    /// All connections there are pass nothing from now on.
    /// - Parameter new: whether those made later do not either, until the next call.
    package func lose(new: Bool = false) {
        state.withLock {
            $0.lostThrough = $0.made
            $0.losesNew = new
        }
    }

    /// Closes everything.
    package func stop() {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    private func take(_ near: Int32) {
        guard let far = LoopbackPort.connect(to: target) else {
            close(near)
            return
        }
        // Without the time limit that suits a client's reads.
        var forever = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(
            far, SOL_SOCKET, SO_RCVTIMEO, &forever, socklen_t(MemoryLayout<timeval>.size))
        let number: Int? = state.withLock { state in
            guard !state.isStopped else { return nil }
            state.made += 1
            state.open.formUnion([near, far])
            return state.made
        }
        guard let number else {
            close(near)
            close(far)
            return
        }
        let left = Counter()
        for (from, to) in [(near, far), (far, near)] {
            LoopbackServer.spawn { [weak self] in
                var buffer = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = recv(from, &buffer, buffer.count, 0)
                    guard count > 0, let self else { break }
                    // What is lost is taken from the sender: its kernel must not notice either.
                    if passes(number) { _ = LoopbackServer.write(to, Array(buffer[..<count])) }
                }
                if self?.passes(number) ?? true { shutdown(to, Int32(SHUT_RDWR)) }
                guard left.isSecond() else { return }
                self?.state.withLock { $0.open.subtract([near, far]) }
                close(near)
                close(far)
            }
        }
    }

    private func passes(_ number: Int) -> Bool {
        state.withLock { number > $0.lostThrough && !$0.losesNew }
    }

    private final class Counter: Sendable {
        private let value = Atomic(0)
        func isSecond() -> Bool { value.add(1, ordering: .relaxed).newValue == 2 }
    }
}
