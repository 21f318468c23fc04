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
/// The clock is read at the second message and at each fourth after it, at each where they are dear:
/// the ordinary read of one message never does.
package struct WorkSlice {
    /// So long that changing from one peer to the next costs nothing beside it, so short that a round
    /// of twenty is no delay anybody notices.
    static let nanoseconds: Int64 = 100_000
    private let mask: UInt32
    private var steps: UInt32 = 0
    private var end: Int64 = .max

    /// - Parameter isDear: whether a single step may take long.
    package init(isDear: Bool = false) { mask = isDear ? 0 : 3 }

    /// Whether the others' turn has come. To be asked before each step.
    package mutating func isUsedUp() -> Bool {
        defer { steps &+= 1 }
        guard steps > 0, steps & mask == 1 & mask else { return false }
        let now = SystemClock.now().nanoseconds
        if steps == 1 { end = now + WorkSlice.nanoseconds }
        return now >= end
    }
}

/// How the peers of one loop share its turns.
///
/// What peers send is read as it is reported, and answered in the same turn, where their last input was
/// cheap. Others wait in two lines that are served by turns, a slice each, until the turn's share for them
/// is used up: in the short one those of whom little is known and who came late in a turn, in the long one
/// those whose input was dear twice running, or is more than a slice. So a turn stays short whatever is
/// sent, and those who ask for little do not wait for those who ask for much.
struct TurnShare {
    /// What one peer's reads have cost so far. Once may be the machine's doing.
    enum Cost {
        case unknown, cheap, suspect, dear

        mutating func note(isDear: Bool) {
            switch self {
            case _ where !isDear: self = .cheap
            case .unknown, .cheap: self = .suspect
            case .suspect, .dear: self = .dear
            }
        }
    }

    /// From the beginning of a turn: past it, input that may be dear waits in the line.
    private static let forArrivals: Int64 = 500_000
    /// For the lines, a turn.
    private static let forLines: Int64 = 500_000
    /// What one read may cost without being dear.
    private static let cheap: Int64 = 50_000

    private var short = Deque<any TurnTaker>()
    private var long = Deque<any TurnTaker>()
    private var prefersLong = false
    private var lastReading: Int64 = 0
    private var turnBegan: Int64 = 0

    /// Whether a read of which little is known has to wait.
    mutating func isLate(on loop: EventLoop) -> Bool {
        begin(on: loop)
        return lastReading - turnBegan > TurnShare.forArrivals
    }

    /// Reads the clock behind one read.
    /// - Returns: whether it was dear.
    mutating func lap(on loop: EventLoop) -> Bool {
        begin(on: loop)
        let now = SystemClock.now().nanoseconds
        defer { lastReading = now }
        return now - lastReading > TurnShare.cheap
    }

    private mutating func begin(on loop: EventLoop) {
        guard loop.now.nanoseconds != turnBegan else { return }
        turnBegan = loop.now.nanoseconds
        lastReading = turnBegan
    }

    mutating func wait(_ taker: any TurnTaker, isLong: Bool) {
        if isLong { long.append(taker) } else { short.append(taker) }
    }

    /// How many there are to be served this turn: who joins a line meanwhile has the next.
    var waiting: Int { short.count + long.count }

    /// The next to be served. Only while somebody waits.
    mutating func next() -> any TurnTaker {
        prefersLong.toggle()
        return prefersLong
            ? long.popFirst() ?? short.removeFirst() : short.popFirst() ?? long.removeFirst()
    }

    mutating func removeAll() {
        short.removeAll()
        long.removeAll()
    }

    /// When the lines' share of a turn is used up that begins now.
    static func end() -> Int64 { SystemClock.now().nanoseconds + forLines }
}
