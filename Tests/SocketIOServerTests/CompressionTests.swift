// SPDX-License-Identifier: MIT
import Bytes
import EngineIOServer
import SocketIOServer
import TestSupport
import Testing
import WebSocket

/// A client over WebSocket that shows frames as they came and inflates what is compressed.
private final class FrameClient {
    private let raw: RawClient
    private var receiver: MessageReceiver
    private var unread: [UInt8] = []
    /// The first byte of the frame that the last message came in.
    private(set) var firstByte: UInt8 = 0

    init(port: Int, offers: String?) {
        raw = RawClient(port: port)
        let offer = offers.map { "Sec-WebSocket-Extensions: \($0)\r\n" } ?? ""
        raw.send(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\(offer)"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        let head = raw.read(until: "\r\n\r\n")
        let isAgreed = head.contains("permessage-deflate; server_no_context_takeover")
        receiver = MessageReceiver(
            role: .client,
            deflate: isAgreed
                ? DeflateParameters(serverNoContextTakeover: true, clientNoContextTakeover: true)
                : nil)
        _ = next()
        send("40")
        while let packet = next(), !packet.hasPrefix("42[\"welcome\"]") {}
    }

    func send(_ packet: String) { raw.send(WireClient.frame(packet)) }

    /// The next text message; nil after two seconds of silence, or at the end.
    func next() -> String? {
        while true {
            if unread.count >= 1 { firstByte = unread[0] }
            var bytes = unread
            var span = bytes.mutableSpan
            guard let step = try? receiver.next(in: &span) else { return nil }
            var text: String?
            var isWhole = true
            switch step.event {
            case .text(.range(let range)): text = bytes.span.extracting(range).string()
            case .text(.assembled(let message)): text = message.span.string()
            case .needMore: isWhole = false
            default: break
            }
            unread = Array(bytes[step.consumed...])
            if let text { return text }
            if !isWhole {
                let more = raw.read()
                if more.isEmpty { return nil }
                unread += more
            }
        }
    }
}

@Suite struct CompressionTests {
    private static let offer = "permessage-deflate; client_max_window_bits"

    private func harness() throws -> SocketServerHarness {
        try SocketServerHarness(adjust: { configuration in
            configuration.engine.compresses = true
        })
    }

    @Test func aBroadcastIsCompressedOnceForAllWhoTakeIt() throws {
        let harness = try harness()
        let first = FrameClient(port: harness.port, offers: Self.offer)
        let second = FrameClient(port: harness.port, offers: Self.offer)
        let plain = FrameClient(port: harness.port, offers: nil)
        let before = harness.metric("websocket_deflates_total")
        let text = String(repeating: "say it again ", count: 100)
        first.send("42[\"tell\",\"\(text)\"]")
        let expected = "42[\"told\",\"\(text)\"]"
        #expect(first.next() == expected)
        #expect(first.firstByte == 0xC1)
        #expect(second.next() == expected)
        #expect(second.firstByte == 0xC1)
        #expect(plain.next() == expected)
        #expect(plain.firstByte == 0x81)
        #expect(harness.metric("websocket_deflates_total") == before + 1)
    }

    @Test func whatIsTooShortToGainIsSentAsItIs() throws {
        let harness = try harness()
        let client = FrameClient(port: harness.port, offers: Self.offer)
        client.send("42[\"tell\",1]")
        #expect(client.next() == "42[\"told\",1]")
        #expect(client.firstByte == 0x81)
    }

    @Test func aSmallWindowIsAgreedToAndNotSentTo() throws {
        let harness = try harness()
        let client = FrameClient(
            port: harness.port, offers: "permessage-deflate; server_max_window_bits=9")
        let text = String(repeating: "x", count: 1000)
        client.send("42[\"tell\",\"\(text)\"]")
        #expect(client.next() == "42[\"told\",\"\(text)\"]")
        #expect(client.firstByte == 0x81)
    }
}
