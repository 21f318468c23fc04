// SPDX-License-Identifier: MIT
import HTTPServer
import Testing

@testable import EngineIOServer

@Suite struct FrameBatchTests {
    /// A message of a text and attachments, whose bytes are its number and whose frames have headers of
    /// two bytes.
    private func message(_ number: UInt8, attachments: Int) -> FrameBatch {
        var frames: [UInt8] = []
        var packets: [FramedPacket] = []
        for index in 0...attachments {
            frames += [0x80, 4]
            packets.append(
                FramedPacket(payload: frames.count..<frames.count + 4, isBinary: index > 0))
            frames += [UInt8](repeating: number + UInt8(index), count: 4)
        }
        return FrameBatch(
            frames: frames, text: packets[0], attachments: Array(packets.dropFirst()))
    }

    private func packets(_ batch: FrameBatch, from message: Int) -> [String] {
        var found: [String] = []
        batch.frames.withBytes { bytes in
            batch.forEachPacket(from: message) { packet in
                #expect(packet.payload.count == 4)
                let number = bytes[packet.payload.lowerBound]
                found.append(packet.isBinary ? "b\(number)" : "t\(number)")
            }
        }
        return found
    }

    @Test func oneMessageIsAsItWasGiven() {
        let one = message(10, attachments: 2)
        #expect(one.count == 1)
        #expect(one.range(from: 0) == 0..<18)
        #expect(packets(one, from: 0) == ["t10", "b11", "b12"])
        #expect(packets(message(7, attachments: 0), from: 0) == ["t7"])
    }

    @Test func joinedMessagesBeginWhereTheyBegin() {
        let joined = FrameBatch(joining: [
            message(10, attachments: 0), message(20, attachments: 2), message(30, attachments: 0),
        ])
        #expect(joined.count == 3)
        #expect(joined.range(from: 0) == 0..<30)
        #expect(joined.range(from: 1) == 6..<30)
        #expect(joined.range(from: 2) == 24..<30)
        #expect(packets(joined, from: 0) == ["t10", "t20", "b21", "b22", "t30"])
        #expect(packets(joined, from: 1) == ["t20", "b21", "b22", "t30"])
        #expect(packets(joined, from: 2) == ["t30"])
        // And of joined ones.
        let twice = FrameBatch(joining: [joined, message(40, attachments: 1)])
        #expect(twice.count == 4)
        #expect(packets(twice, from: 2) == ["t30", "t40", "b41"])
        #expect(packets(twice, from: 3) == ["t40", "b41"])
    }
}
