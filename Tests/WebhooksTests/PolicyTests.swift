// SPDX-License-Identifier: MIT
internal import Addresses
internal import Testing

@testable internal import Webhooks

@Suite struct AddressPolicyTests {
    @Test(arguments: [
        "0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255",
        "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255",
        "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
        "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
        "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "4000::1",
    ])
    func refuses(_ text: String) throws {
        #expect(!AddressPolicy().admits(try #require(IPAddress(text)), port: 443))
    }

    @Test(arguments: [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "2001:200::1", "2606:4700::1111",
        "2a00::1", "3ffe::1",
    ])
    func admits(_ text: String) throws {
        #expect(AddressPolicy().admits(try #require(IPAddress(text)), port: 443))
    }

    @Test func opensWhatIsAllowedButNotOurOwnPorts() throws {
        let policy = AddressPolicy(
            allowed: [try #require(NetworkRange("127.0.0.0/8"))], refusedPorts: [3001])
        #expect(policy.admits(.v4(0x7F00_0001), port: 8080))
        #expect(!policy.admits(.v4(0x7F00_0001), port: 3001))
        #expect(policy.admits(try #require(IPAddress("::ffff:127.0.0.1")), port: 8080))
        #expect(!policy.admits(try #require(IPAddress("::1")), port: 8080))
        #expect(!policy.admits(.v4(0x0A00_0001), port: 8080))
        #expect(policy.admits(.v4(0x0101_0101), port: 3001))
    }
}

@Suite struct URLPolicyTests {
    @Test(arguments: [
        ("ftp://example.com/", WebhookURLError.scheme), ("http://example.com/", .scheme),
        ("example.com", .scheme), ("", .scheme), ("https://", .host), ("https:///path", .host),
        ("https://a:b@example.com/", .userInfo), ("https://example.com@127.0.0.1/", .userInfo),
        ("https://example.com/#x", .fragment), ("https://example.com/a b", .badCharacter),
        ("https://example.com\\@127.0.0.1/", .badCharacter),
        ("https://example.com/\r\nx: y", .badCharacter), ("https://exämple.com/", .badCharacter),
        ("https://example.com/\0", .badCharacter), ("https://example.com:0/", .port),
        ("https://example.com:65536/", .port), ("https://example.com:/", .port),
        ("https://example.com:+80/", .port), ("https://127.1/", .encodedAddress),
        ("https://0x7f000001/", .encodedAddress), ("https://2130706433/", .encodedAddress),
        ("https://017700000001/", .encodedAddress), ("https://0x7f.1/", .encodedAddress),
        ("https://127.0.0.1./", .encodedAddress), ("https://127.0.0.1/", .blockedAddress),
        ("https://169.254.169.254/latest/", .blockedAddress), ("https://[::1]/", .blockedAddress),
        ("https://[::ffff:127.0.0.1]/", .blockedAddress),
        ("https://[::ffff:a9fe:a9fe]/", .blockedAddress), ("https://[fe80::1%eth0]/", .host),
        ("https://[fe80::1]/", .blockedAddress), ("https://[1.2.3.4]/", .host),
        ("https://[::1/", .host), ("https://localhost/", .blockedAddress),
        ("https://localhost./", .host), ("https://LOCALHOST/", .blockedAddress),
        ("https://a.localhost/", .blockedAddress),
        ("https://metadata.google.internal/", .blockedAddress),
        ("https://metadata.example.com/", .blockedAddress),
        ("https://printer.local/", .blockedAddress),
        ("https://intranet/", .blockedAddress), ("https://a..b/", .host),
        ("https://-a.example/", .host), ("https://a%2eb.example/", .host),
        ("https://example.com/" + String(repeating: "a", count: 2029), .tooLong),
    ])
    func refuses(_ url: String, _ error: WebhookURLError) {
        #expect(throws: error) { try URLPolicy().check(url) }
    }

    @Test(arguments: [
        "https://example.com", "HTTPS://Example.COM/hook?x=1&y=%20",
        "https://hooks.example.com:8443/",
        "https://8.8.8.8/", "https://[2606:4700::1111]:443/a", "https://a_b.example/",
        "https://example.com/" + String(repeating: "a", count: 2028),
    ])
    func admits(_ url: String) throws {
        #expect(try URLPolicy().check(url).text == url)
    }

    @Test func opensHTTPAndInnerNamesOnlyWhenTold() throws {
        let policy = URLPolicy(
            allowsHTTP: true,
            addresses: AddressPolicy(
                allowed: [try #require(NetworkRange("127.0.0.0/8"))], refusedPorts: [3002]))
        #expect(
            try policy.check("http://127.0.0.1:9000/x")
                == WebhookURL(
                    text: "http://127.0.0.1:9000/x", host: "127.0.0.1", port: 9000, isSecure: false)
        )
        #expect(try policy.check("http://localhost/").port == 80)
        #expect(throws: WebhookURLError.blockedAddress) {
            try policy.check("http://127.0.0.1:3002/")
        }
        #expect(throws: WebhookURLError.blockedAddress) { try policy.check("http://10.0.0.1/") }
    }

    @Test func hasWordsForEachRefusal() {
        #expect(Set(WebhookURLError.allCases.map(\.detail)).count == WebhookURLError.allCases.count)
    }
}

@Suite struct FieldPolicyTests {
    @Test(arguments: [
        ["x-key", "abc"], ["Authorization", "Bearer x"], ["x_y", ""], ["9", "~ !"],
    ])
    func admits(_ field: [String]) {
        #expect(FieldPolicy.admits([(field[0], field[1])]))
    }

    @Test(arguments: [
        ["", "a"], ["-a", "a"], ["a b", "a"], ["a:", "a"], ["a\r\nb", "a"], ["ä", "a"],
        ["x", "a\r\nb: c"], ["x", "a\0"], ["x", "ä"], ["x", "\t"], ["Content-Type", "a"],
        ["content-length", "1"], ["HOST", "a"], ["connection", "a"], ["user-agent", "a"],
        ["Transfer-Encoding", "a"], ["te", "a"], ["trailer", "a"], ["upgrade", "a"],
        ["expect", "a"],
        ["proxy-authorization", "a"], ["Webhook-Id", "a"], ["webhook-signature", "a"],
    ])
    func refuses(_ field: [String]) {
        #expect(!FieldPolicy.admits([(field[0], field[1])]))
    }

    @Test func holdsItsLimits() {
        func fields(_ count: Int) -> [(name: String, value: String)] {
            (0..<count).map { ("x\($0)", "") }
        }
        #expect(FieldPolicy.admits(fields(20)))
        #expect(!FieldPolicy.admits(fields(21)))
        #expect(FieldPolicy.admits([("x", String(repeating: "a", count: 1024))]))
        #expect(!FieldPolicy.admits([("x", String(repeating: "a", count: 1025))]))
        #expect(!FieldPolicy.admits([("a", "1"), ("A", "2")]))
    }
}
