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
///
/// A message is a text and mostly nothing else: one of those needs no lists.
package final class FrameBatch: Sendable {
    /// A message: where its frames and its packets begin.
    private struct Start {
        var byte: Int
        var packet: Int
    }

    package let frames: SharedBytes
    /// The first message's text.
    package let text: FramedPacket
    /// All packets behind the first.
    private let rest: [FramedPacket]
    /// Each message behind the first.
    private let laterStarts: [Start]

    /// One message.
    /// - Parameters:
    ///   - frames: its frames, a text and any attachments.
    ///   - text: what the first of them carries.
    ///   - attachments: what each of the others carries.
    package init(frames: [UInt8], text: FramedPacket, attachments: [FramedPacket] = []) {
        self.frames = SharedBytes(frames)
        self.text = text
        rest = attachments
        laterStarts = []
    }

    /// The messages of several batches, of which there is at least one, laid end to end.
    package init(joining batches: [FrameBatch]) {
        precondition(!batches.isEmpty)
        var bytes: [UInt8] = []
        var packets: [FramedPacket] = []
        var starts: [Start] = []
        bytes.reserveCapacity(batches.reduce(0) { $0 + $1.frames.count })
        packets.reserveCapacity(batches.reduce(0) { $0 + $1.rest.count + 1 })
        starts.reserveCapacity(batches.reduce(0) { $0 + $1.count })
        for batch in batches {
            for index in 0..<batch.count {
                let start = batch.start(of: index)
                starts.append(
                    Start(byte: bytes.count + start.byte, packet: packets.count + start.packet))
            }
            let moved = bytes.count
            batch.forEachPacket(from: 0) { packet in
                let payload =
                    packet.payload.lowerBound + moved..<packet.payload.upperBound + moved
                packets.append(FramedPacket(payload: payload, isBinary: packet.isBinary))
            }
            batch.frames.withBytes { bytes.append($0) }
        }
        frames = SharedBytes(bytes)
        text = packets[0]
        rest = Array(packets[1...])
        laterStarts = Array(starts[1...])
    }

    /// Messages in it.
    package var count: Int { laterStarts.count + 1 }

    /// The packets behind the text, of one message.
    package var attachments: [FramedPacket] { rest }

    private func start(of message: Int) -> Start {
        message == 0 ? Start(byte: 0, packet: 0) : laterStarts[message - 1]
    }

    /// The frames from a message on.
    func range(from message: Int) -> Range<Int> { start(of: message).byte..<frames.count }

    /// Gives out the packets from a message on.
    func forEachPacket(from message: Int, _ body: (FramedPacket) -> Void) {
        let first = start(of: message).packet
        if first == 0 { body(text) }
        for packet in rest[max(0, first - 1)...] { body(packet) }
    }
}
