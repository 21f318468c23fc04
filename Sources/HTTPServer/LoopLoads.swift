// SPDX-License-Identifier: MIT
internal import Locks

/// How many connections each loop of a server has, and which of them the next one goes to.
///
/// The kernel gives each new connection to one of the listeners by a hash of its addresses
/// (SO_REUSEPORT), which is even for thousands and lopsided for a few: of eight connections, seven or
/// eight land on the same of two loops one time in fourteen.
final class LoopLoads: Sendable {
    private let counts: Locked<[Int]>

    init(loops: Int) { counts = Locked(Array(repeating: 0, count: loops)) }

    /// The connections of each loop, in order.
    var all: [Int] { counts.withLock { $0 } }

    /// Counts one more where it is to live: on the loop it came to, unless that has more than another by
    /// over 3 %, at least by one.
    func place(cameTo own: Int) -> Int {
        counts.withLock { counts in
            var place = own
            if let least = counts.indices.min(by: { counts[$0] < counts[$1] }),
                counts[own] > counts[least] + counts[least] / 32
            {
                place = least
            }
            counts[place] += 1
            return place
        }
    }

    func enter(_ loop: Int) { counts.withLock { $0[loop] += 1 } }

    func leave(_ loop: Int) { counts.withLock { $0[loop] -= 1 } }
}
