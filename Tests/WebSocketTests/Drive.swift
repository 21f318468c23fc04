// SPDX-License-Identifier: MIT
import Bytes
import TestSupport
import Testing
import WebSocket

/// What a receiver says about some bytes, without regard to where the payload lies.
enum Got: Hashable {
    case text(String)
    case binary([UInt8])
    case ping(String)
    case pong(String)
    case close(UInt16?, String)
    case failed(WebSocketError)
}

/// Feeds `pieces` as a connection would: consumed bytes are dropped, the rest kept.
func receive(
    _ pieces: [[UInt8]], role: Role = .client, limits: WebSocketLimits = WebSocketLimits(),
    deflate: DeflateParameters? = nil
) -> [Got] {
    var receiver = MessageReceiver(role: role, limits: limits, deflate: deflate)
    return receive(pieces, with: &receiver)
}

func receive(_ pieces: [[UInt8]], with receiver: inout MessageReceiver) -> [Got] {
    var buffer: [UInt8] = []
    var got: [Got] = []
    for piece in pieces {
        buffer += piece
        while true {
            do throws(WebSocketError) {
                var span = buffer.mutableSpan
                let step = try receiver.next(in: &span)
                func text(_ range: Range<Int>) -> String {
                    String(decoding: buffer[range], as: UTF8.self)
                }
                func bytes(_ payload: Payload) -> [UInt8] {
                    switch payload {
                    case .range(let range): Array(buffer[range])
                    case .assembled(let bytes): bytes
                    }
                }
                switch step.event {
                case .needMore: break
                case .text(let payload):
                    got.append(.text(String(decoding: bytes(payload), as: UTF8.self)))
                case .binary(let payload): got.append(.binary(bytes(payload)))
                case .ping(let range): got.append(.ping(text(range)))
                case .pong(let range): got.append(.pong(text(range)))
                case .close(let code, let reason): got.append(.close(code, text(reason)))
                }
                buffer.removeFirst(step.consumed)
                if step.event == .needMore { break }
            } catch {
                got.append(.failed(error))
                return got
            }
        }
    }
    return got
}

/// What comes of frames, wherever they are cut, whatever they are glued to, with and without waiting in
/// place.
func receiveEverywhere(
    _ bytes: [UInt8], role: Role = .client, limits: WebSocketLimits = WebSocketLimits(),
    deflate: DeflateParameters? = nil, sourceLocation: SourceLocation = #_sourceLocation
) -> [Got] {
    var receiver = MessageReceiver(role: role, limits: limits, deflate: deflate)
    let whole = receive([bytes], with: &receiver)
    let hasFailed = if case .failed? = whole.last { true } else { false }
    let goesOn = !hasFailed && !receiver.isClosed && !receiver.isInsideMessage
    let neighbour = frame(.text, "b", mask: role == .server ? MaskingKey(5) : nil)
    var gathered = limits
    gathered.maxInPlaceBytes = 0
    for limits in [limits, gathered] {
        #expect(
            receive([bytes], role: role, limits: limits, deflate: deflate) == whole,
            sourceLocation: sourceLocation)
        #expect(
            misreadings(of: bytes, before: neighbour, behind: goesOn ? neighbour : nil) {
                receive($0, role: role, limits: limits, deflate: deflate)
            } == [], sourceLocation: sourceLocation)
    }
    return whole
}

/// One frame as bytes.
func frame(
    _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, rsv1: Bool = false,
    mask: MaskingKey? = nil
) -> [UInt8] {
    var bytes: [UInt8] = []
    FrameWriter.write(
        opcode: opcode, payload: payload.span, isFinal: isFinal, rsv1: rsv1, mask: mask,
        into: &bytes)
    return bytes
}

func frame(
    _ opcode: Opcode, _ payload: String, isFinal: Bool = true, rsv1: Bool = false,
    mask: MaskingKey? = nil
) -> [UInt8] {
    frame(opcode, Array(payload.utf8), isFinal: isFinal, rsv1: rsv1, mask: mask)
}
