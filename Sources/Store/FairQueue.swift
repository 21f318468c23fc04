// SPDX-License-Identifier: MIT
internal import DequeModule
internal import HeapModule
internal import Locks
internal import Synchronization
internal import Timing

/// A bounded queue between those who ask for work and the threads that do it, in which who has asked
/// for little comes before who has asked for much. Producers never wait: a full queue refuses.
///
/// What is taken is under way until its claim ends, which may be long after the thread is done with it:
/// when its result has been used. Of one asker only one piece is under way at a time, and of all of them
/// only so many, so that what waits waits here, where it is in a fair order.
final class FairQueue<Asker: Hashable & Sendable, Work: Sendable>: Sendable {
    private let limit: Int
    private let maxUnderWay: Int
    private let monitor = Monitor(State())

    private struct State: Sendable {
        var lines = FairLines<Asker, Work>()
        var isClosed = false
    }

    /// - Parameters:
    ///   - limit: how much may wait.
    ///   - maxUnderWay: how many claims there may be at a time.
    init(limit: Int, maxUnderWay: Int) {
        self.limit = limit
        self.maxUnderWay = maxUnderWay
    }

    /// Adds work of an asker behind the asker's other work. False when the queue is full or closed.
    func append(_ work: Work, by asker: Asker) -> Bool {
        monitor.withLock { state in
            guard !state.isClosed, state.lines.count < limit else { return false }
            state.lines.append(work, by: asker)
            return true
        }
    }

    /// Nothing more comes in; takers get what is left, then nil. No claim is waited for any more: whoever
    /// had one may have ended without it.
    func close() { monitor.withLock { $0.isClosed = true } }

    /// Takes what is next, waiting for it and for room among what is under way. Nil when the queue is
    /// closed and empty.
    func next() -> (work: Work, claim: FairClaim)? {
        typealias Taken = (asker: Asker, work: Work)?
        let taken = monitor.wait { state -> Taken? in
            if state.isClosed { return .some(state.lines.nextOfAny()) }
            return state.lines.underWay < maxUnderWay ? state.lines.next().map { .some($0) } : nil
        }
        guard let (asker, work) = taken ?? nil else { return nil }
        let claim = FairClaim { [monitor] cost in
            monitor.withLock { $0.lines.done(by: asker, cost: cost) }
        }
        return (work, claim)
    }
}

/// Work that was taken from a `FairQueue` and is under way. It costs its asker the time until it ends.
package final class FairClaim: Sendable {
    private let began = SystemClock.now()
    private let onEnd: @Sendable (Int64) -> Void
    private let hasEnded = Atomic(false)

    init(onEnd: @escaping @Sendable (Int64) -> Void) { self.onEnd = onEnd }

    /// What was asked for has been used. Letting go of the claim is the same.
    package func end() {
        guard !hasEnded.exchange(true, ordering: .relaxed) else { return }
        onEnd((SystemClock.now() - began).nanoseconds)
    }

    deinit { end() }
}

/// Start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", IEEE/ACM Transactions on
/// Networking 5(5), 1997), for costs that are known only afterwards: the order in which work of many
/// askers is done such that each gets an equal share while it wants one.
///
/// An asker's work starts, in virtual time, where its work before ended, or now where that is past; the
/// earliest start is next. So one who comes for the first time waits for nobody's backlog. Virtual time
/// also goes on by what is done: a stream of askers who each come once starts later and later, and keeps
/// nobody waiting for ever. Of one asker only one piece is done at a
/// time, in the order given.
struct FairLines<Asker: Hashable & Sendable, Work: Sendable>: Sendable {
    private struct Line: Sendable {
        var works = Deque<Work>()
        /// When the next of them starts, in virtual time.
        var start: Int64
        var isBeingServed = false
    }

    /// A line that has work and is not being served.
    private struct Turn: Comparable, Sendable {
        let start: Int64
        /// Between equals the first to come.
        let serial: UInt64
        let asker: Asker

        static func < (one: Turn, other: Turn) -> Bool {
            (one.start, one.serial) < (other.start, other.serial)
        }
        static func == (one: Turn, other: Turn) -> Bool { one.serial == other.serial }
    }

    private var lines: [Asker: Line] = [:]
    private var turns = Heap<Turn>()
    private var serial: UInt64 = 0
    /// Virtual time: never before the start of what was taken last.
    private var now: Int64 = 0
    /// The latest end of work done so far.
    private var end: Int64 = 0
    /// Pieces that were taken and are not done.
    private(set) var underWay = 0
    /// How much slower virtual time goes on by itself than by what is taken. The slower, the sooner is
    /// served who asks now and then, and the longer waits who is overtaken by a stream of such.
    private static var drag: Int64 { 8 }
    /// How many lines may be kept before those without a claim are looked for.
    private var sweepsAt = 64
    /// Work that waits.
    private(set) var count = 0
    /// Askers whose work waits or is done, or has been of late.
    var known: Int { lines.count }

    mutating func append(_ work: Work, by asker: Asker) {
        forgetThePast()
        var line = lines.removeValue(forKey: asker) ?? Line(start: now)
        if line.works.isEmpty, !line.isBeingServed { line.start = max(line.start, now) }
        line.works.append(work)
        count += 1
        if line.works.count == 1, !line.isBeingServed { wait(asker, from: line.start) }
        lines[asker] = line
    }

    /// Takes the next piece; `done` has to follow.
    mutating func next() -> (asker: Asker, work: Work)? {
        guard let turn = turns.popMin(), let work = lines[turn.asker]?.works.popFirst() else {
            return nil
        }
        lines[turn.asker]?.isBeingServed = true
        underWay += 1
        now = max(now, turn.start)
        count -= 1
        return (turn.asker, work)
    }

    /// Takes any piece, in no fair order and whatever else of its asker is under way: for the end.
    mutating func nextOfAny() -> (asker: Asker, work: Work)? {
        guard let asker = lines.first(where: { !$0.value.works.isEmpty })?.key,
            let work = lines[asker]?.works.popFirst()
        else { return nil }
        underWay += 1
        count -= 1
        return (asker, work)
    }

    /// What `next` gave last to this asker is done.
    mutating func done(by asker: Asker, cost: Int64) {
        guard var line = lines[asker] else { return }
        line.start += max(1, cost)
        line.isBeingServed = false
        end = max(end, line.start)
        now += max(1, cost) / FairLines.drag / Int64(turns.count + underWay)
        underWay -= 1
        if !line.works.isEmpty { wait(asker, from: line.start) }
        lines[asker] = line
    }

    private mutating func wait(_ asker: Asker, from start: Int64) {
        serial += 1
        turns.insert(Turn(start: start, serial: serial, asker: asker))
    }

    /// Forgets those whose last work ended in the past: they would start now, as anybody does.
    private mutating func forgetThePast() {
        if turns.isEmpty, underWay == 0 {
            // Nobody waits, so nobody is owed anything.
            now = end
            lines.removeAll(keepingCapacity: lines.count < 1024)
        } else if lines.count >= sweepsAt {
            lines = lines.filter { _, line in
                !line.works.isEmpty || line.isBeingServed || line.start > now
            }
            sweepsAt = max(64, lines.count * 2)
        }
    }
}
