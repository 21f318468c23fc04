// SPDX-License-Identifier: MIT
internal import DequeModule

/// Gives events outside the log to crowds, some of the receivers each turn: an event for ten thousand is
/// a tenth of a second of sending, for which a message in another room is not to wait. What goes by
/// this way reaches each receiver in its order; who connects meanwhile starts from a page that has it.
struct Rounds<Event, Receiver> {
    private struct Round {
        let event: Event
        var left: ArraySlice<Receiver>
    }

    /// Receivers a turn: at some 7 µs each, a millisecond.
    static var perTurn: Int { 128 }
    /// Rounds that wait at most, where they may be lost: who types does not make us keep their crowd
    /// without end.
    static var maxWaiting: Int { 16 }

    private var rounds = Deque<Round>()

    /// Whether anybody is still to get anything.
    var isEmpty: Bool { rounds.isEmpty }

    /// Begins to give an event to receivers. They get it now where they are few and nothing waits.
    /// - Parameter mayBeLost: whether it is left out when too much waits.
    /// - Returns: false when it was left out.
    mutating func begin(
        _ event: Event, to receivers: [Receiver], mayBeLost: Bool,
        give: (Event, Receiver) -> Void
    ) -> Bool {
        guard !rounds.isEmpty || receivers.count > Rounds.perTurn else {
            for receiver in receivers { give(event, receiver) }
            return true
        }
        guard !mayBeLost || rounds.count < Rounds.maxWaiting else { return false }
        rounds.append(Round(event: event, left: receivers[...]))
        return true
    }

    /// Goes on for one turn: with more receivers the more rounds wait, so that they do not grow without
    /// end where none may be lost.
    mutating func goOn(give: (Event, Receiver) -> Void) {
        var count = Rounds.perTurn * (1 + rounds.count / Rounds.maxWaiting)
        while count > 0, let round = rounds.first {
            for receiver in round.left.prefix(count) { give(round.event, receiver) }
            let done = min(count, round.left.count)
            count -= max(1, done)
            if done == round.left.count {
                rounds.removeFirst()
            } else {
                rounds[0].left = round.left.dropFirst(done)
            }
        }
    }
}
