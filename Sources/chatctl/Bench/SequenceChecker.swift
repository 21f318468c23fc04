// SPDX-License-Identifier: MIT

/// Follows the room sequence of one room as one client sees it: every number once, in order.
struct SequenceChecker: Hashable, Sendable {
    /// The highest number seen.
    private(set) var last: Int64
    /// Numbers that were passed over and have not come yet.
    private(set) var missing: Set<Int64> = []
    private(set) var duplicated = 0
    private(set) var reordered = 0

    /// - Parameter head: the number that the snapshot reaches; the first event is the next one.
    init(head: Int64) { last = head }

    /// Takes the number of an event as it arrives.
    mutating func take(_ number: Int64) {
        if number == last + 1 {
            last = number
        } else if number > last {
            missing.formUnion((last + 1)..<number)
            last = number
        } else if missing.remove(number) != nil {
            reordered += 1
        } else {
            duplicated += 1
        }
    }

    /// How many numbers up to `head` have not come.
    func lost(upTo head: Int64) -> Int { missing.count + Int(max(0, head - last)) }
}
