// SPDX-License-Identifier: MIT
internal import Bytes
internal import CLinux
internal import DequeModule
internal import Glibc

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
            byteCount: max(1, bytes.count), alignment: 16)
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
/// Holds no memory while empty, which is nearly always.
struct Outbox {
    private enum Segment {
        case own([UInt8])
        case shared(SharedBytes, Range<Int>)

        var count: Int {
            switch self {
            case .own(let bytes): bytes.count
            case .shared(_, let range): range.count
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

    enum Progress {
        /// Everything is with the kernel.
        case empty
        /// The socket's buffer is full.
        case blocked
        /// The connection is beyond use: reset, or closed by the peer.
        case failed
    }

    /// Full segments, the first of them sent up to `sent`.
    private var segments = Deque<Segment>()
    /// Own bytes not yet made a segment: small writes of one turn grow together here.
    private var tail: [UInt8] = []
    private var sent = 0
    /// Bytes waiting, for the slow-consumer bound.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(own bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        if tail.isEmpty { tail = bytes } else { tail.append(contentsOf: bytes) }
        count += bytes.count
    }

    mutating func append(shared: SharedBytes, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        seal()
        segments.append(.shared(shared, range))
        count += range.count
    }

    /// Puts back what was to go before everything else and of which the kernel has taken only a part.
    /// Nothing of what waits has been sent since.
    mutating func prepend(shared: SharedBytes, _ range: Range<Int>) {
        precondition(sent == 0)
        segments.prepend(.shared(shared, range))
        count += range.count
    }

    /// Hands as much as it can to the kernel: one system call where it fits.
    /// - Parameter scratch: where several segments are gathered; copying up to its size costs less
    ///   than `writev` on the kernels measured.
    mutating func flush(to descriptor: Int32, scratch: UnsafeMutableRawBufferPointer) -> Progress {
        seal()
        while let first = segments.first {
            let offered: Int
            let result: Int
            if segments.count == 1 || first.count - sent >= scratch.count {
                offered = first.count - sent
                result = first.withBytes(from: sent) {
                    clinux_send(descriptor, $0.baseAddress, $0.count)
                }
            } else {
                offered = gather(into: scratch)
                result = clinux_send(descriptor, scratch.baseAddress, offered)
            }
            guard result >= 0 else { return result == -Int(EAGAIN) ? .blocked : .failed }
            drop(result)
            if result < offered { return .blocked }
        }
        return .empty
    }

    /// Encrypts and sends as much as the kernel takes: a write's worth of plaintext at a time, straight
    /// from where it lies when one segment fills it, so that what is shared is not copied first.
    mutating func flush(
        through secure: SecureTransport, to descriptor: Int32,
        scratch: UnsafeMutableRawBufferPointer
    ) -> Progress {
        seal()
        if secure.unsent > 0 {
            let progress = secure.push(to: descriptor)
            guard progress == .empty else { return progress }
        }
        while let first = segments.first {
            let offered: Int
            let progress: Progress
            if segments.count == 1 || first.count - sent >= scratch.count {
                offered = min(first.count - sent, scratch.count)
                progress = first.withBytes(from: sent) {
                    secure.send(UnsafeRawBufferPointer(rebasing: $0[..<offered]), to: descriptor)
                }
            } else {
                offered = gather(into: scratch)
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

    /// Forgets everything that waits.
    mutating func removeAll() {
        self = Outbox()
    }

    private mutating func seal() {
        guard !tail.isEmpty else { return }
        segments.append(.own(tail))
        tail = []
    }

    private func gather(into scratch: UnsafeMutableRawBufferPointer) -> Int {
        var filled = 0
        for (index, segment) in segments.enumerated() {
            filled += segment.withBytes(from: index == 0 ? sent : 0) { bytes in
                let count = min(bytes.count, scratch.count - filled)
                UnsafeMutableRawBufferPointer(rebasing: scratch[filled..<filled + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                return count
            }
            if filled == scratch.count { break }
        }
        return filled
    }

    private mutating func drop(_ bytes: Int) {
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
        if segments.isEmpty { segments = Deque() }
    }
}
