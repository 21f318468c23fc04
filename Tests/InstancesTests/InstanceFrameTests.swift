// SPDX-License-Identifier: MIT
import TestSupport
import Testing

@testable import Instances

@Suite struct InstanceFrameTests {
    // Computed: LeakSanitizer takes what only a tagged pointer in a global refers to for lost.
    static var frames: [InstanceFrame] {
        [
            .hello(number: 255), .beat, .message(channel: "chat:log", payload: [0, 255, 13]),
            .message(channel: "", payload: []),
            .connection(
                PassedRequest(loop: 3, address: "::1", bytes: Array("GET / HTTP/1.1".utf8))),
            .connection(
                PassedRequest(loop: 0, address: "", isProxy: true, isSecure: true, bytes: [])),
            .listenersWanted(host: "127.0.0.1", port: 65_535), .listeners, .takenOver,
        ]
    }

    /// The frames in some pieces, each with how many descriptors belong to it; nil last where they are
    /// refused.
    private static func read(_ pieces: [[UInt8]]) -> [Seen?] {
        var reader = InstanceFrameReader()
        var seen: [Seen?] = []
        do {
            for piece in pieces {
                reader.feed(piece[...])
                while let (frame, descriptors) = try reader.next() {
                    seen.append(Seen(frame: frame, descriptors: descriptors))
                }
            }
        } catch {
            seen.append(nil)
        }
        return seen
    }

    private struct Seen: Equatable {
        var frame: InstanceFrame
        var descriptors: Int
    }

    private static let neighbour = InstanceFrame.beat.encoded()

    @Test(arguments: frames) func whereverAFrameIsCut(_ frame: InstanceFrame) {
        let bytes = frame.encoded(descriptors: 2)
        #expect(Self.read([bytes]) == [Seen(frame: frame, descriptors: 2)])
        #expect(
            misreadings(of: bytes, before: Self.neighbour, behind: Self.neighbour, Self.read) == [])
    }

    @Test func gluedTogether() {
        let seen = Self.read([Self.frames.flatMap { $0.encoded() }])
        #expect(seen.map { $0?.frame } == Self.frames)
    }

    @Test func aKindOfANewerVersionIsSkipped() throws {
        var reader = InstanceFrameReader()
        reader.feed([2, 0, 0, 0, 99, 0, 0, 0, 1, 2] + InstanceFrame.beat.encoded())
        #expect(try reader.next()?.0 == .unknown)
        #expect(try reader.next()?.0 == .beat)
    }

    @Test func tooLargeIsRefusedBeforeItComes() {
        var largest = InstanceFrameReader()
        largest.feed([0, 0, 128, 0, 2, 0, 0, 0])
        #expect(throws: Never.self) { try largest.next() }
        var reader = InstanceFrameReader()
        reader.feed([1, 0, 128, 0, 2, 0, 0, 0])
        #expect(throws: InstanceFrameError.tooLarge(InstanceFrame.maxBytes + 1)) {
            try reader.next()
        }
    }

    @Test(arguments: [
        [UInt8]([1, 0, 0, 0, 1, 0, 0, 0, 7]), [0, 0, 0, 0, 3, 0, 0, 0],
        [2, 0, 0, 0, 3, 0, 0, 0, 2, 65], [3, 0, 0, 0, 3, 0, 0, 0, 2, 0xC3, 0x28],
        [1, 0, 0, 0, 4, 0, 0, 0, 1],
    ])
    func malformedIsRefused(_ bytes: [UInt8]) {
        var reader = InstanceFrameReader()
        reader.feed(bytes)
        #expect(throws: InstanceFrameError.malformed(kind: bytes[4])) { try reader.next() }
        #expect(misreadings(of: bytes, before: Self.neighbour, Self.read) == [])
    }
}
