// SPDX-License-Identifier: MIT
import EngineIO
import Testing

@Suite struct EngineQueryTests {
    @Test(
        arguments: [
            ("", EngineQuery()),
            (
                "EIO=4&transport=polling",
                EngineQuery(protocolVersion: "4", transport: .polling)
            ),
            (
                "transport=websocket&EIO=4&sid=a%2Bb&t=Xyz",
                EngineQuery(protocolVersion: "4", transport: .websocket, sid: "a+b")
            ),
            (
                "EIO=3&transport=flashsocket",
                EngineQuery(protocolVersion: "3", hasUnknownTransport: true)
            ),
            ("transport=", EngineQuery(hasUnknownTransport: true)),
            ("transport", EngineQuery(hasUnknownTransport: true)),
            ("transport=polling&transport=polling", EngineQuery(hasUnknownTransport: true)),
            ("transport=Polling", EngineQuery(hasUnknownTransport: true)),
            ("sid=&EIO=", EngineQuery(protocolVersion: "")),
            ("sid=a&sid=b&&=&x", EngineQuery(sid: "a")),
            ("sid=%4&eio=4", EngineQuery(sid: "%4")),
        ])
    func parses(_ text: String, _ query: EngineQuery) {
        #expect(EngineQuery.parse(text) == query)
    }
}

@Suite struct EngineRefusalTests {
    @Test(
        arguments: [
            (.unknownTransport, 400, "{\"code\":0,\"message\":\"Transport unknown\"}"),
            (.unknownSession, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}"),
            (.badHandshakeMethod, 400, "{\"code\":2,\"message\":\"Bad handshake method\"}"),
            (.badRequest, 400, "{\"code\":3,\"message\":\"Bad request\"}"),
            (.forbidden, 403, "{\"code\":4,\"message\":\"Forbidden\"}"),
            (
                .unsupportedProtocolVersion, 400,
                "{\"code\":5,\"message\":\"Unsupported protocol version\"}"
            ),
        ] as [(EngineRefusal, Int, String)])
    func table(_ refusal: EngineRefusal, _ status: Int, _ body: String) {
        #expect(refusal.status == status)
        #expect(String(decoding: refusal.body, as: UTF8.self) == body)
    }

    @Test func aForbiddenRequestMayBeToldWhy() {
        let body = EngineRefusal.forbidden.body(message: "too \"many\"")
        #expect(
            String(decoding: body, as: UTF8.self)
                == "{\"code\":4,\"message\":\"too \\\"many\\\"\"}")
    }

    struct Request: Sendable {
        var query: String
        var method = "GET"
        var isUpgrade = false
        var hasMalformedOrigin = false
        var session: Transport?
        var isAllowed = true
    }

    @Test(
        "Engine.IO 4, Query: without EIO=4 or a transport, or with a sid unknown here, a request is 400",
        arguments: [
            (Request(query: "EIO=4&transport=polling"), nil),
            (Request(query: "EIO=4&transport=websocket", isUpgrade: true), nil),
            (Request(query: "EIO=4&transport=polling&sid=a", session: .polling), nil),
            (
                Request(query: "EIO=4&transport=polling&sid=a", method: "POST", session: .polling),
                nil
            ),
            (
                Request(
                    query: "EIO=4&transport=websocket&sid=a", isUpgrade: true, session: .polling),
                nil
            ),
            // The version is asked at the handshake only.
            (Request(query: "transport=polling&sid=a", session: .polling), nil),
            (Request(query: ""), .unknownTransport),
            (Request(query: "EIO=4&transport=abc", hasMalformedOrigin: true), .unknownTransport),
            (
                Request(query: "transport=polling&sid=a", hasMalformedOrigin: true),
                .badRequest
            ),
            (Request(query: "transport=websocket&sid=a"), .unknownSession),
            (Request(query: "transport=websocket&sid=a", session: .polling), .badRequest),
            (Request(query: "transport=polling&sid=a", session: .websocket), .badRequest),
            (
                Request(query: "transport=polling&sid=a", isUpgrade: true, session: .polling),
                .badRequest
            ),
            (
                Request(query: "transport=websocket", method: "POST", isAllowed: false),
                .badHandshakeMethod
            ),
            (Request(query: "EIO=3&transport=websocket", isAllowed: false), .badRequest),
            (Request(query: "EIO=4&transport=polling", isUpgrade: true), .badRequest),
            (Request(query: "EIO=3&transport=polling", isAllowed: false), .forbidden),
            (Request(query: "EIO=3&transport=polling"), .unsupportedProtocolVersion),
            (Request(query: "transport=polling"), .unsupportedProtocolVersion),
            (Request(query: "EIO=04&transport=polling"), .unsupportedProtocolVersion),
        ] as [(Request, EngineRefusal?)])
    func firstReason(_ request: Request, _ refusal: EngineRefusal?) {
        let first = EngineRefusal.first(
            for: EngineQuery.parse(request.query), method: request.method,
            isUpgrade: request.isUpgrade, hasMalformedOrigin: request.hasMalformedOrigin,
            sessionTransport: request.session, isAllowed: request.isAllowed)
        #expect(first == refusal)
    }
}
