// SPDX-License-Identifier: MIT
import HTTP1
import Testing
import WebSocket

@Suite struct HandshakeTests {
    static let key = Array("the sample nonce".utf8)

    static func request(_ change: (inout RequestHead) -> Void = { _ in }) -> RequestHead {
        var head = RequestHead(
            method: "GET", target: "/chat", path: "/chat",
            fields: [
                "host": "server.example.com", "upgrade": "websocket", "connection": "Upgrade",
                "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13",
            ], upgradesToWebSocket: true)
        change(&head)
        return head
    }

    @Test(
        "RFC 6455 §4.2.2: a 101 carries upgrade, connection and the key's accept, and chooses nothing unoffered"
    )
    func answersTheRFCsExample() throws {
        let (fields, deflate) = try WebSocketHandshake.respond(
            to: Self.request(), deflate: DeflatePolicy())
        #expect(
            fields == [
                "upgrade": "websocket", "connection": "Upgrade",
                "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            ])
        #expect(deflate == nil)
    }

    @Test(arguments: HandshakeError.allCases) func everyErrorHasItsRow(_ error: HandshakeError) {
        #expect((400...502).contains(error.status) && error.detail.hasSuffix("."))
    }

    /// What a server with `policy` answers to an offer; nil where it declines.
    @Test(
        arguments: [
            ("permessage-deflate", DeflatePolicy(), "", DeflateParameters()),
            (
                "permessage-deflate; client_max_window_bits", DeflatePolicy(), "",
                DeflateParameters()
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                DeflatePolicy(), "; server_no_context_takeover; client_no_context_takeover",
                DeflateParameters(serverNoContextTakeover: true, clientNoContextTakeover: true)
            ),
            (
                "permessage-deflate; server_max_window_bits=10", DeflatePolicy(),
                "; server_max_window_bits=10", DeflateParameters(serverMaxWindowBits: 10)
            ),
            (
                "permessage-deflate; server_max_window_bits=\"8\"", DeflatePolicy(),
                "; server_max_window_bits=8", DeflateParameters(serverMaxWindowBits: 8)
            ),
            (
                "permessage-deflate; server_max_window_bits=15", DeflatePolicy(),
                "; server_max_window_bits=15", DeflateParameters()
            ),
            (
                "permessage-deflate; client_max_window_bits=9", DeflatePolicy(),
                "; client_max_window_bits=9", DeflateParameters(clientMaxWindowBits: 9)
            ),
            (
                "permessage-deflate; client_max_window_bits",
                DeflatePolicy(
                    serverNoContextTakeover: true, clientNoContextTakeover: true,
                    serverMaxWindowBits: 11, clientMaxWindowBits: 10),
                "; server_no_context_takeover; client_no_context_takeover"
                    + "; server_max_window_bits=11; client_max_window_bits=10",
                DeflateParameters(
                    serverNoContextTakeover: true, clientNoContextTakeover: true,
                    serverMaxWindowBits: 11, clientMaxWindowBits: 10)
            ),
            // A window that was not offered cannot be asked for.
            (
                "permessage-deflate", DeflatePolicy(clientMaxWindowBits: 10), "",
                DeflateParameters()
            ),
            // The first offer that can be taken wins, whatever stands around it.
            (
                "x-other; a=b, permessage-deflate; unknown, permessage-deflate", DeflatePolicy(),
                "", DeflateParameters()
            ),
        ] as [(String, DeflatePolicy, String, DeflateParameters)])
    func agrees(
        _ offer: String, _ policy: DeflatePolicy, _ answer: String,
        _ parameters: DeflateParameters
    ) throws {
        let head = Self.request { $0.fields.append("Sec-WebSocket-Extensions", offer) }
        let (fields, deflate) = try WebSocketHandshake.respond(to: head, deflate: policy)
        #expect(fields["sec-websocket-extensions"] == "permessage-deflate" + answer)
        #expect(deflate == parameters)
        let without = try WebSocketHandshake.respond(to: head, deflate: nil)
        #expect(without.fields["sec-websocket-extensions"] == nil && without.deflate == nil)
    }

    @Test(arguments: [
        nil, DeflatePolicy(), DeflatePolicy(serverNoContextTakeover: true, serverMaxWindowBits: 9),
        DeflatePolicy(clientNoContextTakeover: true, clientMaxWindowBits: 9),
    ])
    func theTwoEndsAgree(_ policy: DeflatePolicy?) throws {
        var fields = WebSocketHandshake.request(key: Self.key, deflate: policy)
        fields.append("Host", "h")
        var head = Self.request()
        head.fields = fields
        let answer = try WebSocketHandshake.respond(to: head, deflate: DeflatePolicy())
        let response = ResponseHead(
            status: 101, reason: "", fields: answer.fields, framing: BodyFraming.none)
        let agreed = try WebSocketHandshake.verify(response, key: Self.key, deflate: policy)
        #expect(agreed == answer.deflate)
        #expect((agreed == nil) == (policy == nil))
    }

    @Test(
        "RFC 6455 §4.1: a client MUST drop an answer that is no switch, has another accept, or chose what was not offered",
        arguments: [
            ("status", "200", .notSwitched), ("upgrade", "h2c", .notSwitched),
            ("upgrade", nil, .notSwitched), ("connection", nil, .notSwitched),
            ("connection", "close", .notSwitched), ("sec-websocket-accept", nil, .wrongAccept),
            ("sec-websocket-accept", "", .wrongAccept),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=", .wrongAccept),
            ("sec-websocket-protocol", "chat", .unofferedChoice),
            ("sec-websocket-extensions", "x-other", .unofferedChoice),
            (
                "sec-websocket-extensions", "permessage-deflate; client_max_window_bits",
                .unofferedChoice
            ),
            (
                "sec-websocket-extensions", "permessage-deflate; server_max_window_bits=13",
                .unofferedChoice
            ),
            (
                "sec-websocket-extensions", "permessage-deflate, permessage-deflate",
                .unofferedChoice
            ),
            ("sec-websocket-extensions", "permessage-deflate;", .badExtensions),
        ] as [(String, String?, HandshakeError)])
    func aClientRefuses(_ name: String, _ value: String?, _ error: HandshakeError) {
        var head = ResponseHead(
            status: name == "status" ? 200 : 101, reason: "",
            fields: [
                "upgrade": "websocket", "connection": "Upgrade",
                "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            ], framing: BodyFraming.none)
        if let value, name != "status" { head.fields.set(name, value) }
        if value == nil { head.fields.remove(name) }
        #expect(throws: error) {
            _ = try WebSocketHandshake.verify(
                head, key: Self.key, deflate: DeflatePolicy(serverMaxWindowBits: 12))
        }
    }
}
