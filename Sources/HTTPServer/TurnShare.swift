// SPDX-License-Identifier: MIT
internal import DequeModule
internal import Reactor
internal import Timing

/// Goes on, a slice at a time, with input of its peer's that is too much for one turn of its loop.
package protocol TurnTaker: AnyObject {
    /// Its turn has come. Who is not done by the end of a `WorkSlice` waits for the next one.
    func takeTurn()
}

/// What one peer's input may take of a turn in one go. One read may bring thousands of messages, and
/// what a message costs is not told by its size: so it is the time that is bounded.
///
/// The clock is read at the second message and at each fourth after it, at each where they may be dear:
/// the ordinary read of one message never does.
package struct WorkSlice {
    /// So long that changing from one peer to the next costs nothing beside it, so short that a round
    /// of twenty is no delay anybody notices.
    static let nanoseconds: Int64 = 100_000
    private var steps: UInt32 = 0
    private var end: Int64 = .max

    package init() {}

    /// Whether the others' turn has come. To be asked before each step.
    /// - Parameter isDear: whether a single step may take long.
    package mutating func isUsedUp(isDear: Bool = false) -> Bool {
        defer { steps &+= 1 }
        guard steps > 0, isDear || steps == 1 || steps & 3 == 1 else { return false }
        let now = SystemClock.now().nanoseconds
        // The first step is not counted: the clock is not read before it.
        if end == .max { end = now + WorkSlice.nanoseconds }
        return now >= end
    }
}

/// What one peer's input has cost of late, in time of its loop: a leaky bucket. A fiftieth of the loop
/// is everybody's for the asking; who wants more waits behind those who do not.
struct Ration {
    /// Which line input waits in where there is no time for it at once.
    enum Line { case newcomers, short, long }

    /// What one read may cost without being dear.
    static let cheap: Int64 = 50_000
    /// Past it a peer waits in the long line. Two dear reads in a row, since one may be the machine's
    /// doing and not the peer's.
    private static let allowance: Int64 = 1_500_000
    /// What one read counts at most: a step of its own is never much longer.
    private static let most: Int64 = 1_000_000
    /// A debt is forgotten within so many times its length.
    private static let forgetting: Int64 = 50

    /// No debt is longer: five seconds of silence and all is forgotten.
    private static let longest: Int64 = 100_000_000

    /// Nanoseconds of the last read; before the first one, `never`.
    private var at: Int64 = never
    private var debt: Int32 = 0
    private static let never = Int64.min

    /// Where the peer has to wait, if it has to.
    func line(now: Instant) -> Line {
        guard at != Ration.never else { return .newcomers }
        return owed(now) > Ration.allowance ? .long : .short
    }

    /// Whether what it sends has been cheap so far, and may be expected to be.
    func isCheap(now: Instant) -> Bool { at != Ration.never && owed(now) <= Ration.cheap }

    /// Counts a read that has cost so many nanoseconds.
    mutating func note(cost: Int64, now: Instant) {
        // Cheap reads leave no debt, however many they are: a turn is one read of each peer.
        if debt > 0 || cost > Ration.cheap {
            let added = cost > Ration.cheap ? min(cost, Ration.most) : 0
            debt = Int32(min(owed(now) + added, Ration.longest))
        }
        at = now.nanoseconds
    }

    private func owed(_ now: Instant) -> Int64 {
        debt == 0 ? 0 : max(0, Int64(debt) - (now.nanoseconds - at) / Ration.forgetting)
    }
}

/// How the peers of one loop share its turns.
///
/// What peers send is read as it is reported, and answered in the same turn, where their input has been
/// cheap. Others wait in lines that are served by turns, a slice each, until the turn's share for them is
/// used up: those of whom nothing is known yet, those who came late in a turn, and those whose input has
/// been dear (`Ration`), or is more than a slice. So a turn stays short whatever is sent, and those who
/// ask for little wait neither for those who ask for much nor for a crowd that has just come.
struct TurnShare {
    /// From the beginning of a turn: past it, input that may be dear waits in line.
    private static let forArrivals: Int64 = 500_000
    /// Past it all input does. What has been cheap need not stay so, and of thousands who grow a buffer
    /// in step each has been cheap until then.
    private static let forAllArrivals: Int64 = 2_000_000
    /// For the lines, a turn.
    private static let forLines: Int64 = 500_000

    private var short = Deque<any TurnTaker>()
    private var newcomers = Deque<any TurnTaker>()
    private var long = Deque<any TurnTaker>()
    private var lastServed = Ration.Line.long
    private var lastReading: Int64 = 0
    private var turnBegan: Int64 = 0

    /// Whether a read has to wait.
    mutating func isLate(isCheap: Bool = false, on loop: EventLoop) -> Bool {
        begin(on: loop)
        return lastReading - turnBegan
            > (isCheap ? TurnShare.forAllArrivals : TurnShare.forArrivals)
    }

    /// Reads the clock behind one read.
    /// - Returns: what it has cost, in nanoseconds.
    mutating func lap(on loop: EventLoop) -> Int64 {
        begin(on: loop)
        let now = SystemClock.now().nanoseconds
        defer { lastReading = now }
        return now - lastReading
    }

    private mutating func begin(on loop: EventLoop) {
        guard loop.now.nanoseconds != turnBegan else { return }
        turnBegan = loop.now.nanoseconds
        lastReading = turnBegan
    }

    mutating func wait(_ taker: any TurnTaker, in line: Ration.Line) {
        switch line {
        case .short: short.append(taker)
        case .newcomers: newcomers.append(taker)
        case .long: long.append(taker)
        }
    }

    /// How many there are to be served this turn: who joins a line meanwhile has the next.
    var waiting: Int { short.count + newcomers.count + long.count }

    /// The next to be served: of the line whose turn it is, or of the one after where that is empty. Nil
    /// when nobody waits.
    mutating func next() -> (any TurnTaker)? {
        for _ in 0..<3 {
            switch lastServed {
            case .long:
                lastServed = .short
                if let taker = short.popFirst() { return taker }
            case .short:
                lastServed = .newcomers
                if let taker = newcomers.popFirst() { return taker }
            case .newcomers:
                lastServed = .long
                if let taker = long.popFirst() { return taker }
            }
        }
        return nil
    }

    mutating func removeAll() {
        short.removeAll()
        newcomers.removeAll()
        long.removeAll()
    }

    /// When the lines' share of a turn is used up that begins now.
    static func end() -> Int64 { SystemClock.now().nanoseconds + forLines }
}
