// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
internal import TLS

/// TLS between a connection and its descriptor: the session, and ciphertext the kernel has not taken.
///
/// Plaintext waits in the connection's outbox and is encrypted when there is room to send it, so this
/// holds one write's worth at most, and nothing at all while the connection is idle.
final class SecureTransport {
    private let session: TLSSession
    private var wire: TLSWire
    /// Ciphertext, sent up to `sent`.
    private var pending: [UInt8] = []
    private var sent = 0

    init(_ session: TLSSession, on wire: TLSWire) {
        self.session = session
        self.wire = wire
    }

    /// Bytes that wait for the kernel.
    var unsent: Int { pending.count - sent }

    var isEstablished: Bool { session.isEstablished }
    var isResumed: Bool { session.isResumed }

    /// Takes ciphertext and gives the plaintext it holds. What the session has to say to that (the
    /// handshake, an alert) waits for `push`, which must be called next.
    func receive(
        _ ciphertext: UnsafeRawBufferPointer, into plaintext: UnsafeMutableRawBufferPointer
    ) -> (count: Int, status: TLSSession.Status) {
        session.receive(ciphertext, into: plaintext)
    }

    /// Encrypts and sends as much as the kernel takes; the rest waits here.
    /// - Returns: `failed` also when the session is beyond use.
    func send(_ plaintext: UnsafeRawBufferPointer, to descriptor: Int32) -> Outbox.Progress {
        guard session.send(plaintext) else { return .failed }
        return push(to: descriptor)
    }

    /// Says close_notify, once; before the handshake is over there is nothing to say.
    func close(to descriptor: Int32) -> Outbox.Progress {
        session.close()
        return push(to: descriptor)
    }

    /// Hands what waits to the kernel, in order.
    func push(to descriptor: Int32) -> Outbox.Progress {
        defer { wire.clearOutput() }
        if unsent > 0 {
            pending.append(contentsOf: wire.output)
            let result = pending[sent...].withUnsafeBytes {
                clinux_send(descriptor, $0.baseAddress, $0.count)
            }
            guard result >= 0 else { return result == -Int(EAGAIN) ? .blocked : .failed }
            sent += result
            guard unsent == 0 else { return .blocked }
            pending = []
            sent = 0
            return .empty
        }
        guard !wire.output.isEmpty else { return .empty }
        let result = wire.output.withUnsafeBytes {
            clinux_send(descriptor, $0.baseAddress, $0.count)
        }
        if result == wire.output.count { return .empty }
        guard result >= 0 || result == -Int(EAGAIN) else { return .failed }
        pending = Array(wire.output[max(0, result)...])
        return .blocked
    }

    /// Goes over to another loop, on that loop's thread.
    func move(to wire: TLSWire) {
        self.wire = wire
        session.move(to: wire)
    }
}
