// SPDX-License-Identifier: MIT
internal import ChatCore
internal import Locks
internal import Synchronization
internal import Timing

/// What the writer lets the other threads know: the heads as of the latest commit, the rooms of the
/// latest entries, its health and its pace.
final class ChatBoard: Sendable {
    private let heads = Locked<[RoomID: RoomHead]>([:])
    private let headValue = Atomic<Int64>(0)
    private let troubleValue = Locked<(trouble: ChatStoreTrouble, since: Instant)?>(nil)
    private let availability = Atomic<Bool>(true)
    private let trail: Locked<RoomTrail>
    /// When the group under way began, in nanoseconds; 0 when none is.
    private let groupStart = Atomic<Int64>(0)
    /// How long groups take, as a moving average in nanoseconds.
    private let groupTime = Atomic<Int64>(0)

    init(trailLength: Int) { trail = Locked(RoomTrail(length: trailLength)) }

    /// `seq` of the latest entry this process has passed on.
    var head: Int64 { headValue.load(ordering: .acquiring) }

    /// Whether the log takes writes.
    var isAvailable: Bool { availability.load(ordering: .relaxed) }

    /// Why the log takes no writes, and since when.
    var trouble: (trouble: ChatStoreTrouble, since: Instant)? { troubleValue.withLock { $0 } }

    func set(_ trouble: ChatStoreTrouble?, now: Instant) {
        troubleValue.withLock { value in
            value = trouble.map { ($0, value?.trouble == $0 ? value?.since ?? now : now) }
        }
        availability.store(trouble == nil, ordering: .relaxed)
    }

    /// The head of a room; nil for one without entries.
    func head(of room: RoomID) -> RoomHead? { heads.withLock { $0[room] } }

    /// Lets `body` look at the rooms of the latest entries. The writer waits meanwhile: ask for
    /// little at once.
    func withTrail<Result>(_ body: (borrowing RoomTrail) -> Result) -> Result {
        trail.withLock { body($0) }
    }

    func remember(seq: Int64, room: RoomID, kind: LogKind, bytes: Int) {
        trail.withLock { $0.append(seq: seq, room: room, kind: kind, bytes: bytes) }
    }

    func replace(_ all: [RoomID: RoomHead], head: Int64) {
        heads.withLock { $0 = all }
        headValue.store(head, ordering: .releasing)
    }

    /// Takes over the heads of the rooms in `items` from the state they led to.
    func publish(_ items: [CommitItem], from state: ChatState) {
        var last: RoomID?
        heads.withLock { heads in
            for case .entry(let entry) in items where entry.room != last {
                heads[entry.room] = state.roomHead(entry.room)
                last = entry.room
            }
        }
        trail.withLock { trail in
            for case .entry(let entry) in items {
                trail.append(
                    seq: entry.seq, room: entry.room, kind: entry.kind, bytes: entry.payload.count)
            }
        }
        headValue.store(state.head, ordering: .releasing)
    }

    // MARK: Pace

    func groupBegan(_ now: Instant) { groupStart.store(now.nanoseconds, ordering: .relaxed) }

    func groupEnded(_ now: Instant) {
        let taken = now.nanoseconds - groupStart.exchange(0, ordering: .relaxed)
        let average = groupTime.load(ordering: .relaxed)
        groupTime.store(average == 0 ? taken : (average * 7 + taken) / 8, ordering: .relaxed)
    }

    /// How long a command would wait behind `groups` full groups: by the average of late, and by the
    /// group under way, which may hang.
    func expectedWait(groups: Int, now: Instant) -> Duration {
        let started = groupStart.load(ordering: .relaxed)
        let running = started == 0 ? 0 : max(0, now.nanoseconds - started)
        let average = groupTime.load(ordering: .relaxed)
        return .nanoseconds(max(running, average) + average * Int64(groups))
    }
}
