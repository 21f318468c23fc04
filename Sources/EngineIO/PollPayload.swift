// SPDX-License-Identifier: MIT
internal import Bytes

/// Reads the packets of one polling body: text packets joined by U+001E, binary messages as `b` and base64
/// (Engine.IO protocol 4, HTTP long-polling). The body's size is the HTTP layer's to limit; each packet takes
/// at least two bytes of it.
package struct PollPayloadReader: Sendable {
    /// What stands next in the body.
    package enum Step: Hashable, Sendable {
        /// A text packet; the payload's range in the body.
        case packet(EnginePacketType, Range<Int>)
        /// A binary message.
        case binary([UInt8])
        /// The body is read.
        case end
    }

    /// Offset of the next packet; nil behind the last one.
    private var offset: Int? = 0

    /// A reader at the start of a body.
    package init() {}

    /// Reads the next packet. `body` is the same whole body at each call.
    /// - Throws: `EngineError`; the packets read before it stand, the session must be closed.
    package mutating func next(in body: Span<UInt8>) throws(EngineError) -> Step {
        guard let start = offset else { return .end }
        var end = start
        while end < body.count, body[end] != PollPayloadWriter.separator { end += 1 }
        offset = end < body.count ? end + 1 : nil
        let packet = body.extracting(start..<end)
        if packet.count > 0, packet[0] == UInt8(ascii: "b") {
            let text = packet.extracting(1..<packet.count)
            guard let bytes = Base64.decode(text, alphabet: .standard) else {
                throw .malformedBase64
            }
            return .binary(bytes)
        }
        let (type, payload) = try EngineCodec.decodeText(packet)
        guard UTF8Validator.isValid(packet) else { throw .invalidUTF8 }
        return .packet(type, start + payload.lowerBound..<start + payload.upperBound)
    }
}

/// Writes a polling body, packet by packet, into a buffer given to it.
package struct PollPayloadWriter: Sendable {
    /// U+001E, which no JSON text holds unescaped.
    package static let separator: UInt8 = 0x1E

    private var isEmpty = true

    /// A writer at the start of a body.
    package init() {}

    /// Appends a text packet.
    package mutating func text(
        _ type: EnginePacketType, _ payload: Span<UInt8>, into output: inout [UInt8]
    ) {
        separate(&output)
        EngineCodec.encodeText(type, payload, into: &output)
    }

    /// Appends a text packet that has its digit already: what a WebSocket frame would hold.
    package mutating func encoded(_ packet: Span<UInt8>, into output: inout [UInt8]) {
        separate(&output)
        output.append(packet)
    }

    /// Appends a binary message.
    package mutating func binary(_ payload: Span<UInt8>, into output: inout [UInt8]) {
        separate(&output)
        output.append(UInt8(ascii: "b"))
        Base64.encode(payload, alphabet: .standard, into: &output)
    }

    /// Bytes that a text packet adds to a body, its separator included.
    package static func textCount(payloadCount: Int) -> Int { payloadCount + 2 }

    /// Bytes that a binary message adds to a body, its separator included.
    package static func binaryCount(payloadCount: Int) -> Int { (payloadCount + 2) / 3 * 4 + 2 }

    private mutating func separate(_ output: inout [UInt8]) {
        if !isEmpty { output.append(PollPayloadWriter.separator) }
        isEmpty = false
    }
}
