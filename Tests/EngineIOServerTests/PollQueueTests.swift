// SPDX-License-Identifier: MIT
import Testing

@testable import EngineIOServer

@Suite struct PollQueueTests {
    private func text(_ queue: inout PollQueue) -> String {
        String(decoding: queue.take(), as: UTF8.self)
    }

    private func packets(_ queue: inout PollQueue) -> [String] {
        queue.takePackets().map { packet in
            switch packet {
            case .text(let bytes): "text " + String(decoding: bytes, as: UTF8.self)
            case .binary(let bytes): "binary \(bytes)"
            }
        }
    }

    @Test func joinsPacketsInOrderAndIsEmptyAfterwards() {
        var queue = PollQueue()
        #expect(queue.isEmpty && queue.count == 0)
        queue.append(text: Array("4a".utf8))
        queue.append(binary: [1, 2, 3, 4])
        queue.append(text: Array("2".utf8))
        #expect(queue.count == 14)
        let first = text(&queue)
        #expect(first == "4a\u{1E}bAQIDBA==\u{1E}2")
        #expect(queue.isEmpty)
        queue.append(text: Array("4b".utf8))
        let second = text(&queue)
        #expect(second == "4b")
    }

    @Test func isTakenApartIntoThePacketsThatWentIn() {
        var queue = PollQueue()
        let none = packets(&queue)
        #expect(none == [])
        queue.append(text: Array("40{}".utf8))
        queue.append(binary: [])
        queue.append(binary: [0x1E, 0x1E])
        queue.append(text: Array("42[\"é\"]".utf8))
        let all = packets(&queue)
        #expect(all == ["text 40{}", "binary []", "binary [30, 30]", "text 42[\"é\"]"])
        #expect(queue.isEmpty)
    }

    /// On a WebSocket a record separator is a character like any other.
    @Test func aSeparatorInsideAPacketDoesNotTearItWhenItIsTakenApart() {
        var queue = PollQueue()
        queue.append(text: Array("4a\u{1E}b".utf8))
        queue.append(text: Array("4c".utf8))
        let all = packets(&queue)
        #expect(all == ["text 4a\u{1E}b", "text 4c"])
    }

    @Test(arguments: 1...5)
    func isTakenInPieces(_ count: Int) throws {
        var queue = PollQueue()
        for number in 0..<4 { queue.append(text: Array("4\(number)".utf8)) }
        queue.append(binary: [1, 2, 3, 4])
        var pieces: [String] = []
        while !queue.isEmpty {
            let piece = String(decoding: queue.take(atMost: count), as: UTF8.self)
            #expect(piece.split(separator: "\u{1E}").count <= count)
            pieces.append(piece)
        }
        #expect(pieces.joined(separator: "\u{1E}") == "40\u{1E}41\u{1E}42\u{1E}43\u{1E}bAQIDBA==")
    }

    @Test func whatIsLeftOfAPieceIsTakenApartToo() throws {
        var queue = PollQueue()
        for packet in ["4a", "4b", "4c"] { queue.append(text: Array(packet.utf8)) }
        _ = queue.take(atMost: 2)
        queue.append(text: Array("4d".utf8))
        var left: [String] = []
        for packet in queue.takePackets() {
            if case .text(let bytes) = packet {
                left.append(String(decoding: bytes, as: UTF8.self))
            }
        }
        #expect(left == ["4c", "4d"])
    }
}
