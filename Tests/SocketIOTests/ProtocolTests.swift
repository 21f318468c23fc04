// SPDX-License-Identifier: MIT
import Bytes
import SocketIO
import Testing

/// The rules of Socket.IO protocol 5 that a decoder can hold to by itself, each by the section of the
/// protocol document.
@Suite struct SocketProtocolTests {
    @Test("Socket.IO 5, Packet encoding: the seven types are the digits 0 to 6")
    func types() {
        for byte in UInt8(0x20)...0x7E where !(0x30...0x36).contains(byte) {
            #expect(
                decode(String(Unicode.Scalar(byte)) + "[\"a\"]") == .refused(.unknownPacketType))
        }
    }

    @Test(
        "Socket.IO 5, Packet encoding: type, attachments, namespace, ack id and JSON stand in this order"
    )
    func order() {
        #expect(
            decode([.text("51-/n,7[\"a\",{\"_placeholder\":true,\"num\":0}]"), .binary([1])]).last
                == .binary(
                    .binaryEvent, "/n", 7, "[\"a\",{\"_placeholder\":true,\"num\":0}]", [[1]]))
        for text in ["5/n,1-7[\"a\"]", "57/n,1-[\"a\"]", "27/n,[\"a\"]", "2[\"a\"]7"] {
            if case .refused? = decode(text) {} else { Issue.record("\(text) was taken") }
        }
    }

    @Test(
        "Socket.IO 5, Connection: CONNECT takes an object or nothing, CONNECT_ERROR an object or a text"
    )
    func connect() {
        #expect(decode("0") != nil && decode("0{\"a\":1}") != .refused(.invalidPayload))
        for text in ["0[]", "0null", "01.5", "0true", "4", "4[]", "4null"] {
            #expect(decode(text) == .refused(.invalidPayload))
        }
    }

    @Test("Socket.IO 5, Disconnection: DISCONNECT has no payload")
    func disconnect() {
        #expect(decode("1/a,") == .packet(.disconnect, "/a", nil, nil))
        for text in ["1{}", "1null", "1/a,[]"] {
            #expect(decode(text) == .refused(.invalidPayload))
        }
    }

    @Test(
        "Socket.IO 5, Sending data: an event is a non-empty array that begins with a text or a number"
    )
    func events() {
        for text in ["2[]", "2{}", "2", "2[null]", "2[true]", "2[[]]", "2[{}]"] {
            #expect(decode(text) == .refused(.invalidPayload))
        }
        #expect(decode("2[0]") == .packet(.event, "/", nil, "[0]"))
    }

    @Test(
        "Socket.IO 5, Sending data: reserved names are refused however they are written",
        arguments: EventArguments.reservedNames)
    func reserved(_ name: String) {
        let escaped = name.unicodeScalars.map { "\\u00" + String($0.value, radix: 16) }.joined()
        #expect(decode("2[\"\(name)\"]") == .refused(.reservedEvent))
        #expect(decode("2[\"\(escaped)\"]") == .refused(.reservedEvent))
        #expect(decode("2[\"\(name) \"]") != .refused(.reservedEvent))
    }

    @Test("Socket.IO 5, Acknowledgement: an answer has an id and an array, which may be empty")
    func acks() {
        #expect(decode("30[]") == .packet(.ack, "/", 0, "[]"))
        #expect(decode("3[]") == .refused(.malformedAckID))
        #expect(decode("31{}") == .refused(.invalidPayload))
    }

    @Test(
        "Socket.IO 5, Binary: attachments come contiguous, text between them and binary beside them close"
    )
    func contiguous() {
        let text = "52-[\"a\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]"
        #expect(
            decode([.text(text), .binary([1]), .text("2[\"b\"]")]).last == .refused(.unexpectedText)
        )
        #expect(
            decode([.text(text), .binary([1]), .binary([2]), .binary([3])]).last
                == .refused(.unexpectedBinary))
        #expect(decode([.binary([1])]).last == .refused(.unexpectedBinary))
    }

    @Test("Socket.IO 5, Binary: 1 to 10 attachments, at the limit and one past it")
    func attachmentCount() {
        #expect(
            decode("510-[\"a\"]") == .awaiting
                && decode("511-[\"a\"]") == .refused(.tooManyAttachments))
        #expect(decode("50-[\"a\"]") == .refused(.malformedAttachmentCount))
    }

    /// Found by comparison with `JSON.parse`: of repeated members the last one counts, whatever it holds.
    @Test(
        "Socket.IO 5, Binary: a placeholder names an attachment there is; of repeated members the last counts"
    )
    func placeholders() {
        #expect(
            decode("51-[\"a\",{\"_placeholder\":true,\"num\":1}]") == .refused(.illegalPlaceholder))
        #expect(decode("51-[\"a\",{\"num\":9,\"_placeholder\":true,\"num\": 0}]") == .awaiting)
        #expect(
            decode("51-[\"a\",{\"_placeholder\":true,\"_placeholder\":{},\"num\":9}]") == .awaiting)
        #expect(
            decode("51-[\"a\",{\"_placeholder\":true,\"num\":0,\"num\":[]}]")
                == .refused(.illegalPlaceholder))
        #expect(
            decode("51-[\"a\",{\"_placeholder\":1,\"num\":9}]") == .awaiting, "only true makes one")
    }

    @Test(
        "Socket.IO 5, Limits: an ack id is a number there is room for, at the limit and one past it"
    )
    func ackIDs() {
        #expect(decode("39223372036854775807[]") == .packet(.ack, "/", .max, "[]"))
        #expect(decode("39223372036854775808[]") == .refused(.malformedAckID))
        #expect(decode("2000[\"a\"]") == .packet(.event, "/", 0, "[\"a\"]"))
    }
}
