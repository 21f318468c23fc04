// SPDX-License-Identifier: MIT
import ChatCore
import TestSupport
import Testing

@testable import Store

@Suite struct RoomTrailTests {
    @Test func findsWhatAnArrayWouldFind() throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        let rooms = (0..<5).map { RoomID("r\($0)") }
        var trail = RoomTrail(length: 256)
        var all: [(seq: Int64, room: RoomID, kind: LogKind, bytes: Int)] = []
        for seq in 1...700 as ClosedRange<Int64> {
            let entry = (
                seq: seq, room: rooms.randomElement(using: &random) ?? "",
                kind: [.message, .member, .receipt, .arrival].randomElement(using: &random)
                    ?? LogKind.message, bytes: Int.random(in: 0...3000, using: &random)
            )
            all.append(entry)
            trail.append(seq: seq, room: entry.room, kind: entry.kind, bytes: entry.bytes)
        }
        #expect(trail.start == 445)
        #expect(trail.find(rooms: [rooms[0]], after: 443, through: 700, limit: 1) == nil)
        for _ in 0..<500 {
            let wanted = Set(
                rooms.shuffled(using: &random).prefix(Int.random(in: 0...3, using: &random)))
            let after = Int64.random(in: 444...700, using: &random)
            let through = Int64.random(in: after...705, using: &random)
            let limit = Int.random(in: 1...40, using: &random)
            let found = try #require(
                trail.find(rooms: wanted, after: after, through: through, limit: limit))
            let expected = all.filter {
                $0.seq > after && $0.seq <= through && wanted.contains($0.room)
                    && ($0.kind == .message || $0.kind == .member)
            }.prefix(limit)
            #expect(found.events == expected.map(\.seq), "seed \(seed)")
            #expect(
                found.bytes == expected.reduce(0) { $0 + ($1.bytes + 255) / 256 * 256 },
                "seed \(seed)")
            let moves = all.filter {
                $0.seq > after && $0.seq <= through && $0.kind == .member
            }.map(\.seq)
            let members = trail.moves(after: after, through: through)
            #expect(members == (through > 700 ? nil : moves), "seed \(seed)")
            let receipts = trail.receipts(
                rooms: wanted, after: after, through: through, limit: limit, scan: 50)
            let latest = all.filter {
                $0.seq > after && $0.seq <= through && wanted.contains($0.room)
                    && $0.kind == .receipt && $0.seq > min(through, 700) - 50
            }.map(\.seq).reversed().prefix(limit)
            #expect(receipts == Array(latest), "seed \(seed)")
        }
    }

    @Test func aGapMakesItBeginAnew() {
        var trail = RoomTrail(length: 16)
        for seq in [1, 2, 3, 7, 8] as [Int64] {
            trail.append(seq: seq, room: "a", kind: .message, bytes: 0)
        }
        trail.append(seq: 8, room: "b", kind: .message, bytes: 0)
        #expect(trail.start == 7)
        #expect(trail.find(rooms: ["a"], after: 6, through: 9, limit: 9)?.events == [7, 8])
    }
}
