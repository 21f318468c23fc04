// SPDX-License-Identifier: MIT
import EngineIO
import SocketIO
import TestSupport
import Testing
import WebSocket

/// Packets behind the layers that bring them: however TCP and a client's WebSocket cut them, the decoder
/// gets them whole and says the same.
@Suite struct SocketStackTests {
    private static func frame(_ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8]
    {
        var bytes: [UInt8] = []
        FrameWriter.write(
            opcode: opcode, payload: payload.span, isFinal: isFinal, mask: MaskingKey(0x0403_0201),
            into: &bytes)
        return bytes
    }

    private static func frame(_ message: Message) -> [UInt8] {
        switch message {
        case .text(let text): frame(.text, Array("4\(text)".utf8))
        case .binary(let bytes): frame(.binary, bytes)
        }
    }

    /// What a server makes of a client's bytes.
    private static func read(_ pieces: [[UInt8]]) throws -> [Got] {
        var receiver = MessageReceiver(role: .server)
        var buffer: [UInt8] = []
        var messages: [Message] = []
        for piece in pieces {
            buffer += piece
            while true {
                var span = buffer.mutableSpan
                let step = try receiver.next(in: &span)
                func bytes(_ payload: Payload) -> [UInt8] {
                    switch payload {
                    case .range(let range): Array(buffer[range])
                    case .assembled(let bytes): bytes
                    }
                }
                switch step.event {
                case .text(let payload):
                    let text = bytes(payload)
                    let (_, range) = try EngineCodec.decodeText(text.span)
                    messages.append(.text(String(decoding: text[range], as: UTF8.self)))
                case .binary(let payload): messages.append(.binary(bytes(payload)))
                case .needMore, .ping, .pong, .close: break
                }
                buffer.removeFirst(step.consumed)
                if step.event == .needMore { break }
            }
        }
        return decode(messages)
    }

    // Computed: LeakSanitizer takes what only a tagged pointer in a global refers to for lost.
    private static var vectors: [[Message]] {
        (SocketDecoderTests.packets.map(\.0) + SocketDecoderTests.malformed.map(\.0))
            .map { [.text($0)] } + [
                [.text(BinaryPacketTests.text), .binary([1, 2]), .binary([])],
                [.text("61-/admin,15[{\"_placeholder\":true,\"num\":0}]"), .binary([3])],
                [.text("51-[\"a\"]"), .text("2[\"b\"]")], [.binary([1])],
            ]
    }

    @Test(
        "Socket.IO 5, Packet encoding: a packet is the same wherever TCP cuts it, whatever stands around it",
        arguments: vectors)
    func cutByTCP(_ messages: [Message]) throws {
        let bytes = messages.flatMap(Self.frame)
        let whole = try Self.read([bytes])
        #expect(whole == decode(messages))
        let hasFailed = if case .refused? = whole.last { true } else { false }
        let neighbour = Self.frame(.text("2[\"ok\"]"))
        #expect(
            misreadings(of: bytes, before: neighbour, behind: hasFailed ? nil : neighbour) {
                (try? Self.read($0)) ?? []
            } == [])
    }

    @Test(
        "Socket.IO 5, Packet encoding: a packet is the same wherever its WebSocket message is fragmented",
        arguments: vectors)
    func fragmented(_ messages: [Message]) throws {
        guard case .text(let text) = messages[0] else { return }
        let payload = Array("4\(text)".utf8)
        let rest = messages.dropFirst().flatMap(Self.frame)
        for cut in 0...payload.count {
            let bytes =
                Self.frame(.text, Array(payload[..<cut]), isFinal: false) + Self.frame(.ping, [7])
                + Self.frame(.continuation, Array(payload[cut...])) + rest
            #expect(try Self.read([bytes]) == decode(messages))
        }
    }
}
