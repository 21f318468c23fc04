// SPDX-License-Identifier: MIT
internal import CZlib

/// Compresses whole messages for permessage-deflate (RFC 7692 §7.2.1).
///
/// With context takeover each connection needs a deflater of its own and sends messages in the order they
/// were compressed. Without, one deflater serves all connections of a class (`DeflateParameters` that agree
/// on our side), and a broadcast is compressed once.
package final class MessageDeflater {
    // SAFETY: owned by this object alone, made in init and freed in deinit; no copy leaves. zlib's stream
    // must stay where it was made.
    private let stream: UnsafeMutablePointer<z_stream>
    private let takesContext: Bool

    /// - Parameters:
    ///   - windowBits: 8...15. zlib has no raw window of 256 bytes, so 8 is met by using no back
    ///     references at all, which is right for any window and compresses less.
    ///   - takesContext: whether messages may refer to the ones before.
    ///   - level: 1 (fast) ... 9 (small). 1 costs a third of 6 and loses a few per cent on chat text.
    ///   - memoryLevel: 1...9; with `windowBits` it sets the memory: 2^(windowBits+2) + 2^(memoryLevel+9).
    package init(windowBits: Int, takesContext: Bool, level: Int = 1, memoryLevel: Int = 8) {
        precondition((8...15).contains(windowBits), "RFC 7692 §7.1.2")
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        self.takesContext = takesContext
        let status = deflateInit2_(
            stream, Int32(level), Z_DEFLATED, -Int32(max(9, windowBits)), Int32(memoryLevel),
            windowBits == 8 ? Z_HUFFMAN_ONLY : Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib has no memory, or level or memoryLevel is out of range")
    }

    /// The deflater for one end of a connection.
    package convenience init(
        parameters: DeflateParameters, role: Role, level: Int = 1, memoryLevel: Int = 8
    ) {
        self.init(
            windowBits: role == .server
                ? parameters.serverMaxWindowBits : parameters.clientMaxWindowBits,
            takesContext: role == .server
                ? !parameters.serverNoContextTakeover : !parameters.clientNoContextTakeover,
            level: level, memoryLevel: memoryLevel)
    }

    deinit {
        deflateEnd(stream)
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Appends the payload of a frame with RSV1 set that holds `message`, whole.
    package func compress(_ message: Span<UInt8>, into output: inout [UInt8]) {
        guard message.count > 0 else {
            // §7.2.3.6. zlib would write nothing, having nothing to flush.
            output.append(0x00)
            return
        }
        precondition(message.count <= UInt32.max, "zlib counts in 32 bits")
        // What is asked for within a kilobyte is on the stack, and small messages are most.
        var capacity = 1024
        message.withUnsafeBufferPointer { input in
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.pointee.avail_in = UInt32(input.count)
            repeat {
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { scratch in
                    stream.pointee.next_out = scratch.baseAddress
                    stream.pointee.avail_out = UInt32(capacity)
                    let status = deflate(stream, Z_SYNC_FLUSH)
                    precondition(status == Z_OK || status == Z_BUF_ERROR, "zlib lost its state")
                    let written = capacity - Int(stream.pointee.avail_out)
                    output.append(contentsOf: UnsafeBufferPointer(rebasing: scratch[..<written]))
                }
                capacity = 16_384
            } while stream.pointee.avail_out == 0
        }
        // A sync flush ends in the empty block 00 00 FF FF, which the receiver puts back (§7.2.1).
        output.removeLast(4)
        if !takesContext { deflateReset(stream) }
    }
}
