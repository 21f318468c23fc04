// SPDX-License-Identifier: MIT
internal import Bytes
package import HTTPServer

/// One Engine.IO packet inside WebSocket frames that are complete already.
package struct FramedPacket: Sendable {
    /// The frame's payload: a text packet with its type, or a binary message.
    package var payload: Range<Int>
    package var isBinary: Bool

    package init(payload: Range<Int>, isBinary: Bool) {
        self.payload = payload
        self.isBinary = isBinary
    }
}

/// Messages encoded once for many sessions: complete WebSocket frames end to end, and where in them
/// the packets are that a poll carries.
package final class FrameBatch: Sendable {
    /// A message: where its frames and its packets begin.
    private struct Start {
        var byte: Int
        var packet: Int
    }

    package let frames: SharedBytes
    package let packets: [FramedPacket]
    /// Each message, and the end of the last.
    private let starts: [Start]

    /// One message.
    /// - Parameters:
    ///   - frames: its frames, a text and any attachments.
    ///   - packets: what each frame carries.
    package init(frames: [UInt8], packets: [FramedPacket]) {
        self.frames = SharedBytes(frames)
        self.packets = packets
        starts = [Start(byte: 0, packet: 0), Start(byte: frames.count, packet: packets.count)]
    }

    /// The messages of several batches, laid end to end.
    package init(joining batches: [FrameBatch]) {
        var bytes: [UInt8] = []
        var packets: [FramedPacket] = []
        var starts: [Start] = []
        bytes.reserveCapacity(batches.reduce(0) { $0 + $1.frames.count })
        packets.reserveCapacity(batches.reduce(0) { $0 + $1.packets.count })
        starts.reserveCapacity(batches.reduce(1) { $0 + $1.count })
        for batch in batches {
            for start in batch.starts.dropLast() {
                starts.append(
                    Start(byte: bytes.count + start.byte, packet: packets.count + start.packet))
            }
            for packet in batch.packets {
                let payload =
                    packet.payload.lowerBound + bytes.count..<packet.payload.upperBound
                    + bytes.count
                packets.append(FramedPacket(payload: payload, isBinary: packet.isBinary))
            }
            batch.frames.withBytes { bytes.append($0) }
        }
        starts.append(Start(byte: bytes.count, packet: packets.count))
        frames = SharedBytes(bytes)
        self.packets = packets
        self.starts = starts
    }

    /// Messages in it.
    package var count: Int { starts.count - 1 }

    /// The frames from a message on.
    func range(from message: Int) -> Range<Int> { starts[message].byte..<frames.count }

    /// The packets from a message on.
    func packets(from message: Int) -> ArraySlice<FramedPacket> {
        packets[starts[message].packet...]
    }
}
