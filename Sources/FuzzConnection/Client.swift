// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import HTTP1
internal import SocketIO
internal import WebSocket

/// Reads all that a server wrote as a strict client does; whatever it refuses is the server's fault.
struct Client {
    private let deflates: Bool

    init(_ deflates: Bool) { self.deflates = deflates }

    func read(_ server: StackedConnection) {
        var rest = server.written
        var parser = ResponseParser()
        for method in server.answered {
            parser.requestMethod = method
            var isSwitched = false
            exchange: while true {
                guard let step = try? parser.next(in: rest.span) else {
                    preconditionFailure("a response breaks HTTP")
                }
                rest.removeFirst(step.consumed)
                switch step.event {
                case .needMore: preconditionFailure("a response was cut")
                case .head(let head):
                    if head.status == 101 {
                        isSwitched = true
                        break exchange
                    }
                case .body: break
                case .end: break exchange
                }
            }
            if isSwitched { return readFrames(&rest, server.deflate) }
        }
        precondition(rest.isEmpty, "nothing is written behind the last answer")
    }

    private func readFrames(_ rest: inout [UInt8], _ deflate: DeflateParameters?) {
        precondition(deflate == nil || deflates)
        var receiver = MessageReceiver(
            role: .client, limits: WebSocketLimits(maxMessageBytes: 65_536), deflate: deflate)
        while true {
            var span = rest.mutableSpan
            guard let step = try? receiver.next(in: &span) else {
                preconditionFailure("a frame breaks RFC 6455")
            }
            if case .text(.range(let range)) = step.event {
                let text = Array(rest[range])
                guard let packet = try? EngineCodec.decodeText(text.span) else {
                    preconditionFailure("a packet breaks Engine.IO")
                }
                if packet.type == .message {
                    var decoder = SocketDecoder()
                    let message = text.span.extracting(packet.payload)
                    precondition(
                        (try? decoder.text(message)) != nil, "a packet breaks Socket.IO")
                }
            }
            rest.removeFirst(step.consumed)
            if step.event == .needMore { break }
        }
        precondition(rest.isEmpty && !receiver.isInsideMessage, "whole frames are written")
    }
}
