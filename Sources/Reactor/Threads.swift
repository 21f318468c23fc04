// SPDX-License-Identifier: MIT
internal import CLinux
internal import DequeModule
internal import Glibc
internal import Locks

/// One POSIX thread running one closure. Joined explicitly; never detached.
package struct WorkerThread: Sendable {
    private let handle: pthread_t

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a thread.
    /// - Parameter name: shown by `top -H` and debuggers; the kernel keeps 15 bytes.
    package init(name: String, _ run: @escaping @Sendable () -> Void) {
        let body = Unmanaged.passRetained(Body(name: String(name.prefix(15)), run: run))
        var handle = pthread_t()
        let result = pthread_create(
            &handle, nil,
            { pointer in
                let body = Unmanaged<Body>.fromOpaque(pointer!).takeRetainedValue()
                clinux_thread_name(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        precondition(result == 0, "pthread_create: out of threads at start")
        self.handle = handle
    }

    /// Waits for the thread to end.
    package func join() { pthread_join(handle, nil) }
}

/// A few threads for work that blocks: files, SQLite, password hashes. The queue is bounded; a full
/// one refuses, so that a flood of slow requests costs answers, not memory.
package final class WorkerPool: Sendable {
    private struct State {
        var jobs = Deque<@Sendable () -> Void>()
        var isStopped = false
    }

    private let state = Locked(State())
    private let limit: Int
    // SAFETY: POSIX semaphores are made to be shared; initialised before and destroyed after all use.
    private nonisolated(unsafe) let signal: UnsafeMutablePointer<sem_t>
    private let threads = Locked<[WorkerThread]>([])

    /// - Parameters:
    ///   - threads: how many jobs run at once.
    ///   - limit: how many may wait.
    package init(name: String, threads count: Int, limit: Int) {
        self.limit = limit
        signal = .allocate(capacity: 1)
        sem_init(signal, 0, 0)
        let workers = (0..<count).map { index in
            WorkerThread(name: "\(name)-\(index)") { [self] in work() }
        }
        threads.withLock { $0 = workers }
    }

    // The threads hold the pool while they run: nobody waits on the semaphore any more.
    deinit {
        sem_destroy(signal)
        signal.deallocate()
    }

    /// Runs `job` on one of the threads. False when as many as the limit wait already.
    package func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
        let accepted = state.withLock { state in
            guard !state.isStopped, state.jobs.count < limit else { return false }
            state.jobs.append(job)
            return true
        }
        if accepted { sem_post(signal) }
        return accepted
    }

    /// Lets the jobs that wait finish, then ends the threads.
    package func stop() {
        state.withLock { $0.isStopped = true }
        let workers = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for _ in workers { sem_post(signal) }
        for worker in workers { worker.join() }
    }

    private func work() {
        while true {
            while sem_wait(signal) != 0 {}
            let job = state.withLock { $0.jobs.popFirst() }
            guard let job else { return }
            job()
        }
    }
}
