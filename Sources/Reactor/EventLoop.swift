// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
package import Timing

/// What an event loop reports about a descriptor.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = Readiness(rawValue: UInt32(CLINUX_IN))
    package static let writable = Readiness(rawValue: UInt32(CLINUX_OUT))
    /// The peer has closed or reset; reading tells which.
    package static let hangUp = Readiness(
        rawValue: UInt32(CLINUX_HUP | CLINUX_ERR | CLINUX_RDHUP))
    /// A read would not wait: there is something, or the end.
    package static let incoming = Readiness(
        rawValue: Readiness.readable.rawValue | Readiness.hangUp.rawValue)
}

/// Gets the readiness of one registered descriptor. Called on the loop's thread.
package protocol DescriptorHandler: AnyObject {
    func ready(_ readiness: Readiness)
}

/// Gets a timer that has come due. Called on the loop's thread.
package protocol TimerTarget: AnyObject {
    func timerFired(now: Instant)
}

/// Names one registration; the slot may be used again, the pair never is while anybody could hold it.
package struct Registration: Hashable, Sendable {
    package let index: UInt32
    package let generation: UInt32

    var data: UInt64 { UInt64(generation) << 32 | UInt64(index) }
}

/// One epoll set on one thread. Everything registered here lives and dies on that thread; other
/// threads reach it only through `mailbox`.
///
///     run ─► epoll_wait ─► timers ─► descriptors ─► letters ─► flush hook ─┐
///      ▲                                                                    │
///      └────────────────────────────────────────────────────────────────────┘
///
/// Not `Sendable`: it is made on its own thread, so the compiler objects when it escapes.
package final class EventLoop {
    struct Slot {
        var handler: (any DescriptorHandler)?
        var generation: UInt32 = 0
    }

    /// Position among the server's loops, from 0.
    package let index: Int
    /// How other threads reach this loop.
    package let mailbox: Mailbox
    /// CLOCK_MONOTONIC as of this turn of the loop: read once a turn, since handlers need no finer.
    package private(set) var now: Instant
    /// Called at the end of each turn, before sleeping: where queued output is sent.
    package var beforeSleep: (() -> Void)?
    /// When the next turn begins at the latest.
    private var wakeUp = Instant.distantFuture
    /// What the layers above keep for this loop.
    package var attachment: AnyObject?

    private static let tick = Duration.milliseconds(20)
    private let epoll: Int32
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var wheel: TimerWheel<any TimerTarget>
    private var letters: [Mailbox.Letter] = []
    private var isRunning = true
    private let clock: () -> Instant
    private static let maxEvents = 1024
    private let events = UnsafeMutablePointer<clinux_event>.allocate(capacity: maxEvents)
    private let thread: pthread_t
    /// Where reads go: one buffer for all connections, since only one is read at a time.
    package let readBuffer: UnsafeMutableRawBufferPointer

    /// Makes a loop for the calling thread.
    /// - Parameters:
    ///   - index: position among the server's loops.
    ///   - mailbox: made before the thread, so that letters can be left before the loop turns.
    ///   - clock: CLOCK_MONOTONIC, unless the caller turns the loop and makes its own time.
    package init(
        index: Int, mailbox: Mailbox = Mailbox(), clock: @escaping () -> Instant = SystemClock.now
    ) {
        self.index = index
        self.mailbox = mailbox
        self.clock = clock
        now = clock()
        epoll = clinux_epoll_create()
        precondition(epoll >= 0, "epoll_create1: out of descriptors at start")
        wheel = TimerWheel(tick: EventLoop.tick, now: now)
        thread = pthread_self()
        readBuffer = .allocate(byteCount: 256 * 1024, alignment: 64)
        let added = clinux_epoll_add(
            epoll, mailbox.descriptor, UInt32(CLINUX_IN), UInt64.max)
        precondition(added == 0, "epoll_ctl on a fresh eventfd")
    }

    deinit {
        readBuffer.deallocate()
        events.deallocate()
        _ = clinux_close(epoll)
    }

    /// Traps when called on any other thread than the loop's own.
    package func assertOnLoop() {
        assert(pthread_equal(thread, pthread_self()) != 0, "touched from another thread")
    }

    /// Starts watching a descriptor, level-triggered.
    /// - Returns: nil when the kernel has no room for another watch.
    package func register(
        _ descriptor: Int32, for interest: Readiness, handler: any DescriptorHandler
    ) -> Registration? {
        assertOnLoop()
        let index = freeSlots.popLast() ?? UInt32(slots.count)
        if Int(index) == slots.count { slots.append(Slot()) }
        slots[Int(index)].handler = handler
        let registration = Registration(index: index, generation: slots[Int(index)].generation)
        guard clinux_epoll_add(epoll, descriptor, interest.rawValue, registration.data) == 0 else {
            release(registration)
            return nil
        }
        return registration
    }

    /// Changes what is watched for.
    package func modify(_ descriptor: Int32, _ registration: Registration, for interest: Readiness)
    {
        let result = clinux_epoll_modify(epoll, descriptor, interest.rawValue, registration.data)
        precondition(result == 0, "epoll_ctl on a registered descriptor")
    }

    /// Stops watching. To be called before the descriptor is closed or given away; reports already
    /// collected for it are dropped.
    package func unregister(_ descriptor: Int32, _ registration: Registration) {
        assertOnLoop()
        _ = clinux_epoll_remove(epoll, descriptor)
        release(registration)
    }

    /// The handler registered under a name, if it still is.
    package func handler(_ registration: Registration) -> (any DescriptorHandler)? {
        let index = Int(registration.index)
        guard index < slots.count, slots[index].generation == registration.generation else {
            return nil
        }
        return slots[index].handler
    }

    /// All handlers registered now, in no order that means anything.
    package var handlers: [any DescriptorHandler] { slots.compactMap(\.handler) }

    private func release(_ registration: Registration) {
        let index = Int(registration.index)
        precondition(slots[index].generation == registration.generation)
        slots[index].handler = nil
        slots[index].generation &+= 1
        freeSlots.append(registration.index)
    }

    /// Arranges for `target` to be called at the first turn not before `deadline` (20 ms coarse).
    /// The wheel holds the target until then.
    package func schedule(_ target: any TimerTarget, at deadline: Instant) -> TimerID {
        wheel.schedule(target, at: deadline)
    }

    /// Sees to it that `target` is called at the first turn not before `deadline`, by the one timer it
    /// has, or earlier: then it asks again.
    /// - Parameter timer: the target's timer; stale or `none` where it has none.
    package func arm(_ timer: inout TimerID, _ target: any TimerTarget, by deadline: Instant) {
        wheel.arm(&timer, target, by: deadline)
    }

    /// Forgets a timer; harmless when it has fired.
    package func cancel(_ timer: TimerID) { wheel.cancel(timer) }

    /// Has the next turn begin at `instant` at the latest (1 ms coarse), or at once when that is over, for
    /// work that this one has left: finer than a timer, and gone with that turn.
    package func wake(at instant: Instant) { wakeUp = min(wakeUp, instant) }

    /// Ends `run` after this turn.
    package func stop() { isRunning = false }

    /// Turns until `stop`.
    package func run() {
        while isRunning { turn(waiting: timeout()) }
        mailbox.close()
        attachment = nil
        beforeSleep = nil
        slots.removeAll()
        // Those whose timers would never come hold whoever holds the loop.
        wheel = TimerWheel(tick: EventLoop.tick, now: now)
    }

    /// One turn.
    /// - Parameter milliseconds: how long to wait for something to do; 0 not at all, -1 as long as it
    ///   takes.
    package func turn(waiting milliseconds: Int32) {
        assertOnLoop()
        let count = clinux_epoll_wait(
            epoll, events, Int32(EventLoop.maxEvents), milliseconds)
        precondition(count >= 0, "epoll_wait on our own set")
        now = clock()
        wakeUp = .distantFuture
        for target in wheel.advance(to: now) { target.timerFired(now: now) }
        var hasMail = false
        for index in 0..<Int(count) {
            let event = events[index]
            if event.data == UInt64.max {
                hasMail = true
                continue
            }
            let name = Registration(
                index: UInt32(truncatingIfNeeded: event.data),
                generation: UInt32(truncatingIfNeeded: event.data >> 32))
            // A handler earlier in this batch may have closed this one and reused its slot.
            handler(name)?.ready(Readiness(rawValue: event.events))
        }
        if hasMail { readMail() }
        beforeSleep?()
    }

    private func readMail() {
        _ = clinux_eventfd_drain(mailbox.descriptor)
        mailbox.take(into: &letters)
        for letter in letters { letter(self) }
        letters.removeAll(keepingCapacity: letters.count <= 4096)
    }

    private func timeout() -> Int32 {
        let wake = min(wakeUp, wheel.nextWake() ?? .distantFuture)
        guard wake != .distantFuture else { return -1 }
        let left = (wake - clock()).nanoseconds
        return left <= 0 ? 0 : Int32(min(left / 1_000_000 + 1, 60_000))
    }
}
