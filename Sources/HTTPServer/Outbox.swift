// SPDX-License-Identifier: MIT
internal import Bytes
internal import CLinux
internal import DequeModule
internal import Glibc
internal import WebSocket

/// Bytes that many connections send without owning them: immutable, at one address as long as somebody
/// holds them, so that the kernel can be given many such addresses in one call.
package final class SharedBytes: Sendable {
    // SAFETY: written by the initialiser alone, and deallocated with the object.
    nonisolated(unsafe) let memory: UnsafeRawBufferPointer

    package convenience init(_ bytes: [UInt8]) {
        self.init(copying: bytes)
    }

    init(_ bytes: UnsafeRawBufferPointer) { memory = SharedBytes.copy(bytes) }

    private init(copying bytes: [UInt8]) {
        memory = bytes.withUnsafeBytes { SharedBytes.copy($0) }
    }

    deinit { memory.deallocate() }

    private static func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, bytes.count), alignment: 8)
        copy.copyMemory(from: bytes)
        return UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])
    }

    package var count: Int { memory.count }

    /// Gives the bytes out for the time of a call.
    package func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        body(Span(_unsafeBytes: memory))
    }
}

/// What a connection has yet to send, in order: its own bytes and references into shared ones.
///
///     empty ──own bytes──► own ──more of either kind, or the kernel takes a part──► queue
///       ▲                   │                                                        │
///       └──── all sent ─────┴────────────────────────── all sent ────────────────────┘
///
/// One pointer wide, and empty nearly always. An answer, which is one piece and goes in one send, is
/// kept as the bytes it came in.
struct Outbox: ~Copyable {
    enum Progress {
        /// Everything is with the kernel.
        case empty
        /// The socket's buffer is full.
        case blocked
        /// The connection is beyond use: reset, or closed by the peer.
        case failed
    }

    private enum Content {
        case empty
        case own([UInt8])
        case queue(OutboxQueue)
    }

    private var content = Content.empty

    var isEmpty: Bool {
        if case .empty = content { true } else { false }
    }

    /// Bytes waiting, for the slow-consumer bound.
    var count: Int {
        switch content {
        case .empty: 0
        case .own(let bytes): bytes.count
        case .queue(let queue): queue.count
        }
    }

    mutating func append(own bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        switch content {
        case .empty: content = .own(bytes)
        case .own(var waiting):
            // Not held twice, or it would be copied.
            content = .empty
            waiting.append(contentsOf: bytes)
            content = .own(waiting)
        case .queue(let queue): queue.append(own: bytes)
        }
    }

    mutating func append(shared: SharedBytes, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        queue().append(shared: shared, range)
    }

    /// Puts back what was to go before everything else and of which the kernel has taken the first `sent`
    /// bytes. Nothing of what waits has been sent since.
    mutating func prepend(shared: SharedBytes, _ range: Range<Int>, sent: Int) {
        queue().prepend(shared: shared, range, sent: sent)
    }

    /// Puts a WebSocket frame before all that waits and has not begun to be sent: behind the frame that
    /// is half with the kernel. Each piece that waits is of whole frames, but for the answer to the opening
    /// handshake, behind which it waits.
    mutating func append(ahead frame: [UInt8]) {
        if isEmpty { append(own: frame) } else { queue().append(ahead: frame) }
    }

    /// Hands as much as it can to the kernel: one system call where it fits.
    /// - Parameters:
    ///   - most: bytes a call, of a queue.
    ///   - scratch: where several segments are gathered; copying up to its size costs less than `writev`
    ///     on the kernels measured.
    mutating func flush(
        to descriptor: Int32, most: Int = .max, scratch: UnsafeMutableRawBufferPointer
    ) -> Progress {
        switch content {
        case .empty: return .empty
        case .own(let bytes):
            let sent = bytes.withUnsafeBytes {
                clinux_send(descriptor, $0.baseAddress, $0.count)
            }
            if sent == bytes.count {
                content = .empty
                return .empty
            }
            guard sent >= 0 || sent == -Int(EAGAIN) else { return .failed }
            queue().drop(max(0, sent))
            return .blocked
        case .queue(let queue):
            let progress = queue.flush(to: descriptor, most: most, scratch: scratch)
            if progress == .empty { content = .empty }
            return progress
        }
    }

    /// Encrypts and sends as much as the kernel takes: a write's worth of plaintext at a time, straight
    /// from where it lies when one segment fills it, so that what is shared is not copied first.
    mutating func flush(
        through secure: SecureTransport, to descriptor: Int32, most: Int = .max,
        scratch: UnsafeMutableRawBufferPointer
    ) -> Progress {
        if secure.unsent > 0 {
            let progress = secure.push(to: descriptor)
            guard progress == .empty else { return progress }
        }
        if isEmpty { return .empty }
        let queue = queue()
        let progress = queue.flush(
            through: secure, to: descriptor, most: most, scratch: scratch)
        if queue.count == 0 { content = .empty }
        return progress
    }

    /// Forgets everything that waits.
    mutating func removeAll() { content = .empty }

    private mutating func queue() -> OutboxQueue {
        let queue: OutboxQueue
        switch content {
        case .queue(let known): return known
        case .empty: queue = OutboxQueue([])
        case .own(let bytes): queue = OutboxQueue(bytes)
        }
        content = .queue(queue)
        return queue
    }
}

/// An outbox of several pieces, or of one that is half sent.
private final class OutboxQueue {
    private enum Segment {
        case own([UInt8])
        case shared(SharedBytes, Range<Int>)

        var count: Int {
            switch self {
            case .own(let bytes): bytes.count
            case .shared(_, let range): range.count
            }
        }

        func split(at offset: Int) -> (Segment, Segment) {
            switch self {
            case .own(let bytes): (.own(Array(bytes[..<offset])), .own(Array(bytes[offset...])))
            case .shared(let bytes, let range):
                (
                    .shared(bytes, range.lowerBound..<range.lowerBound + offset),
                    .shared(bytes, range.lowerBound + offset..<range.upperBound)
                )
            }
        }

        func withBytes<Result>(from offset: Int, _ body: (UnsafeRawBufferPointer) -> Result)
            -> Result
        {
            switch self {
            case .own(let bytes):
                bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
            case .shared(let shared, let range):
                body(
                    UnsafeRawBufferPointer(
                        rebasing: shared.memory[range.lowerBound + offset..<range.upperBound]))
            }
        }
    }

    /// Full segments, the first of them sent up to `sent`.
    private var segments = Deque<Segment>()
    /// Own bytes not yet made a segment: small writes of one turn grow together here.
    private var tail: [UInt8]
    private var sent = 0
    private(set) var count: Int

    init(_ own: [UInt8]) {
        tail = own
        count = own.count
    }

    func append(own bytes: [UInt8]) {
        if tail.isEmpty { tail = bytes } else { tail.append(contentsOf: bytes) }
        count += bytes.count
    }

    func append(shared: SharedBytes, _ range: Range<Int>) {
        seal()
        segments.append(.shared(shared, range))
        count += range.count
    }

    func prepend(shared: SharedBytes, _ range: Range<Int>, sent: Int) {
        precondition(self.sent == 0)
        segments.prepend(.shared(shared, range))
        self.sent = sent
        count += range.count - sent
    }

    func append(ahead frame: [UInt8]) {
        seal()
        var place = 0
        if sent > 0, let first = segments.first {
            guard let end = endOfFrame(at: sent, in: first) else { return append(own: frame) }
            place = 1
            if end < first.count {
                let (head, rest) = first.split(at: end)
                segments[0] = head
                segments.insert(rest, at: 1)
            }
        }
        segments.insert(.own(frame), at: place)
        count += frame.count
    }

    /// Where the frame ends that is sent up to `sent`. Nil when what is being sent is no frame: the
    /// answer to the opening handshake.
    private func endOfFrame(at sent: Int, in segment: Segment) -> Int? {
        segment.withBytes(from: 0) { bytes in
            var end = 0
            while end < sent {
                guard let next = FrameWriter.endOfFrame(at: end, in: Span(_unsafeBytes: bytes))
                else { return nil }
                end = next
            }
            return end
        }
    }

    func flush(
        to descriptor: Int32, most: Int, scratch: UnsafeMutableRawBufferPointer
    ) -> Outbox.Progress {
        seal()
        while let first = segments.first {
            let offered: Int
            let result: Int
            if segments.count == 1 || first.count - sent >= min(most, scratch.count) {
                offered = min(first.count - sent, most)
                result = first.withBytes(from: sent) {
                    clinux_send(descriptor, $0.baseAddress, offered)
                }
            } else {
                offered = gather(into: scratch, most: most)
                result = clinux_send(descriptor, scratch.baseAddress, offered)
            }
            guard result >= 0 else { return result == -Int(EAGAIN) ? .blocked : .failed }
            drop(result)
            if result < offered { return .blocked }
        }
        return .empty
    }

    func flush(
        through secure: SecureTransport, to descriptor: Int32, most: Int,
        scratch: UnsafeMutableRawBufferPointer
    ) -> Outbox.Progress {
        seal()
        let most = min(most, scratch.count)
        while let first = segments.first {
            let offered: Int
            let progress: Outbox.Progress
            if segments.count == 1 || first.count - sent >= most {
                offered = min(first.count - sent, most)
                progress = first.withBytes(from: sent) {
                    secure.send(UnsafeRawBufferPointer(rebasing: $0[..<offered]), to: descriptor)
                }
            } else {
                offered = gather(into: scratch, most: most)
                progress = secure.send(
                    UnsafeRawBufferPointer(rebasing: scratch[..<offered]), to: descriptor)
            }
            guard progress != .failed else { return .failed }
            // Encrypted is as good as sent: what the kernel did not take waits behind the outbox.
            drop(offered)
            guard progress == .empty else { return progress }
        }
        return .empty
    }

    private func seal() {
        guard !tail.isEmpty else { return }
        segments.append(.own(tail))
        tail = []
    }

    private func gather(into scratch: UnsafeMutableRawBufferPointer, most: Int) -> Int {
        let room = min(most, scratch.count)
        var filled = 0
        for (index, segment) in segments.enumerated() {
            filled += segment.withBytes(from: index == 0 ? sent : 0) { bytes in
                let count = min(bytes.count, room - filled)
                UnsafeMutableRawBufferPointer(rebasing: scratch[filled..<filled + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                return count
            }
            if filled == room { break }
        }
        return filled
    }

    /// Forgets what has been sent, from the front.
    func drop(_ bytes: Int) {
        seal()
        count -= bytes
        var left = bytes
        while left > 0, let first = segments.first {
            let here = first.count - sent
            if left < here {
                sent += left
                return
            }
            left -= here
            sent = 0
            segments.removeFirst()
        }
    }
}
