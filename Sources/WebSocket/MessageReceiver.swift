// SPDX-License-Identifier: MIT
internal import Bytes

/// The payload of one message, unmasked and inflated.
package enum Payload: Hashable, Sendable {
    /// It stands at this range of the span passed.
    case range(Range<Int>)
    /// It came in fragments, compressed, or too long to wait for in the buffer.
    case assembled([UInt8])
}

/// What a call of `MessageReceiver.next` found.
package struct ReceiveStep: Hashable, Sendable {
    /// Bytes at the front of the span that are done with: drop them before the next call, after the event's
    /// range was used. What is left must come again unchanged, since part of it may be unmasked.
    package var consumed: Int
    package var event: Event

    package enum Event: Hashable, Sendable {
        /// Nothing more can be said before more bytes arrive behind the unconsumed ones.
        case needMore
        /// A text message, well-formed UTF-8.
        case text(Payload)
        /// A binary message.
        case binary(Payload)
        /// A ping: answer with a pong of the same payload (RFC 6455 §5.5.2).
        case ping(Range<Int>)
        /// A pong.
        case pong(Range<Int>)
        /// The peer closes. Answer with a close frame of the same code, unless one was sent already. Bytes
        /// behind it are consumed unread (§5.5.1).
        case close(code: UInt16?, reason: Range<Int>)
    }
}

/// Puts the frames of one peer together to messages (RFC 6455 §5, RFC 7692 §7.2.2), one step at a time.
///
/// ```
///            ┌──────────────────── control frame, read whole ──────────────────┐
///            ▼                                                                 │
/// header ──begin──► payload ──all read, final──► (message) ──► header ─────────┘
///    ▲                 └─────all read, not final──► header (message under way)
///    └── close frame ──► closed: the rest is consumed unread
/// ```
/// `begin` checks a header against the message under way; `readControl`, `readInPlace` and `gather` read the
/// three kinds of payload. Not `Sendable`: it belongs to the loop of its connection, and copies would share
/// one inflater.
///
/// Everything is checked as early as bytes allow: text fails at its first bad byte, also inside compressed
/// data and unfinished frames; a message too big fails at the header that announces it.
package struct MessageReceiver {
    /// The message that fragments are being gathered for.
    private struct Message {
        var opcode: Opcode
        var isCompressed: Bool
        var fragments = 0
        /// Bytes on the wire, those of the frame under way included.
        var wireBytes = 0
    }

    private enum Reading { case control, inPlace, gather }

    private let role: Role
    private let limits: WebSocketLimits
    private let deflate: DeflateParameters?
    private var inflater: Inflater?

    private var frame: FrameHeader?
    private var reading = Reading.control
    /// Bytes of the frame's payload that are unmasked already.
    private var position = 0
    private var message: Message?
    private var assembly: [UInt8] = []
    /// Whether `assembly` still holds the message before, which the caller was given.
    private var isHandedOut = false
    private var validator = UTF8Validator()

    /// The largest buffer that stays for the next message, so that small ones in fragments or compressed
    /// need no memory of their own, and a connection that is idle holds little.
    private static let maxKeptBytes = 4096

    /// Whether nothing more is read: the peer's close frame was, or what cannot be understood.
    package private(set) var isClosed = false

    /// A receiver for a connection just open.
    /// - Parameters:
    ///   - role: which end we are; it decides whether frames must or must not be masked.
    ///   - deflate: what was negotiated; nil without permessage-deflate.
    package init(
        role: Role, limits: WebSocketLimits = WebSocketLimits(), deflate: DeflateParameters? = nil
    ) {
        self.role = role
        self.limits = limits
        self.deflate = deflate
    }

    /// Bytes kept of a message that is not whole yet.
    package var heldBytes: Int { isHandedOut ? 0 : assembly.count }

    /// Lets go of all that is kept: nothing more will be read.
    package mutating func end() {
        isClosed = true
        assembly = []
        inflater = nil
    }

    /// Whether a message or frame is under way, so that an end of the connection would cut it.
    package var isInsideMessage: Bool { frame != nil || message != nil }

    /// Reads on. `bytes` begins with the first byte not consumed by the calls before; payloads in it are
    /// unmasked in place.
    /// - Throws: `WebSocketError`; the receiver is closed then.
    package mutating func next(
        in bytes: inout MutableSpan<UInt8>
    ) throws(WebSocketError) -> ReceiveStep {
        if isClosed { return ReceiveStep(consumed: bytes.count, event: .needMore) }
        do throws(WebSocketError) {
            return try read(in: &bytes)
        } catch {
            end()
            throw error
        }
    }

    private mutating func read(
        in bytes: inout MutableSpan<UInt8>
    ) throws(WebSocketError) -> ReceiveStep {
        var offset = 0
        while true {
            guard let frame else {
                switch try FrameHeader.parse(
                    bytes.span, at: offset, role: role, allowsCompression: deflate != nil)
                {
                case .needMore: return ReceiveStep(consumed: offset, event: .needMore)
                case .header(let header, let payload):
                    try begin(header, available: bytes.count - payload)
                    offset = payload
                }
                continue
            }
            switch reading {
            case .control:
                guard bytes.count - offset >= frame.length else {
                    return ReceiveStep(consumed: offset, event: .needMore)
                }
                let range = offset..<offset + frame.length
                unmask(&bytes, range, frame)
                return try finishControl(frame, bytes.span, range)
            case .inPlace:
                let end = min(bytes.count, offset + frame.length)
                let fresh = offset + position..<end
                unmask(&bytes, fresh, frame)
                if frame.opcode == .text {
                    guard validator.accept(bytes.span.extracting(fresh)) else {
                        throw .invalidUTF8
                    }
                }
                position = end - offset
                guard position == frame.length else {
                    return ReceiveStep(consumed: offset, event: .needMore)
                }
                self.frame = nil
                let event = try finish(frame.opcode, .range(offset..<end))
                return ReceiveStep(consumed: end, event: event)
            case .gather:
                let end = min(bytes.count, offset + frame.length - position)
                let fresh = offset..<end
                unmask(&bytes, fresh, frame)
                try gather(bytes.span.extracting(fresh))
                position += fresh.count
                offset = end
                guard position == frame.length else {
                    return ReceiveStep(consumed: offset, event: .needMore)
                }
                self.frame = nil
                guard frame.isFinal else { continue }
                return ReceiveStep(consumed: offset, event: try finishGathered())
            }
        }
    }

    /// Checks a frame against the message under way and decides how its payload is read.
    private mutating func begin(
        _ header: FrameHeader, available: Int
    ) throws(WebSocketError) {
        if header.opcode.isControl {
            reading = .control
        } else {
            if header.opcode == .continuation {
                guard message != nil else { throw .unexpectedContinuation }
            } else {
                guard message == nil else { throw .interleavedMessage }
            }
            var message =
                message ?? Message(opcode: header.opcode, isCompressed: header.isCompressed)
            let limit = message.isCompressed ? limits.maxCompressedBytes : limits.maxMessageBytes
            guard header.length <= limit - message.wireBytes else { throw .messageTooBig }
            message.wireBytes += header.length
            guard message.fragments < limits.maxFragments else { throw .tooManyFragments }
            message.fragments += 1
            let isAlone = header.isFinal && header.opcode != .continuation
            if isAlone, !header.isCompressed,
                header.length <= limits.maxInPlaceBytes || header.length <= available
            {
                reading = .inPlace
            } else {
                reading = .gather
                self.message = message
                if isHandedOut {
                    // Keeps the memory when the caller has let go of the message, which it mostly has.
                    assembly.removeAll(keepingCapacity: true)
                    isHandedOut = false
                }
                // Not what the header announces: a peer could have us reserve without sending.
                if header.length <= limits.maxInPlaceBytes {
                    assembly.makeRoom(for: header.length)
                }
            }
        }
        frame = header
        position = 0
    }

    private func unmask(
        _ bytes: inout MutableSpan<UInt8>, _ range: Range<Int>, _ frame: FrameHeader
    ) {
        guard let mask = frame.mask, !range.isEmpty else { return }
        bytes.withUnsafeMutableBytes {
            mask.apply(
                to: UnsafeMutableRawBufferPointer(rebasing: $0[range]), position: position)
        }
    }

    /// Adds payload to the message under way.
    private mutating func gather(_ bytes: Span<UInt8>) throws(WebSocketError) {
        guard let message else { preconditionFailure("only a message is gathered") }
        let start = assembly.count
        guard message.isCompressed else {
            assembly.append(bytes)
            return try validate(from: start, message)
        }
        let inflater = takeInflater()
        var failure: WebSocketError?
        bytes.withUnsafeBytes {
            do throws(WebSocketError) {
                try inflater.inflate($0, into: &assembly, limit: limits.maxMessageBytes)
            } catch {
                failure = error
            }
        }
        // What came out before the failure failed first, if it did.
        try validate(from: start, message)
        if let failure { throw failure }
    }

    private mutating func finishGathered() throws(WebSocketError) -> ReceiveStep.Event {
        guard let message else { preconditionFailure("only a message is gathered") }
        if message.isCompressed {
            let start = assembly.count
            let inflater = takeInflater()
            var failure: WebSocketError?
            do throws(WebSocketError) {
                try inflater.finish(into: &assembly, limit: limits.maxMessageBytes)
            } catch {
                failure = error
            }
            try validate(from: start, message)
            if let failure { throw failure }
        }
        self.message = nil
        let payload = Payload.assembled(assembly)
        if assembly.capacity > MessageReceiver.maxKeptBytes {
            assembly = []
        } else {
            isHandedOut = true
        }
        return try finish(message.opcode, payload)
    }

    private mutating func validate(
        from start: Int, _ message: Message
    ) throws(WebSocketError) {
        guard message.opcode == .text else { return }
        // A message too big holds up to 16 KiB past its limit, which nobody asked about.
        let end = min(assembly.count, limits.maxMessageBytes)
        guard start < end else { return }
        var validator = validator
        guard validator.accept(assembly.span.extracting(start..<end)) else {
            throw .invalidUTF8
        }
        self.validator = validator
    }

    private mutating func finish(
        _ opcode: Opcode, _ payload: Payload
    ) throws(WebSocketError) -> ReceiveStep.Event {
        guard opcode == .text else { return .binary(payload) }
        guard validator.isComplete else { throw .invalidUTF8 }
        return .text(payload)
    }

    private mutating func finishControl(
        _ frame: FrameHeader, _ bytes: Span<UInt8>, _ range: Range<Int>
    ) throws(WebSocketError) -> ReceiveStep {
        self.frame = nil
        switch frame.opcode {
        case .ping: return ReceiveStep(consumed: range.upperBound, event: .ping(range))
        case .pong: return ReceiveStep(consumed: range.upperBound, event: .pong(range))
        default: break
        }
        isClosed = true
        assembly = []
        inflater = nil
        guard !range.isEmpty else {
            return ReceiveStep(consumed: bytes.count, event: .close(code: nil, reason: range))
        }
        guard range.count >= 2 else { throw .malformedClose }
        let code = UInt16(bytes[range.lowerBound]) << 8 | UInt16(bytes[range.lowerBound + 1])
        guard CloseCode(rawValue: code).mayBeSent else { throw .invalidCloseCode }
        let reason = range.lowerBound + 2..<range.upperBound
        guard UTF8Validator.isValid(bytes.extracting(reason)) else { throw .invalidUTF8 }
        return ReceiveStep(consumed: bytes.count, event: .close(code: code, reason: reason))
    }

    private mutating func takeInflater() -> Inflater {
        if let inflater { return inflater }
        guard let deflate else { preconditionFailure("RSV1 is refused without deflate") }
        // What the other end was told to keep to when it compresses.
        let made = Inflater(
            windowBits: role == .server
                ? deflate.clientMaxWindowBits : deflate.serverMaxWindowBits,
            resetsAfterMessage: role == .server
                ? deflate.clientNoContextTakeover : deflate.serverNoContextTakeover)
        inflater = made
        return made
    }
}
