// SPDX-License-Identifier: MIT
import Bytes
import Testing
import WebSocket

struct FrameVector: Sendable, CustomTestStringConvertible {
    var name: String
    var bytes: [UInt8]
    var got: [Got]
    var role = Role.client

    var testDescription: String { name }

    static let all: [FrameVector] = [
        // RFC 6455 §5.7.
        FrameVector(
            name: "unmasked text", bytes: [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F],
            got: [.text("Hello")]),
        FrameVector(
            name: "masked text",
            bytes: [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58],
            got: [.text("Hello")], role: .server),
        FrameVector(
            name: "fragmented text",
            bytes: [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F], got: [.text("Hello")]),
        FrameVector(
            name: "ping and masked pong are of either end",
            bytes: [0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], got: [.ping("Hello")]),
        FrameVector(
            name: "masked pong",
            bytes: [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58],
            got: [.pong("Hello")], role: .server),
        FrameVector(name: "empty text", bytes: [0x81, 0x00], got: [.text("")]),
        FrameVector(name: "empty binary", bytes: [0x82, 0x00], got: [.binary([])]),
        FrameVector(
            name: "empty fragments", bytes: [0x01, 0x00, 0x00, 0x00, 0x80, 0x00],
            got: [.text("")]),
        FrameVector(
            name: "control frames between fragments",
            bytes: frame(.text, "κό", isFinal: false) + frame(.ping, "1")
                + frame(.continuation, "σ", isFinal: false) + frame(.pong, "2")
                + frame(.continuation, "με"),
            got: [.ping("1"), .pong("2"), .text("κόσμε")]),
        FrameVector(
            name: "a character cut by fragments",
            bytes: frame(.text, [0xF0, 0x9F], isFinal: false)
                + frame(.continuation, [0x98], isFinal: false) + frame(.continuation, [0x80]),
            got: [.text("😀")]),
        FrameVector(
            name: "binary need not be UTF-8", bytes: frame(.binary, [0xFF, 0xC0, 0x80]),
            got: [.binary([0xFF, 0xC0, 0x80])]),
        FrameVector(
            name: "a message behind a message",
            bytes: frame(.text, "a") + frame(.binary, "b") + frame(.text, "c"),
            got: [.text("a"), .binary([0x62]), .text("c")]),
        FrameVector(name: "close without code", bytes: [0x88, 0x00], got: [.close(nil, "")]),
        FrameVector(
            name: "close with reason", bytes: frame(.close, [0x03, 0xE8] + Array("tschüß".utf8)),
            got: [.close(1000, "tschüß")]),
        FrameVector(
            name: "what follows a close is not read",
            bytes: frame(.close, [0x0F, 0xA0]) + frame(.text, "x") + [0xFF, 0xFF],
            got: [.close(4000, "")]),
        FrameVector(
            name: "close inside a message",
            bytes: frame(.text, "half", isFinal: false) + frame(.close, [0x03, 0xE9]),
            got: [.close(1001, "")]),
    ]
}

@Suite struct MessageReceiverTests {
    @Test(
        "RFC 6455 §5.7: the RFC's examples and more, wherever they are cut and whatever they are glued to",
        arguments: FrameVector.all)
    func everywhere(_ vector: FrameVector) {
        #expect(receiveEverywhere(vector.bytes, role: vector.role) == vector.got)
    }

    @Test func gluedToNeighbours() {
        let vectors = FrameVector.all.filter { vector in
            vector.role == .client
                && !vector.got.contains { if case .close = $0 { true } else { false } }
        }
        let bytes = (vectors + vectors.reversed()).flatMap(\.bytes)
        #expect(receive([bytes]) == (vectors + vectors.reversed()).flatMap(\.got))
        #expect(receive(bytes.map { [$0] }) == (vectors + vectors.reversed()).flatMap(\.got))
    }

    /// The three length forms at their edges, masked and not, arriving whole and in two halves.
    @Test(arguments: [0, 1, 7, 8, 9, 125, 126, 127, 16_384, 16_385, 65_535, 65_536, 200_000])
    func lengths(_ count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
        for role in [Role.client, .server] {
            let mask = role == .server ? MaskingKey(0xDEAD_BEEF) : nil
            let bytes = frame(.binary, payload, mask: mask)
            #expect(receive([bytes], role: role) == [.binary(payload)])
            for cut in [1, bytes.count / 2, bytes.count - 1] {
                let pieces = [Array(bytes[..<cut]), Array(bytes[cut...])]
                #expect(receive(pieces, role: role) == [.binary(payload)])
            }
        }
    }

    @Test func masksAtEveryAlignment() {
        let mask = MaskingKey(0x0102_0304)
        let payload = (0..<67).map { UInt8($0) }
        for pad in 0..<9 {
            let bytes =
                frame(.binary, [UInt8](repeating: 1, count: pad), mask: mask)
                + frame(.binary, payload, mask: mask)
            let first = Got.binary([UInt8](repeating: 1, count: pad))
            #expect(receiveEverywhere(bytes, role: .server) == [first, .binary(payload)])
        }
    }

    @Test func aWholeMessageIsNotCopied() throws {
        var receiver = MessageReceiver(role: .server)
        var bytes = frame(.text, "Hello", mask: MaskingKey(7))
        var span = bytes.mutableSpan
        let step = try receiver.next(in: &span)
        #expect(step.consumed == 11 && step.event == .text(.range(6..<11)))
        #expect(Array(bytes[6...]) == Array("Hello".utf8))
    }

    @Test func knowsWhetherItIsInsideAMessage() {
        var receiver = MessageReceiver(role: .client)
        #expect(!receiver.isInsideMessage)
        _ = receive([frame(.text, "a", isFinal: false)], with: &receiver)
        #expect(receiver.isInsideMessage)
        _ = receive([frame(.continuation, "b")], with: &receiver)
        #expect(!receiver.isInsideMessage && !receiver.isClosed)
        _ = receive([[0x88, 0x00]], with: &receiver)
        #expect(receiver.isClosed)
    }
}

struct FailureVector: Sendable, CustomTestStringConvertible {
    var bytes: [UInt8]
    var error: WebSocketError
    var role = Role.client
    var limits = WebSocketLimits()

    init(
        _ bytes: [UInt8], _ error: WebSocketError, role: Role = .client,
        limits: WebSocketLimits = WebSocketLimits()
    ) {
        (self.bytes, self.error, self.role, self.limits) = (bytes, error, role, limits)
    }

    var testDescription: String { "\(error): \(Hex.string(bytes))" }

    static let tight = WebSocketLimits(maxMessageBytes: 10, maxFragments: 3)

    static let all: [FailureVector] =
        [
            // §5.2: reserved bits and opcodes.
            FailureVector([0xC1], .reservedBits), FailureVector([0xA1], .reservedBits),
            FailureVector([0x91], .reservedBits), FailureVector([0xC9], .reservedBits),
            FailureVector([0x83], .reservedOpcode), FailureVector([0x87], .reservedOpcode),
            FailureVector([0x8B], .reservedOpcode), FailureVector([0x8F], .reservedOpcode),
            // §5.1: who masks.
            FailureVector([0x81, 0x00], .unmaskedFrame, role: .server),
            FailureVector([0x89, 0x00], .unmaskedFrame, role: .server),
            FailureVector([0x81, 0x80], .maskedFrame),
            // §5.2: lengths in their shortest form, below 2^63.
            FailureVector([0x82, 126, 0, 125], .malformedLength),
            FailureVector([0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .malformedLength),
            FailureVector([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], .malformedLength),
            FailureVector([0x82, 127, 0xFF, 255, 255, 255, 255, 255, 255, 255], .malformedLength),
            FailureVector([0x82, 127, 0x7F, 255, 255, 255, 255, 255, 255, 255], .messageTooBig),
            // §5.5: control frames.
            FailureVector([0x09], .fragmentedControl), FailureVector([0x08], .fragmentedControl),
            FailureVector([0x89, 126], .controlTooLong),
            FailureVector([0x88, 127], .controlTooLong),
            // §5.4: fragments.
            FailureVector([0x80, 0x00], .unexpectedContinuation),
            FailureVector([0x00, 0x00], .unexpectedContinuation),
            FailureVector([0x01, 0x00, 0x81, 0x00], .interleavedMessage),
            FailureVector([0x02, 0x00, 0x01, 0x00], .interleavedMessage),
            // §5.5.1 and §7.4: close frames.
            FailureVector([0x88, 0x01, 0x03], .malformedClose),
            FailureVector(frame(.close, [0x03, 0xE8, 0xFF]), .invalidUTF8),
            FailureVector(frame(.close, [0x03, 0xE8, 0xC3]), .invalidUTF8),
        ]
        + [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map {
            FailureVector(
                frame(.close, [UInt8($0 >> 8), UInt8($0 & 0xFF)]), .invalidCloseCode)
        }
        + [
            // §8.1: text.
            FailureVector(frame(.text, [0xFF]), .invalidUTF8),
            FailureVector(frame(.text, [0xC3]), .invalidUTF8),
            FailureVector(frame(.text, [0xED, 0xA0, 0x80]), .invalidUTF8),
            FailureVector(frame(.text, [0xC0, 0x80]), .invalidUTF8),
            FailureVector(
                frame(.text, [0xE2], isFinal: false) + frame(.continuation, [0x41]), .invalidUTF8),
            FailureVector(
                frame(.text, [0xE2, 0x82], isFinal: false) + frame(.continuation, []),
                .invalidUTF8),
            // Limits.
            FailureVector([0x82, 11], .messageTooBig, limits: tight),
            FailureVector(
                frame(.binary, [0, 1, 2, 3, 4, 5], isFinal: false) + [0x80, 5], .messageTooBig,
                limits: tight),
            FailureVector(
                frame(.binary, [], isFinal: false) + frame(.continuation, [], isFinal: false)
                    + frame(.continuation, [], isFinal: false)
                    + frame(.continuation, []), .tooManyFragments, limits: tight),
        ]
}

@Suite struct WebSocketFailureTests {
    @Test(arguments: FailureVector.all)
    func failsWhereverItIsCutAndWhateverItIsGluedTo(_ vector: FailureVector) {
        let got = receiveEverywhere(vector.bytes, role: vector.role, limits: vector.limits)
        #expect(got == [.failed(vector.error)])
    }

    /// §8.1: text fails at its first bad byte, not at the end of frame or message.
    @Test(arguments: [0, 16_384]) func textFailsFast(_ maxInPlaceBytes: Int) {
        let limits = WebSocketLimits(maxInPlaceBytes: maxInPlaceBytes)
        let start: [UInt8] = [0x81, 100, 0x41, 0xF4, 0x90]
        #expect(receive([start], limits: limits) == [.failed(.invalidUTF8)])
    }

    @Test func limitsAreReachable() {
        let limits = FailureVector.tight
        let ten = Array("0123456789".utf8)
        #expect(receive([frame(.binary, ten)], limits: limits) == [.binary(ten)])
        let three =
            frame(.binary, Array(ten[..<5]), isFinal: false)
            + frame(.continuation, [], isFinal: false) + frame(.continuation, Array(ten[5...]))
        #expect(receive([three], limits: limits) == [.binary(ten)])
        #expect(receive([three + three], limits: limits) == [.binary(ten), .binary(ten)])
    }

    @Test(arguments: WebSocketError.allCases) func everyErrorHasItsRow(_ error: WebSocketError) {
        #expect(CloseCode(rawValue: error.closeCode).mayBeSent)
        #expect(!error.reason.isEmpty && error.reason.utf8.count <= 123)
    }

    @Test(arguments: [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999])
    func closeCodesThatMayBeSentArrive(_ code: UInt16) {
        var bytes: [UInt8] = []
        FrameWriter.close(code: code, reason: "why", into: &bytes)
        #expect(receive([bytes]) == [.close(code, "why")])
    }
}

@Suite struct FrameWriterTests {
    @Test(
        "RFC 6455 §5.1, §5.2: a server writes no mask, and each length in the least bytes",
        arguments: [
            (0, [0x82, 0]), (125, [0x82, 125]), (126, [0x82, 126, 0, 126]),
            (65_535, [0x82, 126, 255, 255]), (65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] as [(Int, [UInt8])])
    func headers(_ length: Int, _ expected: [UInt8]) {
        var bytes: [UInt8] = []
        FrameWriter.writeHeader(opcode: .binary, length: length, into: &bytes)
        #expect(bytes == expected)
    }

    @Test(
        "RFC 6455 §5.3: a client masks octet by octet with the key it sends along; the RFC's own example"
    )
    func aMaskedFrameIsThatOfTheRFC() {
        let key = MaskingKey(UInt32(littleEndian: 0x3D21_FA37))
        #expect(
            frame(.text, "Hello", mask: key) == [
                0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
            ])
    }

    /// §7.4.1: these MUST NOT be set in a close frame.
    @Test(arguments: [1004, 1005, 1006, 1015, 0, 999, 5000]) func neverSendsACode(_ code: UInt16) {
        var bytes: [UInt8] = []
        FrameWriter.close(code: code, reason: "x", into: &bytes)
        #expect(bytes == [0x88, 0x00])
    }

    @Test(
        "RFC 6455 §5.5.1: a reason has 123 bytes at most, at the limit and one past it",
        arguments: [(123, 123), (124, 123), (5000, 123)])
    func reasonLength(_ count: Int, _ sent: Int) {
        var bytes: [UInt8] = []
        FrameWriter.close(code: 1000, reason: String(repeating: "x", count: count), into: &bytes)
        #expect(receive([bytes]) == [.close(1000, String(repeating: "x", count: sent))])
    }

    @Test func aReasonIsCutAtACharacter() {
        var bytes: [UInt8] = []
        FrameWriter.close(code: 1000, reason: String(repeating: "é", count: 100), into: &bytes)
        #expect(receive([bytes]) == [.close(1000, String(repeating: "é", count: 61))])
    }

    @Test func aLongControlFrameIsOurBug() async {
        await #expect(processExitsWith: .failure) {
            var bytes: [UInt8] = []
            FrameWriter.writeHeader(opcode: .ping, length: 126, into: &bytes)
        }
    }
}
