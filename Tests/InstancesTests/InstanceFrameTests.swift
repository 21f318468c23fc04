// SPDX-License-Identifier: MIT
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

    @Test(arguments: frames) func wholeAndCutAnywhere(_ frame: InstanceFrame) throws {
        let bytes = frame.encoded(descriptors: 2)
        for cut in 0...bytes.count {
            var reader = InstanceFrameReader()
            var seen: [InstanceFrame] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                reader.feed(part)
                while let (next, descriptors) = try reader.next() {
                    seen.append(next)
                    #expect(descriptors == 2)
                }
            }
            #expect(seen == [frame], "cut at \(cut)")
        }
    }

    @Test func gluedTogether() throws {
        var reader = InstanceFrameReader()
        reader.feed(Self.frames.flatMap { $0.encoded() })
        var seen: [InstanceFrame] = []
        while let (next, _) = try reader.next() { seen.append(next) }
        #expect(seen == Self.frames)
    }

    @Test func aKindOfANewerVersionIsSkipped() throws {
        var reader = InstanceFrameReader()
        reader.feed([2, 0, 0, 0, 99, 0, 0, 0, 1, 2] + InstanceFrame.beat.encoded())
        #expect(try reader.next()?.0 == .unknown)
        #expect(try reader.next()?.0 == .beat)
    }

    @Test func tooLargeIsRefusedBeforeItComes() {
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
    }
}
