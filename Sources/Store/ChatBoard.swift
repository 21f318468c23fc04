// SPDX-License-Identifier: MIT
internal import ChatCore
internal import Synchronization

/// What the writer lets the other threads know: the heads as of the latest commit, and its health.
final class ChatBoard: Sendable {
    private let heads = Mutex<[RoomID: RoomHead]>([:])
    private let headValue = Atomic<Int64>(0)
    private let availability = Atomic<Bool>(true)

    /// `seq` of the latest entry this process has passed on.
    var head: Int64 { headValue.load(ordering: .acquiring) }

    /// Whether the log takes writes.
    var isAvailable: Bool {
        get { availability.load(ordering: .relaxed) }
        set { availability.store(newValue, ordering: .relaxed) }
    }

    /// The head of a room; nil for one without entries.
    func head(of room: RoomID) -> RoomHead? { heads.withLock { $0[room] } }

    func replace(_ all: [RoomID: RoomHead], head: Int64) {
        heads.withLock { $0 = all }
        headValue.store(head, ordering: .releasing)
    }

    /// Takes over the heads of the rooms in `entries` from the state they led to.
    func publish(_ entries: some Sequence<LogEntry>, from state: ChatState) {
        var last: RoomID?
        heads.withLock { heads in
            for entry in entries where entry.room != last {
                heads[entry.room] = state.roomHead(entry.room)
                last = entry.room
            }
        }
        headValue.store(state.head, ordering: .releasing)
    }
}
