// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import JSON
package import SocketIO
package import Timing

/// One event as it came in: ranges into the packet's bytes, which are valid until the call that
/// brought it returns. Arguments stay JSON until somebody needs a field.
package struct SocketEvent {
    /// The name as written: a JSON string with its quotes, or a number.
    package let name: Range<Int>
    package let arguments: EventArguments.Ranges
    /// Set when the peer asks for an answer.
    package let ackID: Int?
    /// Binary messages that placeholders in the arguments stand for.
    package let attachments: [[UInt8]]

    /// The name without JSON around it.
    package func decodedName(in packet: Span<UInt8>) -> String {
        let written = packet.extracting(name)
        return written[0] == UInt8(ascii: "\"") ? JSONString.decode(written) : written.string()
    }
}

/// What one socket of a namespace does for its application. Called on the socket's loop; spans are
/// valid until return.
package protocol SocketHandler: AnyObject {
    /// The client asks to join. To be answered, at once or later, with `Socket.accept` or
    /// `Socket.refuse`; the server's connect timeout watches over it meanwhile.
    /// - Parameter auth: the handshake's `auth` object in `packet`; nil when the client sent none.
    func connecting(_ socket: Socket, auth: Range<Int>?, in packet: Span<UInt8>)
    func received(_ event: SocketEvent, in packet: Span<UInt8>)
    /// More than `maxQueuedBytes` had been waiting since an earlier turn when this turn's
    /// publications were queued behind it. The default ends the transport.
    func fellBehind(_ socket: Socket)
    /// Everything that waited is with the kernel, as `Socket.tellWhenDrained` asked to hear.
    func drained()
    /// `Socket.deadline` has come.
    func deadlinePassed(now: Instant)
    /// The last call, for whatever reason.
    func disconnected(_ reason: Socket.Ending)
}

extension SocketHandler {
    package func fellBehind(_ socket: Socket) { socket.closeTransport(.tooSlow) }
    package func drained() {}
    package func deadlinePassed(now: Instant) {}
}
