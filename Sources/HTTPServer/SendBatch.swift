// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
internal import Metrics

/// The sends of one broadcast, performed in as few system calls as the kernel's ring has room for: at
/// one frame a send, a third less CPU a delivery (decision 0031). Without io_uring there is none of
/// these, and each connection sends for itself.
///
/// While `LoopServer.batchingSends` runs, connections put by what they have; nothing is under way
/// outside. What the kernel did not take goes back to the front of each connection's queue.
final class SendBatch {
    private struct Entry {
        let connection: Connection
        let bytes: Source
        let range: Range<Int>
    }

    private enum Source {
        case shared(SharedBytes)
        /// In `arena`.
        case gathered
    }

    private static let capacity: UInt32 = 512
    private let ring: OpaquePointer
    private let results: UnsafeMutablePointer<Int32>
    /// Where pieces are gathered that lie apart.
    private let arena = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 1 << 20, alignment: 64)
    private var filled = 0
    private var entries: [Entry] = []
    private let calls: Counter

    /// Why there can be none here, as an errno: ENOSYS where the kernel has no io_uring, EPERM where it
    /// does not allow it to us. Nil when there can.
    static var obstacle: Int32? {
        guard let ring = clinux_ring_create(1) else { return errno }
        clinux_ring_destroy(ring)
        return nil
    }

    /// Made on the thread that uses it. Nil where there can be none.
    /// - Parameter calls: counts the system calls.
    init?(counting calls: Counter) {
        guard let ring = clinux_ring_create(SendBatch.capacity) else { return nil }
        self.ring = ring
        self.calls = calls
        results = .allocate(capacity: Int(SendBatch.capacity))
        entries.reserveCapacity(Int(SendBatch.capacity))
    }

    deinit {
        clinux_ring_destroy(ring)
        results.deallocate()
        arena.deallocate()
    }

    /// Puts by a send of shared bytes.
    func add(
        _ connection: Connection, _ descriptor: Int32, _ bytes: SharedBytes, _ range: Range<Int>
    ) {
        put(
            Entry(connection: connection, bytes: .shared(bytes), range: range), descriptor,
            bytes.memory.baseAddress.map { $0 + range.lowerBound })
    }

    /// Puts by one send of pieces laid end to end, `total` bytes.
    /// - Returns: false when there is no room for so many, ever.
    func add(
        _ connection: Connection, _ descriptor: Int32, gathering pieces: [SharedBytes], total: Int
    ) -> Bool {
        guard total <= arena.count else { return false }
        if filled + total > arena.count { submit() }
        let start = filled
        for piece in pieces {
            UnsafeMutableRawBufferPointer(rebasing: arena[filled...]).copyMemory(from: piece.memory)
            filled += piece.count
        }
        put(
            Entry(connection: connection, bytes: .gathered, range: start..<filled), descriptor,
            arena.baseAddress.map { $0 + start })
        return true
    }

    private func put(_ entry: Entry, _ descriptor: Int32, _ start: UnsafeRawPointer?) {
        if !clinux_ring_send(ring, descriptor, start, entry.range.count) {
            // Full. What lies in the arena stays: `submit` starts it anew only when nothing is put by.
            perform()
            _ = clinux_ring_send(ring, descriptor, start, entry.range.count)
        }
        entries.append(entry)
    }

    /// Performs what was put by so far: before a connection among it closes its descriptor.
    func submit() {
        perform()
        filled = 0
    }

    private func perform() {
        guard !entries.isEmpty else { return }
        clinux_ring_submit(ring, results)
        calls.increment()
        var done: [Entry] = []
        swap(&done, &entries)
        for index in done.indices {
            let entry = done[index]
            let sent = max(0, Int(results[index]))
            guard sent < entry.range.count else {
                entry.connection.batchSent()
                continue
            }
            switch entry.bytes {
            case .shared(let bytes): entry.connection.batchLeft(bytes, entry.range, sent: sent)
            case .gathered:
                let bytes = SharedBytes(UnsafeRawBufferPointer(rebasing: arena[entry.range]))
                entry.connection.batchLeft(bytes, 0..<bytes.count, sent: sent)
            }
        }
        done.removeAll(keepingCapacity: true)
        // Nobody has put by meanwhile: connections only queue.
        swap(&done, &entries)
    }
}
