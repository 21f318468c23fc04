// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing
import WebSocket

/// What comes of frames: whole, in single bytes, cut in two everywhere, with and without waiting in place, and
/// glued behind another message, which must all agree.
func receiveEverywhere(
    _ bytes: [UInt8], role: Role = .client, limits: WebSocketLimits = WebSocketLimits(),
    deflate: DeflateParameters? = nil
) -> [Got] {
    let whole = receive([bytes], role: role, limits: limits, deflate: deflate)
    var gathered = limits
    gathered.maxInPlaceBytes = 0
    for pieces in everyCut(bytes) {
        #expect(receive(pieces, role: role, limits: limits, deflate: deflate) == whole)
        #expect(receive(pieces, role: role, limits: gathered, deflate: deflate) == whole)
    }
    let before = frame(.text, "b", mask: role == .server ? MaskingKey(5) : nil)
    let glued = receive([before + bytes], role: role, limits: limits, deflate: deflate)
    #expect(glued.first == .text("b") && Array(glued.dropFirst()) == whole)
    return whole
}

/// The rules of RFC 6455, each by its section.
@Suite struct RFC6455Tests {
    static func fails(_ bytes: [UInt8], _ role: Role = .client) -> WebSocketError? {
        if case .failed(let error)? = receiveEverywhere(bytes, role: role).last { return error }
        return nil
    }

    static func answer(_ change: (inout RequestHead) -> Void) -> HandshakeError? {
        do throws(HandshakeError) {
            _ = try WebSocketHandshake.respond(
                to: HandshakeTests.request(change), deflate: DeflatePolicy())
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "RFC 6455 §4.1: a client's key is 16 bytes, encoded; version 13, upgrade and connection are sent"
    )
    func clientRequest() {
        let fields = WebSocketHandshake.request(key: HandshakeTests.key)
        #expect(fields["sec-websocket-key"] == "dGhlIHNhbXBsZSBub25jZQ==")
        #expect(fields["sec-websocket-version"] == "13" && fields["upgrade"] == "websocket")
        #expect(fields.lists("connection", token: "upgrade"))
    }

    @Test(
        "RFC 6455 §4.2.1: a handshake without key, with two, or with one that is not 16 bytes is 400",
        arguments: [
            nil, "", "AAAA", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ=!",
            "dGhlIHNhbXBsZSBub25jZQ==AA==", "dGhlIHNhbXBs*SBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU=",
        ] as [String?])
    func badKeys(_ key: String?) {
        let error = Self.answer {
            if let key {
                $0.fields.set("sec-websocket-key", key)
            } else {
                $0.fields.remove("sec-websocket-key")
            }
        }
        #expect(error == .badKey && HandshakeError.badKey.status == 400)
    }

    @Test("RFC 6455 §4.2.1: a key whose idle bits are set is taken: it need not be decoded")
    func looseKey() {
        #expect(
            Self.answer { $0.fields.set("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZZ==") } == nil)
    }

    @Test(
        "RFC 6455 §4.2.2: another version is answered with 426 and the version spoken",
        arguments: [nil, "8", "0", "13, 8", "013"] as [String?])
    func versions(_ version: String?) {
        let error = Self.answer {
            if let version {
                $0.fields.set("sec-websocket-version", version)
            } else {
                $0.fields.remove("sec-websocket-version")
            }
        }
        #expect(error == .unsupportedVersion && error?.fields["sec-websocket-version"] == "13")
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
        "RFC 6455 §9.1: a malformed extension list MUST fail the handshake; empty elements are passed over"
    )
    func extensionLists() {
        for list in [
            "a;", "a b", ",", ", ,", "a; b=", "a; b=\"c", "a; b=\"c d\"", "a,;b", "a; b=c=d", "=a",
        ] {
            #expect(
                Self.answer { $0.fields.set("sec-websocket-extensions", list) } == .badExtensions)
        }
        for list in ["", "a", ", a", "a,,b", "a ,", " a ; b = \"c\" , d"] {
            #expect(Self.answer { $0.fields.set("sec-websocket-extensions", list) } == nil)
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

/// The rules of RFC 7692, each by its section.
@Suite struct RFC7692Tests {
    /// What a server answers to an offer; nil where it declines, without failing the handshake.
    static func answer(_ offer: String, _ policy: DeflatePolicy = DeflatePolicy()) throws -> String?
    {
        let head = HandshakeTests.request { $0.fields.append("sec-websocket-extensions", offer) }
        return try WebSocketHandshake.respond(to: head, deflate: policy).fields[
            "sec-websocket-extensions"]
    }

    static func verify(_ answer: String, _ policy: DeflatePolicy = DeflatePolicy()) -> Result<
        DeflateParameters?, HandshakeError
    > {
        let head = ResponseHead(
            status: 101, reason: "",
            fields: [
                "upgrade": "websocket", "connection": "Upgrade",
                "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                "sec-websocket-extensions": answer,
            ], framing: BodyFraming.none)
        return Result { () throws(HandshakeError) in
            try WebSocketHandshake.verify(head, key: HandshakeTests.key, deflate: policy)
        }
    }

    @Test(
        "RFC 7692 §5: the first offer that can be taken is; what cannot be is declined, not failed")
    func severalOffers() throws {
        let offer =
            "permessage-deflate; server_max_window_bits=7, x-unknown; a, permessage-deflate; server_no_context_takeover, permessage-deflate"
        #expect(try Self.answer(offer) == "permessage-deflate; server_no_context_takeover")
        #expect(try Self.answer("x-webkit-deflate-frame") == nil)
    }

    @Test(
        "RFC 7692 §7.1: an offer with an unknown, a repeated or an invalid parameter MUST be declined",
        arguments: [
            "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=0", "server_max_window_bits=-9", "server_max_window_bits=a",
            "server_max_window_bits=9.0",
            "server_max_window_bits=99999999999999999999", "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=\"\u{7E}\"", "server_no_context_takeover=1",
            "client_no_context_takeover=true", "unknown",
            "server_no_context_takeover; server_no_context_takeover",
            "client_max_window_bits; client_max_window_bits=9",
            "server_max_window_bits=9; server_max_window_bits=9",
        ])
    func declined(_ parameters: String) throws {
        #expect(try Self.answer("permessage-deflate; " + parameters) == nil)
    }

    @Test(
        "RFC 7692 §7.1: an answer with an unknown, a repeated or an invalid parameter MUST fail the connection",
        arguments: [
            "unknown", "server_max_window_bits", "server_max_window_bits=7",
            "server_max_window_bits=16",
            "client_max_window_bits", "client_max_window_bits=16", "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
        ])
    func failed(_ parameters: String) {
        #expect(Self.verify("permessage-deflate; " + parameters) == .failure(.unofferedChoice))
    }

    @Test(
        "RFC 7692 §5.1: an answer for what was not offered, or two of them, MUST fail the connection"
    )
    func unoffered() {
        #expect(Self.verify("x-other") == .failure(.unofferedChoice))
        #expect(Self.verify("permessage-deflate, permessage-deflate") == .failure(.unofferedChoice))
    }

    @Test(
        "RFC 7692 §7.1.1.1: server_no_context_takeover offered MUST be answered, and may come unasked"
    )
    func serverNoContext() throws {
        #expect(
            try Self.answer("permessage-deflate; server_no_context_takeover")
                == "permessage-deflate; server_no_context_takeover")
        #expect(
            try Self.answer("permessage-deflate", DeflatePolicy(serverNoContextTakeover: true))
                == "permessage-deflate; server_no_context_takeover")
        #expect(
            Self.verify("permessage-deflate", DeflatePolicy(serverNoContextTakeover: true))
                == .failure(.unofferedChoice))
        #expect(
            Self.verify("permessage-deflate; server_no_context_takeover")
                == .success(DeflateParameters(serverNoContextTakeover: true)))
    }

    @Test(
        "RFC 7692 §7.1.1.2: client_no_context_takeover may be answered unasked, and binds the client"
    )
    func clientNoContext() throws {
        #expect(
            try Self.answer("permessage-deflate", DeflatePolicy(clientNoContextTakeover: true))
                == "permessage-deflate; client_no_context_takeover")
        #expect(
            Self.verify("permessage-deflate; client_no_context_takeover")
                == .success(DeflateParameters(clientNoContextTakeover: true)))
    }

    @Test(
        "RFC 7692 §7.1.2.1: server_max_window_bits is answered with the same or less, 8 included",
        arguments: 8...15)
    func serverWindow(_ bits: Int) throws {
        #expect(
            try Self.answer("permessage-deflate; server_max_window_bits=\(bits)")
                == "permessage-deflate; server_max_window_bits=\(bits)")
        #expect(
            try Self.answer(
                "permessage-deflate; server_max_window_bits=\"\(bits)\"",
                DeflatePolicy(serverMaxWindowBits: 9))
                == "permessage-deflate; server_max_window_bits=\(min(bits, 9))")
        let asked = DeflatePolicy(serverMaxWindowBits: bits)
        #expect(
            Self.verify("permessage-deflate; server_max_window_bits=\(bits)", asked)
                == .success(DeflateParameters(serverMaxWindowBits: bits)))
        if bits < 15 {
            #expect(Self.verify("permessage-deflate", asked) == .failure(.unofferedChoice))
            #expect(
                Self.verify("permessage-deflate; server_max_window_bits=\(bits + 1)", asked)
                    == .failure(.unofferedChoice))
        }
    }

    @Test("RFC 7692 §7.1.2.2: client_max_window_bits MUST NOT be answered unless offered")
    func clientWindow() throws {
        let policy = DeflatePolicy(clientMaxWindowBits: 10)
        #expect(try Self.answer("permessage-deflate", policy) == "permessage-deflate")
        #expect(
            try Self.answer("permessage-deflate; client_max_window_bits", policy)
                == "permessage-deflate; client_max_window_bits=10")
        #expect(
            try Self.answer("permessage-deflate; client_max_window_bits=9", policy)
                == "permessage-deflate; client_max_window_bits=9")
        #expect(
            try Self.answer("permessage-deflate; client_max_window_bits=8")
                == "permessage-deflate; client_max_window_bits=8")
    }

    @Test(
        "RFC 7692 §6: RSV1 is set on the first frame of a message alone, and never on control frames"
    )
    func firstFrame() {
        let plain = DeflateParameters()
        let first = frame(.text, [0xF2], isFinal: false, rsv1: true)
        #expect(receiveEverywhere(first + [0xC0, 0], deflate: plain) == [.failed(.reservedBits)])
        for opcode: UInt8 in [8, 9, 10] {
            #expect(
                receiveEverywhere([0xC0 | opcode, 0], deflate: plain) == [.failed(.reservedBits)])
        }
        #expect(
            receiveEverywhere(frame(.text, "x") + first, deflate: nil).last
                == .failed(.reservedBits))
    }

    @Test(
        "RFC 7692 §6.1: messages not compressed may stand between those that are, and control frames in them"
    )
    func mixed() {
        let packed = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00] as [UInt8]
        let bytes =
            frame(.text, "a") + frame(.text, Array(packed[..<3]), isFinal: false, rsv1: true)
            + frame(.ping, "p")
            + frame(.continuation, Array(packed[3...])) + frame(.binary, "b")
        #expect(
            receiveEverywhere(bytes, deflate: DeflateParameters()) == [
                .text("a"), .ping("p"), .text("Hello"), .binary([0x62]),
            ])
    }

    @Test(
        "RFC 7692 §7.2.2: what does not inflate fails with 1007, also when only its end is missing")
    func notDeflate() {
        for payload: [UInt8] in [[0xFF, 0xFF], [0xF2, 0x48, 0xCD], [0x06], [0x05, 0xE0], []] {
            #expect(
                receiveEverywhere(frame(.binary, payload, rsv1: true), deflate: DeflateParameters())
                    .last == .failed(.invalidDeflate))
        }
        #expect(WebSocketError.invalidDeflate.closeCode == 1007)
    }

    @Test(
        "RFC 7692 §7.2.3.5: blocks with BFINAL set, also several, are read, and context is kept through them"
    )
    func finalBlocks() {
        let final: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]
        let again = frame(.text, [0xF2, 0x00, 0x11, 0x00, 0x00], rsv1: true)
        let twice = frame(.text, Array(final.dropLast()) + final, rsv1: true)
        #expect(
            receiveEverywhere(frame(.text, final, rsv1: true) + again, deflate: DeflateParameters())
                == [.text("Hello"), .text("Hello")])
        #expect(receiveEverywhere(twice, deflate: DeflateParameters()) == [.text("HelloHello")])
    }

    @Test("RFC 7692 §7.2.3.6: an empty message is one byte 0x00, both ways")
    func empty() {
        var written: [UInt8] = []
        MessageDeflater(windowBits: 15, takesContext: true).compress([UInt8]().span, into: &written)
        #expect(written == [0x00])
        #expect(
            receiveEverywhere(frame(.text, [0x00], rsv1: true), deflate: DeflateParameters()) == [
                .text("")
            ])
    }

    @Test(
        "RFC 7692 §7.1.1: without context takeover a reference to the message before is refused, on both sides"
    )
    func contexts() {
        let bytes =
            frame(.text, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], rsv1: true)
            + frame(.text, [0xF2, 0x00, 0x11, 0x00, 0x00], rsv1: true)
        #expect(
            receiveEverywhere(bytes, deflate: DeflateParameters()) == [
                .text("Hello"), .text("Hello"),
            ])
        #expect(
            receiveEverywhere(bytes, deflate: DeflateParameters(clientNoContextTakeover: true)) == [
                .text("Hello"), .text("Hello"),
            ])
        #expect(
            receiveEverywhere(bytes, deflate: DeflateParameters(serverNoContextTakeover: true)) == [
                .text("Hello"), .failed(.invalidDeflate),
            ])
    }

    @Test("RFC 7692 §7.1.2.1: a window of 8 bits is kept: what is sent holds no reference at all")
    func smallestWindow() {
        var written: [UInt8] = []
        let text = [UInt8](repeating: 0x61, count: 300)
        MessageDeflater(windowBits: 8, takesContext: true).compress(text.span, into: &written)
        #expect(written.count > 30, "300 letters by reference would be a few bytes")
        #expect(
            receive(
                [frame(.binary, written, rsv1: true)],
                deflate: DeflateParameters(serverMaxWindowBits: 8)) == [.binary(text)])
    }

    @Test(
        "RFC 7692 §8: inflated messages are limited, at the limit and one past it, before they are whole"
    )
    func bombs() {
        var written: [UInt8] = []
        MessageDeflater(windowBits: 15, takesContext: true).compress(
            [UInt8](repeating: 0, count: 100_000).span, into: &written)
        let bytes = frame(.binary, written, isFinal: false, rsv1: true)
        for (limit, fails) in [(100_000, false), (99_999, true), (10, true)] {
            let got = receive(
                [bytes], limits: WebSocketLimits(maxMessageBytes: limit),
                deflate: DeflateParameters())
            #expect(got == (fails ? [.failed(.messageTooBig)] : []))
        }
    }

    @Test(
        "RFC 6455 §8.1 with RFC 7692: compressed text MUST fail at its bad byte, before frame or message is whole"
    )
    func compressedFailFast() {
        var written: [UInt8] = []
        let noise = (0..<4000).map { UInt8(truncatingIfNeeded: ($0 &* 7919) >> 3) & 0x7F }
        MessageDeflater(windowBits: 15, takesContext: true).compress(
            ([0x41, 0xED, 0xA0] + noise).span, into: &written)
        let bytes = frame(.text, written, rsv1: true)
        #expect(
            receive([Array(bytes[..<(bytes.count / 2)])], deflate: DeflateParameters()) == [
                .failed(.invalidUTF8)
            ])
    }
}
