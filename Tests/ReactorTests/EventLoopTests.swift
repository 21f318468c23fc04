// SPDX-License-Identifier: MIT
import Glibc
import Reactor
import Locks
import Synchronization
import Testing
import Timing

@Suite struct EventLoopTests {
    /// Runs `body` on a loop of its own thread and waits for the loop to end.
    private func onLoop(
        _ mailbox: Mailbox = Mailbox(), _ body: @escaping @Sendable (EventLoop) -> Void
    ) {
        let thread = WorkerThread(name: "test-loop") {
            let loop = EventLoop(index: 0, mailbox: mailbox)
            body(loop)
            loop.run()
        }
        thread.join()
    }

    @Test func lettersComeInOrderAndFromManyThreads() {
        let mailbox = Mailbox()
        let seen = Locked<[Int: [Int]]>([:])
        let senders = (0..<4).map { sender in
            WorkerThread(name: "sender") {
                for number in 0..<1000 {
                    mailbox.post { _ in seen.withLock { $0[sender, default: []].append(number) } }
                }
            }
        }
        let loop = WorkerThread(name: "loop") { EventLoop(index: 0, mailbox: mailbox).run() }
        for sender in senders { sender.join() }
        mailbox.post { $0.stop() }
        loop.join()
        #expect(
            seen.withLock { $0 }
                == Dictionary(uniqueKeysWithValues: (0..<4).map { ($0, Array(0..<1000)) }))
    }

    @Test func aFullMailboxRefusesAndAClosedOneTakesNothing() {
        let mailbox = Mailbox(limit: 2)
        #expect(mailbox.tryPost { _ in })
        #expect(mailbox.tryPost { _ in })
        #expect(!mailbox.tryPost { _ in })
        #expect(mailbox.post { $0.stop() })
        onLoop(mailbox) { _ in }
        #expect(!mailbox.post { _ in })
    }

    @Test func aTurnWithWorkLeftIsFollowedAtOnce() {
        let turns = Locked(0)
        onLoop { loop in
            // Neither timer nor letter would ever wake this loop.
            loop.beforeSleep = {
                let turn = turns.withLock {
                    $0 += 1
                    return $0
                }
                if turn < 5 { loop.wake(at: loop.now) } else { loop.stop() }
            }
            loop.wake(at: loop.now)
        }
        #expect(turns.withLock { $0 } == 5)
    }

    @Test func timersFireAndCancelledOnesDoNot() {
        final class Target: TimerTarget {
            let act: () -> Void
            init(_ act: @escaping () -> Void) { self.act = act }
            func timerFired(now: Instant) { act() }
        }
        let order = Locked<[Int]>([])
        onLoop { loop in
            _ = loop.schedule(
                Target {
                    order.withLock { $0.append(2) }
                    loop.stop()
                }, at: loop.now + .milliseconds(80))
            _ = loop.schedule(
                Target { order.withLock { $0.append(1) } }, at: loop.now + .milliseconds(20))
            let cancelled = loop.schedule(
                Target { order.withLock { $0.append(3) } }, at: loop.now + .milliseconds(40))
            loop.cancel(cancelled)
        }
        #expect(order.withLock { $0 } == [1, 2])
    }

    /// A handler that unregisters another one of the same batch: the other must not be called, nor
    /// whoever took its slot.
    @Test func aReportForARecycledSlotIsDropped() {
        final class Closer: DescriptorHandler {
            let act: () -> Void
            init(_ act: @escaping () -> Void) { self.act = act }
            func ready(_ readiness: Readiness) { act() }
        }
        let calls = Locked<[String]>([])
        onLoop { loop in
            func pair() -> (Int32, Int32) {
                var ends: [Int32] = [0, 0]
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
                return (ends[0], ends[1])
            }
            let (a, aPeer) = pair()
            let (b, bPeer) = pair()
            let (c, cPeer) = pair()
            var registrations: [Int32: Registration] = [:]
            func victim(_ own: Int32, _ other: Int32) -> Closer {
                Closer {
                    calls.withLock { $0.append("first") }
                    for descriptor in [own, other] {
                        guard let name = registrations.removeValue(forKey: descriptor) else {
                            continue
                        }
                        loop.unregister(descriptor, name)
                    }
                    _ = loop.register(
                        c, for: .readable,
                        handler: Closer {
                            calls.withLock { $0.append("recycled") }
                        })
                    loop.stop()
                }
            }
            registrations[a] = loop.register(a, for: .readable, handler: victim(a, b))
            registrations[b] = loop.register(b, for: .readable, handler: victim(b, a))
            write(aPeer, "x", 1)
            write(bPeer, "x", 1)
            _ = cPeer
        }
        #expect(calls.withLock { $0 } == ["first"])
    }

    @Test func aWorkerPoolFinishesWhatItTook() {
        let done = Atomic(0)
        let pool = WorkerPool(name: "pool", threads: 2, limit: 100)
        for _ in 0..<50 { #expect(pool.submit { done.add(1, ordering: .relaxed) }) }
        pool.stop()
        #expect(done.load(ordering: .relaxed) == 50)
        #expect(!pool.submit {})
    }
}
