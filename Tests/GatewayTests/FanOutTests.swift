// SPDX-License-Identifier: MIT
import ChatCore
import Gateway
import JSON
import SocketIO
import TestSupport
import Testing
import Timing

/// What one commit brings, given to the gateway as the writer would: one turn of the loop, so that
/// order inside a turn is no matter of luck.
@Suite struct FanOutTests {
    private func entry(
        _ seq: Int64, _ kind: LogKind, in room: String, roomSeq: Int64, by name: String = "ada",
        _ content: LogContent
    ) -> CommitItem {
        .entry(
            LogEntry(
                seq: seq, at: Timestamp(seconds: 1_700_000_000), kind: kind, room: RoomID(room),
                visibility: .public, roomSeq: roomSeq, prev: 0, actor: UserID("u_\(name)"),
                actorName: name, clientID: nil, payload: content.payload))
    }

    private func message(_ seq: Int64, in room: String) -> CommitItem {
        entry(seq, .message, in: room, roomSeq: seq, .message(text: "\(seq)", replyTo: nil))
    }

    private func member(
        _ seq: Int64, _ action: LogContent.MemberAction, _ name: String, in room: String
    ) -> CommitItem {
        entry(
            seq, .member, in: room, roomSeq: seq, by: name,
            .member(action, User(id: UserID("u_\(name)"), name: name)))
    }

    /// The numbers of the log's events up to the last one expected, and that their offsets agree.
    private func numbers(_ client: WireClient, upTo last: Int64) throws -> [Int64] {
        var found: [Int64] = []
        while found.last != last, let packet = client.next() {
            guard packet.hasPrefix("42["),
                let parts = try JSONValue(parsing: Array(packet.dropFirst(2).utf8)).array,
                let seq = parts[1]["seq"]?.int, seq >= 1000
            else { continue }
            #expect(parts.last?.string == "\(seq)-01234567", "the offset is the event's own number")
            found.append(seq)
        }
        return found
    }

    private struct Party {
        let harness: Harness
        let ada: WireClient
        let bob: WireClient
        let garden: String
    }

    /// ada and bob in the lobby, both in the garden when `bobJoins`.
    private func party(polling: Bool, bobJoins: Bool) throws -> Party {
        let harness = try Harness()
        let ada = try harness.client("ada")
        let garden = ada.ask("room:create", ["name": "garden"])["room"]?["id"]?.string ?? ""
        let bob = try harness.client("bob", polling: polling)
        if bobJoins { _ = bob.ask("room:join", ["room": .string(garden)]) }
        return Party(harness: harness, ada: ada, bob: bob, garden: garden)
    }

    @Test(arguments: [false, true])
    func severalRoomsComeInTheLogsOrder(polling: Bool) throws {
        let party = try party(polling: polling, bobJoins: true)
        party.harness.gateway.committed([
            message(1000, in: "lobby"), message(1001, in: party.garden),
            message(1002, in: party.garden), message(1003, in: "lobby"),
            message(1004, in: party.garden),
        ])
        #expect(try numbers(party.bob, upTo: 1004) == [1000, 1001, 1002, 1003, 1004])
        #expect(try numbers(party.ada, upTo: 1004) == [1000, 1001, 1002, 1003, 1004])
    }

    @Test(arguments: [false, true])
    func whoJoinsGetsTheJoiningAndWhatFollows(polling: Bool) throws {
        let party = try party(polling: polling, bobJoins: false)
        party.harness.gateway.committed([
            message(1000, in: "lobby"), message(1001, in: party.garden),
            member(1002, .joined, "bob", in: party.garden), message(1003, in: party.garden),
            message(1004, in: "lobby"),
        ])
        #expect(try numbers(party.bob, upTo: 1004) == [1000, 1002, 1003, 1004])
        #expect(try numbers(party.ada, upTo: 1004) == [1000, 1001, 1002, 1003, 1004])
    }

    /// The last offset a client has must cover all before it: a leaving that overtook an earlier
    /// message of another room would lose that one with the connection.
    @Test(arguments: [false, true])
    func whoLeavesGetsTheLeavingInItsPlaceAndNothingAfter(polling: Bool) throws {
        let party = try party(polling: polling, bobJoins: true)
        party.harness.gateway.committed([
            message(1000, in: "lobby"), message(1001, in: party.garden),
            member(1002, .left, "bob", in: party.garden), message(1003, in: party.garden),
            message(1004, in: "lobby"),
        ])
        #expect(try numbers(party.bob, upTo: 1004) == [1000, 1001, 1002, 1004])
        #expect(try numbers(party.ada, upTo: 1004) == [1000, 1001, 1002, 1003, 1004])
    }

    @Test func whoLeavesAndComesBackInOneTurnMissesWhatWasBetween() throws {
        let party = try party(polling: false, bobJoins: true)
        party.harness.gateway.committed([
            message(1000, in: party.garden), member(1001, .left, "bob", in: party.garden),
            message(1002, in: party.garden), member(1003, .joined, "bob", in: party.garden),
            message(1004, in: party.garden),
        ])
        #expect(try numbers(party.bob, upTo: 1004) == [1000, 1001, 1003, 1004])
    }

    @Test(arguments: [false, true])
    func anInvitationComesInItsPlace(polling: Bool) throws {
        let party = try party(polling: polling, bobJoins: false)
        party.harness.gateway.committed([
            message(1000, in: "lobby"), member(1001, .invited, "bob", in: party.garden),
            message(1002, in: "lobby"),
        ])
        #expect(try numbers(party.bob, upTo: 1002) == [1000, 1001, 1002])
    }

    @Test func anInvitationAloneNeedsNoRoomHere() throws {
        let harness = try Harness()
        let bob = try harness.client("bob")
        harness.gateway.committed([member(1000, .invited, "bob", in: "elsewhere")])
        #expect(try numbers(bob, upTo: 1000) == [1000])
    }

    @Test func aMemberThatGoesInTheSameTurnHarmsNobody() throws {
        let party = try party(polling: false, bobJoins: true)
        for number: Int64 in 0..<20 {
            let carl = try party.harness.client("carl\(number)")
            _ = carl.ask("room:join", ["room": .string(party.garden)])
            carl.send("1")
            party.harness.gateway.committed([
                message(1000 + number, in: "lobby"), message(2000 + number, in: party.garden),
            ])
        }
        party.harness.gateway.committed([message(3000, in: "lobby")])
        let seen = try numbers(party.bob, upTo: 3000)
        #expect(Set(seen).count == 41 && seen.count == 41)
    }
}
