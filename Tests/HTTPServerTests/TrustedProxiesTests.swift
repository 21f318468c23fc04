// SPDX-License-Identifier: MIT
import Addresses
import HTTP1
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct TrustedProxiesTests {
    private static func proxies(_ texts: String...) throws -> TrustedProxies {
        TrustedProxies(try texts.map { try #require(NetworkRange($0)) })
    }

    private static func fields(_ lines: [String]) -> HTTPFields {
        var fields = HTTPFields()
        for line in lines { fields.append("X-Forwarded-For", line) }
        return fields
    }

    @Test(
        arguments: [
            ([], "10.0.0.1"), ([""], "10.0.0.1"), ([" , ,"], "10.0.0.1"),
            (["192.0.2.7"], "192.0.2.7"), ([" \t192.0.2.7\t "], "192.0.2.7"),
            // What a client wrote stands left of what our proxies wrote.
            (["203.0.113.9, 192.0.2.7"], "192.0.2.7"), (["nonsense, 192.0.2.7"], "192.0.2.7"),
            (["203.0.113.9, 192.0.2.7, 10.0.0.9,10.0.0.8"], "192.0.2.7"),
            (["203.0.113.9", "192.0.2.7", "10.0.0.9"], "192.0.2.7"),
            (["192.0.2.7, 10.0.0.9", ""], "192.0.2.7"), (["192.0.2.7,, 10.0.0.9,"], "192.0.2.7"),
            // Nobody but ours: the farthest of them.
            (["10.0.0.9, 10.0.0.8"], "10.0.0.9"), (["10.0.0.9"], "10.0.0.9"),
            // No address where one of ours should have written one.
            (["192.0.2.7, nonsense"], "10.0.0.1"), (["192.0.2.7, unknown, 10.0.0.9"], "10.0.0.1"),
            (["192.0.2.7 10.0.0.9"], "10.0.0.1"), (["127.1"], "10.0.0.1"),
            (["256.0.0.1"], "10.0.0.1"), (["192.0.2.7\u{0}"], "10.0.0.1"),
            (["fe80::1%eth0"], "10.0.0.1"), (["\"192.0.2.7\""], "10.0.0.1"),
            (["for=192.0.2.7"], "10.0.0.1"), (["10.0.0.0/8"], "10.0.0.1"),
            // One spelling for one client.
            (["2001:DB8:0:0::7"], "2001:db8::7"), (["::ffff:192.0.2.7"], "192.0.2.7"),
            (["192.0.2.7, ::ffff:10.0.0.9"], "192.0.2.7"),
            (["2001:db8::7, fd00::2"], "2001:db8::7"),
            // With a port.
            (["192.0.2.7:5678"], "192.0.2.7"), (["[2001:db8::7]:5678"], "2001:db8::7"),
            (["[2001:db8::7]"], "2001:db8::7"), (["192.0.2.7:"], "10.0.0.1"),
            (["192.0.2.7:x"], "10.0.0.1"), (["192.0.2.7:123456"], "10.0.0.1"),
            (["[192.0.2.7]:80"], "10.0.0.1"), (["[2001:db8::7"], "10.0.0.1"),
            (["[2001:db8::7]x"], "10.0.0.1"), (["[]"], "10.0.0.1"), (["["], "10.0.0.1"),
            ([":80"], "10.0.0.1"),
        ] as [([String], String)])
    func theRightMostAddressThatIsNotOursIsTheClient(lines: [String], expected: String) throws {
        let proxies = try Self.proxies("10.0.0.0/8", "fd00::/8")
        let peer = proxies.peer("10.0.0.1")
        #expect(peer.isProxy)
        #expect(proxies.client(of: peer, Self.fields(lines)) == expected)
    }

    @Test(arguments: ["192.0.2.1", "11.0.0.1", "::1", "fd00::1", "", "nonsense"])
    func anybodyElseSpeaksForNobody(address: String) throws {
        for proxies in [try Self.proxies("10.0.0.0/8"), try Self.proxies()] {
            let peer = proxies.peer(address)
            #expect(peer == Peer(address: address, isProxy: false))
            #expect(proxies.client(of: peer, Self.fields(["203.0.113.9"])) == address)
        }
    }

    @Test func onlyOneFieldIsBelieved() throws {
        let proxies = try Self.proxies("10.0.0.0/8")
        let fields: HTTPFields = ["Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"]
        #expect(proxies.client(of: proxies.peer("10.0.0.1"), fields) == "10.0.0.1")
    }

    @Test func theConnectionsOfAProxyCountInAllOnly() {
        let admission = Admission(total: 3, perAddress: 1)
        let proxy = Peer(address: "10.0.0.1", isProxy: true)
        let client = Peer(address: "192.0.2.1", isProxy: false)
        #expect(admission.enter(client) && !admission.enter(client))
        #expect(admission.enter(proxy) && admission.enter(proxy) && !admission.enter(proxy))
        admission.leave(proxy)
        #expect(!admission.enter(client))
        admission.leave(client)
        #expect(admission.enter(client))
    }
}

@Suite struct ClientAddressTests {
    private static func running(
        trusting networks: [String], _ adjust: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> Running {
        try Running({
            $0.trustedProxies = networks.compactMap { NetworkRange($0) }
            adjust(&$0)
        }) { $0.on("GET", "/address", .immediate { .text($0.address) }) }
    }

    private static func ask(_ client: RawClient, _ lines: String...) -> String {
        client.send(
            "GET /address HTTP/1.1\r\nHost: x\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n")
        return client.readResponse().body
    }

    @Test func aClientCannotNameItself() throws {
        for networks in [[], ["10.0.0.0/8", "::1"]] {
            let running = try Self.running(trusting: networks)
            let client = RawClient(port: running.port)
            #expect(Self.ask(client, "X-Forwarded-For: 203.0.113.9") == "127.0.0.1")
            #expect(Self.ask(client, "X-Forwarded-For: 127.0.0.9") == "127.0.0.1")
        }
    }

    @Test func aTrustedProxyNamesTheClientOfEachRequest() throws {
        let running = try Self.running(trusting: ["127.0.0.1", "10.0.0.0/8"])
        let proxy = RawClient(port: running.port)
        #expect(Self.ask(proxy, "X-Forwarded-For: 192.0.2.7") == "192.0.2.7")
        #expect(
            Self.ask(proxy, "X-Forwarded-For: 203.0.113.9, 192.0.2.8, 10.0.0.9") == "192.0.2.8")
        #expect(
            Self.ask(proxy, "X-Forwarded-For: 203.0.113.9", "x-forwarded-for: 2001:DB8::7")
                == "2001:db8::7")
        #expect(Self.ask(proxy, "X-Forwarded-For: 192.0.2.7, \u{FF}\u{1F600}") == "127.0.0.1")
        #expect(Self.ask(proxy) == "127.0.0.1")
    }

    @Test func theConnectionsOfATrustedProxyAreNotCountedAsOneClients() throws {
        let running = try Self.running(trusting: ["127.0.0.0/8"]) {
            $0.maxConnectionsPerAddress = 1
            $0.maxConnections = 3
        }
        let clients = (0..<3).map { _ in RawClient(port: running.port) }
        for client in clients {
            #expect(Self.ask(client, "X-Forwarded-For: 192.0.2.7") == "192.0.2.7")
        }
        #expect(RawClient(port: running.port).readToEnd() == "")
    }

    /// On a machine without IPv6 there is no such listener, and nothing to hold.
    @Test func anIPv4PeerOfAnIPv6ListenerIsJudgedAndNamedAsOne() throws {
        let running: Running
        do {
            running = try Self.running(trusting: ["127.0.0.1"]) { $0.host = "::" }
        } catch ServerError.cannotListen {
            return
        }
        let client = RawClient(port: running.port)
        #expect(Self.ask(client) == "127.0.0.1")
        #expect(Self.ask(client, "X-Forwarded-For: 192.0.2.7") == "192.0.2.7")
    }
}
