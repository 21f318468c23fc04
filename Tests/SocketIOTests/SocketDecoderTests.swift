// SPDX-License-Identifier: MIT
import Bytes
import SocketIO
import Testing

@Suite struct SocketDecoderTests {
    static let packets: [(String, Got)] = [
        ("0", .packet(.connect, "/", nil, nil)),
        ("0/admin,", .packet(.connect, "/admin", nil, nil)),
        ("0/custom", .packet(.connect, "/custom", nil, nil)),
        ("0{\"token\":\"123\"}", .packet(.connect, "/", nil, "{\"token\":\"123\"}")),
        ("0/a,{\"sid\":\"x\"}", .packet(.connect, "/a", nil, "{\"sid\":\"x\"}")),
        ("0/a?b=c,{}", .packet(.connect, "/a?b=c", nil, "{}")),
        ("1", .packet(.disconnect, "/", nil, nil)),
        ("1/admin,", .packet(.disconnect, "/admin", nil, nil)),
        ("2[\"foo\"]", .packet(.event, "/", nil, "[\"foo\"]")),
        ("2/admin,[\"bar\"]", .packet(.event, "/admin", nil, "[\"bar\"]")),
        ("212[\"foo\"]", .packet(.event, "/", 12, "[\"foo\"]")),
        (
            "2/admin,456[\"project:delete\",123]",
            .packet(.event, "/admin", 456, "[\"project:delete\",123]")
        ),
        ("20[1,{\"a\":[null,true]}]", .packet(.event, "/", 0, "[1,{\"a\":[null,true]}]")),
        ("2[\"\"]", .packet(.event, "/", nil, "[\"\"]")),
        ("2[\"héllo\",\"世界\"]", .packet(.event, "/", nil, "[\"héllo\",\"世界\"]")),
        ("2[\"a,b/c\"]", .packet(.event, "/", nil, "[\"a,b/c\"]")),
        ("2[\"Connect\"]", .packet(.event, "/", nil, "[\"Connect\"]")),
        ("2[\"a\",\"connect\"]", .packet(.event, "/", nil, "[\"a\",\"connect\"]")),
        ("3/admin,456[]", .packet(.ack, "/admin", 456, "[]")),
        ("312[\"bar\"]", .packet(.ack, "/", 12, "[\"bar\"]")),
        ("39223372036854775807[]", .packet(.ack, "/", .max, "[]")),
        (
            "4{\"message\":\"Not authorized\"}",
            .packet(.connectError, "/", nil, "{\"message\":\"Not authorized\"}")
        ),
        (
            "4/random,{\"message\":\"Invalid namespace\"}",
            .packet(.connectError, "/random", nil, "{\"message\":\"Invalid namespace\"}")
        ),
        ("4\"no\"", .packet(.connectError, "/", nil, "\"no\"")),
    ]

    @Test(arguments: packets) func decodes(_ text: String, _ got: Got) {
        #expect(decode(text) == got)
    }

    @Test func oneBehindTheOther() {
        let all = Self.packets + Self.packets.reversed()
        #expect(decode(all.map { .text($0.0) }) == all.map(\.1))
    }

    static let malformed: [(String, SocketError)] = [
        ("", .unknownPacketType), ("7", .unknownPacketType), ("9[\"a\"]", .unknownPacketType),
        ("abc", .unknownPacketType), (" 2[\"a\"]", .unknownPacketType),
        // The three that the protocol's own suite sends.
        ("2{}", .invalidPayload), ("2abc[\"x\",1]", .invalidPayload),
        // EVENT: a non-empty array that begins with a name.
        ("2", .invalidPayload), ("2[]", .invalidPayload), ("2[null]", .invalidPayload),
        ("2[{}]", .invalidPayload), ("2[[\"a\"]]", .invalidPayload), ("2[true]", .invalidPayload),
        ("2\"a\"", .invalidPayload), ("2null", .invalidPayload), ("2[\"a\"", .invalidPayload),
        ("2[\"a\",]", .invalidPayload), ("2[\"a\"]]", .invalidPayload),
        ("2[\"a\"]x", .invalidPayload), ("2['a']", .invalidPayload),
        ("2[\"a\",undefined]", .invalidPayload), ("2[\"a\\x\"]", .invalidPayload),
        ("2[\"a\u{1}\"]", .invalidPayload), ("212", .invalidPayload), ("2/a,", .invalidPayload),
        ("2/a", .invalidPayload), ("21/a,[\"x\"]", .invalidPayload),
        ("2-1[\"x\"]", .invalidPayload),
        // CONNECT: an object or nothing.
        ("0[]", .invalidPayload), ("0\"a\"", .invalidPayload), ("0null", .invalidPayload),
        ("0{", .invalidPayload), ("0{}{}", .invalidPayload), ("0/a,x", .invalidPayload),
        ("1{}", .invalidPayload), ("1/a,[]", .invalidPayload),
        ("4", .invalidPayload), ("4[]", .invalidPayload), ("41", .invalidPayload),
        // ACK: an id and an array.
        ("3[]", .malformedAckID), ("31", .invalidPayload), ("31{}", .invalidPayload),
        ("31\"a\"", .invalidPayload), ("39223372036854775808[]", .malformedAckID),
        ("200000000000000000000000001[\"a\"]", .malformedAckID),
        // Attachments: <digits>- behind the binary types only.
        ("5[\"a\"]", .malformedAttachmentCount), ("5-[\"a\"]", .malformedAttachmentCount),
        ("51", .malformedAttachmentCount), ("51[\"a\"]", .malformedAttachmentCount),
        ("50-[\"a\"]", .malformedAttachmentCount), ("500-[\"a\"]", .malformedAttachmentCount),
        ("5-1-[\"a\"]", .malformedAttachmentCount), ("51.5-[\"a\"]", .malformedAttachmentCount),
        ("51e1-[\"a\"]", .malformedAttachmentCount), ("5+1-[\"a\"]", .malformedAttachmentCount),
        ("5a-[\"a\"]", .malformedAttachmentCount), ("511-[\"a\"]", .tooManyAttachments),
        ("599999999999999999999-[\"a\"]", .tooManyAttachments),
        ("51-", .invalidPayload), ("51-[]", .invalidPayload), ("51-{}", .invalidPayload),
        ("61-[]", .malformedAckID),
        ("51-[\"a\",{\"_placeholder\":true,\"num\":1}]", .illegalPlaceholder),
        ("51-[\"a\",{\"_placeholder\":true,\"num\":-1}]", .illegalPlaceholder),
        ("51-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]", .illegalPlaceholder),
        ("51-[\"a\",{\"_placeholder\":true}]", .illegalPlaceholder),
        ("51-[\"a\",[{\"b\":{\"num\":7,\"_placeholder\":true}}]]", .illegalPlaceholder),
        ("51-[\"a\",{\"_place\\u0068older\":true,\"num\":1}]", .illegalPlaceholder),
    ]

    @Test(arguments: malformed) func refuses(_ text: String, _ error: SocketError) {
        #expect(decode(text) == .refused(error))
        #expect(
            decode([.text("2[\"ok\"]"), .text(text)])
                == [.packet(.event, "/", nil, "[\"ok\"]"), .refused(error)])
    }

    @Test(arguments: [
        "connect", "connect_error", "disconnect", "disconnecting", "newListener",
        "removeListener", "\\u0063onnect", "disconnec\\u0074",
    ])
    func refusesReservedNames(_ name: String) {
        #expect(decode("2[\"\(name)\"]") == .refused(.reservedEvent))
        #expect(decode("2/a,1[\"\(name)\",1]") == .refused(.reservedEvent))
        #expect(decode("51-[\"\(name)\"]") == .refused(.reservedEvent))
    }

    /// Every prefix of every vector is decoded or refused, and nothing traps.
    @Test func cutAnywhere() {
        for (text, _) in Self.packets + Self.malformed.map({ ($0.0, .awaiting) }) {
            for end in text.indices { _ = decode(String(text[..<end])) }
        }
    }

    /// Random damage is decoded or refused, and nothing traps.
    @Test(arguments: [UInt64(20_260_101)]) func damagedAnywhere(_ seed: UInt64) {
        var state = seed
        func random(below bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let alphabet = Array("0123456789-,/[]{}\"\\:utfn \u{1}".utf8)
        for (text, _) in Self.packets {
            for _ in 0..<200 {
                var bytes = Array(text.utf8)
                bytes[random(below: bytes.count)] = alphabet[random(below: alphabet.count)]
                bytes.insert(
                    alphabet[random(below: alphabet.count)], at: random(below: bytes.count))
                _ = decode(String(decoding: bytes, as: UTF8.self))
            }
        }
    }
}

@Suite struct BinaryPacketTests {
    static let text =
        "52-[\"baz\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]"

    @Test func anEventTakesItsAttachments() {
        let got = decode([.text(Self.text), .binary([1, 2]), .binary([]), .text("2[\"next\"]")])
        #expect(
            got == [
                .awaiting, .awaiting,
                .binary(.binaryEvent, "/", nil, String(Self.text.dropFirst(3)), [[1, 2], []]),
                .packet(.event, "/", nil, "[\"next\"]"),
            ])
    }

    @Test func anAckTakesItsAttachment() {
        let got = decode([
            .text("61-/admin,15[{\"_placeholder\":true,\"num\":0}]"), .binary([3]),
        ])
        #expect(
            got.last
                == .binary(
                    .binaryAck, "/admin", 15, "[{\"_placeholder\":true,\"num\":0}]", [[3]]))
    }

    @Test func textWhileAttachmentsAreDueIsRefused() {
        #expect(decode([.text(Self.text), .text("2[\"a\"]")]).last == .refused(.unexpectedText))
        #expect(
            decode([.text(Self.text), .binary([1]), .text("1")]).last == .refused(.unexpectedText))
    }

    @Test func binaryWhenNoneIsDueIsRefused() {
        #expect(decode([.binary([1])]) == [.refused(.unexpectedBinary)])
        let got = decode([.text("51-[\"a\"]"), .binary([1]), .binary([2])])
        #expect(got.last == .refused(.unexpectedBinary))
    }

    @Test func attachmentsAreLimitedByNumber() {
        let limits = SocketLimits(maxAttachments: 2)
        #expect(decode([.text("52-[\"a\"]")], limits: limits) == [.awaiting])
        #expect(decode([.text("53-[\"a\"]")], limits: limits) == [.refused(.tooManyAttachments)])
    }

    @Test("Socket.IO 5, Limits: the bytes of a packet's attachments, at the limit and one past it")
    func attachmentsAreLimitedByBytes() {
        let limits = SocketLimits(maxAttachmentBytes: 5)
        let atLimit = decode(
            [.text(Self.text), .binary([1, 2, 3]), .binary([4, 5])], limits: limits)
        let past = decode(
            [.text(Self.text), .binary([1, 2, 3]), .binary([4, 5, 6])], limits: limits)
        #expect(atLimit.count == 3 && atLimit.last != .refused(.attachmentsTooLarge))
        #expect(past.last == .refused(.attachmentsTooLarge))
    }

    @Test("Socket.IO 5, Limits: a namespace's length, at the limit and one past it")
    func namespacesAreLimited() {
        let limits = SocketLimits(maxNamespaceBytes: 4)
        #expect(decode("0/abc,", limits: limits) == .packet(.connect, "/abc", nil, nil))
        #expect(decode("0/abcd,", limits: limits) == .refused(.namespaceTooLong))
    }

    @Test("Socket.IO 5, Limits: how deep JSON nests, at the limit and one past it")
    func nestingIsLimited() {
        let limits = SocketLimits(maxDepth: 3)
        #expect(decode("2[\"a\",[[1]]]", limits: limits) != .refused(.invalidPayload))
        #expect(decode("2[\"a\",[[[1]]]]", limits: limits) == .refused(.invalidPayload))
        #expect(decode("51-[\"a\",[[[1]]]]", limits: limits) == .refused(.invalidPayload))
        let deep = String(repeating: "[", count: 200_000)
        #expect(decode("2" + deep) == .refused(.invalidPayload))
    }

    @Test func knowsWhetherAttachmentsAreDue() throws {
        var decoder = SocketDecoder()
        _ = try decoder.text(Array("51-[\"a\"]".utf8).span)
        #expect(decoder.isAwaitingAttachments)
        _ = try decoder.binary([1])
        #expect(!decoder.isAwaitingAttachments)
    }

    @Test func everyErrorHasACode() {
        #expect(Set(SocketError.allCases.map(\.code)).count == SocketError.allCases.count)
    }
}
