// SPDX-License-Identifier: MIT
import Bytes
import EngineIO
import Testing
import Timing

/// The rules of Engine.IO protocol 4 that a codec and a session can hold to by themselves, each by the
/// section of the protocol document.
@Suite struct EngineProtocolTests {
    static let start = Instant(nanoseconds: 0)

    static func session(_ transport: Transport) -> EngineSession {
        EngineSession(transport: transport, configuration: EngineConfiguration(), now: start)
    }

    @Test(
        "Engine.IO 4, Protocol: the seven packet types are the digits 0 to 6, all other bytes are refused"
    )
    func packetTypes() {
        for byte in UInt8.min...UInt8.max {
            let bytes = [byte, 0x61]
            let type = (try? EngineCodec.decodeText(bytes.span))?.type
            #expect(type?.rawValue == ((0x30...0x36).contains(byte) ? byte : nil))
        }
        #expect(throws: EngineError.emptyPacket) { _ = try EngineCodec.decodeText([UInt8]().span) }
    }

    @Test(
        "Engine.IO 4, HTTP long-polling: packets are joined by U+001E, binary is b and base64 without a 4"
    )
    func payloads() {
        #expect(
            PollPayloadTests.read("4hello\u{1E}2\u{1E}4world") == [
                .text(.message, "hello"), .text(.ping, ""), .text(.message, "world"),
            ])
        #expect(
            PollPayloadTests.read("4hello\u{1E}bAQIDBA==") == [
                .text(.message, "hello"), .binary([1, 2, 3, 4]),
            ])
        #expect(PollPayloadTests.read("b4AQIDBA==").last == .refused(.malformedBase64))
    }

    @Test("Engine.IO 4, HTTP long-polling: what is written is read, packet for packet")
    func roundTrip() {
        var writer = PollPayloadWriter()
        var body: [UInt8] = []
        var expected: [PollPacket] = []
        for index in 0..<40 {
            if index % 3 == 0 {
                writer.binary([UInt8](repeating: UInt8(index), count: index).span, into: &body)
                expected.append(.binary([UInt8](repeating: UInt8(index), count: index)))
            } else {
                writer.text(.message, Array("é\(index)".utf8).span, into: &body)
                expected.append(.text(.message, "é\(index)"))
            }
        }
        #expect(PollPayloadTests.read(body) == expected)
    }

    @Test(
        "Engine.IO 4, HTTP long-polling: a malformed packet refuses the body; those before it stand"
    )
    func malformed() {
        for bad in ["", "abc", "7", "b*", "\u{1E}"] {
            #expect(PollPayloadTests.read("4a\u{1E}" + bad).first == .text(.message, "a"))
            if case .refused? = PollPayloadTests.read("4a\u{1E}" + bad).last {
            } else {
                Issue.record("\(bad) was taken")
            }
        }
    }

    @Test("Engine.IO 4, Heartbeat: the server pings, and a ping of the client's closes")
    func heartbeat() {
        var session = Self.session(.websocket)
        let ours = session.timePassed(now: session.nextDeadline)
        let pong = session.received(.pong, isProbePayload: false, from: .current, now: Self.start)
        let theirs = session.received(.ping, isProbePayload: false, from: .current, now: Self.start)
        #expect(ours == .sendPing && pong == .nothing && theirs == .close(.protocolError))
    }

    @Test(
        "Engine.IO 4, Heartbeat: no pong within pingTimeout closes, a nanosecond before it does not"
    )
    func heartbeatTimeout() {
        var session = Self.session(.polling)
        let ping = session.nextDeadline
        let sent = session.timePassed(now: ping)
        let last = session.nextDeadline
        #expect(sent == .sendPing && last == ping + EngineConfiguration().pingTimeout)
        let before = session.timePassed(now: Instant(nanoseconds: last.nanoseconds - 1))
        let after = session.timePassed(now: last)
        #expect(before == .nothing && after == .close(.pingTimeout))
    }

    @Test(
        "Engine.IO 4, Upgrade: 2probe, 3probe, 5; anything else closes the probe and not the session"
    )
    func upgrade() {
        for type in EnginePacketType.allCases {
            for payload in [true, false] {
                var session = Self.session(.polling)
                let opened = session.probeOpened(now: Self.start)
                #expect(opened)
                let step = session.received(
                    type, isProbePayload: payload, from: .probe, now: Self.start)
                guard type == .ping, payload else {
                    #expect(
                        step == .closeProbe && session.transport == .polling && !session.isProbing)
                    continue
                }
                #expect(step == .confirmProbe)
                let second = session.received(
                    .upgrade, isProbePayload: false, from: .probe, now: Self.start)
                #expect(second == .completeUpgrade && session.transport == .websocket)
                let again = session.probeOpened(now: Self.start)
                #expect(!again, "a second WebSocket for an upgraded session is closed")
            }
        }
    }

    @Test(
        "Engine.IO 4, Upgrade: a probe that takes longer than upgradeTimeout is closed, the session goes on"
    )
    func upgradeTimeout() {
        var session = Self.session(.polling)
        _ = session.probeOpened(now: Self.start)
        let step = session.timePassed(now: Self.start + EngineConfiguration().upgradeTimeout)
        #expect(step == .closeProbe && session.transport == .polling)
    }

    @Test(
        "Engine.IO 4, Query: EIO, transport and sid are read once, the first one counts; transport twice is none"
    )
    func queries() {
        #expect(
            EngineQuery.parse("EIO=4&EIO=3&transport=polling&sid=a&sid=b")
                == EngineQuery(protocolVersion: "4", transport: .polling, sid: "a"))
        #expect(EngineQuery.parse("transport=polling&transport=websocket").hasUnknownTransport)
        #expect(EngineQuery.parse("&&=&t=1&sid=%41%zz&x").sid == "A%zz")
    }
}
