// SPDX-License-Identifier: MIT
import Glibc
import HTTP1
import HTTPServer
import Metrics
import Reactor
import TestSupport
import Testing
import WebSocket

/// Broadcasts over real sockets, with a ring and without: the bytes that arrive must not tell which.
@Suite struct SendBatchTests {
    /// One server of one loop whose connections are all told the same.
    private final class Tower {
        let server: Server
        private let metrics = MetricsRegistry()
        private var clients: [RawClient] = []

        init(_ batches: SendBatches, clients count: Int, receiveBuffer: Int32? = nil) throws {
            var configuration = ServerConfiguration(port: 0, loops: 1, workers: 1)
            configuration.sendBatches = batches
            configuration.maxConnectionsPerAddress = nil
            server = Server(
                configuration, router: Router(), metrics: metrics,
                streams: { BroadcastStreams($0) })
            try server.start()
            for _ in 0..<count {
                let client = RawClient(port: server.port, receiveBuffer: receiveBuffer)
                client.send(
                    """
                    GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
                    """)
                _ = client.read(until: "\r\n\r\n")
                clients.append(client)
            }
        }

        deinit { server.stop() }

        func ask(_ command: String) {
            var frame: [UInt8] = []
            FrameWriter.write(
                opcode: .text, payload: Array(command.utf8).span, mask: MaskingKey(0x0102_0304),
                into: &frame)
            clients[0].send(frame)
        }

        subscript(index: Int) -> RawClient { clients[index] }
        var count: Int { clients.count }

        var batches: Int {
            metrics.exposition().split(separator: "\n")
                .first { $0.hasPrefix("websocket_send_batches_total ") }
                .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }.map { Int($0) }
                ?? 0
        }
    }

    private func read(_ count: Int, from client: RawClient) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = client.read(min(65_536, count - bytes.count))
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }

    /// More connections than the ring has room for.
    @Test(arguments: SendBatches.allCases)
    func everybodyGetsEverythingInOrder(_ batches: SendBatches) throws {
        let tower = try Tower(batches, clients: 600)
        tower.ask("all")
        for index in 0..<tower.count {
            let expected = BroadcastStreams.pieces.flatMap { $0 } + Array("own".utf8)
            #expect(read(expected.count, from: tower[index]) == expected, "client \(index)")
        }
        // Two sends each: one by reference, one gathered.
        #expect(batches == .off ? tower.batches == 0 : tower.batches >= 2)
    }

    /// What a full socket does not take is sent when it is read, before what was queued behind it.
    @Test(arguments: SendBatches.allCases)
    func whatTheKernelLeavesKeepsItsPlace(_ batches: SendBatches) throws {
        let tower = try Tower(batches, clients: 3, receiveBuffer: 4096)
        tower.ask("large")
        let expected = BroadcastStreams.large + BroadcastStreams.large + Array("end".utf8)
        for index in 0..<tower.count {
            #expect(read(expected.count, from: tower[index]) == expected, "client \(index)")
        }
    }

    /// A connection that ends while its send waits gets it before, and nobody gets its descriptor's.
    @Test(arguments: SendBatches.allCases)
    func aConnectionMayEndInTheMiddle(_ batches: SendBatches) throws {
        let tower = try Tower(batches, clients: 8)
        tower.ask("end odd")
        let piece = BroadcastStreams.pieces[0]
        for index in 0..<tower.count {
            #expect(read(piece.count, from: tower[index]) == piece, "client \(index)")
            if index % 2 == 1 { #expect(tower[index].readToEnd().isEmpty) }
        }
        tower.ask("all")
        for index in stride(from: 0, to: tower.count, by: 2) {
            let expected = BroadcastStreams.pieces.flatMap { $0 } + Array("own".utf8)
            #expect(read(expected.count, from: tower[index]) == expected, "client \(index)")
        }
    }
}

/// Tells all its connections what one of them asks for. What it sends need not be frames.
private final class BroadcastStreams: StreamHandler, WebSocketDelegate {
    static let pieces: [[UInt8]] = [
        Array("first".utf8), Array("second ".utf8), [UInt8](repeating: 7, count: 5000),
    ]
    static let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    private let server: LoopServer
    private var channels: [WebSocketChannel] = []

    init(_ server: LoopServer) { self.server = server }

    func claims(path: String) -> Bool { true }

    func accept(_ exchange: Exchange) {
        if let channel = exchange.upgrade(deflate: nil, delegate: self) { channels.append(channel) }
    }

    func received(text: Span<UInt8>, on channel: WebSocketChannel) {
        let command = String(decoding: text.withUnsafeBufferPointer { Array($0) }, as: UTF8.self)
        let pieces = BroadcastStreams.pieces.map { SharedBytes($0) }
        let large = SharedBytes(BroadcastStreams.large)
        server.batchingSends {
            for (index, channel) in channels.enumerated() {
                switch command {
                case "large":
                    channel.sendNow(frames: large, 0..<large.count)
                    channel.sendNow(frames: [large])
                    channel.send(frames: Array("end".utf8))
                case "end odd":
                    channel.sendNow(frames: pieces[0], 0..<pieces[0].count)
                    if index % 2 == 1 { channel.abort() }
                default: channel.sendNow(frames: pieces[0], 0..<pieces[0].count)
                }
            }
        }
        if command == "all" {
            server.batchingSends {
                for channel in channels { channel.sendNow(frames: Array(pieces[1...])) }
            }
            for channel in channels { channel.send(frames: Array("own".utf8)) }
        }
    }

    func received(binary: Span<UInt8>, on channel: WebSocketChannel) {}
    func closed(_ channel: WebSocketChannel, code: UInt16?) {
        channels.removeAll { $0 === channel }
    }
    func drained(_ channel: WebSocketChannel) {}
    func turnEnds() {}
    func drain() {}
    func end() {}
}
