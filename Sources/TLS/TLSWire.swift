// SPDX-License-Identifier: MIT
internal import COpenSSL

/// The ciphertext side of all sessions of one event loop: where OpenSSL reads from and writes to. One
/// for all, because only one session is at work at a time, so that an idle one holds no buffers.
///
/// Whatever a call of a session leaves in `output` belongs to that session's connection and must be
/// taken before another session is called.
package final class TLSWire {
    /// Where ciphertext is to be received. 64 KiB: several records in one system call.
    package let input: UnsafeMutableRawBufferPointer = .allocate(
        byteCount: 64 * 1024, alignment: 64)
    /// Ciphertext to be sent.
    package var output: [UInt8] = []
    /// What the session at work has yet to read.
    var source = UnsafeRawBufferPointer(start: nil, count: 0)

    package init() {}

    deinit { input.deallocate() }

    /// Forgets the output; its room is kept for the next session's unless it is out of the ordinary.
    package func clearOutput() {
        output.removeAll(keepingCapacity: output.capacity <= 256 * 1024)
    }

    /// OpenSSL's view of a wire: a source and sink without a descriptor behind it.
    // SAFETY: set up once, before first use, and only read after.
    nonisolated(unsafe) static let method: OpaquePointer = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "loop") else {
            preconditionFailure("out of memory at start")
        }
        BIO_meth_set_create(method) { bio in
            BIO_set_init(bio, 1)
            return 1
        }
        BIO_meth_set_write_ex(method) { bio, bytes, count, written in
            guard let data = BIO_get_data(bio), let bytes else { return 0 }
            copenssl_clear_retry(bio)
            // SAFETY: the session that is at work holds its wire.
            Unmanaged<TLSWire>.fromOpaque(data)._withUnsafeGuaranteedRef { wire in
                wire.output.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
            }
            written?.pointee = count
            return 1
        }
        BIO_meth_set_read_ex(method) { bio, buffer, capacity, taken in
            guard let data = BIO_get_data(bio), let buffer else { return 0 }
            copenssl_clear_retry(bio)
            let count = Unmanaged<TLSWire>.fromOpaque(data)._withUnsafeGuaranteedRef { wire in
                let count = min(capacity, wire.source.count)
                UnsafeMutableRawBufferPointer(start: buffer, count: count)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: wire.source[..<count]))
                wire.source = UnsafeRawBufferPointer(rebasing: wire.source[count...])
                return count
            }
            taken?.pointee = count
            if count == 0 { copenssl_retry_read(bio) }
            return count > 0 ? 1 : 0
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()
}
