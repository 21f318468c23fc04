// SPDX-License-Identifier: MIT
import Bytes
import Testing
import WebSocket

@Suite struct DeflateTests {
    static let plain = DeflateParameters()

    /// RFC 7692 §7.2.3.
    static let vectors: [(String, [UInt8], String)] = [
        (
            "one block", frame(.text, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], rsv1: true),
            "Hello"
        ),
        (
            "fragmented",
            frame(.text, [0xF2, 0x48, 0xCD], isFinal: false, rsv1: true)
                + frame(.continuation, [0xC9, 0xC9, 0x07, 0x00]), "Hello"
        ),
        (
            "not compressed by deflate",
            frame(
                .text, [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
                rsv1: true), "Hello"
        ),
        (
            "a final block",
            frame(.text, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], rsv1: true), "Hello"
        ),
        (
            "two blocks",
            frame(
                .text,
                [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
                rsv1: true), "Hello"
        ),
        ("empty", frame(.text, [0x00], rsv1: true), ""),
        (
            "empty last fragment",
            frame(.text, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], isFinal: false, rsv1: true)
                + frame(.continuation, []), "Hello"
        ),
        ("not compressed at all", frame(.text, "Hello"), "Hello"),
    ]

    @Test(
        "RFC 7692 §7.2.3: the RFC's examples, wherever they are cut and whatever they are glued to",
        arguments: vectors)
    func everywhere(_ name: String, _ bytes: [UInt8], _ text: String) {
        #expect(receiveEverywhere(bytes, deflate: Self.plain) == [.text(text)])
    }

    @Test func gluedWithContextKeptThroughAFinalBlock() {
        let again = frame(.text, [0xF2, 0x00, 0x11, 0x00, 0x00], rsv1: true)
        for (_, bytes, text) in Self.vectors where text == "Hello" {
            guard bytes[0] & 0x40 != 0 else { continue }
            #expect(receive([bytes + again], deflate: Self.plain) == [.text(text), .text("Hello")])
        }
    }

    @Test(
        arguments: [
            ("garbage", frame(.text, [0xFF, 0xFF, 0xFF], rsv1: true)),
            ("cut inside a block", frame(.text, [0xF2, 0x48, 0xCD], rsv1: true)),
            ("nothing at all after a cut", frame(.text, [0x05, 0xE0], rsv1: true)),
        ])
    func refusesWhatIsNotDeflate(_ name: String, _ bytes: [UInt8]) {
        #expect(receiveEverywhere(bytes, deflate: Self.plain) == [.failed(.invalidDeflate)])
    }

    @Test func compressedTextIsValidatedAsItStreams() {
        var payload: [UInt8] = []
        MessageDeflater(windowBits: 15, takesContext: true)
            .compress(([0xFF] + [UInt8](repeating: 0x41, count: 100)).span, into: &payload)
        let bytes = frame(.text, payload, isFinal: false, rsv1: true)
        #expect(receive([bytes], deflate: Self.plain) == [.failed(.invalidUTF8)])
    }

    /// Found by fuzzing: of two faults in one message the first one counts, wherever it is cut.
    @Test func badTextInsideBadDeflateFailsAsText() {
        var payload: [UInt8] = []
        let deflater = MessageDeflater(windowBits: 15, takesContext: true)
        deflater.compress([0x41, 0xFF, 0x41].span, into: &payload)
        let bytes = frame(.text, payload + [0xFF, 0xFF, 0xFF, 0xFF], rsv1: true)
        #expect(receiveEverywhere(bytes, deflate: Self.plain) == [.failed(.invalidUTF8)])
    }

    @Test func aBombIsCutShort() {
        let zeros = [UInt8](repeating: 0, count: 4_000_000)
        var payload: [UInt8] = []
        MessageDeflater(windowBits: 15, takesContext: true).compress(zeros.span, into: &payload)
        #expect(payload.count < 40_000)
        let bytes = frame(.binary, payload, rsv1: true)
        #expect(receive([bytes], deflate: Self.plain) == [.failed(.messageTooBig)])
        let wide = WebSocketLimits(maxMessageBytes: 4_000_000)
        #expect(receive([bytes], limits: wide, deflate: Self.plain) == [.binary(zeros)])
        let short = WebSocketLimits(maxMessageBytes: 3_999_999)
        #expect(receive([bytes], limits: short, deflate: Self.plain) == [.failed(.messageTooBig)])
    }

    @Test func incompressibleDataPassesAtTheLimit() {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        let noise = (0..<100_000).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 32)
        }
        var payload: [UInt8] = []
        MessageDeflater(windowBits: 15, takesContext: true).compress(noise.span, into: &payload)
        #expect(payload.count > noise.count)
        let limits = WebSocketLimits(maxMessageBytes: noise.count)
        let got = receive(
            [frame(.binary, payload, rsv1: true)], limits: limits, deflate: Self.plain)
        #expect(got == [.binary(noise)])
    }

    /// Every agreement of the four parameters, both ends, over messages that refer to each other.
    @Test(
        "RFC 7692 §7.1.2: what a sender refers to MUST lie in the window and context agreed, at both ends",
        arguments: [8, 9, 12, 15], [false, true])
    func roundTrips(_ bits: Int, _ resets: Bool) {
        let parameters = DeflateParameters(
            serverNoContextTakeover: resets, clientNoContextTakeover: resets,
            serverMaxWindowBits: bits, clientMaxWindowBits: bits)
        let words = (0..<400).map { "word\($0 % 37) " }.joined()
        let messages = ["", "Hello", "Hello", words, "", words + "end", "é", words]
        for role in [Role.server, .client] {
            let deflater = MessageDeflater(parameters: parameters, role: role)
            let mask = role == .client ? MaskingKey(0xABCD_EF01) : nil
            var bytes: [UInt8] = []
            for message in messages {
                var payload: [UInt8] = []
                deflater.compress(Array(message.utf8).span, into: &payload)
                bytes += frame(.text, payload, rsv1: true, mask: mask)
            }
            let receiver = role == .server ? Role.client : .server
            #expect(
                receive([bytes], role: receiver, deflate: parameters) == messages.map { .text($0) })
            #expect(
                receive(bytes.map { [$0] }, role: receiver, deflate: parameters)
                    == messages.map { .text($0) })
        }
    }

    @Test(
        "RFC 7692 §7.2.1: the flush's last four bytes MUST be taken off: the RFC's example, byte for byte"
    )
    func withoutContextOneDeflaterServesMany() {
        let deflater = MessageDeflater(windowBits: 15, takesContext: false)
        var first: [UInt8] = []
        var second: [UInt8] = []
        deflater.compress(Array("Hello".utf8).span, into: &first)
        deflater.compress(Array("Hello".utf8).span, into: &second)
        #expect(first == second && first == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    }
}
