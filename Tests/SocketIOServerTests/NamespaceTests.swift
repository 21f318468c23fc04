// SPDX-License-Identifier: MIT
import EngineIO
import EngineIOServer
import HTTPServer
import JSON
import SocketIOServer
import TestSupport
import Testing
import WebSocket

private enum Link: Sendable, CaseIterable {
    case webSocket, polling

    func client(_ harness: SocketServerHarness) -> WireClient {
        switch self {
        case .webSocket: WireClient.webSocket(port: harness.port)
        case .polling: WireClient.polling(port: harness.port)
        }
    }
}

@Suite struct NamespaceTests {
    /// An id says where its session is, and no more: it opens neither the next session there nor any whose
    /// secret is another.
    @Test func anIdIsOfOneSessionAlone() throws {
        let harness = try SocketServerHarness()
        let first = WireClient.polling(port: harness.port)
        #expect(first.request("POST", sid: first.sid, body: "1").head.hasPrefix("HTTP/1.1 200 "))
        let second = WireClient.polling(port: harness.port)
        #expect(second.sid != first.sid)
        #expect(second.request("GET", sid: first.sid).head.hasPrefix("HTTP/1.1 400 "))
        let changed = String(second.sid.dropLast()) + (second.sid.hasSuffix("A") ? "B" : "A")
        #expect(second.request("GET", sid: changed).head.hasPrefix("HTTP/1.1 400 "))
        #expect(second.join().hasPrefix("40{"))
    }

    @Test(
        "Socket.IO 5, Connection: CONNECT is answered with an object of exactly a sid, over both transports",
        arguments: Link.allCases)
    private func joins(_ link: Link) throws {
        let harness = try SocketServerHarness()
        let client = link.client(harness)
        let reply = client.join()
        let value = try JSONValue(parsing: Array(reply.dropFirst(2).utf8))
        // Exactly `sid` where nothing is recovered (Socket.IO protocol 5, Connection to a namespace).
        #expect(value.object?.members.map(\.name) == ["sid"])
        #expect(value["sid"]?.string?.count == 20)
        #expect(client.next() == "42[\"welcome\"]")
    }

    @Test(
        "Socket.IO 5, Connection: an unknown namespace is refused by CONNECT_ERROR, the transport stays"
    )
    func anUnknownNamespaceIsRefusedAndTheTransportStays() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        #expect(client.join("/nope") == "44/nope,{\"message\":\"Invalid namespace\"}")
        #expect(client.join().hasPrefix("40{"))
    }

    @Test(
        "Socket.IO 5, Connection: CONNECT_ERROR carries an object with a message, and data beside it"
    )
    func middlewareRefusesWithDataAndLaterLetsIn() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        let refusal = "44/guarded,{\"message\":\"wrong key\",\"data\":{\"code\":42}}"
        #expect(client.join("/guarded") == refusal)
        #expect(client.join("/guarded", auth: "{\"key\":\"wrong\"}") == refusal)
        #expect(client.join("/guarded", auth: "{\"key\":\"right\"}").hasPrefix("40/guarded,{"))
        #expect(client.next() == "42/guarded,[\"in\"]")
    }

    @Test("Socket.IO 5, Connection: namespaces share a transport and have ids of their own")
    func namespacesShareATransportAndNothingElse() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        let id = client.enter().id
        let reply = client.join("/guarded", auth: "{\"key\":\"right\"}")
        #expect(!reply.contains(id))
        #expect(client.next() == "42/guarded,[\"in\"]")
        client.send("41/guarded,")
        client.send("421[\"echo\",1]")
        #expect(client.next() == "431[1]")
    }

    @Test(
        "Socket.IO 5, Connection: a first packet that is no CONNECT closes the transport",
        arguments: [
            "42[\"echo\"]", "431[]", "41", "44{\"message\":\"no\"}", "42/other,[\"echo\"]", "4abc",
            "42{}", "42abc[\"x\",1]", "40[1]", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        ])
    func aFirstPacketThatIsNoConnectClosesTheTransport(_ packet: String) throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.send(packet)
        #expect(client.next() == nil)
        #expect(client.hasEnded)
    }

    @Test(
        "Socket.IO 5, Connection: a second CONNECT, a client's CONNECT_ERROR and events not joined close",
        arguments: [
            "40", "44{\"message\":\"no\"}", "42/guarded,[\"x\"]", "42[\"connect\"]", "42[]",
        ])
    func whatHasNoPlaceAfterConnectClosesTheTransport(_ packet: String) throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send(packet)
        #expect(client.next() == nil)
        #expect(client.hasEnded)
    }

    @Test("Socket.IO 5, Disconnection: DISCONNECT is not answered, and the transport stays")
    func aDisconnectThatCrossedOursIsPassedOver() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send("42[\"out\"]")
        #expect(client.next() == "41")
        client.send("41")
        #expect(client.join().hasPrefix("40{"))
    }

    @Test("Socket.IO 5, Connection: who joins no namespace in time is let go")
    func aClientWithoutNamespaceIsLetGoInTime() throws {
        let harness = try SocketServerHarness(adjust: { $0.connectTimeout = .milliseconds(100) })
        let idle = WireClient.webSocket(port: harness.port)
        let leaver = WireClient.webSocket(port: harness.port)
        leaver.enter()
        leaver.send("41")
        let member = WireClient.webSocket(port: harness.port)
        member.enter()
        #expect(idle.next() == nil)
        #expect(idle.hasEnded)
        #expect(leaver.next() == nil)
        #expect(leaver.hasEnded)
        member.send("421[\"echo\"]")
        #expect(member.next() == "431[]")
    }

    @Test(
        "Engine.IO 4, Limits: sessions of one loop, at the limit and one past it: 503 and when to come back"
    )
    func sessionsAreLimited() throws {
        let harness = try SocketServerHarness(adjust: { $0.engine.maxSessions = 2 })
        let first = WireClient.webSocket(port: harness.port)
        let second = WireClient.polling(port: harness.port)
        #expect(!first.sid.isEmpty && !second.sid.isEmpty)
        let refusal = second.request("GET").head
        #expect(refusal.hasPrefix("HTTP/1.1 503 ") && refusal.contains("retry-after: 2\r\n"))
        second.send("1")
        #expect(!WireClient.polling(port: harness.port).sid.isEmpty)
    }

    @Test("Engine.IO 4, Limits: sessions of one address, at the limit and one past it: 503")
    func sessionsOfAnAddressAreLimited() throws {
        let harness = try SocketServerHarness(serverAdjust: { $0.maxConnectionsPerAddress = 8 })
        let clients = (0..<8).map { _ in WireClient.polling(port: harness.port) }
        #expect(clients.allSatisfy { !$0.sid.isEmpty })
        #expect(clients[0].request("GET").head.hasPrefix("HTTP/1.1 503 "))
        clients[0].send("1")
        #expect(!WireClient.polling(port: harness.port).sid.isEmpty)
    }

    @Test func closingTheTransportTellsTheClientToComeBack() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send("42[\"away\"]")
        #expect(client.next() == nil)
        #expect(client.closeCode == 1001)
    }
}

@Suite struct SocketEventTests {
    @Test("Socket.IO 5, Packet encoding: a session is the same wherever TCP cuts it, over a socket")
    func whereverTheSessionIsCut() throws {
        let harness = try SocketServerHarness()
        var bytes = Array(
            ("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").utf8)
        bytes += ["40", "427[\"echo\",1]", "451-8[\"echo\",{\"_placeholder\":true,\"num\":0}]"]
            .flatMap(WireClient.frame)
        for (opcode, payload) in [(.binary, [1, 2, 3]), (.close, [3, 0xE8])] as [(Opcode, [UInt8])]
        {
            FrameWriter.write(
                opcode: opcode, payload: payload.span, mask: MaskingKey(7), into: &bytes)
        }
        // What comes before holds ids that are new each time.
        func answer(_ pieces: [[UInt8]]) -> [UInt8] {
            let all = RawClient.answer(to: pieces, port: harness.port)
            let mark = Array("42[\"welcome\"]".utf8)
            return all.indices.first { all[$0...].starts(with: mark) }.map { Array(all[$0...]) }
                ?? []
        }
        let whole = String(decoding: answer([bytes]), as: UTF8.self)
        for packet in ["437[1]", "42[\"echoed\",1]", "461-8[{\"_placeholder\"", "\u{3}"] {
            #expect(whole.contains(packet))
        }
        #expect(misreadings(of: bytes, answer) == [])
    }

    @Test(
        "Socket.IO 5, Acknowledgement: an answer carries the id it answers, over both transports",
        arguments: Link.allCases)
    private func answersAndSendsWhatItGot(_ link: Link) throws {
        let harness = try SocketServerHarness()
        let client = link.client(harness)
        client.enter()
        client.send("427[\"echo\",1,\"Я\",{\"a\":[null]}]")
        #expect(client.next() == "437[1,\"Я\",{\"a\":[null]}]")
        #expect(client.next() == "42[\"echoed\",1,\"Я\",{\"a\":[null]}]")
    }

    /// More than one turn's share of a connection, in one write: all of it is answered, in order.
    @Test func aFloodOfEventsIsAnsweredWhole() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        let events = (0..<1000).map { "42\($0)[\"5\"]" }
        client.send(all: events)
        for number in 0..<1000 { #expect(client.next() == "43\(number)[\"five\"]") }
        client.send("427[\"echo\"]")
        #expect(client.next() == "437[]")
    }

    /// python-engineio ends the session over a payload of more than 16 packets; the official client,
    /// told by its query, takes any number.
    @Test(
        "Engine.IO 4, Limits: packets of one poll: all for the official client, 16 for others",
        arguments: [("EIO=4&transport=polling", 40), ("transport=polling&EIO=4", 16)])
    func aPollHoldsWhatItsClientTakes(_ query: String, _ count: Int) throws {
        let harness = try SocketServerHarness()
        let client = WireClient.polling(port: harness.port, query: query)
        client.enter()
        let events = (0..<40).map { "42\($0)[\"5\"]" }
        client.send(events.joined(separator: "\u{1E}"))
        let body = client.request("GET", sid: client.sid).body
        #expect(body.split(separator: "\u{1E}").count == count)
        var answers = body.split(separator: "\u{1E}").map(String.init)
        while answers.count < 40, let packet = client.next() { answers.append(packet) }
        #expect(answers == (0..<40).map { "43\($0)[\"five\"]" })
    }

    @Test("Socket.IO 5, Acknowledgement: an event is answered once")
    func onlyTheFirstAnswerCounts() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send("421[\"twice\",1]")
        client.send("422[\"twice\",2]")
        #expect(client.next() == "431[1]")
        #expect(client.next() == "432[2]")
    }

    @Test func aNumberNamesAnEventToo() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send("421[5]")
        #expect(client.next() == "431[\"five\"]")
    }

    @Test func anEventNobodyHandlesIsIgnored() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send("421[\"nobody\"]")
        client.send("422[\"echo\"]")
        #expect(client.next() == "432[]")
    }

    @Test("Socket.IO 5, Binary: attachments go both ways over polling")
    func binaryGoesBothWaysOverPolling() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.polling(port: harness.port)
        client.enter()
        let placeholder = "{\"_placeholder\":true,\"num\":0}"
        client.send("451-3[\"echo\",\(placeholder)]\u{1E}bAQIDBA==")
        var packets: [String] = []
        while packets.count < 4, let packet = client.next() { packets.append(packet) }
        #expect(
            packets == [
                "461-3[\(placeholder)]", "bAQIDBA==", "451-[\"echoed\",\(placeholder)]",
                "bAQIDBA==",
            ])
    }

    @Test func theServersQuestionIsAnsweredOrTimesOut() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.webSocket(port: harness.port)
        client.enter()
        client.send("42[\"ask\",\"well?\"]")
        let question = try #require(client.next())
        #expect(question.hasPrefix("42") && question.hasSuffix("[\"asked\",\"well?\"]"))
        let id = question.dropFirst(2).prefix { $0.isNumber }
        client.send("43\(id)[\"well\"]")
        #expect(client.next() == "42[\"got\",\"well\"]")
        client.send("43\(id)[\"again\"]")
        client.send("42[\"ask\"]")
        #expect(client.next()?.contains("asked") == true)
        #expect(client.next() == "42[\"got\",\"nothing\"]")
    }

    @Test func aVolatileEventIsLostWhereSomethingWaits() throws {
        let harness = try SocketServerHarness()
        let client = WireClient.polling(port: harness.port)
        client.enter()
        // No poll waits while the client posts.
        client.send("42[\"volatile\"]")
        client.send("421[\"echo\"]")
        #expect(client.next() == "431[]")
        let open = WireClient.webSocket(port: harness.port)
        open.enter()
        open.send("42[\"volatile\"]")
        #expect(open.next() == "42[\"maybe\"]")
    }
}

@Suite struct RoomTests {
    private func members(_ harness: SocketServerHarness, _ rooms: [String]...) -> [WireClient] {
        rooms.map { rooms in
            let client = WireClient.webSocket(port: harness.port)
            client.enter()
            for room in rooms {
                client.send("421[\"join\",\"\(room)\"]")
                _ = client.next()
            }
            return client
        }
    }

    /// Nothing has come before the answer to a question asked now.
    private func isSilent(_ client: WireClient) -> Bool {
        client.send("429[\"5\"]")
        return client.next() == "439[\"five\"]"
    }

    @Test func roomsAreJoinedAndLeft() throws {
        let harness = try SocketServerHarness()
        let client = members(harness, [])[0]
        client.send("421[\"join\",\"a\"]")
        client.send("422[\"join\",\"b\"]")
        client.send("423[\"join\",\"a\"]")
        client.send("424[\"leave\",\"a\"]")
        #expect(client.next() == "431[\"a\"]")
        #expect(client.next() == "432[\"a\",\"b\"]")
        #expect(client.next() == "433[\"a\",\"b\"]")
        #expect(client.next() == "434[\"b\"]")
    }

    @Test func aRoomHearsAndTheSenderDoesNot() throws {
        let harness = try SocketServerHarness()
        let clients = members(harness, ["a"], ["a"], ["b"])
        clients[0].send("42[\"shout\",\"a\",1]")
        #expect(clients[1].next() == "42[\"heard\",\"a\",1]")
        #expect(isSilent(clients[0]))
        #expect(isSilent(clients[2]))
    }

    @Test func everybodyIsToldInOrder() throws {
        let harness = try SocketServerHarness()
        let clients = members(harness, [], ["a"])
        clients[0].send("42[\"tell\",1]")
        #expect(clients[0].next() == "42[\"told\",1]")
        #expect(clients[0].next() == "42[\"after\"]")
        #expect(clients[1].next() == "42[\"told\",1]")
        #expect(isSilent(clients[1]))
    }

    @Test func aSocketInTwoRoomsGetsAnEventOnce() throws {
        let harness = try SocketServerHarness()
        let clients = members(harness, ["a", "b"], ["b"], [])
        clients[2].send("42[\"two rooms\"]")
        #expect(clients[0].next() == "42[\"once\"]")
        #expect(clients[1].next() == "42[\"once\"]")
        #expect(isSilent(clients[0]))
        #expect(isSilent(clients[2]))
    }

    /// What a turn has brought one socket can be sent ahead of its end: once, in its order, and what
    /// comes later in the turn comes behind. Nobody else's is touched.
    @Test func whatATurnHasBroughtCanGoAheadOfAnAnswer() throws {
        let harness = try SocketServerHarness()
        let clients = members(harness, ["a", "b"], ["b", "a"], ["b"])
        func turns(_ client: WireClient) -> [String] {
            client.send("429[\"5\"]")
            var packets: [String] = []
            while let packet = client.next(), packet != "439[\"five\"]" { packets.append(packet) }
            return packets
        }
        let (one, two, three) = (
            "42[\"turn\",{\"n\":1}]", "42[\"turn\",{\"n\":2}]", "42[\"turn\",{\"n\":3}]"
        )
        clients[0].send("421[\"in one turn\"]")
        #expect(turns(clients[0]) == [one, two, "431[\"behind\"]", three])
        #expect(turns(clients[1]) == [one, two, three])
        #expect(turns(clients[2]) == [one, three])
    }

    @Test func answersOfARoomAreGatheredUntilTheTimeout() throws {
        let harness = try SocketServerHarness()
        let clients = members(harness, ["a"], ["a"], [])
        clients[2].send("421[\"question\",\"?\"]")
        let asked = try #require(clients[0].next())
        #expect(asked.hasSuffix("[\"question\",\"?\"]"))
        clients[0].send("43\(asked.dropFirst(2).prefix { $0.isNumber })[\"!\"]")
        #expect(clients[2].next() == "431[1,[\"!\"]]")
    }

    @Test func aMemberThatGoesDoesNotHoldTheAnswersUp() throws {
        let harness = try SocketServerHarness()
        let clients = members(harness, ["a"], [])
        clients[1].send("421[\"question\",\"?\"]")
        _ = clients[0].next()
        clients[0].send("41")
        #expect(clients[1].next() == "431[1,[]]")
    }
}

@Suite struct LocalRecoveryTests {
    private func offset(_ packet: String?) -> String {
        let parts = (try? JSONValue(parsing: Array((packet ?? "").dropFirst(2).utf8)))?.array
        return parts?.last?.string ?? ""
    }

    @Test(
        "Socket.IO 5, Recovery: what was missed comes before the answer to CONNECT, under the same ids"
    )
    func whatWasMissedComesBeforeTheAnswer() throws {
        let harness = try SocketServerHarness(recovery: { LocalRecovery() })
        let other = WireClient.webSocket(port: harness.port)
        other.enter()
        var client: WireClient? = WireClient.webSocket(port: harness.port)
        let (id, privateID) = try #require(client).enter()
        client?.send("421[\"join\",\"a\"]")
        #expect(client?.next() == "431[\"a\"]")
        client?.send("42[\"tell\",0]")
        let last = offset(client?.next())
        #expect(!last.isEmpty)
        #expect(client?.next()?.hasPrefix("42[\"after\"") == true)
        client = nil
        // The server sees the end of the connection before it reads what comes behind it.
        for event in ["42[\"shout\",\"a\",1]", "42[\"shout\",\"b\",2]", "42[\"tell\",3]"] {
            other.send(event)
        }
        while let packet = other.next(), !packet.hasPrefix("42[\"told\",3") {}

        let back = WireClient.webSocket(port: harness.port)
        let auth = "{\"pid\":\"\(privateID ?? "")\",\"offset\":\"\(last)\"}"
        let packets = [
            back.join(auth: auth), back.next() ?? "", back.next() ?? "", back.next() ?? "",
        ]
        #expect(packets[0].hasPrefix("42[\"after\""))
        #expect(packets[1].hasPrefix("42[\"heard\",\"a\",1,\""))
        #expect(packets[2].hasPrefix("42[\"told\",3,\""))
        #expect(packets[3] == "40{\"sid\":\"\(id)\",\"pid\":\"\(privateID ?? "")\"}")
        _ = back.next()
        back.send("421[\"join\",\"a\"]")
        #expect(back.next() == "431[\"a\"]")
    }

    @Test func aHalfOpenConnectionIsTakenOver() throws {
        let harness = try SocketServerHarness(recovery: { LocalRecovery() })
        let client = WireClient.webSocket(port: harness.port)
        let reply = client.join()
        let last = offset(client.next())
        let value = try JSONValue(parsing: Array(reply.dropFirst(2).utf8))
        let back = WireClient.webSocket(port: harness.port)
        let auth = "{\"pid\":\"\(value["pid"]?.string ?? "")\",\"offset\":\"\(last)\"}"
        #expect(back.join(auth: auth) == reply)
        #expect(client.next() == nil)
        #expect(client.hasEnded)
    }

    @Test(arguments: ["999", "-1", "x", ""])
    func anOffsetThatNeverWasIsNotRecovered(_ offset: String) throws {
        let harness = try SocketServerHarness(recovery: { LocalRecovery() })
        let client = WireClient.webSocket(port: harness.port)
        let (id, privateID) = client.enter()
        let back = WireClient.webSocket(port: harness.port)
        let fresh = back.enter(auth: "{\"pid\":\"\(privateID ?? "")\",\"offset\":\"\(offset)\"}")
        #expect(fresh.id != id)
        #expect(fresh.privateID != privateID)
    }

    @Test(arguments: [(2, 16 << 20), (10_000, 100)])
    func whoMissedMoreThanIsKeptStartsAnew(_ maxEvents: Int, _ maxBytes: Int) throws {
        let harness = try SocketServerHarness(recovery: {
            LocalRecovery(maxEvents: maxEvents, maxBytes: maxBytes)
        })
        let client = WireClient.webSocket(port: harness.port)
        let reply = client.join()
        let last = offset(client.next())
        for number in 0..<3 { client.send("42[\"tell\",\(number)]") }
        for _ in 0..<6 { _ = client.next() }
        let value = try JSONValue(parsing: Array(reply.dropFirst(2).utf8))
        let back = WireClient.webSocket(port: harness.port)
        let auth = "{\"pid\":\"\(value["pid"]?.string ?? "")\",\"offset\":\"\(last)\"}"
        #expect(back.join(auth: auth) != reply)
    }

    @Test func whoLeftIsNotRecovered() throws {
        let harness = try SocketServerHarness(recovery: { LocalRecovery() })
        let client = WireClient.webSocket(port: harness.port)
        let reply = client.join()
        let last = offset(client.next())
        client.send("41")
        let value = try JSONValue(parsing: Array(reply.dropFirst(2).utf8))
        let auth = "{\"pid\":\"\(value["pid"]?.string ?? "")\",\"offset\":\"\(last)\"}"
        #expect(client.join(auth: auth) != reply)
    }
}
