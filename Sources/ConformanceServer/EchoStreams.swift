// SPDX-License-Identifier: MIT
internal import HTTPServer
internal import WebSocket

/// Profile `echo`: a WebSocket under any path that gives every message back with its type.
final class EchoStreams: StreamHandler {
    /// Room for the largest messages and the most fragments that suites send.
    static func configure(_ configuration: inout ServerConfiguration) {
        configuration.webSocket.maxMessageBytes = 16 * 1024 * 1024
        configuration.webSocket.maxFragments = 2 * 65_536
        // Suites of compression count what comes back compressed, also where that gains nothing.
        configuration.deflateThreshold = 0
    }

    func claims(path: String) -> Bool { true }

    func accept(_ exchange: Exchange) {
        _ = exchange.upgrade(deflate: DeflatePolicy(), delegate: Echo())
    }

    func turnEnds() {}
    func drain() {}
    func end() {}

    private final class Echo: WebSocketDelegate {
        func received(text: Span<UInt8>, on channel: WebSocketChannel) { channel.send(text: text) }
        func received(binary: Span<UInt8>, on channel: WebSocketChannel) {
            channel.send(binary: binary)
        }
        func closed(_ channel: WebSocketChannel, code: UInt16?) {}
        func drained(_ channel: WebSocketChannel) {}
    }
}
