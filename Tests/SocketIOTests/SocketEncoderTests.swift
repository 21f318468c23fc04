// SPDX-License-Identifier: MIT
import Bytes
import JSON
import SocketIO
import Testing

@Suite struct SocketEncoderTests {
    static func text(_ write: (inout [UInt8]) -> Void) -> String {
        var output: [UInt8] = []
        write(&output)
        return String(decoding: output, as: UTF8.self)
    }

    static let one = Array("1".utf8)
    static let placeholder = Array("{\"_placeholder\":true,\"num\":0}".utf8)

    @Test func connects() {
        #expect(Self.text { SocketEncoder.connect(sid: "a", into: &$0) } == "0{\"sid\":\"a\"}")
        #expect(
            Self.text { SocketEncoder.connect(namespace: "/n", sid: "a", pid: "b", into: &$0) }
                == "0/n,{\"sid\":\"a\",\"pid\":\"b\"}")
        #expect(Self.text { SocketEncoder.connectRequest(into: &$0) } == "0")
        #expect(
            Self.text {
                SocketEncoder.connectRequest(namespace: "/n", auth: Array("{}".utf8), into: &$0)
            } == "0/n,{}")
    }

    @Test func refusals() {
        #expect(
            Self.text { SocketEncoder.connectError(message: "no \"x\"", into: &$0) }
                == "4{\"message\":\"no \\\"x\\\"\"}")
        #expect(
            Self.text {
                SocketEncoder.connectError(
                    namespace: "/n", message: "no", data: ["code": 1], into: &$0)
            } == "4/n,{\"message\":\"no\",\"data\":{\"code\":1}}")
    }

    @Test func events() {
        #expect(
            Self.text { SocketEncoder.event(name: "a", arguments: [Self.one], into: &$0) }
                == "2[\"a\",1]")
        #expect(
            Self.text {
                SocketEncoder.event(
                    namespace: "/n", nameAndArguments: [Array("\"a\"".utf8)], ackID: 7, into: &$0)
            } == "2/n,7[\"a\"]")
        #expect(
            Self.text {
                SocketEncoder.event(
                    name: "a", arguments: [Self.placeholder], ackID: 0, attachmentCount: 1,
                    into: &$0)
            } == "51-0[\"a\",{\"_placeholder\":true,\"num\":0}]")
    }

    @Test func acksAndDisconnects() {
        #expect(Self.text { SocketEncoder.ack(id: 12, arguments: [], into: &$0) } == "312[]")
        #expect(
            Self.text {
                SocketEncoder.ack(
                    namespace: "/n", id: 15, arguments: [Self.placeholder], attachmentCount: 1,
                    into: &$0)
            } == "61-/n,15[{\"_placeholder\":true,\"num\":0}]")
        #expect(Self.text { SocketEncoder.disconnect(into: &$0) } == "1")
        #expect(Self.text { SocketEncoder.disconnect(namespace: "/n", into: &$0) } == "1/n,")
    }

    /// What is encoded is decoded to the same, over all shapes of header.
    @Test(arguments: ["/", "/admin"], [nil, 0, 12, Int.max])
    func roundTrips(_ namespace: String, _ id: Int?) {
        let event = Self.text {
            SocketEncoder.event(
                namespace: namespace, name: "é\n", arguments: [Self.one], ackID: id, into: &$0)
        }
        #expect(decode(event) == .packet(.event, namespace, id, "[\"é\\n\",1]"))
        let binary = Self.text {
            SocketEncoder.event(
                namespace: namespace, name: "b", arguments: [Self.placeholder], ackID: id,
                attachmentCount: 1, into: &$0)
        }
        #expect(
            decode([.text(binary), .binary([9])]).last
                == .binary(
                    .binaryEvent, namespace, id, "[\"b\",{\"_placeholder\":true,\"num\":0}]", [[9]])
        )
        let ack = Self.text {
            SocketEncoder.ack(
                namespace: namespace, id: id ?? 1, arguments: [Self.one], into: &$0)
        }
        #expect(decode(ack) == .packet(.ack, namespace, id ?? 1, "[1]"))
        let connect = Self.text {
            SocketEncoder.connect(namespace: namespace, sid: "s", into: &$0)
        }
        #expect(decode(connect) == .packet(.connect, namespace, nil, "{\"sid\":\"s\"}"))
        let disconnect = Self.text { SocketEncoder.disconnect(namespace: namespace, into: &$0) }
        #expect(decode(disconnect) == .packet(.disconnect, namespace, nil, nil))
    }
}
