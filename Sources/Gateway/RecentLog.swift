// SPDX-License-Identifier: MIT
internal import ChatCore
internal import DequeModule
internal import SocketIOServer

/// What a loop has delivered of the log lately, by reference: a client that is a little behind, or comes
/// back after a moment, is fed from here. When a whole crowd stumbles at once, pages read and encoded
/// for each of them would cost more than the live stream did, and nobody would ever be level again.
struct RecentLog {
    /// Some 16,000 messages: sixteen seconds of a room of 1,000 a second. Loops share what is in it.
    static let maxBytes = 16 << 20
    /// Of a page, as the others' are.
    private static let pageBytes = 64 << 10

    private var items = Deque<CatchUp.Item>()
    /// All events behind this commit number are here.
    private var from: Int64 = 0
    private var bytes = 0

    /// Takes the next event in the log's order.
    mutating func append(_ item: CatchUp.Item) {
        if items.isEmpty { from = item.seq - 1 }
        items.append(item)
        bytes += RecentLog.cost(of: item)
        while bytes > RecentLog.maxBytes, let first = items.popFirst() {
            bytes -= RecentLog.cost(of: first)
            from = first.seq
        }
    }

    /// A page for a client of some rooms: the events with `after` < seq ≤ `through`, at most `limit`.
    /// - Returns: nil when what comes behind `after` is here no longer.
    func page(rooms: Set<RoomID>, after: Int64, through: Int64, limit: Int) -> CatchUp.Page? {
        guard !items.isEmpty, after >= from else { return nil }
        var low = 0
        var high = items.count
        while low < high {
            let middle = (low + high) / 2
            if items[middle].seq <= after { low = middle + 1 } else { high = middle }
        }
        var page = CatchUp.Page(items: [], through: through)
        var size = 0
        for item in items[low...] {
            guard item.seq <= through else { break }
            guard rooms.contains(item.room) else { continue }
            guard page.items.count < limit, size < RecentLog.pageBytes else {
                // What was passed over since the last one taken is looked at again.
                page.through = page.items.last?.seq ?? after
                break
            }
            page.items.append(item)
            size += item.publication.byteCount
        }
        return page
    }

    /// The event, and the encodings of two classes.
    private static func cost(of item: CatchUp.Item) -> Int {
        3 * item.publication.byteCount + 600
    }
}
