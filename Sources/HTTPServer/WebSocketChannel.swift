// SPDX-License-Identifier: MIT
internal import Bytes
internal import WebSocket

/// Gets what arrives on a WebSocket. Called on the connection's loop; spans are valid until return.
package protocol WebSocketDelegate: AnyObject {
    func received(text: Span<UInt8>, on channel: WebSocketChannel)
    func received(binary: Span<UInt8>, on channel: WebSocketChannel)
    /// The last call: the connection is closed or closing, for whatever reason.
    func closed(_ channel: WebSocketChannel, code: UInt16?)
    /// Everything queued is with the kernel, as `tellWhenDrained` asked to hear.
    func drained(_ channel: WebSocketChannel)
}

/// A WebSocket on an event loop: what a delegate sends through, and what the connection is while it
/// speaks no HTTP any more. How it reads is in `WebSocketChannel+Reading`.
package final class WebSocketChannel {
    /// Nil once it has ended. Not weak: each delivery reads it.
    var connection: Connection?
    /// Told of what arrives; nil once `closed` has been called, or to hear no more.
    package var delegate: (any WebSocketDelegate)?
    /// Nil between messages, unless they are compressed.
    var codec: MessageCodec?
    /// Set when our close frame has been queued or the peer's has arrived.
    var isClosing = false
    /// Whether the delegate waits to hear that the queue is empty.
    private var wantsDrained = false

    init(
        connection: Connection, delegate: any WebSocketDelegate, deflate: DeflateParameters?
    ) {
        self.connection = connection
        self.delegate = delegate
        codec = deflate.map {
            MessageCodec(limits: connection.server.configuration.webSocket, deflate: $0)
        }
    }

    /// Whether messages may still be sent.
    package var isOpen: Bool { !isClosing && connection != nil }

    /// Whether messages compressed for nobody in particular (`deflated`) may be sent here.
    package var takesDeflated: Bool { codec?.takesDeflated ?? false }

    /// Bytes that wait because the socket is full: the slow-consumer measure.
    package var queuedBytes: Int { connection?.unsent ?? 0 }

    // MARK: Sending

    /// Queues one text message, compressed where that was agreed; sent at the end of the loop's turn.
    package func send(text: Span<UInt8>) { send(.text, text) }

    /// The same with a byte before the text, in one message.
    package func send(text: Span<UInt8>, behind first: UInt8) {
        guard isOpen else { return }
        if takesDeflated || codec?.deflater != nil {
            var whole: [UInt8] = []
            whole.makeRoom(for: text.count + 1)
            whole.append(first)
            whole.append(text)
            return send(.text, whole.span)
        }
        var frame: [UInt8] = []
        frame.makeRoom(for: text.count + 11)
        FrameWriter.writeHeader(opcode: .text, length: text.count + 1, into: &frame)
        frame.append(first)
        frame.append(text)
        connection?.enqueue(frame)
    }

    /// Queues one binary message, compressed where that was agreed.
    package func send(binary: Span<UInt8>) { send(.binary, binary) }

    private func send(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard isOpen else { return }
        var frame: [UInt8] = []
        if takesDeflated {
            if let compressed = deflated(payload) {
                FrameWriter.write(
                    opcode: opcode, payload: compressed.span, rsv1: true, into: &frame)
            } else {
                FrameWriter.write(opcode: opcode, payload: payload, into: &frame)
            }
        } else if let deflater = codec?.deflater {
            var compressed: [UInt8] = []
            deflater.compress(payload, into: &compressed)
            FrameWriter.write(
                opcode: opcode, payload: compressed.span, rsv1: true, into: &frame)
        } else {
            FrameWriter.write(opcode: opcode, payload: payload, into: &frame)
        }
        connection?.enqueue(frame)
    }

    /// Queues one text message before all others that wait, as it is: a ping must reach who is slow in
    /// time, and what goes past others has no place in a compressor's context.
    package func send(ahead text: Span<UInt8>) {
        guard isOpen else { return }
        var frame: [UInt8] = []
        FrameWriter.write(opcode: .text, payload: text, into: &frame)
        connection?.enqueue(ahead: frame)
    }

    /// Compresses a message with the loop's own deflater, for any channel that `takesDeflated`.
    /// - Returns: the payload of a frame with RSV1 set; nil when the message is too short to gain, or
    ///   does not shrink.
    package func deflated(_ message: Span<UInt8>) -> [UInt8]? {
        connection?.server.deflated(message)
    }

    /// Queues frames that are complete already, header included: the broadcast path.
    package func send(frames: SharedBytes, _ range: Range<Int>) {
        guard isOpen else { return }
        connection?.enqueue(shared: frames, range)
    }

    /// The same where nothing more is to be sent in this turn: given to the kernel at once where nothing
    /// waits before it.
    package func sendNow(frames: SharedBytes, _ range: Range<Int>) {
        guard isOpen else { return }
        connection?.sendNow(frames, range)
    }

    /// The same for several pieces, copied together for one system call.
    package func sendNow(frames: [SharedBytes]) {
        guard isOpen else { return }
        connection?.sendNow(frames)
    }

    /// Queues frames made for this channel alone, header included.
    package func send(frames: [UInt8]) {
        guard isOpen else { return }
        connection?.enqueue(frames)
    }

    /// Has the delegate told, once, when everything queued is with the kernel: at the end of this turn
    /// at the earliest.
    package func tellWhenDrained() {
        guard isOpen else { return }
        wantsDrained = true
        connection?.markDirty()
    }

    /// Everything queued is with the kernel.
    func drained() {
        guard wantsDrained, !isClosing else { return }
        wantsDrained = false
        delegate?.drained(self)
    }

    // MARK: Ending

    /// Starts the close handshake (RFC 6455 §7.1.2) and tells the delegate. The peer gets
    /// `closeTimeout` to answer.
    package func close(code: UInt16, reason: String = "") {
        guard isOpen, let connection else { return }
        var frame: [UInt8] = []
        FrameWriter.close(code: code, reason: reason, into: &frame)
        connection.enqueue(frame)
        end(connection, code: code)
    }

    /// Drops the connection without a word.
    package func abort() { connection?.abort() }

    /// Goes without what has come of a message under way, and ends.
    func refuseMore() {
        close(code: 1013)
        codec = nil
    }

    /// A close frame is queued: nothing more is delivered (RFC 6455 §5.5.1).
    func end(_ connection: Connection, code: UInt16?) {
        isClosing = true
        connection.webSocketEnded()
        tellClosed(code: code)
    }

    /// The connection is gone.
    func connectionClosed() {
        connection = nil
        guard !isClosing else { return }
        isClosing = true
        tellClosed(code: nil)
    }

    private func tellClosed(code: UInt16?) {
        let delegate = delegate
        self.delegate = nil
        delegate?.closed(self, code: code)
    }
}
