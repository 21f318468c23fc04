// SPDX-License-Identifier: MIT
import Bytes
import EngineIO
import JSON
import Testing

@Suite struct EngineCodecTests {
    @Test(arguments: EnginePacketType.allCases) func textPacketsComeBack(_ type: EnginePacketType)
        throws
    {
        for payload in ["", "probe", "2[\"é\"]"] {
            var bytes: [UInt8] = []
            EngineCodec.encodeText(type, Array(payload.utf8).span, into: &bytes)
            let decoded = try EngineCodec.decodeText(bytes.span)
            #expect(decoded.type == type)
            #expect(String(decoding: bytes[decoded.payload], as: UTF8.self) == payload)
        }
    }

    @Test(
        arguments: [
            ("", .emptyPacket), ("abc", .unknownPacketType), ("7", .unknownPacketType),
            ("b", .unknownPacketType), (" 4", .unknownPacketType), ("\u{1E}", .unknownPacketType),
        ] as [(String, EngineError)])
    func refuses(_ text: String, _ error: EngineError) {
        #expect(throws: error) { _ = try EngineCodec.decodeText(Array(text.utf8).span) }
    }

    @Test func everyErrorHasACode() {
        #expect(Set(EngineError.allCases.map(\.code)).count == EngineError.allCases.count)
    }

    @Test("Engine.IO 4, Handshake: the open packet has exactly its five keys")
    func theOpenPacketHasExactlyFiveKeys() throws {
        var bytes: [UInt8] = []
        EngineOpen.write(
            sid: "abc", upgrades: [.websocket], configuration: EngineConfiguration(),
            into: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == "0{\"sid\":\"abc\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
                + "\"pingTimeout\":20000,\"maxPayload\":1000000}")
        bytes = []
        EngineOpen.write(
            sid: "a", upgrades: [],
            configuration: EngineConfiguration(
                pingInterval: .milliseconds(300), pingTimeout: .milliseconds(200), maxPayload: 5),
            into: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == "0{\"sid\":\"a\",\"upgrades\":[],\"pingInterval\":300,\"pingTimeout\":200,"
                + "\"maxPayload\":5}")
    }
}

/// One packet of a polling body.
enum PollPacket: Hashable, Sendable {
    case text(EnginePacketType, String)
    case binary([UInt8])
    case refused(EngineError)
}

@Suite struct PollPayloadTests {
    static func read(_ body: [UInt8]) -> [PollPacket] {
        var reader = PollPayloadReader()
        var packets: [PollPacket] = []
        while true {
            do throws(EngineError) {
                switch try reader.next(in: body.span) {
                case .packet(let type, let range):
                    packets.append(.text(type, String(decoding: body[range], as: UTF8.self)))
                case .binary(let bytes): packets.append(.binary(bytes))
                case .end: return packets
                }
            } catch {
                return packets + [.refused(error)]
            }
        }
    }

    static func read(_ body: String) -> [PollPacket] { read(Array(body.utf8)) }

    // Computed: LeakSanitizer takes what only a tagged pointer in a global refers to for lost.
    static var bodies: [(String, [PollPacket])] {
        [
            ("4hello", [.text(.message, "hello")]),
            ("2", [.text(.ping, "")]),
            (
                "4hello\u{1E}2\u{1E}4world",
                [.text(.message, "hello"), .text(.ping, ""), .text(.message, "world")]
            ),
            ("bAQIDBA==", [.binary([1, 2, 3, 4])]),
            ("4test\u{1E}bAQIDBA==", [.text(.message, "test"), .binary([1, 2, 3, 4])]),
            ("b", [.binary([])]),
            ("4€\u{1E}4bAQ", [.text(.message, "€"), .text(.message, "bAQ")]),
        ]
    }

    @Test(arguments: bodies) func reads(_ body: String, _ packets: [PollPacket]) {
        #expect(Self.read(body) == packets)
    }

    @Test func gluedToNeighbours() {
        let all = Self.bodies + Self.bodies.reversed()
        #expect(Self.read(all.map(\.0).joined(separator: "\u{1E}")) == all.flatMap(\.1))
    }

    @Test(
        arguments: [
            ("", [.refused(.emptyPacket)]), ("abc", [.refused(.unknownPacketType)]),
            ("\u{1E}", [.refused(.emptyPacket)]),
            ("4a\u{1E}", [.text(.message, "a"), .refused(.emptyPacket)]),
            ("4a\u{1E}\u{1E}4b", [.text(.message, "a"), .refused(.emptyPacket)]),
            ("4a\u{1E}7", [.text(.message, "a"), .refused(.unknownPacketType)]),
            ("bAQIDBA", [.refused(.malformedBase64)]), ("bAQ=I", [.refused(.malformedBase64)]),
            ("b AQI", [.refused(.malformedBase64)]), ("bAQI_", [.refused(.malformedBase64)]),
            ("bAB==", [.refused(.malformedBase64)]),
        ] as [(String, [PollPacket])])
    func refuses(_ body: String, _ packets: [PollPacket]) {
        #expect(Self.read(body) == packets)
        #expect(Self.read("4ok\u{1E}" + body) == [.text(.message, "ok")] + packets)
    }

    @Test(arguments: [
        [0x34, 0xFF], [0x34, 0xC3], [0x34, 0xC3, 0x1E, 0xA9], [0x34, 0xED, 0xA0, 0x80],
    ])
    func refusesWhatIsNotUTF8(_ body: [UInt8]) {
        #expect(Self.read(body) == [.refused(.invalidUTF8)])
        #expect(
            Self.read(Array("4ok\u{1E}".utf8) + body)
                == [.text(.message, "ok"), .refused(.invalidUTF8)])
    }

    @Test func whatIsWrittenIsReadAndCounted() {
        var writer = PollPayloadWriter()
        var body: [UInt8] = []
        var count = 0
        writer.text(.message, Array("2[\"a\"]".utf8).span, into: &body)
        count += PollPayloadWriter.textCount(payloadCount: 6)
        for length in 0..<5 {
            writer.binary([UInt8](repeating: 0xFE, count: length).span, into: &body)
            count += PollPayloadWriter.binaryCount(payloadCount: length)
        }
        writer.encoded(Array("3probe".utf8).span, into: &body)
        count += PollPayloadWriter.textCount(payloadCount: 5)
        #expect(body.count == count - 1)
        #expect(
            Self.read(body) == [.text(.message, "2[\"a\"]")]
                + (0..<5).map { .binary([UInt8](repeating: 0xFE, count: $0)) }
                + [.text(.pong, "probe")])
    }
}
