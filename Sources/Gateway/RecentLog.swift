// SPDX-License-Identifier: MIT
internal import ChatCore
internal import DequeModule
internal import SocketIOServer

/// What a loop has delivered of the log lately, by reference: a client that is a little behind, or comes
/// back after a moment, is fed from here. When a whole crowd stumbles at once, pages read and encoded
/// for each of them would cost more than the live stream did, and nobody would ever be level again.
struct RecentLog {
    /// Events looked at for one page: some 0.1 ms.
    private static let maxScan = 2048
    /// Receipts in one page: as in those that are read.
    private static let maxReceipts = 512

    private let maxBytes: Int
    private var items = Deque<CatchUp.Item>()
    /// All events behind this commit number are here.
    private var from: Int64 = 0
    private var bytes = 0

    /// - Parameter maxBytes: of publications. Loops share what is in it.
    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Takes the next event in the log's order.
    mutating func append(_ item: CatchUp.Item) {
        if items.isEmpty { from = item.seq - 1 }
        items.append(item)
        bytes += item.publication.heldBytes
        while bytes > maxBytes, let first = items.popFirst() {
            bytes -= first.publication.heldBytes
            from = first.seq
        }
    }

    /// Whether all that comes behind a commit number is here.
    func reaches(back after: Int64) -> Bool { !items.isEmpty && after >= from }

    /// A page for a client of some rooms: the events with `after` < seq ≤ `through`, at most `limit`, and
    /// of a person's receipts in a room the last.
    /// - Returns: nil when what comes behind `after` is here no longer.
    func page(rooms: Set<RoomID>, after: Int64, through: Int64, limit: Int) -> CatchUp.Page? {
        guard reaches(back: after) else { return nil }
        var found: [CatchUp.Item?] = []
        var receipts: [Mark: Int] = [:]
        var (events, size, scanned) = (0, 0, 0)
        var position = after
        var isWhole = true
        for item in items[index(after: after)...] {
            guard item.seq <= through else { break }
            guard events < limit, size < CatchUp.pageBytes, scanned < RecentLog.maxScan,
                receipts.count < RecentLog.maxReceipts
            else {
                isWhole = false
                break
            }
            scanned += 1
            position = item.seq
            guard rooms.contains(item.room) else { continue }
            if let reader = item.reader {
                let mark = Mark(room: item.room, reader: reader)
                if let former = receipts.updateValue(found.count, forKey: mark) {
                    found[former] = nil
                }
            } else {
                events += 1
                size += item.publication.byteCount
            }
            found.append(item)
        }
        return CatchUp.Page(
            items: found.compactMap { $0 }, through: isWhole ? through : position)
    }

    private struct Mark: Hashable { let room: RoomID, reader: UserID }

    private func index(after seq: Int64) -> Int {
        var low = 0
        var high = items.count
        while low < high {
            let middle = (low + high) / 2
            if items[middle].seq <= seq { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
