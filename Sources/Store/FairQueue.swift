// SPDX-License-Identifier: MIT
internal import DequeModule
internal import HeapModule
internal import Locks

/// A bounded queue between those who ask for work and the threads that do it, in which who has asked
/// for little comes before who has asked for much. Producers never wait: a full queue refuses.
final class FairQueue<Asker: Hashable & Sendable, Work: Sendable>: Sendable {
    private let limit: Int
    private let monitor = Monitor(State())

    private struct State: Sendable {
        var lines = FairLines<Asker, Work>()
        var isClosed = false
    }

    init(limit: Int) { self.limit = limit }

    /// Adds work of an asker behind the asker's other work. False when the queue is full or closed.
    func append(_ work: Work, by asker: Asker) -> Bool {
        monitor.withLock { state in
            guard !state.isClosed, state.lines.count < limit else { return false }
            state.lines.append(work, by: asker)
            return true
        }
    }

    /// Nothing more comes in; takers get what is left, then nil.
    func close() { monitor.withLock { $0.isClosed = true } }

    /// Takes what is next, waiting for it, and hands it to `body` on this thread.
    /// - Parameter body: answers what the work has cost, in whatever unit all of them use.
    /// - Returns: false when the queue is closed and nothing is left that this thread could take.
    func serve(_ body: (Work) -> Int64) -> Bool {
        typealias Taken = (asker: Asker, work: Work)?
        let taken = monitor.wait { state -> Taken? in
            if let next = state.lines.next() { return .some(next) }
            return state.isClosed && state.lines.count == 0 ? .some(nil) : nil
        }
        guard let (asker, work) = taken ?? nil else { return false }
        let cost = body(work)
        monitor.withLock { $0.lines.done(by: asker, cost: cost) }
        return true
    }
}

/// Start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", IEEE/ACM Transactions on
/// Networking 5(5), 1997), for costs that are known only afterwards: the order in which work of many
/// askers is done such that each gets an equal share while it wants one.
///
/// An asker's work starts, in virtual time, where its work before ended, or now where that is past; the
/// earliest start is next. So one who comes for the first time waits for nobody's backlog. Virtual time
/// goes on by what is done, divided among all who want something: a stream of askers who each come once
/// starts later and later, and keeps nobody waiting for ever. Of one asker only one piece is done at a
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
    private var served = 0
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
        served += 1
        now = max(now, turn.start)
        count -= 1
        return (turn.asker, work)
    }

    /// What `next` gave last to this asker is done.
    mutating func done(by asker: Asker, cost: Int64) {
        guard var line = lines[asker] else { return }
        line.start += max(1, cost)
        line.isBeingServed = false
        end = max(end, line.start)
        now += max(1, cost) / Int64(turns.count + served)
        served -= 1
        if !line.works.isEmpty { wait(asker, from: line.start) }
        lines[asker] = line
    }

    private mutating func wait(_ asker: Asker, from start: Int64) {
        serial += 1
        turns.insert(Turn(start: start, serial: serial, asker: asker))
    }

    /// Forgets those whose last work ended in the past: they would start now, as anybody does.
    private mutating func forgetThePast() {
        if turns.isEmpty, served == 0 {
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
