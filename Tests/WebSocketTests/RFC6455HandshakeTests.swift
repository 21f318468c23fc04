// SPDX-License-Identifier: MIT
import HTTP1
import Testing
import WebSocket

/// The rules of RFC 6455 for the opening handshake, each by its section.
@Suite struct RFC6455HandshakeTests {
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
        "RFC 6455 §4.2.1: a handshake without a key, or with one that is not 16 bytes, is 400",
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

    @Test("RFC 6455 §4.2.1: a handshake has one key and no body: more is 400")
    func oneKeyNoBody() {
        #expect(
            Self.answer { $0.fields.append("sec-websocket-key", $0.fields["sec-websocket-key"]!) }
                == .badKey)
        #expect(Self.answer { $0.framing = .length(1) } == .hasBody)
        #expect(Self.answer { $0.framing = .chunked } == .hasBody)
        #expect(Self.answer { $0.framing = .length(0) } == nil)
        #expect(HandshakeError.hasBody.status == 400)
    }

    @Test("RFC 6455 §4.2.1: a request that is no upgrade is told of it with 426")
    func noUpgrade() {
        let error = Self.answer { $0.upgradesToWebSocket = false }
        #expect(error == .notAnUpgrade && error?.status == 426)
        #expect(error?.fields["upgrade"] == "websocket")
        #expect(error?.fields["connection"] == "Upgrade")
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
        "RFC 6455 §9.1: a quoted value is unquoted, its escapes too, and MUST be a token then",
        arguments: [
            ("\"10\"", true), ("\"1\\0\"", true), ("\"\\1\\0\"", true), ("\"1 0\"", false),
            ("\"\"", false), ("\"1\\ 0\"", false), ("\"10", false), ("\"10\\\"", false),
            ("\"10\\", false), ("\"10\"0", false),
        ])
    func quotedValues(_ value: String, _ isSound: Bool) throws {
        let offer = "permessage-deflate; server_max_window_bits=" + value
        guard isSound else {
            let error = Self.answer { $0.fields.set("sec-websocket-extensions", offer) }
            #expect(error == .badExtensions)
            return
        }
        #expect(try RFC7692Tests.answer(offer) == "permessage-deflate; server_max_window_bits=10")
    }
}
