// SPDX-License-Identifier: MIT
internal import Bytes
internal import CLinux
internal import HTTP1
internal import Locks

/// A live connection taken apart, on its way to another loop or process: the descriptor, what was read
/// from it and not parsed, and who is at its other end. Owns the descriptor until it is adopted, given
/// away or let go, which closes it.
// SAFETY: made on one thread and used by the next once the letter that carries it is read; the only
// thing that changes is `descriptor`, behind its lock.
package final class DetachedConnection: @unchecked Sendable {
    private let descriptor: Locked<Int32?>
    /// Bytes received and not yet parsed.
    package let unread: [UInt8]
    let peer: Peer
    /// The TLS session, when it goes along: inside one process only.
    let secure: SecureTransport?

    init(descriptor: Int32, unread: [UInt8], peer: Peer, secure: SecureTransport?) {
        self.descriptor = Locked(descriptor)
        self.unread = unread
        self.peer = peer
        self.secure = secure
    }

    /// A connection that another process has handed over.
    /// - Parameters:
    ///   - descriptor: a connected stream socket, non-blocking and close-on-exec; owned from here.
    ///   - unread: what is to be parsed first, `unread` of the other process's.
    ///   - address: the client's, numeric.
    ///   - isProxy: whether a trusted proxy is at the other end.
    ///   - isSecure: whether its bytes were encrypted on their way to the other process.
    package convenience init(
        descriptor: Int32, unread: [UInt8], address: String, isProxy: Bool, isSecure: Bool
    ) {
        self.init(
            descriptor: descriptor, unread: unread,
            peer: Peer(address: address, isProxy: isProxy, isSecure: isSecure), secure: nil)
    }

    deinit { if let descriptor = take() { _ = clinux_close(descriptor) } }

    /// The numeric address at the other end.
    package var address: String { peer.address }
    /// Whether a trusted proxy is at the other end.
    package var isProxy: Bool { peer.isProxy }
    /// Whether the peer speaks TLS, with this process or with a proxy that says so.
    package var isSecure: Bool { secure != nil || peer.isSecure }

    /// The descriptor, and with it the duty to close it; nil when it has been taken.
    package func take() -> Int32? {
        descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
    }
}

extension RequestHead {
    /// The request as bytes again, with its whole body behind it: what another parser reads as the same.
    func bytes(body: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.append("\(method) \(target) HTTP/1.\(minorVersion)\r\n")
        for field in fields.fields {
            switch field.name {
            // The body is here already, and in one piece.
            case "content-length", "transfer-encoding", "expect": continue
            default: output.append("\(field.name): \(field.value)\r\n")
            }
        }
        if framing != .none { output.append("content-length: \(body.count)\r\n") }
        output.append("\r\n")
        output.append(contentsOf: body)
        return output
    }
}
