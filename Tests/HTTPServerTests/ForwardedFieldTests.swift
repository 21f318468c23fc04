// SPDX-License-Identifier: MIT
import Addresses
import HTTP1
import Testing

@testable import HTTPServer

@Suite struct ForwardedFieldTests {
    private static func element(
        _ node: ForwardedElement.Node? = nil, by: ForwardedElement.Node? = nil,
        proto: String? = nil, host: String? = nil
    ) -> ForwardedElement {
        var element = ForwardedElement()
        (element.node, element.by, element.proto, element.host) = (node, by, proto, host)
        return element
    }

    private static func address(_ text: String) -> ForwardedElement.Node {
        IPAddress(text).map { .address($0) } ?? .unknown
    }

    @Test func theExamplesOfTheRFCAreRead() {
        for (line, elements) in [
            ("for=\"_gazonk\"", [Self.element(.obfuscated("_gazonk"))]),
            ("For=\"[2001:db8:cafe::17]:4711\"", [Self.element(Self.address("2001:db8:cafe::17"))]),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                [
                    Self.element(
                        Self.address("192.0.2.60"), by: Self.address("203.0.113.43"), proto: "http")
                ]
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                [
                    Self.element(Self.address("192.0.2.43")),
                    Self.element(Self.address("198.51.100.17")),
                ]
            ),
            (
                "for=_hidden, for=_SEVKISEK",
                [Self.element(.obfuscated("_hidden")), Self.element(.obfuscated("_SEVKISEK"))]
            ),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
                [
                    Self.element(Self.address("192.0.2.43")),
                    Self.element(Self.address("2001:db8:cafe::17")), Self.element(.unknown),
                ]
            ),
            (
                "for=192.0.2.43;host=\"chat.example:8443\";PROTO=HTTPS",
                [
                    Self.element(
                        Self.address("192.0.2.43"), proto: "https", host: "chat.example:8443")
                ]
            ),
            ("host=\"a\\\"b\\\\c\"", [Self.element(host: "a\"b\\c")]),
            ("secret=x;for=\"192.0.2.43:_port\"", [Self.element(Self.address("192.0.2.43"))]),
            ("", []), (" , ,\t", []), (",for=unknown,", [Self.element(.unknown)]),
            (";;for=unknown;", [Self.element(.unknown)]),
        ] as [(String, [ForwardedElement])] {
            #expect(ForwardedElement.parse(line) == elements, "\(line)")
        }
    }

    @Test(arguments: [
        "for", "for=", "=x", "for =192.0.2.1", "for= 192.0.2.1", "for=192.0.2.1 for=192.0.2.2",
        "for=192.0.2.1;for=192.0.2.2", "for=\"192.0.2.1", "for=\"192.0.2.1\\", "for=\"\"",
        "for=[2001:db8::1]", "for=2001:db8::1", "for=\"2001:db8::1\"", "for=\"[192.0.2.1]\"",
        "for=\"[2001:db8::1]x\"", "for=\"192.0.2.1:x\"", "for=\"192.0.2.1:123456\"", "for=_",
        "for=chat.example", "for=\"_a b\"", "for=192.0.2.1 ; proto=http", "for=192.0.2.1;proto",
        "by=nonsense", "for=unknown x",
    ])
    func otherLinesAreNone(line: String) {
        #expect(ForwardedElement.parse(line) == nil)
    }

    @Test func aLineCutAnywhereNeverTraps() {
        let line = "for=\"[2001:db8::17]:4711\";proto=https;host=\"a\\\"b\", by=_x;for=192.0.2.1:80"
        for end in line.indices { _ = ForwardedElement.parse(String(line[..<end])) }
    }

    // MARK: Who is believed

    private static func origin(
        _ fields: HTTPFields, field: ForwardingField = .forwarded, peer: String = "10.0.0.1"
    ) throws -> Origin {
        let proxies = TrustedProxies([try #require(NetworkRange("10.0.0.0/8"))], field: field)
        return proxies.origin(of: proxies.peer(peer), fields)
    }

    @Test func theRightMostElementThatIsNotOfAProxyOfOursNamesTheClient() throws {
        for (line, expected) in [
            (
                "for=192.0.2.7;proto=https;host=chat.example",
                Origin(address: "192.0.2.7", isSecure: true, host: "chat.example")
            ),
            // What the client wrote stands left of what our proxies wrote.
            (
                "for=203.0.113.9;proto=https;host=evil.example, for=192.0.2.7;proto=http",
                Origin(address: "192.0.2.7")
            ),
            (
                "for=192.0.2.7;proto=https;host=a, for=10.0.0.9;proto=http;host=b",
                Origin(address: "192.0.2.7", isSecure: true, host: "a")
            ),
            ("for=10.0.0.9;proto=https, for=10.0.0.8", Origin(address: "10.0.0.9", isSecure: true)),
            ("for=\"[::ffff:192.0.2.7]:1\"", Origin(address: "192.0.2.7")),
            // Our proxy hides its client.
            ("for=192.0.2.7, for=_hidden;proto=https", Origin(address: "10.0.0.1", isSecure: true)),
            ("for=unknown", Origin(address: "10.0.0.1")),
            ("proto=https", Origin(address: "10.0.0.1", isSecure: true)),
            ("nonsense", Origin(address: "10.0.0.1")), ("", Origin(address: "10.0.0.1")),
        ] as [(String, Origin)] {
            #expect(try Self.origin(["forwarded": line]) == expected, "\(line)")
        }
        var lines = HTTPFields()
        lines.append("forwarded", "for=192.0.2.7")
        lines.append("forwarded", "for=10.0.0.9")
        #expect(try Self.origin(lines) == Origin(address: "192.0.2.7"))
    }

    @Test func onlyTheFieldThatIsConfiguredIsBelieved() throws {
        let both: HTTPFields = [
            "forwarded": "for=192.0.2.1;proto=https;host=a", "x-forwarded-for": "192.0.2.2",
            "x-forwarded-host": "b",
        ]
        #expect(try Self.origin(both) == Origin(address: "192.0.2.1", isSecure: true, host: "a"))
        #expect(try Self.origin(both, field: .xForwardedFor) == Origin(address: "192.0.2.2"))
        // And neither from anybody else.
        #expect(try Self.origin(both, peer: "192.0.2.9") == Origin(address: "192.0.2.9"))
    }

    @Test(arguments: [
        ("https", true), ("HTTPS", true), ("http, https", true), ("https, http", false),
        ("http", false), ("", false), ("wss", false),
    ])
    func theLastSchemeCounts(value: String, isSecure: Bool) throws {
        let fields: HTTPFields = ["x-forwarded-for": "192.0.2.2", "x-forwarded-proto": value]
        #expect(try Self.origin(fields, field: .xForwardedFor).isSecure == isSecure)
    }
}

@Suite struct SameOriginTests {
    @Test(arguments: [
        ("http://chat.example", "chat.example", false, true),
        ("https://chat.example", "chat.example", false, true),
        ("https://chat.example", "chat.example", true, true),
        ("http://chat.example", "chat.example", true, false),
        ("https://chat.example:8443", "chat.example:8443", true, true),
        ("https://chat.example:8443", "chat.example", true, false),
        ("https://chat.example", "chat.example:443", true, true),
        ("http://chat.example", "chat.example:80", false, true),
        ("http://chat.example", "chat.example:443", false, false),
        ("https://CHAT.example", "chat.Example", true, true),
        ("https://[::1]:8443", "[::1]:8443", true, true),
        ("https://evil.example", "chat.example", true, false),
        ("https://chat.example.evil.example", "chat.example", true, false),
        ("null", "chat.example", false, false), ("", "chat.example", false, false),
        ("ws://chat.example", "chat.example", false, false),
    ])
    func hostAndSchemeAreCompared(origin: String, host: String, isSecure: Bool, expected: Bool) {
        var request = HTTPRequest(method: "GET", path: "/", fields: ["host": host])
        request.isSecure = isSecure
        #expect(request.isSameOrigin(origin) == expected)
        request.fields.set("host", "inside:3001")
        request.forwardedHost = host
        #expect(request.isSameOrigin(origin) == expected)
    }
}
