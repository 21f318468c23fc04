// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import HTTP1

/// Why a handshake fails. A server answers with `status` and `fields`; a client drops the connection.
package enum HandshakeError: Error, Hashable, Sendable, CaseIterable {
    /// Not GET over HTTP/1.1 with `connection: upgrade` and `upgrade: websocket` (RFC 6455 §4.2.1).
    case notAnUpgrade
    /// A body: what follows the head could be read as frames or as body.
    case hasBody
    /// `sec-websocket-version` is not 13.
    case unsupportedVersion
    /// `sec-websocket-key` is missing, repeated or not the base64 of 16 bytes.
    case badKey
    /// `sec-websocket-extensions` breaks its grammar (RFC 6455 §9.1).
    case badExtensions
    /// To a client: the status is not 101.
    case notSwitched
    /// To a client: `sec-websocket-accept` is not the answer to our key.
    case wrongAccept
    /// To a client: the server picked a subprotocol or an extension that was not offered.
    case unofferedChoice

    /// The status to answer with; 502 for what is a server's fault.
    package var status: Int { row.status }
    /// One sentence for the peer; holds nothing the peer sent.
    package var detail: String { row.detail }
    /// What the answer needs besides: 426 names the version spoken (RFC 6455 §4.2.2) and, as RFC 9110
    /// §15.5.22 demands, the protocol to upgrade to.
    package var fields: HTTPFields {
        guard status == 426 else { return [:] }
        return ["upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"]
    }

    private var row: (status: Int, detail: String) {
        switch self {
        case .notAnUpgrade: (426, "This resource is reached by WebSocket.")
        case .hasBody: (400, "A WebSocket handshake has no body.")
        case .unsupportedVersion: (426, "Only WebSocket version 13 is spoken here.")
        case .badKey: (400, "Sec-WebSocket-Key is missing or malformed.")
        case .badExtensions: (400, "Sec-WebSocket-Extensions is malformed.")
        case .notSwitched: (502, "The server did not switch to WebSocket.")
        case .wrongAccept: (502, "Sec-WebSocket-Accept does not match the key.")
        case .unofferedChoice: (502, "The server chose what was not offered.")
        }
    }
}

/// The opening handshake (RFC 6455 §4), both ends.
package enum WebSocketHandshake {
    /// Checks a request and gives what its 101 needs. Origin, path and subprotocols are the caller's: no
    /// subprotocol is chosen here, which RFC 6455 §4.2.2 lets a server do.
    ///
    /// - Parameter deflate: nil to speak no permessage-deflate.
    /// - Returns: the fields of the 101, and what was agreed on compression.
    package static func respond(
        to head: RequestHead, deflate: DeflatePolicy?
    ) throws(HandshakeError) -> (fields: HTTPFields, deflate: DeflateParameters?) {
        guard head.upgradesToWebSocket else { throw .notAnUpgrade }
        guard head.framing == .none || head.framing == .length(0) else { throw .hasBody }
        guard head.fields.all("sec-websocket-version") == ["13"] else { throw .unsupportedVersion }
        let keys = head.fields.all("sec-websocket-key")
        guard keys.count == 1, isKey(keys[0]) else { throw .badKey }
        guard let offers = ExtensionList(head.fields.all("sec-websocket-extensions")) else {
            throw .badExtensions
        }
        var fields: HTTPFields = [
            "upgrade": "websocket", "connection": "Upgrade",
            "sec-websocket-accept": accept(keys[0]),
        ]
        guard let agreed = deflate?.accept(offers) else { return (fields, nil) }
        fields.append("sec-websocket-extensions", agreed.answer)
        return (fields, agreed.parameters)
    }

    /// The fields of a client's request; `host` and whatever else it wants to send are its own to add.
    /// - Parameters:
    ///   - key: 16 random bytes, fresh for each connection.
    ///   - deflate: what to offer; nil for none.
    package static func request(key: [UInt8], deflate: DeflatePolicy? = nil) -> HTTPFields {
        precondition(key.count == 16, "RFC 6455 §4.1: a key has 16 bytes")
        var fields: HTTPFields = [
            "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
            "sec-websocket-key": Base64.string(key, alphabet: .standard),
        ]
        if let deflate { fields.append("sec-websocket-extensions", deflate.offer) }
        return fields
    }

    /// Checks a server's answer to `request` (RFC 6455 §4.1).
    /// - Returns: what was agreed on compression.
    package static func verify(
        _ head: ResponseHead, key: [UInt8], deflate: DeflatePolicy? = nil
    ) throws(HandshakeError) -> DeflateParameters? {
        guard head.status == 101, head.fields.lists("connection", token: "upgrade"),
            head.fields["upgrade"]?.lowercased() == "websocket"
        else { throw .notSwitched }
        let expected = accept(Base64.string(key, alphabet: .standard))
        guard head.fields.all("sec-websocket-accept") == [expected] else { throw .wrongAccept }
        guard head.fields["sec-websocket-protocol"] == nil else { throw .unofferedChoice }
        guard let answers = ExtensionList(head.fields.all("sec-websocket-extensions")) else {
            throw .badExtensions
        }
        guard let answer = answers.elements.first else { return nil }
        guard answers.elements.count == 1, let agreed = deflate?.agreed(answer) else {
            throw .unofferedChoice
        }
        return agreed
    }

    /// `sec-websocket-accept` for a key as it was sent: proof that the server speaks WebSocket and is no
    /// cache or form handler (RFC 6455 §1.3).
    static func accept(_ key: String) -> String {
        let digest = SHA1.digest(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Base64.string(digest, alphabet: .standard)
    }

    /// Whether `text` is base64 of 16 bytes: 22 digits and `==`. The last digit's four idle bits may be set:
    /// keys are often random letters, and nothing hangs on what they decode to (RFC 6455 §4.2.1).
    private static func isKey(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 24, bytes.suffix(2).elementsEqual("==".utf8) else { return false }
        return bytes.prefix(22).allSatisfy { Base64.value(of: $0, .standard) != nil }
    }
}
