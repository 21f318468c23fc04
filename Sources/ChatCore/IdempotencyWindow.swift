// SPDX-License-Identifier: MIT
internal import Timing

/// Remembers the first answer to each `clientId` of each sender, so that a repetition gets the same
/// answer and changes nothing.
///
/// What is remembered is a matter of the log alone, so every instance knows the same repetitions,
/// however long it has run: with the log's head at h, a send at s counts while
/// h − s < `Limits.idempotencyMaximumEntries`, and of those with h − s ≥ `idempotencyMinimumEntries`
/// only the ones younger than `idempotencyWindow`.
///
/// A ring of 48-byte slots in `seq` order with an open-addressing table of 4-byte places beside it,
/// at most half full: 56 bytes an answer, 59 MB for the million. Slots leave a little later than they
/// stop to count, so that a commit taken back (`forget`) leaves nothing missing.
struct IdempotencyWindow: Sendable {
    /// 128 bits of keyed hash (two SipHashes with the process's own random key) instead of two strings:
    /// a quarter of the memory, and nobody can aim for a collision.
    private struct Key: Hashable {
        let high: UInt64
        let low: UInt64

        init(_ user: UserID, _ clientID: String) {
            var first = Hasher()
            first.combine(UInt8(1))
            first.combine(user)
            first.combine(clientID)
            high = UInt64(bitPattern: Int64(first.finalize()))
            var second = Hasher()
            second.combine(UInt8(2))
            second.combine(clientID)
            second.combine(user)
            low = UInt64(bitPattern: Int64(second.finalize()))
        }

        init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    private struct Slot {
        var key: Key
        var sent: Sent
        /// The number of the slot whose place in the table it has taken; -1 for none.
        var former: Int
    }

    /// Slot number n stands at `n & (slots.count - 1)`; those from `first` up to `end` are in use.
    private var slots: [Slot] = []
    private var first = 0
    private var end = 0
    /// By the low bits of `Key.high`, linear probing: the place of a slot and 1, or 0.
    private var table: [UInt32] = []

    private let windowMilliseconds: Int64
    private let minimumEntries: Int64
    private let maximumEntries: Int64

    init(_ limits: Limits) {
        windowMilliseconds = limits.idempotencyWindow.milliseconds
        minimumEntries = Int64(limits.idempotencyMinimumEntries)
        maximumEntries = Int64(limits.idempotencyMaximumEntries)
    }

    /// How many answers are held, those that no longer count among them.
    var count: Int { end - first }

    /// The first answer, if it counts with the log at `head` and the time `now`.
    func answer(to clientID: String, of user: UserID, head: Int64, now: Timestamp) -> Sent? {
        guard let place = place(of: Key(user, clientID)) else { return nil }
        let sent = slots[Int(table[place]) - 1].sent
        let age = head - sent.seq
        guard age < maximumEntries else { return nil }
        guard age < minimumEntries || sent.at.milliseconds >= now.milliseconds - windowMilliseconds
        else { return nil }
        return sent
    }

    /// Remembers an answer, in `seq` order. One to a key that is there takes its place: whoever
    /// committed it knew that the one before no longer counted.
    mutating func insert(_ sent: Sent, clientID: String, user: UserID) {
        let key = Key(user, clientID)
        letGo(head: sent.seq, now: sent.at.milliseconds)
        if end - first == slots.count { grow() }
        let index = end & (slots.count - 1)
        var former = -1
        if let place = place(of: key) {
            former = end - 1 - ((end - 1 - (Int(table[place]) - 1)) & (slots.count - 1))
            table[place] = UInt32(index + 1)
        } else {
            table[freePlace(for: key)] = UInt32(index + 1)
        }
        slots[index] = Slot(key: key, sent: sent, former: former)
        end += 1
    }

    /// Forgets the answers that a failed commit took back: those of entries after `seq`.
    mutating func forget(after seq: Int64) {
        while end > first, slots[(end - 1) & (slots.count - 1)].sent.seq > seq {
            end -= 1
            let index = end & (slots.count - 1)
            let former = slots[index].former
            if former >= first, let place = place(of: slots[index].key) {
                table[place] = UInt32(former & (slots.count - 1) + 1)
            } else {
                unlink(index)
            }
        }
    }

    /// A thirty-second more than counts, and an hour, so that the ring for a million is the next power
    /// of two and a clock that is set back takes nothing away.
    private mutating func letGo(head: Int64, now: Int64) {
        while first < end {
            let sent = slots[first & (slots.count - 1)].sent
            let age = head - sent.seq
            let isOverfull = age >= maximumEntries + maximumEntries / 32
            let isStale =
                age >= minimumEntries + minimumEntries / 32
                && sent.at.milliseconds < now - windowMilliseconds - 3_600_000
            guard isOverfull || isStale else { return }
            unlink(first & (slots.count - 1))
            first += 1
        }
    }

    // MARK: Table

    /// Where in the table the key's slot is named.
    private func place(of key: Key) -> Int? {
        guard !table.isEmpty else { return nil }
        let mask = table.count - 1
        var place = Int(truncatingIfNeeded: key.high) & mask
        while table[place] != 0 {
            if slots[Int(table[place]) - 1].key == key { return place }
            place = (place + 1) & mask
        }
        return nil
    }

    private func freePlace(for key: Key) -> Int {
        let mask = table.count - 1
        var place = Int(truncatingIfNeeded: key.high) & mask
        while table[place] != 0 { place = (place + 1) & mask }
        return place
    }

    /// Takes a slot out of the table, unless a later one has taken its key; and moves up those behind
    /// it that would not be found across the hole (Knuth, TAOCP 3, 6.4 algorithm R).
    private mutating func unlink(_ index: Int) {
        guard let start = place(of: slots[index].key), table[start] == UInt32(index + 1) else {
            return
        }
        let mask = table.count - 1
        var hole = start
        var next = (hole + 1) & mask
        while table[next] != 0 {
            let home = Int(truncatingIfNeeded: slots[Int(table[next]) - 1].key.high) & mask
            if (next - home) & mask >= (next - hole) & mask {
                table[hole] = table[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        table[hole] = 0
    }

    private mutating func grow() {
        let old = slots
        let capacity = max(1024, old.count * 2)
        let empty = Slot(
            key: Key(high: 0, low: 0),
            sent: Sent(seq: 0, roomSeq: 0, at: Timestamp(milliseconds: 0)),
            former: -1)
        slots = [Slot](repeating: empty, count: capacity)
        table = [UInt32](repeating: 0, count: capacity * 2)
        for number in first..<end {
            let slot = old[number & (old.count - 1)]
            let index = number & (capacity - 1)
            slots[index] = slot
            if let place = place(of: slot.key) {
                table[place] = UInt32(index + 1)
            } else {
                table[freePlace(for: slot.key)] = UInt32(index + 1)
            }
        }
    }
}
