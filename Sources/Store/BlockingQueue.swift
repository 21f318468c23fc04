// SPDX-License-Identifier: MIT
internal import Glibc
internal import Timing

/// A bounded queue between threads where the taker may wait. Producers never wait: a full queue
/// refuses.
///
/// SAFETY: `@unchecked Sendable` because every access to `elements`, `isClosed` and `isWoken` happens
/// with `mutex` held; the two pthread objects are initialised before the first use and destroyed after
/// the last.
final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    private let limit: Int
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var elements: [Element] = []
    private var isClosed = false
    private var isWoken = false
    private var waiting = 0
    /// How many elements whoever waits waits for.
    private var wanted = 1

    init(limit: Int) {
        self.limit = limit
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        // Waits are measured on the monotonic clock: a step of the civil clock must not stretch them.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// How many elements wait.
    var count: Int { locked { elements.count } }

    /// Adds an element. False when the queue is full or closed.
    func append(_ element: Element) -> Bool {
        locked {
            guard !isClosed, elements.count < limit else { return false }
            elements.append(element)
            if waiting > 0, elements.count >= wanted { pthread_cond_signal(condition) }
            return true
        }
    }

    /// Makes a waiting taker return at once, though there is nothing to take.
    func wake() {
        locked {
            isWoken = true
            pthread_cond_broadcast(condition)
        }
    }

    /// Nothing more comes in; takers get what is left, then nil.
    func close() {
        locked {
            isClosed = true
            pthread_cond_broadcast(condition)
        }
    }

    /// Takes everything at once into `elements`, which must be empty and lends its memory to the queue
    /// in exchange. Waits at most `timeout`, or until woken.
    /// - Returns: false when the queue is closed and empty.
    func swap(into taken: inout [Element], waitingAtMost timeout: Duration) -> Bool {
        locked {
            wait(timeout)
            isWoken = false
            Swift.swap(&elements, &taken)
            return !(isClosed && taken.isEmpty)
        }
    }

    /// Waits until so many elements are there, until `end`, or until woken or closed. For a queue of one
    /// taker, whom being woken concerns when it takes the next time.
    func wait(for count: Int, until end: Instant) {
        locked {
            wanted = count
            wait(until: end)
            wanted = 1
        }
    }

    /// Takes the oldest element, waiting for one. Nil when the queue is closed and empty.
    func next() -> Element? {
        locked {
            while elements.isEmpty, !isClosed {
                wait(.seconds(3600))
                isWoken = false
            }
            return elements.isEmpty ? nil : elements.removeFirst()
        }
    }

    private func wait(_ timeout: Duration) { wait(until: SystemClock.now() + timeout) }

    /// For `wanted` elements, with the lock held.
    private func wait(until end: Instant) {
        guard elements.count < wanted, !isClosed, !isWoken else { return }
        var deadline = timespec(
            tv_sec: Int(end.nanoseconds / 1_000_000_000),
            tv_nsec: Int(end.nanoseconds % 1_000_000_000))
        waiting += 1
        while elements.count < wanted, !isClosed, !isWoken {
            if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
        }
        waiting -= 1
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
