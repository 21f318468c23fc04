// SPDX-License-Identifier: MIT
internal import ChatCore
internal import Glibc
internal import Reactor
internal import Synchronization

/// Publish and subscribe inside one process, for when there is no Redis. Handlers run on a thread of
/// the bus's own, so publishing never runs a subscriber's code.
package final class LocalBus: Bus {
    /// Messages that may wait before publishing drops.
    package static let maxQueueCount = 65_536

    private struct State {
        var handlers: [String: [@Sendable ([UInt8]) -> Void]] = [:]
        var messages: [(channel: String, payload: [UInt8])] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    private let thread = Mutex<WorkerThread?>(nil)
    // SAFETY: POSIX semaphores are made to be shared; initialised before the thread starts, destroyed
    // after the last reference is gone.
    private nonisolated(unsafe) let signal: UnsafeMutablePointer<sem_t>

    package init() {
        signal = .allocate(capacity: 1)
        sem_init(signal, 0, 0)
        thread.withLock { $0 = WorkerThread(name: "chat-bus") { [self] in run() } }
    }

    deinit {
        sem_destroy(signal)
        signal.deallocate()
    }

    package func publish(_ channel: String, _ payload: [UInt8]) {
        let mustSignal = state.withLock { state in
            guard !state.isStopped, state.messages.count < LocalBus.maxQueueCount else {
                return false
            }
            state.messages.append((channel, payload))
            return state.messages.count == 1
        }
        if mustSignal { sem_post(signal) }
    }

    package func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        state.withLock { $0.handlers[channel, default: []].append(handler) }
    }

    package var isConnected: Bool { state.withLock { !$0.isStopped } }

    package func stop() {
        state.withLock { $0.isStopped = true }
        sem_post(signal)
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    private func run() {
        while true {
            while sem_wait(signal) != 0 {}
            var messages: [(channel: String, payload: [UInt8])] = []
            let (handlers, isStopped) = state.withLock { state in
                swap(&messages, &state.messages)
                return (state.handlers, state.isStopped)
            }
            if isStopped { return }
            for (channel, payload) in messages {
                for handler in handlers[channel] ?? [] { handler(payload) }
            }
        }
    }
}
