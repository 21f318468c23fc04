// SPDX-License-Identifier: MIT
internal import Testing

@testable internal import Addresses

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
        ("::1", "::1"), ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ])
    func readsAndWrites(_ text: String, _ plain: String) throws {
        #expect(try #require(IPAddress(text)).description == plain)
    }

    @Test(arguments: [
        "", "127.1", "0x7f000001", "2130706433", "017700000001", "[::1]", "fe80::1%eth0",
        "127.0.0.1.", "1.2.3.4\0", "256.1.1.1", "example.com",
    ])
    func refusesWhatIsNotThePlainNotation(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func holdsTheBitsInHostOrder() {
        #expect(IPAddress("10.0.0.1") == .v4(0x0A00_0001))
        #expect(IPAddress("fe80::1") == .v6(high: 0xFE80_0000_0000_0000, low: 1))
    }

    @Test func unmapsMappedAddressesOnly() {
        #expect(IPAddress("::ffff:10.0.0.1")?.unmapped == .v4(0x0A00_0001))
        for other in ["10.0.0.1", "::10.0.0.1", "::1", "::1:ffff:a00:1", "64:ff9b::a00:1"] {
            #expect(IPAddress(other)?.unmapped == IPAddress(other))
        }
    }
}

@Suite struct NetworkRangeTests {
    @Test(arguments: [
        "", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8",
        "10/8",
        "fe80::1/10", "localhost",
    ])
    func refusesWhatIsNoRange(_ text: String) {
        #expect(NetworkRange(text) == nil)
    }

    @Test func masksAtEveryLength() throws {
        let all = try #require(NetworkRange("::/0"))
        #expect(all.contains(.v6(high: .max, low: .max)))
        #expect(!all.contains(.v4(0)))
        let half = try #require(NetworkRange("2001:db8::/64"))
        #expect(half.contains(try #require(IPAddress("2001:db8::ffff:0:0:1"))))
        #expect(!half.contains(try #require(IPAddress("2001:db8:0:1::1"))))
        let one = try #require(NetworkRange("2001:db8::1"))
        #expect(one.contains(try #require(IPAddress("2001:db8::1"))))
        #expect(!one.contains(try #require(IPAddress("2001:db8::2"))))
        #expect(try #require(NetworkRange("0.0.0.0/0")).contains(.v4(.max)))
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true), ("10.0.0.0/8", "::10.0.0.1", false),
        ("10.0.0.0/8", "::ffff:11.0.0.1", false), ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false), ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "11.1.2.3", false), ("::ffff:0:0/96", "192.0.2.1", true),
        ("::ffff:10.0.0.1", "10.0.0.1", true), ("::ffff:10.0.0.1", "10.0.0.2", false),
        ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::1", false),
        ("fd00::/8", "10.0.0.1", false), ("::/0", "10.0.0.1", false), ("::1", "::1", true),
    ])
    func contains(_ range: String, _ address: String, _ isInside: Bool) throws {
        let (range, address) = (
            try #require(NetworkRange(range)), try #require(IPAddress(address))
        )
        #expect(range.contains(address) == isInside)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1/32"), ("FD00::0/8", "fd00::/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::/0", "::/0"),
    ])
    func writesItself(_ text: String, _ plain: String) throws {
        #expect(try #require(NetworkRange(text)).description == plain)
    }
}
