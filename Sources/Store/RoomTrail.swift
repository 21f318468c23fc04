// SPDX-License-Identifier: MIT
internal import ChatCore

/// Which room each of the latest entries belongs to, and about how long it is: five bytes an entry, in
/// memory. What somebody missed in a few rooms, among a million entries in others, is found here
/// without reading them.
struct RoomTrail {
    private enum Lane: UInt32 {
        case event = 0, receipt = 1, silent = 2, member = 3
    }

    /// Room number × 4 + lane. The entry `seq` stands at `seq & (places.count - 1)`.
    private var places: [UInt32]
    /// Payload bytes in units of 256, rounded up, at most 255.
    private var sizes: [UInt8]
    private var numbers: [RoomID: UInt32] = [:]
    private var first: Int64 = 1
    private var end: Int64 = 1

    /// - Parameter length: entries remembered; a power of two.
    init(length: Int) {
        precondition(length > 0 && length & (length - 1) == 0)
        places = [UInt32](repeating: 0, count: length)
        sizes = [UInt8](repeating: 0, count: length)
    }

    /// The first entry it knows of.
    var start: Int64 { first }

    /// Takes an entry, in `seq` order. After a gap it begins anew.
    mutating func append(seq: Int64, room: RoomID, kind: LogKind, bytes: Int) {
        guard seq >= end else { return }
        if seq > end { first = seq }
        end = seq + 1
        first = max(first, end - Int64(places.count))
        let lane: Lane =
            switch kind {
            case .receipt: .receipt
            case .arrival, .unknown: .silent
            case .message, .room: .event
            case .member: .member
            }
        let number: UInt32
        if let known = numbers[room] {
            number = known
        } else {
            number = UInt32(numbers.count)
            numbers[room] = number
        }
        places[Int(seq) & (places.count - 1)] = number << 2 | lane.rawValue
        sizes[Int(seq) & (places.count - 1)] = UInt8(min(255, (bytes + 255) / 256))
    }

    /// The events of `rooms` with `after` < seq ≤ `through`: the earliest `limit`, ascending, and how
    /// many bytes they have together, to the next 256 each.
    /// - Returns: nil when it does not reach back to `after`. `next` is where to go on: the entry
    ///   after the last looked at.
    func find(
        rooms: Set<RoomID>, after: Int64, through: Int64, limit: Int
    ) -> (events: [Int64], bytes: Int, next: Int64)? {
        guard after + 1 >= first else { return nil }
        let wanted = Set(rooms.compactMap { numbers[$0] })
        var events: [Int64] = []
        var units = 0
        var seq = after + 1
        let last = min(through, end - 1)
        // Most people are in few rooms, most of them in one: no hashing for those.
        let only = wanted.count == 1 ? wanted.first : nil
        let mask = places.count - 1
        while seq <= last, !wanted.isEmpty {
            let place = places[Int(seq) & mask]
            let lane = place & 3
            let isEvent = lane == Lane.event.rawValue || lane == Lane.member.rawValue
            let isWanted =
                isEvent && (only.map { $0 == place >> 2 } ?? wanted.contains(place >> 2))
            if isWanted {
                events.append(seq)
                units += Int(sizes[Int(seq) & mask])
            }
            seq += 1
            if events.count == limit { break }
        }
        if wanted.isEmpty { seq = max(seq, last + 1) }
        return (events, units * 256, seq)
    }

    /// The entries about membership with `after` < seq ≤ `through`, in whatever rooms, ascending.
    /// - Returns: nil when it does not reach so far.
    func moves(after: Int64, through: Int64) -> [Int64]? {
        guard after + 1 >= first, through < end else { return nil }
        guard after < through else { return [] }
        return (after + 1...through).filter {
            places[Int($0) & (places.count - 1)] & 3 == Lane.member.rawValue
        }
    }

    /// The latest `limit` receipts of `rooms` with `after` < seq ≤ `through`, descending, looking at
    /// `scan` entries at most.
    func receipts(
        rooms: Set<RoomID>, after: Int64, through: Int64, limit: Int, scan: Int64
    ) -> [Int64] {
        let wanted = Set(rooms.compactMap { numbers[$0] })
        var found: [Int64] = []
        let last = min(through, end - 1)
        var seq = last
        while seq > after, seq >= first, last - seq < scan, found.count < limit {
            let place = places[Int(seq) & (places.count - 1)]
            if place & 3 == Lane.receipt.rawValue, wanted.contains(place >> 2) { found.append(seq) }
            seq -= 1
        }
        return found
    }
}
