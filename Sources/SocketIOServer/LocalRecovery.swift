// SPDX-License-Identifier: MIT
internal import DequeModule
internal import Timing

/// Connection state recovery from memory, for a server of one loop that keeps no log of its own: what
/// was sent in a namespace lately, and who lost the connection lately.
///
/// The recovery offset is the number of an event; an event without acknowledgement that is not
/// volatile has one. Source: Socket.IO, connection state recovery.
package final class LocalRecovery {
    /// What a client comes back to.
    struct Session {
        let id: String
        let rooms: [String]
        let missed: [Publication]
    }

    private struct Kept {
        let id: String
        let rooms: [String]
        let until: Instant
    }

    private struct Record {
        let publication: Publication
        let rooms: [String]
        let except: [String]
        let until: Instant
        let bytes: Int
    }

    private let maxAge: Duration
    private let maxEvents: Int
    private let maxBytes: Int
    private var bytes = 0
    private var lastOrder: Int64 = 0
    /// The order of the newest event that has been forgotten.
    private var forgotten: Int64 = 0
    private var records = Deque<Record>()
    /// Who has which private id while connected.
    private var holders: [String: Socket] = [:]
    private var privateIDs: [ObjectIdentifier: String] = [:]
    private var sessions: [String: Kept] = [:]
    /// Private ids in the order they run out.
    private var expiries = Deque<(privateID: String, until: Instant)>()

    /// - Parameters:
    ///   - maxAge: how long sessions and events are kept. The reference's default.
    ///   - maxEvents: events kept; who missed more is not recovered.
    ///   - maxBytes: bytes of those events: what clients make the server send, it keeps, too.
    package init(
        maxAge: Duration = .seconds(120), maxEvents: Int = 10_000, maxBytes: Int = 16 << 20
    ) {
        self.maxAge = maxAge
        self.maxEvents = maxEvents
        self.maxBytes = maxBytes
    }

    func nextOrder() -> Int64 {
        lastOrder += 1
        return lastOrder
    }

    func record(_ publication: Publication, to rooms: [String], except: [String], now: Instant) {
        let size = publication.heldBytes
        bytes += size
        records.append(
            Record(
                publication: publication, rooms: rooms, except: except, until: now + maxAge,
                bytes: size))
        forget(now: now)
    }

    /// A socket is accepted under a private id.
    func began(_ socket: Socket, _ privateID: String) {
        holders[privateID] = socket
        privateIDs[ObjectIdentifier(socket)] = privateID
    }

    /// The socket connected under a private id.
    func holder(of privateID: String) -> Socket? { holders[privateID] }

    /// A socket has ended.
    /// - Parameter isLost: whether its connection was lost: what it may come back to is kept then.
    func ended(_ socket: Socket, isLost: Bool, now: Instant) {
        guard let privateID = privateIDs.removeValue(forKey: ObjectIdentifier(socket)) else {
            return
        }
        if holders[privateID] === socket { holders[privateID] = nil }
        guard isLost else { return }
        let kept = Kept(id: socket.id, rooms: socket.rooms.map(\.id), until: now + maxAge)
        sessions[privateID] = kept
        expiries.append((privateID, kept.until))
        forget(now: now)
    }

    /// Gives back a session, once.
    /// - Returns: nil when there is none, or when what came after `offset` is not all here any more.
    func restore(_ privateID: String, offset: String, now: Instant) -> Session? {
        forget(now: now)
        guard let kept = sessions[privateID], let offset = Int64(offset), offset <= lastOrder,
            offset >= forgotten
        else { return nil }
        sessions[privateID] = nil
        let names = [kept.id] + kept.rooms
        let missed = records.lazy.filter { record in
            record.publication.order > offset
                && (record.rooms.isEmpty || record.rooms.contains { names.contains($0) })
                && !record.except.contains { names.contains($0) }
        }
        return Session(id: kept.id, rooms: kept.rooms, missed: missed.map(\.publication))
    }

    private func forget(now: Instant) {
        while let first = records.first,
            first.until <= now || records.count > maxEvents || bytes > maxBytes
        {
            forgotten = first.publication.order
            bytes -= first.bytes
            records.removeFirst()
        }
        while let (privateID, until) = expiries.first, until <= now {
            expiries.removeFirst()
            // It may have come back and gone again meanwhile.
            if let kept = sessions[privateID], kept.until <= now { sessions[privateID] = nil }
        }
    }
}
