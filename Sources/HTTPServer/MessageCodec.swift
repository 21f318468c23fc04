// SPDX-License-Identifier: MIT
internal import Bytes
internal import WebSocket

/// What one WebSocket message is read and written with.
///
/// Between messages there is nothing to remember, so each loop has one codec that it lends to whichever
/// channel reads: it stays with the channel only while a message is unfinished. A channel that compresses
/// has one of its own for life, since the messages before are the dictionary for the next.
final class MessageCodec {
    var receiver: MessageReceiver
    /// What was agreed on compression; nil for none.
    private let deflate: DeflateParameters?
    /// For a context of the connection's own. Made at the first message: a window costs more than all
    /// else about a connection.
    private(set) lazy var deflater = deflate.map { MessageDeflater(parameters: $0, role: .server) }
    /// Whether messages compressed for nobody in particular (`LoopServer.deflated`) may be sent here.
    let takesDeflated: Bool

    init(limits: WebSocketLimits, deflate: DeflateParameters? = nil) {
        self.deflate = deflate
        takesDeflated =
            deflate.map { $0.serverNoContextTakeover && $0.serverMaxWindowBits == 15 } ?? false
        receiver = MessageReceiver(role: .server, limits: limits, deflate: deflate)
    }

    /// Whether what arrives may be compressed.
    var inflates: Bool { deflate != nil }

    /// Whether the next message can as well be another channel's.
    var isFree: Bool { deflate == nil && !receiver.isInsideMessage && !receiver.isClosed }
}
