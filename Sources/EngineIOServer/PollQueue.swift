// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO

/// Packets that wait for a poll: the body of its answer as far as it has come. Should the client
/// upgrade first, it is taken apart into packets again.
struct PollQueue {
    enum Packet {
        case text([UInt8])
        case binary([UInt8])
    }

    private var writer = PollPayloadWriter()
    private var body: [UInt8] = []
    /// Where each packet ends in `body`, and whether it is binary: a separator may also stand inside a
    /// text packet, which a WebSocket frame carries as it is.
    private var ends: [(offset: Int, isBinary: Bool)] = []

    var isEmpty: Bool { body.isEmpty }
    var count: Int { body.count }

    /// Adds a whole text packet, type included.
    mutating func append(text packet: Span<UInt8>) {
        writer.encoded(packet, into: &body)
        ends.append((body.count, false))
    }

    /// Adds a whole text packet, type included.
    mutating func append(text packet: [UInt8]) { append(text: packet.span) }

    /// Adds a binary message.
    mutating func append(binary payload: Span<UInt8>) {
        writer.binary(payload, into: &body)
        ends.append((body.count, true))
    }

    /// Adds a binary message.
    mutating func append(binary payload: [UInt8]) { append(binary: payload.span) }

    /// Takes the body, or so much of it as that many packets are.
    mutating func take(atMost packets: Int = .max) -> [UInt8] {
        guard ends.count > packets else {
            let body = body
            self = PollQueue()
            return body
        }
        let end = ends[packets - 1].offset
        let taken = Array(body[..<end])
        // The separator goes with what is taken.
        body.removeFirst(end + 1)
        ends.removeFirst(packets)
        for index in ends.indices { ends[index].offset -= end + 1 }
        return taken
    }

    /// Takes the packets one by one.
    mutating func takePackets() -> [Packet] {
        let ends = ends
        let body = take()
        var start = 0
        return ends.map { end in
            defer { start = end.offset + 1 }
            let piece = body[start..<end.offset]
            // We wrote the base64 ourselves.
            return end.isBinary
                ? .binary(Base64.decode(Array(piece.dropFirst()), alphabet: .standard) ?? [])
                : .text(Array(piece))
        }
    }
}
