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

    var isEmpty: Bool { body.isEmpty }
    var count: Int { body.count }

    /// Adds a whole text packet, type included.
    mutating func append(text packet: [UInt8]) { writer.encoded(packet.span, into: &body) }

    /// Adds a binary message.
    mutating func append(binary payload: [UInt8]) { writer.binary(payload.span, into: &body) }

    /// Takes the body.
    mutating func take() -> [UInt8] {
        let body = body
        self = PollQueue()
        return body
    }

    /// Takes the packets one by one.
    mutating func takePackets() -> [Packet] {
        take().split(separator: PollPayloadWriter.separator).map { piece in
            if piece.first == UInt8(ascii: "b"),
                let payload = Base64.decode(Array(piece.dropFirst()), alphabet: .standard)
            {
                return .binary(payload)
            }
            return .text(Array(piece))
        }
    }
}
