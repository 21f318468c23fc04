// SPDX-License-Identifier: MIT
import Bytes
import Testing
import WebSocket

/// The cases of the Autobahn test suite, chapters 1–10, 12 and 13, by their numbers: what a server must make
/// of each. Every vector runs whole, byte by byte and cut in two everywhere.
struct AutobahnCase: Sendable, CustomTestStringConvertible {
    var id: String
    var bytes: [UInt8]
    var got: [Got]

    var testDescription: String { id }

    static let mask = MaskingKey(0x1234_5678)

    /// One frame of a client's.
    static func f(
        _ opcode: Opcode, _ payload: [UInt8], final isFinal: Bool = true
    ) -> [UInt8] {
        frame(opcode, payload, isFinal: isFinal, mask: mask)
    }

    static func f(_ opcode: Opcode, _ text: String, final isFinal: Bool = true) -> [UInt8] {
        f(opcode, Array(text.utf8), final: isFinal)
    }

    /// A client's frame that `FrameWriter` would not write: first byte, payload.
    static func raw(_ first: UInt8, _ payload: String = "") -> [UInt8] {
        [first, 0x80 | UInt8(payload.utf8.count), 0, 0, 0, 0] + Array(payload.utf8)
    }

    static let bye = f(.close, [0x03, 0xE8])
    static let closed = Got.close(1000, "")

    init(_ id: String, _ bytes: [UInt8], _ got: [Got]) {
        (self.id, self.bytes, self.got) = (id, bytes, got)
    }

    /// The case, then a close that must still be read.
    init(_ id: String, _ bytes: [UInt8], then got: [Got]) {
        self.init(id, bytes + AutobahnCase.bye, got + [AutobahnCase.closed])
    }

    init(_ id: String, _ bytes: [UInt8], fails error: WebSocketError, after got: [Got] = []) {
        self.init(id, bytes + AutobahnCase.bye, got + [.failed(error)])
    }

    static let all: [AutobahnCase] = [
        chapter1, chapter2, chapter3, reservedData, reservedControl, chapter5, chapter6, chapter7,
        goodCodes, badCodes,
    ].flatMap(\.self)

    /// 1: text and binary of the lengths at which the header changes.
    static let chapter1: [AutobahnCase] = [0, 125, 126, 127, 128, 65_535, 65_536].enumerated()
        .flatMap { index, count -> [AutobahnCase] in
            let text = String(repeating: "*", count: count)
            let data = [UInt8](repeating: 0xFE, count: count)
            return [
                AutobahnCase("1.1.\(index + 1)", f(.text, text), then: [.text(text)]),
                AutobahnCase("1.2.\(index + 1)", f(.binary, data), then: [.binary(data)]),
            ]
        }

    /// 2: pings and pongs.
    static let chapter2: [AutobahnCase] = [
        AutobahnCase("2.1", f(.ping, ""), then: [.ping("")]),
        AutobahnCase("2.2", f(.ping, "Hello, world!"), then: [.ping("Hello, world!")]),
        AutobahnCase(
            "2.3", f(.ping, [0x00, 0x41, 0x42, 0x7F]), then: [.ping("\u{0}AB\u{7F}")]),
        AutobahnCase(
            "2.4", f(.ping, String(repeating: "p", count: 125)),
            then: [.ping(String(repeating: "p", count: 125))]),
        AutobahnCase("2.5", [0x89, 0xFE, 0, 126], fails: .controlTooLong),
        AutobahnCase("2.7", f(.pong, ""), then: [.pong("")]),
        AutobahnCase("2.8", f(.pong, "unsolicited"), then: [.pong("unsolicited")]),
        AutobahnCase(
            "2.9", f(.pong, "unsolicited") + f(.ping, "ping"),
            then: [.pong("unsolicited"), .ping("ping")]),
        AutobahnCase(
            "2.10", (0..<10).flatMap { f(.ping, "payload \($0)") },
            then: (0..<10).map { .ping("payload \($0)") }),
    ]

    /// 3: reserved bits, alone and together, before and behind good frames.
    static let chapter3: [AutobahnCase] = [
        AutobahnCase("3.1", raw(0xC1, "x"), fails: .reservedBits),
        AutobahnCase(
            "3.2", f(.text, "x") + raw(0xA1, "x") + f(.ping, ""), fails: .reservedBits,
            after: [.text("x")]),
        AutobahnCase(
            "3.3", f(.text, "x") + raw(0xB1, "x") + f(.ping, ""), fails: .reservedBits,
            after: [.text("x")]),
        AutobahnCase(
            "3.4", f(.text, "x") + raw(0xC1, "x"), fails: .reservedBits, after: [.text("x")]),
        AutobahnCase("3.5", raw(0xD2, "x"), fails: .reservedBits),
        AutobahnCase("3.6", raw(0xE9, "x"), fails: .reservedBits),
        AutobahnCase("3.7", raw(0xF8), fails: .reservedBits),
    ]

    /// 4: reserved opcodes.
    static let reservedData: [AutobahnCase] = (UInt8(3)...7).map { opcode in
        AutobahnCase("4.1.\(opcode - 2)", raw(0x80 | opcode), fails: .reservedOpcode)
    }
    static let reservedControl: [AutobahnCase] = (UInt8(11)...15).map { opcode in
        AutobahnCase(
            "4.2.\(opcode - 10)", f(.text, "x") + raw(0x80 | opcode, "x"), fails: .reservedOpcode,
            after: [.text("x")])
    }

    /// 5: fragments.
    static let chapter5: [AutobahnCase] = [
        AutobahnCase(
            "5.1", raw(0x09, "f") + f(.continuation, "g"), fails: .fragmentedControl),
        AutobahnCase(
            "5.2", raw(0x0A, "f") + f(.continuation, "g"), fails: .fragmentedControl),
        AutobahnCase(
            "5.3–5.5", f(.text, "frag", final: false) + f(.continuation, "ment"),
            then: [.text("fragment")]),
        AutobahnCase(
            "5.6–5.8",
            f(.text, "frag", final: false) + f(.ping, "ping") + f(.continuation, "ment"),
            then: [.ping("ping"), .text("fragment")]),
        AutobahnCase(
            "5.9–5.11", f(.continuation, "non") + f(.text, "Hello"), fails: .unexpectedContinuation),
        AutobahnCase(
            "5.12–5.14", raw(0x00, "non") + f(.text, "Hello"), fails: .unexpectedContinuation),
        AutobahnCase(
            "5.15",
            f(.text, "a", final: false) + f(.continuation, "b") + raw(0x00, "c")
                + f(.text, "d"), fails: .unexpectedContinuation, after: [.text("ab")]),
        AutobahnCase(
            "5.16–5.17", raw(0x00, "a") + f(.text, "b", final: false),
            fails: .unexpectedContinuation),
        AutobahnCase(
            "5.18", f(.text, "a", final: false) + f(.text, "b"), fails: .interleavedMessage),
        AutobahnCase(
            "5.19–5.20",
            f(.text, "f1", final: false) + f(.continuation, "f2", final: false) + f(.ping, "1")
                + f(.continuation, "f3", final: false) + f(.continuation, "f4", final: false)
                + f(.ping, "2") + f(.continuation, "f5"),
            then: [.ping("1"), .ping("2"), .text("f1f2f3f4f5")]),
    ]

    /// 7: closing.
    static let chapter7: [AutobahnCase] =
        [
            AutobahnCase("7.1.1", f(.text, "Hello"), then: [.text("Hello")]),
            AutobahnCase("7.1.2", bye + bye, [closed]),
            AutobahnCase("7.1.3", bye + f(.ping, ""), [closed]),
            AutobahnCase("7.1.4", bye + f(.text, "Hello"), [closed]),
            AutobahnCase(
                "7.1.5", f(.text, "a", final: false) + bye + f(.continuation, "b"), [closed]),
            AutobahnCase(
                "7.1.6", f(.text, String(repeating: "x", count: 5000)) + bye + f(.ping, ""),
                [.text(String(repeating: "x", count: 5000)), closed]),
            AutobahnCase("7.3.1", f(.close, ""), [.close(nil, "")]),
            AutobahnCase("7.3.2", f(.close, [0x03]), [.failed(.malformedClose)]),
            AutobahnCase("7.3.3", bye, [closed]),
            AutobahnCase(
                "7.3.4", f(.close, [0x03, 0xE8] + Array("ok".utf8)), [.close(1000, "ok")]),
            AutobahnCase(
                "7.3.5", f(.close, [0x03, 0xE8] + [UInt8](repeating: 0x2A, count: 123)),
                [.close(1000, String(repeating: "*", count: 123))]),
            AutobahnCase("7.3.6", [0x88, 0xFE, 0, 126], [.failed(.controlTooLong)]),
            AutobahnCase(
                "7.5.1",
                f(
                    .close,
                    [0x03, 0xE8] + Array("κόσμε".utf8) + [0xED, 0xA0, 0x80] + Array("x".utf8)),
                [.failed(.invalidUTF8)]),
        ]

    static let goodCodes: [AutobahnCase] = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ].enumerated().map { index, code -> AutobahnCase in
        AutobahnCase(
            "7.7.\(index + 1)", f(.close, [UInt8(code >> 8), UInt8(code & 255)]),
            [.close(UInt16(code), "")])
    }

    static let badCodes: [AutobahnCase] = [
        0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535,
    ].enumerated().map { index, code -> AutobahnCase in
        AutobahnCase(
            index < 9 ? "7.9.\(index + 1)" : "7.13.\(index - 8)",
            f(.close, [UInt8(code >> 8), UInt8(code & 255)]), [.failed(.invalidCloseCode)])
    }

    /// 6: text, good and bad, of Markus Kuhn's stress test and the suite's own.
    static let chapter6: [AutobahnCase] = {
        let greek = "κόσμε"
        let hello = "Hello-µ@ßöäüàá-UTF-8!!"
        var cases = [
            AutobahnCase("6.1.1", f(.text, ""), then: [.text("")]),
            AutobahnCase(
                "6.1.2",
                f(.text, "", final: false) + f(.continuation, "", final: false)
                    + f(.continuation, ""), then: [.text("")]),
            AutobahnCase(
                "6.1.3",
                f(.text, "", final: false) + f(.continuation, "middle", final: false)
                    + f(.continuation, ""), then: [.text("middle")]),
            AutobahnCase("6.2.1", f(.text, hello), then: [.text(hello)]),
            AutobahnCase(
                "6.2.2",
                f(.text, "Hello-µ@ßöä", final: false) + f(.continuation, "üàá-UTF-8!!"),
                then: [.text(hello)]),
            AutobahnCase("6.2.3", pieces(hello), then: [.text(hello)]),
            AutobahnCase("6.2.4", pieces(greek), then: [.text(greek)]),
        ]
        let broken = Array(greek.utf8) + [0xED, 0xA0, 0x80] + Array("edited".utf8)
        cases.append(AutobahnCase("6.3.1", f(.text, broken), fails: .invalidUTF8))
        cases.append(AutobahnCase("6.3.2", pieces(broken), fails: .invalidUTF8))
        for (index, bytes) in bad.enumerated() {
            cases.append(AutobahnCase("6 bad \(index)", f(.text, bytes), fails: .invalidUTF8))
            cases.append(AutobahnCase("6 bad, cut \(index)", pieces(bytes), fails: .invalidUTF8))
        }
        for (index, text) in good.enumerated() {
            cases.append(AutobahnCase("6 good \(index)", f(.text, text), then: [.text(text)]))
        }
        return cases
    }()

    /// One frame a byte.
    static func pieces(_ bytes: [UInt8]) -> [UInt8] {
        bytes.enumerated().flatMap { index, byte in
            f(index == 0 ? .text : .continuation, [byte], final: index == bytes.count - 1)
        }
    }

    static func pieces(_ text: String) -> [UInt8] { pieces(Array(text.utf8)) }

    /// 6.5, 6.7, 6.9, 6.11, 6.22, 6.23: the edges of each length and all that only look like edges.
    static let good: [String] = [
        "κόσμε", "\u{0}", "\u{80}", "\u{800}", "\u{10000}", "\u{7F}", "\u{7FF}", "\u{FFFF}",
        "\u{10FFFF}", "\u{D7FF}", "\u{E000}", "\u{FFFD}", "\u{FFFE}", "\u{1FFFE}", "\u{FFFC}",
        "\u{FEFF}", "\u{2028}",
        String(decoding: [0xEF, 0xB7, 0x90, 0xEF, 0xB7, 0xAF], as: UTF8.self),
    ]

    /// 6.6, 6.8, 6.10, 6.12–6.21: what no encoder writes.
    static let bad: [[UInt8]] =
        [
            [0xCE], [0xCE, 0xBA, 0xE1], [0xCE, 0xBA, 0xE1, 0xBD], [0xF8, 0x88, 0x80, 0x80, 0x80],
            [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], [0xF7, 0xBF, 0xBF, 0xBF],
            [0xFB, 0xBF, 0xBF, 0xBF, 0xBF], [0xFD, 0xBF, 0xBF, 0xBF, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0x80], [0xBF], [0x80, 0xBF], [0x80, 0xBF, 0x80],
            [0xC2], [0xE0, 0xA0], [0xF0, 0x90, 0x80], [0xC2, 0x20], [0xE0, 0x20], [0xF0, 0x20],
            [0xFE], [0xFF], [0xFE, 0xFE, 0xFF, 0xFF],
            // Overlong forms of a slash and of NUL.
            [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xF0, 0x80, 0x80, 0xAF], [0xC1, 0xBF],
            [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xC0, 0x80], [0xE0, 0x80, 0x80],
            [0xF0, 0x80, 0x80, 0x80],
            // Surrogates, alone and in pairs.
            [0xED, 0xA0, 0x80], [0xED, 0xAD, 0xBF], [0xED, 0xAE, 0x80], [0xED, 0xAF, 0xBF],
            [0xED, 0xB0, 0x80], [0xED, 0xBE, 0x80], [0xED, 0xBF, 0xBF],
            [0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], [0xED, 0xAF, 0xBF, 0xED, 0xBF, 0xBF],
        ]
}

@Suite struct AutobahnTests {
    static let limits = WebSocketLimits(maxFragments: 4096)

    @Test(
        "Autobahn 1–7: each case as the suite expects it, whole and in single bytes",
        arguments: AutobahnCase.all)
    func wholeAndInSingleBytes(_ one: AutobahnCase) {
        #expect(receive([one.bytes], role: .server, limits: Self.limits) == one.got)
        #expect(receive(one.bytes.map { [$0] }, role: .server, limits: Self.limits) == one.got)
    }

    @Test("Autobahn 1–7: each case cut in two everywhere", arguments: AutobahnCase.all)
    func cutEverywhere(_ one: AutobahnCase) {
        // The long ones around their headers and ends; what is between is alike.
        let edge = 80
        for cut in 0...one.bytes.count
        where cut < edge || one.bytes.count - cut < edge || one.bytes.count < 400 {
            let pieces = [Array(one.bytes[..<cut]), Array(one.bytes[cut...])]
            #expect(receive(pieces, role: .server, limits: Self.limits) == one.got)
        }
    }

    /// The three speeds of failing: at the end of the message, of the frame, at the byte.
    @Test("Autobahn 6.4.1–6.4.4: invalid UTF-8 fails at once, inside frames and fragments")
    func failsFast() {
        let good = Array("κόσμε".utf8)
        let part1 = AutobahnCase.f(.text, good, final: false)
        let part2 = AutobahnCase.f(.continuation, [0xF4, 0x90, 0x80, 0x80], final: false)
        // 6.4.1: fails with the second of three frames; 6.4.2: with the byte that cannot follow.
        #expect(receive([part1, part2], role: .server) == [.failed(.invalidUTF8)])
        let header = part2.count - 4
        #expect(receive([part1, Array(part2[..<(header + 1)])], role: .server) == [])
        #expect(
            receive([part1, Array(part2[..<(header + 2)])], role: .server)
                == [.failed(.invalidUTF8)])
        // 6.4.3 and 6.4.4: in one frame that never ends.
        let whole = AutobahnCase.f(.text, good + [0xF4, 0x90, 0x80, 0x80] + good)
        let before = receive([Array(whole[..<(good.count + 7)])], role: .server)
        let behind = receive([Array(whole[..<(good.count + 8)])], role: .server)
        #expect(before == [] && behind == [.failed(.invalidUTF8)])
    }

    @Test("Autobahn 2.11, 5.x: ten pings cut into single bytes are ten pings")
    func pingsInSingleBytes() {
        let bytes: [UInt8] = (0..<10).flatMap { AutobahnCase.f(.ping, "payload-\($0)") }
        #expect(
            receive(bytes.map { [$0] }, role: .server) == (0..<10).map { .ping("payload-\($0)") })
    }

    @Test("Autobahn 9.1–9.2: messages of 64 KiB to 16 MiB", arguments: [16, 18, 20, 22, 23, 24])
    func bigMessages(_ bits: Int) {
        let count = 1 << bits
        let limits = WebSocketLimits(maxMessageBytes: 1 << 24)
        let data = [UInt8](repeating: 0x2A, count: count)
        #expect(
            receive([AutobahnCase.f(.binary, data)], role: .server, limits: limits)
                == [.binary(data)])
        let bytes = AutobahnCase.f(.text, data)
        let pieces = stride(from: 0, to: bytes.count, by: 1 << 16).map {
            Array(bytes[$0..<min($0 + 1 << 16, bytes.count)])
        }
        let got = receive(pieces, role: .server, limits: limits)
        #expect(got.count == 1)
        if case .text(let text)? = got.first { #expect(text.utf8.count == count) }
    }

    /// 65,536 fragments are possible by configuration, in time that grows with their number and not with
    /// its square.
    @Test(
        "Autobahn 9.3–9.4: 4 MiB in fragments of 64 bytes to 4 MiB",
        arguments: [6, 8, 10, 14, 18, 22])
    func fragments(_ bits: Int) {
        let (count, size) = (1 << 22, 1 << bits)
        let limits = WebSocketLimits(maxMessageBytes: 1 << 22, maxFragments: 65_536)
        let piece = [UInt8](repeating: 0x2A, count: size)
        let (first, middle, last) = (
            AutobahnCase.f(.binary, piece, final: count == size),
            AutobahnCase.f(.continuation, piece, final: false), AutobahnCase.f(.continuation, piece)
        )
        var receiver = MessageReceiver(role: .server, limits: limits)
        var got = receive([first], with: &receiver)
        for index in 1..<max(1, count / size) {
            got += receive([index == count / size - 1 ? last : middle], with: &receiver)
        }
        #expect(got == [.binary([UInt8](repeating: 0x2A, count: count))])
    }

    @Test(
        "Autobahn 9.5–9.6: a megabyte that arrives in pieces of 64 bytes to 2 KiB",
        arguments: [64, 512, 2048])
    func choppedMessages(_ size: Int) {
        let data = [UInt8](repeating: 0x2A, count: 1 << 20)
        let bytes = AutobahnCase.f(.binary, data)
        let pieces = stride(from: 0, to: bytes.count, by: size).map {
            Array(bytes[$0..<min($0 + size, bytes.count)])
        }
        let limits = WebSocketLimits(maxMessageBytes: 1 << 20)
        #expect(receive(pieces, role: .server, limits: limits) == [.binary(data)])
    }

    @Test("Autobahn 10.1: a message that is fragmented by itself is echoed whole")
    func autoFragmented() {
        let text = String(repeating: "*", count: 65_536)
        let bytes = stride(from: 0, to: 65_536, by: 1300).flatMap { start -> [UInt8] in
            AutobahnCase.f(
                start == 0 ? .text : .continuation,
                String(repeating: "*", count: min(1300, 65_536 - start)),
                final: start + 1300 >= 65_536)
        }
        #expect(receive([bytes], role: .server) == [.text(text)])
    }

    /// 12: sizes 16 … 131,072, text and binary; 13: the seven sets of parameters.
    static let parameterSets: [DeflateParameters] = [
        DeflateParameters(),
        DeflateParameters(serverNoContextTakeover: true, clientNoContextTakeover: true),
        DeflateParameters(serverMaxWindowBits: 9, clientMaxWindowBits: 9),
        DeflateParameters(serverMaxWindowBits: 15, clientMaxWindowBits: 15),
        DeflateParameters(
            serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 9,
            clientMaxWindowBits: 9),
        DeflateParameters(
            serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 15,
            clientMaxWindowBits: 15),
        DeflateParameters(
            serverNoContextTakeover: true, clientNoContextTakeover: false, serverMaxWindowBits: 8,
            clientMaxWindowBits: 8),
    ]

    @Test(
        "Autobahn 12, 13: compressed messages of 16 bytes to 128 KiB in every parameter set",
        arguments: parameterSets, [16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072])
    func compressed(_ parameters: DeflateParameters, _ size: Int) {
        let words = "{\"text\":\"lorem ipsum dölor — sit amet\",\"n\":1234567890},"
        var text = ""
        while text.utf8.count < size { text += words }
        text = String(decoding: Array(text.utf8.prefix(size)), as: UTF8.self)
        let limits = WebSocketLimits(maxFragments: 4096)
        let client = MessageDeflater(parameters: parameters, role: .client)
        var stream: [UInt8] = []
        for round in 0..<3 {
            var payload: [UInt8] = []
            client.compress(Array(text.utf8).span, into: &payload)
            if round == 1 {
                // 12.1.11–12.1.18: the compressed message in fragments, RSV1 on the first alone.
                let cuts = Array(stride(from: 0, to: payload.count, by: max(1, payload.count / 5)))
                for (index, start) in cuts.enumerated() {
                    let end = index + 1 < cuts.count ? cuts[index + 1] : payload.count
                    stream += frame(
                        index == 0 ? .text : .continuation, Array(payload[start..<end]),
                        isFinal: index == cuts.count - 1, rsv1: index == 0,
                        mask: AutobahnCase.mask)
                    stream += AutobahnCase.f(.ping, "\(index)")
                }
            } else {
                stream += frame(.text, payload, rsv1: true, mask: AutobahnCase.mask)
            }
        }
        for piece in [stream.count, 1000, 7] where size <= 4096 || piece > 7 {
            let pieces = stride(from: 0, to: stream.count, by: piece).map {
                Array(stream[$0..<min($0 + piece, stream.count)])
            }
            let got = receive(pieces, role: .server, limits: limits, deflate: parameters)
            let texts = got.filter { if case .text = $0 { true } else { false } }
            #expect(texts == [.text(text), .text(text), .text(text)])
        }
    }
}
