// SPDX-License-Identifier: MIT
import Glibc
import TestSupport
import Testing
import WebSocket

@testable import HTTPServer

/// A connected pair of sockets that hold little, so that sends are cut.
private final class NarrowPair {
    let near: Int32
    let far: Int32

    init() {
        var pair: [Int32] = [0, 0]
        precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        (near, far) = (pair[0], pair[1])
        var size: Int32 = 1
        setsockopt(near, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit {
        close(near)
        close(far)
    }

    /// What has arrived, at most `count` bytes of it.
    func read(_ count: Int) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        let received = recv(far, &buffer, count, Int32(MSG_DONTWAIT))
        return received > 0 ? Array(buffer[..<received]) : []
    }
}

/// An outbox by reference, so that expectations can flush it.
private final class Box {
    private var outbox = Outbox()
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1000, alignment: 8)

    deinit { scratch.deallocate() }

    var isEmpty: Bool { outbox.isEmpty }
    var count: Int { outbox.count }
    func append(own bytes: [UInt8]) { outbox.append(own: bytes) }
    func append(shared: SharedBytes, _ range: Range<Int>) { outbox.append(shared: shared, range) }
    func append(ahead frame: [UInt8]) { outbox.append(ahead: frame) }
    func removeAll() { outbox.removeAll() }
    func prepend(shared: SharedBytes, _ range: Range<Int>, sent: Int) {
        outbox.prepend(shared: shared, range, sent: sent)
    }
    func flush(_ pair: NarrowPair, most: Int = .max) -> Outbox.Progress {
        outbox.flush(to: pair.near, most: most, scratch: scratch)
    }
}

@Suite struct OutboxTests {
    @Test func anEmptyOneSendsNothing() {
        let pair = NarrowPair()
        let outbox = Box()
        outbox.append(own: [])
        outbox.append(shared: SharedBytes([1, 2]), 1..<1)
        #expect(outbox.isEmpty)
        #expect(outbox.flush(pair) == .empty)
        #expect(pair.read(10) == [])
    }

    @Test func ownAndSharedBytesKeepTheirOrder() {
        let pair = NarrowPair()
        let outbox = Box()
        let shared = SharedBytes([10, 11, 12, 13])
        outbox.append(own: [1])
        outbox.append(own: [2, 3])
        outbox.append(shared: shared, 1..<3)
        outbox.append(own: [4])
        outbox.append(shared: shared, 0..<4)
        #expect(outbox.count == 10)
        #expect(outbox.flush(pair) == .empty)
        #expect(pair.read(100) == [1, 2, 3, 11, 12, 4, 10, 11, 12, 13])
        #expect(outbox.isEmpty)
    }

    /// Whatever the kernel takes at a time, all of it arrives once and in order.
    @Test func whatIsCutGoesOnWhereItWasCut() {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        let pair = NarrowPair()
        let outbox = Box()
        var expected: [UInt8] = []
        var received: [UInt8] = []
        var wasBlocked = false
        for round in 0..<400 {
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                // Pieces smaller and larger than the scratch buffer, and than the socket's.
                let piece = (0..<Int.random(in: 0...3000, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                if Bool.random(using: &random) {
                    outbox.append(own: piece)
                    expected += piece
                } else {
                    let start = Int.random(in: 0...piece.count, using: &random)
                    outbox.append(shared: SharedBytes(piece), start..<piece.count)
                    expected += piece[start...]
                }
            }
            if outbox.flush(pair) == .blocked { wasBlocked = true }
            received += pair.read(Int.random(in: 1...4000, using: &random))
            #expect(
                outbox.count <= expected.count - received.count, "round \(round), seed \(seed)")
        }
        while !outbox.isEmpty || received.count < expected.count {
            #expect(outbox.flush(pair) != .failed)
            let more = pair.read(65_536)
            if more.isEmpty, outbox.isEmpty { break }
            received += more
        }
        #expect(wasBlocked, "the socket was too wide for this test")
        #expect(received == expected, "seed \(seed)")
    }

    /// A frame that is not to wait lies between whole frames, before all that had not begun to leave.
    @Test(arguments: [Int.max, 8192, 500]) func aFrameAheadOvertakesWholeFramesOnly(
        most: Int
    ) throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        let ping: [UInt8] = [0x81, 1, 0x32]
        for round in 0..<200 {
            let pair = NarrowPair()
            let outbox = Box()
            var frames: [[UInt8]] = []
            for number in 0..<Int.random(in: 1...12, using: &random) {
                // One to three frames a piece, of all three lengths of header.
                let piece = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                    var frame: [UInt8] = []
                    let count = [0, 90, 700, 5000, 70_000].randomElement(using: &random) ?? 0
                    FrameWriter.write(
                        opcode: .text,
                        payload: [UInt8](repeating: UInt8(number), count: count).span,
                        into: &frame)
                    return frame
                }
                let bytes = piece.flatMap { $0 }
                if Bool.random(using: &random) {
                    outbox.append(own: bytes)
                } else {
                    outbox.append(shared: SharedBytes([9] + bytes), 1..<bytes.count + 1)
                }
                frames += piece
            }
            let all = frames.flatMap { $0 }
            _ = outbox.flush(pair, most: most)
            let sent = all.count - outbox.count
            outbox.append(ahead: ping)
            var received: [UInt8] = []
            repeat {
                received += pair.read(65_536)
                if outbox.isEmpty { received += pair.read(65_536) }
            } while outbox.flush(pair, most: most) != .empty
                || received.count < all.count + ping.count
            var boundary = 0
            var rest = frames[...]
            while boundary < sent, let frame = rest.popFirst() { boundary += frame.count }
            let expected = all[..<boundary] + ping + all[boundary...]
            #expect(received.elementsEqual(expected), "round \(round), seed \(seed)")
        }
    }

    /// The kernel has taken a part of what was sent without the queue, and a ping comes before the rest.
    @Test(arguments: [0, 1, 51, 52, 53, 101, 102, 103, 106])
    func aFrameAheadKnowsWhatIsHalfSent(sent: Int) {
        var frames: [UInt8] = []
        for (number, count) in [50, 48, 3].enumerated() {
            FrameWriter.write(
                opcode: .binary, payload: [UInt8](repeating: UInt8(number), count: count).span,
                into: &frames)
        }
        let pair = NarrowPair()
        let outbox = Box()
        outbox.append(own: [0x81, 0])
        outbox.prepend(shared: SharedBytes([7] + frames), 1..<frames.count + 1, sent: sent)
        outbox.append(ahead: [0x81, 1, 0x32])
        #expect(outbox.count == frames.count - sent + 5)
        #expect(outbox.flush(pair) == .empty)
        let boundary = [0, 52, 102, 107].first { $0 >= sent } ?? frames.count
        let expected =
            frames[sent..<max(sent, min(boundary, frames.count))] + [0x81, 1, 0x32]
            + frames[min(boundary, frames.count)...] + [0x81, 0]
        #expect(pair.read(1000).elementsEqual(expected))
    }

    /// What is being sent may be the answer to the opening handshake, which has no frames.
    @Test func aFrameAheadWaitsWhereNoFrameIsKnown() {
        let pair = NarrowPair()
        let outbox = Box()
        let answer = Array("HTTP/1.1 101 Switching Protocols\r\n\r\n".utf8)
        let large = answer + [UInt8](repeating: 0x81, count: 100_000)
        outbox.append(own: large)
        #expect(outbox.flush(pair) == .blocked)
        outbox.append(ahead: [0x81, 0])
        var received: [UInt8] = []
        while !outbox.isEmpty || received.count < large.count + 2 {
            received += pair.read(65_536)
            _ = outbox.flush(pair)
        }
        #expect(received == large + [0x81, 0])
    }

    @Test func aPeerThatHasGoneIsAFailure() {
        let pair = NarrowPair()
        shutdown(pair.far, Int32(SHUT_RDWR))
        let outbox = Box()
        outbox.append(own: [1])
        #expect(outbox.flush(pair) == .failed)
    }

    @Test func removingAllForgetsAlsoWhatWasHalfSent() {
        let pair = NarrowPair()
        let outbox = Box()
        outbox.append(own: Array(repeating: 1, count: 1_000_000))
        #expect(outbox.flush(pair) == .blocked)
        outbox.removeAll()
        #expect(outbox.isEmpty)
        while !pair.read(65_536).isEmpty {}
        outbox.append(own: [7, 8])
        #expect(outbox.flush(pair) == .empty)
        #expect(pair.read(10) == [7, 8])
    }
}
