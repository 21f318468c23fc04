// SPDX-License-Identifier: MIT
internal import Bytes
internal import WebSocket

extension WebSocketChannel {
    /// Bytes given to the parser in one go where they may be compressed, and inflate to a thousand times
    /// as many.
    private static let inflatedBytes = 128

    /// Whether what arrives may be compressed.
    var inflates: Bool { codec?.inflates ?? false }

    /// Bytes kept of a message that is not whole yet.
    var heldBytes: Int { codec?.receiver.heldBytes ?? 0 }

    /// One step of the frames; payloads are unmasked in place.
    /// - Returns: bytes used up; nil when more are needed, or none are wanted any more.
    func parse(_ bytes: UnsafeMutableRawBufferPointer) -> Int? {
        var window =
            inflates ? min(bytes.count, WebSocketChannel.inflatedBytes) : bytes.count
        while true {
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[..<window])
            if let used = step(part) { return used }
            // A header at the window's end, or a message that is given where it lies, needs more of it.
            guard window < bytes.count, !isClosing else { return nil }
            window = min(2 * window, bytes.count)
        }
    }

    private func step(_ bytes: UnsafeMutableRawBufferPointer) -> Int? {
        guard let server = connection?.server else { return nil }
        let codec = codec ?? server.lendCodec()
        self.codec = codec
        defer {
            if codec.isFree {
                self.codec = nil
                server.takeBack(codec)
            }
        }
        do {
            var writable = MutableSpan<UInt8>(_unsafeBytes: bytes)
            let step = try codec.receiver.next(in: &writable)
            let read = Span<UInt8>(_unsafeBytes: UnsafeRawBufferPointer(bytes))
            switch step.event {
            case .needMore: return step.consumed > 0 ? step.consumed : nil
            case .text(.range(let range)):
                delegate?.received(text: read.extracting(range), on: self)
            case .text(.assembled(let message)):
                delegate?.received(text: message.span, on: self)
            case .binary(.range(let range)):
                delegate?.received(binary: read.extracting(range), on: self)
            case .binary(.assembled(let message)):
                delegate?.received(binary: message.span, on: self)
            case .ping(let range):
                var frame: [UInt8] = []
                FrameWriter.write(opcode: .pong, payload: read.extracting(range), into: &frame)
                if !isClosing { connection?.enqueue(frame) }
            case .pong: break
            case .close(let code, _):
                answerClose(code)
                return nil
            }
            return step.consumed
        } catch {
            close(code: error.closeCode)
            return nil
        }
    }

    /// The peer's close frame is answered with its own code (RFC 6455 §5.5.1).
    private func answerClose(_ code: UInt16?) {
        guard let connection else { return }
        if !isClosing {
            var frame: [UInt8] = []
            if let code {
                FrameWriter.close(code: code, reason: "", into: &frame)
            } else {
                let nothing: [UInt8] = []
                FrameWriter.write(opcode: .close, payload: nothing.span, into: &frame)
            }
            connection.enqueue(frame)
        }
        end(connection, code: code)
    }
}
