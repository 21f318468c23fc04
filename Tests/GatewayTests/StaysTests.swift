// SPDX-License-Identifier: MIT
import ChatCore
import TestSupport
import Testing

@testable import Gateway

@Suite struct StaysTests {
    @Test func aRoomWithoutAChangeIsAsItAlwaysWas() {
        #expect(Stays().wasMember(at: 7, of: "den"))
        var stays = Stays()
        stays.changed(in: "den", from: 5, isMember: true)
        #expect(stays.wasMember(at: 7, of: "garden"))
    }

    @Test func beforeItsFirstChangeItWasTheOtherWay() {
        var stays = Stays()
        stays.changed(in: "den", from: 5, isMember: true)
        stays.changed(in: "garden", from: 5, isMember: false)
        #expect([4, 5, 6].map { stays.wasMember(at: $0, of: "den") } == [false, true, true])
        #expect([4, 5, 6].map { stays.wasMember(at: $0, of: "garden") } == [true, false, false])
    }

    @Test func whatCameEarlierGoesBefore() {
        var earlier = Stays()
        earlier.changed(in: "den", from: 3, isMember: true)
        var later = Stays()
        later.changed(in: "den", from: 8, isMember: false)
        later.changed(in: "pond", from: 9, isMember: true)
        earlier.append(later)
        #expect(earlier.count == 3)
        #expect(Set(earlier.rooms) == ["den", "pond"])
        #expect(
            [2, 3, 7, 8].map { earlier.wasMember(at: $0, of: "den") } == [false, true, true, false])
    }

    /// Against a list that is searched from its end, with what is past forgotten on the way.
    @Test(arguments: UInt64(1)...20) func saysWhatAPlainListSays(seed: UInt64) {
        var random = SeededGenerator(seed: testSeed() &+ seed)
        let rooms: [RoomID] = ["a", "b", "c"]
        var members: Set<RoomID> = ["a"]
        let atFirst = members
        var stays = Stays()
        var plain: [(room: RoomID, seq: Int64, isMember: Bool)] = []
        var seq: Int64 = 0
        var position: Int64 = 0
        for _ in 0..<300 {
            seq += Int64.random(in: 1...3, using: &random)
            let room = rooms.randomElement(using: &random) ?? "a"
            let isMember = !members.contains(room)
            if isMember { members.insert(room) } else { members.remove(room) }
            stays.changed(in: room, from: seq, isMember: isMember)
            plain.append((room, seq, isMember))
            if Int.random(in: 0..<4, using: &random) == 0 {
                position = Int64.random(in: position...seq, using: &random)
                stays.forget(through: position)
            }
            for room in rooms {
                for place in [position + 1, seq, seq + 1, (position + 1 + seq) / 2]
                where place > position {
                    let wanted =
                        plain.last { $0.room == room && $0.seq <= place }?.isMember
                        ?? atFirst.contains(room)
                    // A room that is no longer anybody's is not asked for.
                    guard members.contains(room) || stays.rooms.contains(room) else {
                        #expect(place <= position || !wanted)
                        continue
                    }
                    #expect(
                        stays.wasMember(at: place, of: room) == wanted,
                        "seed \(seed): \(room) at \(place), past \(position)")
                }
            }
        }
        stays.forget(through: seq + 1)
        #expect(stays.count == 0)
    }

    @Test func typingAloneMayBeLost() {
        func event(_ name: String, _ room: RoomID?) -> LiveEvent {
            LiveEvent(room: room, except: nil, event: name, argument: [])
        }
        #expect(event("typing", "den").mayBeLost)
        #expect(!event("alert", "den").mayBeLost)
        #expect(!event("alert", nil).mayBeLost)
        #expect(!event("presence", nil).mayBeLost)
    }
}
