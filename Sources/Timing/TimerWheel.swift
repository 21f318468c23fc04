// SPDX-License-Identifier: MIT

/// Names one timer of a `TimerWheel`; goes stale when the timer fires or is cancelled, and a stale
/// one is harmless.
package struct TimerID: Hashable, Sendable {
    let index: UInt32
    let generation: UInt32

    /// No timer: as stale as one that has fired.
    package static let none = TimerID(index: .max, generation: 0)
}

/// Many coarse timers for one thread: a hashed wheel of 512 slots. Scheduling and cancelling are
/// O(1) and allocate only when the wheel holds more timers than ever before. Fires up to one tick
/// late, never early.
///
/// Invariants: a node is in exactly one slot's list or in the free list; `occupied` has a slot's bit
/// set if and only if its list is not empty.
package struct TimerWheel<Payload> {
    private struct Node {
        var payload: Payload?
        var tick: Int64
        var next: UInt32
        var previous: UInt32
        var generation: UInt32
    }

    /// What a timer takes.
    static var bytesPerTimer: Int { MemoryLayout<Node>.stride }

    private static var slotCount: Int { 512 }
    private static var none: UInt32 { .max }

    private let tickLength: Int64
    private var nodes: [Node] = []
    private var heads: [UInt32]
    private var free: UInt32
    private var occupied: [UInt64]
    /// The last tick whose timers have fired.
    private var current: Int64
    /// Timers waiting.
    package private(set) var count = 0

    /// - Parameters:
    ///   - tick: the resolution. 512 of them are one turn; longer deadlines wait several turns.
    ///   - now: where the wheel starts.
    package init(tick: Duration, now: Instant) {
        tickLength = tick.nanoseconds
        precondition(tickLength > 0)
        heads = Array(repeating: UInt32.max, count: 512)
        occupied = Array(repeating: 0, count: 8)
        free = .max
        current = now.nanoseconds / tickLength
    }

    /// The first tick not before `deadline` that has not fired.
    private func tick(of deadline: Instant) -> Int64 {
        let due =
            deadline.nanoseconds / tickLength + (deadline.nanoseconds % tickLength > 0 ? 1 : 0)
        return max(due, current + 1)
    }

    /// Arranges for `payload` to be handed out by `advance` at the first tick not before `deadline`.
    package mutating func schedule(_ payload: Payload, at deadline: Instant) -> TimerID {
        let tick = tick(of: deadline)
        let index: UInt32
        if free != Self.none {
            index = free
            free = nodes[Int(index)].next
        } else {
            index = UInt32(nodes.count)
            nodes.append(
                Node(payload: nil, tick: 0, next: Self.none, previous: Self.none, generation: 0))
        }
        let slot = Int(tick & Int64(Self.slotCount - 1))
        let head = heads[slot]
        nodes[Int(index)].payload = payload
        nodes[Int(index)].tick = tick
        nodes[Int(index)].next = head
        nodes[Int(index)].previous = Self.none
        if head != Self.none { nodes[Int(head)].previous = index }
        heads[slot] = index
        occupied[slot >> 6] |= 1 << UInt64(slot & 63)
        count += 1
        return TimerID(index: index, generation: nodes[Int(index)].generation)
    }

    /// Sees to it that the one timer of `payload` fires at `deadline` at the latest. One that fires
    /// earlier stays where it is, for its owner to ask again then: most deadlines move on and on, and so
    /// cost nothing.
    /// - Parameter id: the timer it has, or had; the one it has now.
    package mutating func arm(_ id: inout TimerID, _ payload: Payload, by deadline: Instant) {
        if isWaiting(id) {
            if nodes[Int(id.index)].tick <= tick(of: deadline) { return }
            unlink(id.index)
        }
        id = schedule(payload, at: deadline)
    }

    /// Forgets a timer. Nothing happens when it has fired or was cancelled before.
    package mutating func cancel(_ id: TimerID) {
        if isWaiting(id) { unlink(id.index) }
    }

    private func isWaiting(_ id: TimerID) -> Bool {
        let index = Int(id.index)
        return index < nodes.count && nodes[index].generation == id.generation
            && nodes[index].payload != nil
    }

    /// Moves on to `now` and hands out every timer that has come due, a tick at a time in order. A
    /// list, not a callback: whoever is told of its timer may well schedule the next one.
    package mutating func advance(to now: Instant) -> [Payload] {
        let target = now.nanoseconds / tickLength
        guard target > current else { return [] }
        // After a long sleep one turn visits every slot; more would visit them again for nothing.
        let first = max(current + 1, target - Int64(Self.slotCount) + 1)
        current = target
        var due: [Payload] = []
        for tick in first...target {
            let slot = Int(tick & Int64(Self.slotCount - 1))
            guard occupied[slot >> 6] & 1 << UInt64(slot & 63) != 0 else { continue }
            var index = heads[slot]
            while index != Self.none {
                let next = nodes[Int(index)].next
                if nodes[Int(index)].tick <= target, let payload = nodes[Int(index)].payload {
                    due.append(payload)
                    unlink(index)
                }
                index = next
            }
        }
        return due
    }

    /// When `advance` next has something to look at, or nil when there are no timers. May be early
    /// for timers more than a turn away.
    package func nextWake() -> Instant? {
        guard count > 0 else { return nil }
        for offset in 1...Int64(Self.slotCount) {
            let slot = Int((current + offset) & Int64(Self.slotCount - 1))
            if occupied[slot >> 6] == 0 {
                continue
            }
            if occupied[slot >> 6] & 1 << UInt64(slot & 63) != 0 {
                return Instant(nanoseconds: (current + offset) * tickLength)
            }
        }
        return nil
    }

    private mutating func unlink(_ index: UInt32) {
        let node = nodes[Int(index)]
        let slot = Int(node.tick & Int64(Self.slotCount - 1))
        if node.previous != Self.none {
            nodes[Int(node.previous)].next = node.next
        } else {
            heads[slot] = node.next
        }
        if node.next != Self.none { nodes[Int(node.next)].previous = node.previous }
        if heads[slot] == Self.none { occupied[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
        nodes[Int(index)].payload = nil
        nodes[Int(index)].generation &+= 1
        nodes[Int(index)].next = free
        free = index
        count -= 1
    }
}
