// SPDX-License-Identifier: MIT
#if TSAN_LOCKS
    package import Glibc
#else
    package import Synchronization
#endif

/// A value and the only lock it can be reached through. Everything here that several threads share
/// and that is not atomic lives in one; `scripts/tidy.sh` keeps `Synchronization.Mutex` out of other
/// files.
///
/// It is `Synchronization.Mutex` and nothing else: no field more, no call that is not inlined away.
/// But that lock hands itself from thread to thread inside the kernel (a futex with priority
/// inheritance), where ThreadSanitizer does not see it and takes every contended value for a race.
/// A build made for that sanitizer (`SANITIZE=thread`, see Package.swift) has the same type over a
/// `pthread_mutex_t`, whose calls the sanitizer intercepts.
///
/// Not recursive: taking it again from inside `withLock` traps or waits for ever.
package struct Locked<Value: ~Copyable>: ~Copyable {
    #if TSAN_LOCKS
        // The address of a pthread mutex must stay, and a noncopyable value may still be moved.
        @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
        @usableFromInline let value: UnsafeMutablePointer<Value>
    #else
        @usableFromInline let mutex: Mutex<Value>
    #endif

    /// - Parameter value: what is guarded from now on.
    @inlinable
    package init(_ value: consuming sending Value) {
        #if TSAN_LOCKS
            mutex = .allocate(capacity: 1)
            mutex.initialize(to: pthread_mutex_t())
            precondition(pthread_mutex_init(mutex, nil) == 0)
            self.value = .allocate(capacity: 1)
            self.value.initialize(to: value)
        #else
            mutex = Mutex(value)
        #endif
    }

    /// Runs `body` with the value while no other thread is in such a body of the same value.
    ///
    /// - Parameter body: works on the value in place. What waits (disk, socket, another lock) has no
    ///   place in it.
    /// - Returns: what `body` returns. Errors: those of `body`; the lock is given back first.
    @inlinable
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        #if TSAN_LOCKS
            precondition(pthread_mutex_lock(mutex) == 0)
            defer { pthread_mutex_unlock(mutex) }
            return try body(&value.pointee)
        #else
            return try mutex.withLock(body)
        #endif
    }

    #if TSAN_LOCKS
        deinit {
            pthread_mutex_destroy(mutex)
            mutex.deallocate()
            value.deinitialize(count: 1)
            value.deallocate()
        }
    #endif
}

#if TSAN_LOCKS
    // SAFETY: the value is touched only between locking and unlocking `mutex`, in `withLock`; what goes
    // in and comes out is `sending`, which the compiler checks.
    extension Locked: @unchecked Sendable where Value: ~Copyable {}
#else
    extension Locked: Sendable where Value: ~Copyable {}
#endif
