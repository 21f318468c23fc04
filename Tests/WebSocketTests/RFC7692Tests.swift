// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import Testing
import WebSocket

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
            "client_no_context_takeover=true", "unknown", "server_max_window_bits=1x",
            "client_max_window_bits=0",
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
        "RFC 7692 §8: a compressed message is limited on the wire, too, at the limit and one past it"
    )
    func wireLimit() {
        // What deflate may add to a message of 1000 bytes that does not shrink.
        let limits = WebSocketLimits(maxMessageBytes: 1000)
        for (count, got) in [(2027, []), (2028, [.failed(.messageTooBig)])] as [(Int, [Got])] {
            let header: [UInt8] = [0xC2, 126, UInt8(count >> 8), UInt8(count & 255)]
            #expect(receiveEverywhere(header, limits: limits, deflate: DeflateParameters()) == got)
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
