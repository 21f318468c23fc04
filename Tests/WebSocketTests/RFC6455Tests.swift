// SPDX-License-Identifier: MIT
import Bytes
import Testing
import WebSocket

/// The rules of RFC 6455, each by its section.
@Suite struct RFC6455Tests {
    static func fails(_ bytes: [UInt8], _ role: Role = .client) -> WebSocketError? {
        if case .failed(let error)? = receiveEverywhere(bytes, role: role).last { return error }
        return nil
    }

    @Test("RFC 6455 §5.1: a server MUST close on a frame that is not masked, of any kind")
    func unmasked() {
        for opcode in [Opcode.text, .binary, .ping, .pong, .close] {
            #expect(Self.fails(frame(opcode, ""), .server) == .unmaskedFrame)
        }
        #expect(WebSocketError.unmaskedFrame.closeCode == 1002)
    }

    @Test("RFC 6455 §5.1: a client MUST close on a frame that is masked")
    func masked() {
        #expect(Self.fails(frame(.text, "", mask: MaskingKey(1))) == .maskedFrame)
        #expect(WebSocketError.maskedFrame.closeCode == 1002)
    }

    @Test("RFC 6455 §5.2: RSV1, RSV2 and RSV3 MUST be 0 unless an extension gives them a meaning")
    func reservedBits() {
        for bits: UInt8 in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] {
            for opcode: UInt8 in [0, 1, 2, 8, 9, 10] {
                #expect(Self.fails([0x80 | bits | opcode, 0]) == .reservedBits)
            }
        }
    }

    @Test(
        "RFC 6455 §5.2: an unknown opcode MUST fail the connection",
        arguments: [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8])
    func opcodes(_ opcode: UInt8) {
        #expect(Self.fails([0x80 | opcode, 0]) == .reservedOpcode)
        #expect(Self.fails([opcode, 0]) == .reservedOpcode)
    }

    @Test(
        "RFC 6455 §5.2: the minimal number of bytes MUST encode a length, on either side of each form"
    )
    func minimalLengths() {
        #expect(Self.fails([0x82, 126, 0, 0]) == .malformedLength)
        #expect(Self.fails([0x82, 126, 0, 125]) == .malformedLength)
        #expect(Self.fails([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 126]) == .malformedLength)
        #expect(Self.fails([0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255]) == .malformedLength)
        for count in [125, 126, 65_535, 65_536] {
            #expect(receive([frame(.binary, [UInt8](repeating: 7, count: count))]).count == 1)
        }
    }

    @Test(
        "RFC 6455 §5.2: the most significant bit of a 64-bit length MUST be 0; 2^63 - 1 is a length"
    )
    func longestLength() {
        #expect(Self.fails([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]) == .malformedLength)
        #expect(Self.fails([0x82, 127] + [UInt8](repeating: 0xFF, count: 8)) == .malformedLength)
        #expect(
            Self.fails([0x82, 127, 0x7F] + [UInt8](repeating: 0xFF, count: 7)) == .messageTooBig)
    }

    @Test("RFC 6455 §5.3: unmasking is by octet i modulo 4, wherever the payload is cut")
    func unmasking() {
        let bytes = frame(.binary, (0..<33).map { UInt8($0) }, mask: MaskingKey(0xA1B2_C3D4))
        #expect(receiveEverywhere(bytes, role: .server) == [.binary((0..<33).map { UInt8($0) })])
    }

    @Test("RFC 6455 §5.4: fragments are put together; a continuation of nothing MUST NOT come")
    func fragments() {
        let good =
            frame(.text, "a", isFinal: false) + frame(.continuation, "b", isFinal: false)
            + frame(.continuation, "c")
        #expect(receiveEverywhere(good) == [.text("abc")])
        #expect(Self.fails(frame(.continuation, "a")) == .unexpectedContinuation)
        #expect(Self.fails(good + frame(.continuation, "d")) == .unexpectedContinuation)
    }

    @Test("RFC 6455 §5.4: fragments of two messages MUST NOT be interleaved")
    func interleaved() {
        #expect(
            Self.fails(frame(.text, "a", isFinal: false) + frame(.binary, "b"))
                == .interleavedMessage)
        #expect(
            Self.fails(frame(.binary, "a", isFinal: false) + frame(.text, "b", isFinal: false))
                == .interleavedMessage)
    }

    @Test("RFC 6455 §5.4: control frames MUST be handled in the middle of a fragmented message")
    func controlBetween() {
        let bytes =
            frame(.text, "a", isFinal: false) + frame(.ping, "p") + frame(.pong, "q")
            + frame(.continuation, "b")
        #expect(receiveEverywhere(bytes) == [.ping("p"), .pong("q"), .text("ab")])
    }

    @Test("RFC 6455 §5.5: control frames MUST have 125 bytes at most, at the limit and one past it")
    func controlLength() {
        let full = String(repeating: "x", count: 125)
        #expect(receiveEverywhere(frame(.ping, full)) == [.ping(full)])
        for opcode: UInt8 in [8, 9, 10] {
            #expect(Self.fails([0x80 | opcode, 126, 0, 126]) == .controlTooLong)
        }
    }

    @Test("RFC 6455 §5.5: control frames MUST NOT be fragmented")
    func fragmentedControl() {
        for opcode: UInt8 in [8, 9, 10] { #expect(Self.fails([opcode, 0]) == .fragmentedControl) }
    }

    @Test("RFC 6455 §5.5.1: a close has no payload or a code of two bytes and a reason in UTF-8")
    func closePayloads() {
        #expect(receiveEverywhere([0x88, 0]) == [.close(nil, "")])
        #expect(Self.fails([0x88, 1, 3]) == .malformedClose)
        #expect(
            receiveEverywhere(frame(.close, [3, 0xE8] + Array("grüß".utf8))) == [
                .close(1000, "grüß")
            ])
        #expect(Self.fails(frame(.close, [3, 0xE8, 0xC3])) == .invalidUTF8)
        #expect(
            WebSocketError.invalidUTF8.closeCode == 1007
                && WebSocketError.malformedClose.closeCode == 1002)
    }

    @Test("RFC 6455 §5.5.1: nothing behind a close is read, and a message it cuts is never given")
    func behindClose() {
        let bytes =
            frame(.text, "half", isFinal: false) + [0x88, 0] + frame(.continuation, "rest") + [
                0xFF, 0xFF,
            ]
        #expect(receiveEverywhere(bytes) == [.close(nil, "")])
    }

    @Test("RFC 6455 §5.5.2: a ping may stand anywhere between frames and gives what to answer with")
    func pings() {
        #expect(
            receiveEverywhere(frame(.ping, "x") + frame(.text, "y")) == [.ping("x"), .text("y")])
    }

    @Test("RFC 6455 §5.5.3: an unsolicited pong is passed over, not an error")
    func pongs() { #expect(receiveEverywhere(frame(.pong, "x")) == [.pong("x")]) }

    @Test(
        "RFC 6455 §7.4.1: 1004, 1005, 1006 and 1015 MUST NOT be in a close frame, read or written",
        arguments: [1004, 1005, 1006, 1015] as [UInt16])
    func reservedCodes(_ code: UInt16) {
        #expect(
            Self.fails(frame(.close, [UInt8(code >> 8), UInt8(code & 255)])) == .invalidCloseCode)
        var written: [UInt8] = []
        FrameWriter.close(code: code, into: &written)
        #expect(written == [0x88, 0])
    }

    @Test(
        "RFC 6455 §7.4.2: 0–999 are not used, 1016–2999 not given out, 3000–4999 are open; all 65,536 codes"
    )
    func allCodes() {
        for code in UInt16.min...UInt16.max {
            let got = receive([[0x88, 2, UInt8(code >> 8), UInt8(code & 255)]])
            let isValid =
                (1000...1003).contains(code) || (1007...1014).contains(code)
                || (3000...4999).contains(code)
            #expect(got == [isValid ? .close(code, "") : .failed(.invalidCloseCode)])
        }
    }

    @Test(
        "RFC 6455 §8.1: text MUST fail at bytes that are not UTF-8, before frame or message is whole"
    )
    func failFast() {
        let limits = WebSocketLimits(maxInPlaceBytes: 0)
        for start: [UInt8] in [
            [0x81, 100, 0x41, 0xFF], [0x01, 1, 0xE2, 0x80, 100, 0x41],
            [0x81, 126, 0x40, 0, 0xED, 0xA0],
        ] {
            #expect(receive([start]) == [.failed(.invalidUTF8)])
            #expect(receive([start], limits: limits) == [.failed(.invalidUTF8)])
        }
    }

    @Test(
        "RFC 6455 §10.4: messages are limited in bytes, at the limit and one past it, in any number of frames"
    )
    func messageLimit() {
        let limits = WebSocketLimits(maxMessageBytes: 10)
        let ten = Array("0123456789".utf8)
        #expect(receiveEverywhere(frame(.binary, ten), limits: limits) == [.binary(ten)])
        #expect(receiveEverywhere([0x82, 11], limits: limits) == [.failed(.messageTooBig)])
        let split = frame(.binary, Array(ten[..<6]), isFinal: false)
        #expect(
            receiveEverywhere(split + frame(.continuation, Array(ten[6...])), limits: limits) == [
                .binary(ten)
            ])
        #expect(receiveEverywhere(split + [0x80, 5], limits: limits) == [.failed(.messageTooBig)])
        #expect(WebSocketError.messageTooBig.closeCode == 1009)
    }

    @Test("RFC 6455 §10.4: messages are limited in fragments, at the limit and one past it")
    func fragmentLimit() {
        let limits = WebSocketLimits(maxFragments: 3)
        let two = frame(.text, "", isFinal: false) + frame(.continuation, "", isFinal: false)
        #expect(receiveEverywhere(two + frame(.continuation, ""), limits: limits) == [.text("")])
        #expect(
            receiveEverywhere(
                two + frame(.continuation, "", isFinal: false) + [0x80, 0], limits: limits) == [
                    .failed(.tooManyFragments)
                ])
    }

    /// A peer that is given nothing to do must not make us copy the square of what it sends.
    @Test(
        "RFC 6455 §10.4: 65,536 fragments cost as their bytes do, and the buffer does not grow by steps"
    )
    func manyFragments() {
        let limits = WebSocketLimits(maxMessageBytes: 1 << 22, maxFragments: 65_536)
        var bytes = frame(.binary, [UInt8](repeating: 1, count: 64), isFinal: false)
        let middle = frame(.continuation, [UInt8](repeating: 1, count: 64), isFinal: false)
        for _ in 0..<65_534 { bytes += middle }
        bytes += frame(.continuation, [UInt8](repeating: 1, count: 64))
        let clock = ContinuousClock()
        var got: [Got] = []
        // Read as a loop reads, some 64 KiB at a time; in a debug build the square would take many minutes.
        let pieces = stride(from: 0, to: bytes.count, by: 66 * 992).map {
            Array(bytes[$0..<min($0 + 66 * 992, bytes.count)])
        }
        var receiver = MessageReceiver(role: .client, limits: limits)
        let time = clock.measure {
            for piece in pieces { got += receiveLinearly(piece, &receiver) }
        }
        #expect(got.count == 1 && time < .seconds(60))
    }
}

/// As `receive`, but for one piece that holds whole frames and without moving the rest at each step.
private func receiveLinearly(_ piece: [UInt8], _ receiver: inout MessageReceiver) -> [Got] {
    var piece = piece
    return piece.withUnsafeMutableBytes { bytes in
        var got: [Got] = []
        var used = 0
        while true {
            var rest = MutableSpan<UInt8>(_unsafeBytes: .init(rebasing: bytes[used...]))
            guard let step = try? receiver.next(in: &rest) else {
                return got + [.failed(.messageTooBig)]
            }
            used += step.consumed
            switch step.event {
            case .needMore: return got
            case .binary(.assembled(let message)): got.append(.binary([UInt8(message.count & 255)]))
            default: got.append(.failed(.reservedBits))
            }
        }
    }
}
