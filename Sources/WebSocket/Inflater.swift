// SPDX-License-Identifier: MIT
internal import CZlib

/// Inflates the messages of one direction (RFC 7692 §7.2.2), output bounded.
///
/// A class, since zlib's stream must stay where it was made. Holds about 7 KiB and, once it has seen data,
/// a window of 2^windowBits bytes; made when the first compressed message comes. A sender that refers back
/// beyond the window agreed on is noticed or not, as its bytes happen to arrive: zlib also looks in what it
/// has just written. Nothing but the sender's own message hangs on it.
final class Inflater {
    // SAFETY: owned by this object alone, made in init and freed in deinit; no copy leaves.
    private let stream: UnsafeMutablePointer<z_stream>
    private let resetsAfterMessage: Bool

    /// - Parameters:
    ///   - windowBits: 8...15, as negotiated for the sender. 8 is read with 9: zlib, which most senders use,
    ///     took 8 for 9 without a word until 1.2.9, and such a sender can only be understood.
    ///   - resetsAfterMessage: whether the sender takes no context from one message to the next.
    init(windowBits: Int, resetsAfterMessage: Bool) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        self.resetsAfterMessage = resetsAfterMessage
        let status = inflateInit2_(
            stream, -Int32(max(9, windowBits)), ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib has no memory or is not the version compiled against")
    }

    deinit {
        inflateEnd(stream)
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Appends what the next bytes of a message inflate to.
    /// - Parameter limit: how many bytes `output` may hold in all.
    /// - Throws: `messageTooBig` once it would hold more, having written at most 16 KiB past it;
    ///   `invalidDeflate`.
    func inflate(
        _ input: UnsafeRawBufferPointer, into output: inout [UInt8], limit: Int
    ) throws(WebSocketError) {
        guard let start = input.baseAddress, input.count > 0 else { return }
        var consumed = 0
        // Small messages are most; what is asked for within a kilobyte is on the stack.
        var capacity = 1024
        while true {
            // zlib counts in 32 bits, and does not write through next_in.
            let piece = min(input.count - consumed, Int(Int32.max))
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: start.advanced(by: consumed).assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(piece)
            let isFull = try step(into: &output, limit: limit, capacity: capacity)
            consumed += piece - Int(stream.pointee.avail_in)
            if consumed == input.count, !isFull { return }
            if isFull { capacity = 16_384 }
        }
    }

    /// Ends a message: gives back the four bytes that every sender takes off (§7.2.2).
    func finish(into output: inout [UInt8], limit: Int) throws(WebSocketError) {
        var failure: WebSocketError?
        withUnsafeBytes(of: UInt32(bigEndian: 0x0000_FFFF)) {
            do throws(WebSocketError) {
                try inflate($0, into: &output, limit: limit)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        // Bit 7: the last byte ended a block. Otherwise the message was cut inside one, and the tail was
        // read as data.
        guard stream.pointee.data_type & 128 != 0 else { throw .invalidDeflate }
        if resetsAfterMessage { inflateReset(stream) }
    }

    /// One call of zlib's with `capacity` bytes to fill. True when it filled them, so more may be waiting.
    private func step(
        into output: inout [UInt8], limit: Int, capacity: Int
    ) throws(WebSocketError) -> Bool {
        var failure: WebSocketError?
        let isFull = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { scratch in
            stream.pointee.next_out = scratch.baseAddress
            stream.pointee.avail_out = UInt32(capacity)
            let status = CZlib.inflate(stream, Z_SYNC_FLUSH)
            let written = capacity - Int(stream.pointee.avail_out)
            output.append(contentsOf: UnsafeBufferPointer(rebasing: scratch[..<written]))
            switch status {
            // Z_BUF_ERROR: nothing could be done without more input, which is no error here.
            case Z_OK, Z_BUF_ERROR: break
            // §7.2.3.5: a sender may end a message with a final block. Another may follow, in the same
            // window, so the state is reset and the window kept.
            case Z_STREAM_END: inflateResetKeep(stream)
            default: failure = .invalidDeflate
            }
            return written == capacity
        }
        // In the order of the bytes, so that it does not hang on how they were cut.
        guard output.count <= limit else { throw .messageTooBig }
        if let failure { throw failure }
        return isFull
    }
}
