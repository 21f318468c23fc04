// SPDX-License-Identifier: MIT
internal import Bytes
package import ChatCore
internal import EngineIO
internal import HTTPServer
internal import SocketIO
internal import WebSocket

/// One event for many clients, encoded once: a complete WebSocket frame around the Engine.IO and
/// Socket.IO packets, for each class of receiver.
///
/// Receivers differ in one thing only: whether they keep a recovery offset. Those get it as the
/// event's last argument (Socket.IO, connection state recovery); the others would hand it to the
/// application as an argument too many.
package final class Publication: Sendable {
    /// The commit number, which is the recovery offset too; 0 for what is not in the log.
    package let seq: Int64
    private let plain: Encoded
    private let offset: Encoded?

    struct Encoded: Sendable {
        let frame: SharedBytes
        /// The Engine.IO packet inside the frame: what a poll carries.
        let packet: Range<Int>
    }

    /// An event of the log, with its offset for those who keep it.
    package convenience init(_ entry: LogEntry) {
        var event: [UInt8] = []
        event.reserveCapacity(entry.payload.count + 256)
        entry.writeEvent(into: &event)
        self.init(event: entry.eventName, argument: event, seq: entry.seq)
    }

    /// An event outside the log: typing, presence, alerts. Its argument is an object, never a string,
    /// so that no client takes it for an offset.
    package convenience init(event: String, argument: [UInt8]) {
        self.init(event: event, argument: argument, seq: 0)
    }

    private init(event: String, argument: [UInt8], seq: Int64) {
        self.seq = seq
        plain = Publication.encode(event: event, argument: argument, offset: nil)
        offset =
            seq > 0
            ? Publication.encode(event: event, argument: argument, offset: seq) : nil
    }

    /// The encoding for a class of receiver.
    func encoded(keepsOffset: Bool) -> Encoded {
        keepsOffset ? offset ?? plain : plain
    }

    /// The packet without its Engine.IO type, for sending to one client.
    func packet(keepsOffset: Bool) -> [UInt8] {
        let encoded = encoded(keepsOffset: keepsOffset)
        return Array(encoded.frame.bytes[encoded.packet].dropFirst())
    }

    private static func encode(event: String, argument: [UInt8], offset: Int64?) -> Encoded {
        var packet: [UInt8] = []
        packet.reserveCapacity(argument.count + 64)
        packet.append(EnginePacketType.message.rawValue)
        write(event: event, argument: argument.span, offset: offset, into: &packet)
        var frame: [UInt8] = []
        frame.reserveCapacity(packet.count + 10)
        FrameWriter.writeHeader(opcode: .text, length: packet.count, into: &frame)
        let start = frame.count
        frame.append(contentsOf: packet)
        return Encoded(frame: SharedBytes(frame), packet: start..<frame.count)
    }

    /// Appends a Socket.IO EVENT of the main namespace with one JSON argument, and the offset behind
    /// it where there is one. `event` is one of our own names: nothing in it needs escaping.
    static func write(
        event: String, argument: Span<UInt8>, offset: Int64?, into output: inout [UInt8]
    ) {
        output.append("2[\"")
        output.append(event)
        output.append("\",")
        output.append(argument)
        if let offset {
            output.append(",\"")
            output.append(decimal: offset)
            output.append("\"")
        }
        output.append("]")
    }
}
