// SPDX-License-Identifier: MIT

/// What a call of `RequestParser.next` found.
package struct RequestStep: Hashable, Sendable {
    /// Bytes at the front of the span that are done with: drop them before the next call. For `.body`
    /// it reaches to the end of the range, so use the range first.
    package var consumed: Int
    package var event: Event

    package enum Event: Hashable, Sendable {
        /// Nothing more can be said before more bytes arrive behind the unconsumed ones.
        case needMore
        /// A request begins.
        case head(RequestHead)
        /// The next bytes of its body, as offsets into the span passed.
        case body(Range<Int>)
        /// The request is whole; the next call begins the next one of the pipeline.
        case end
    }
}

/// Reads the requests of one connection (RFC 9112), one step at a time, pipelined ones included.
///
/// ```
/// requestLine ──line──► fields ──empty line──► body(n) ──n read──► end ──► requestLine
///                                  ├─────────► chunked ──last chunk─► end
///                                  └─────────► end
/// ```
/// All moves are made in `next`. Each request gives one `.head`, any number of `.body`, one `.end`; call
/// again after every step but `.needMore`, also when no bytes are left. After an error the parser is
/// spent: framing is lost, so answer and close.
///
/// Holds at most one field section; an unfinished line stays in the caller's buffer, which therefore
/// needs room for `maxRequestLineBytes` or `maxFieldBytes`, whichever is greater, and two bytes more.
package struct RequestParser: Sendable {
    private enum Stage { case requestLine, fields, body, chunked, end }

    private let limits: HTTPLimits
    private var stage = Stage.requestLine
    private var emptyLines = 0
    private var scanner = LineScanner()
    private var line: RequestLine?
    private var section = FieldSection()
    /// Body bytes still to come when framed by length.
    private var remaining = 0
    private var chunks = ChunkedDecoder()
    private var maxBodyBytes: Int

    /// A parser at the start of a connection.
    package init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
        maxBodyBytes = limits.maxBodyBytes
    }

    /// Whether the parser stands between requests: closing now cuts nothing short.
    package var isIdle: Bool { stage == .requestLine && emptyLines == 0 }

    /// The request line of a request that was refused behind it, before its head was whole.
    package var refusedLine: (method: String, path: String, query: String)? {
        line.map { ($0.method, $0.path, $0.query) }
    }

    /// Lowers the body limit for the request whose head was just given: for a route that takes less
    /// than the server as a whole.
    /// - Throws: `bodyTooLarge` when the length declared is more already.
    package mutating func limitBody(to maxBytes: Int) throws(HTTPError) {
        maxBodyBytes = min(maxBodyBytes, maxBytes)
        if stage == .body, remaining > maxBodyBytes { throw .bodyTooLarge }
    }

    /// Reads on. `bytes` begins with the first byte not consumed by the calls before.
    /// - Throws: `HTTPError`, as soon as the bytes so far show it, wherever they are cut.
    package mutating func next(in bytes: Span<UInt8>) throws(HTTPError) -> RequestStep {
        var offset = 0
        while true {
            switch stage {
            case .requestLine:
                switch try scanner.next(
                    in: bytes, from: offset, limit: limits.maxRequestLineBytes)
                {
                case .needMore: return RequestStep(consumed: offset, event: .needMore)
                case .tooLong: throw .requestLineTooLong
                case .line(let range, let next):
                    offset = next
                    if range.isEmpty {
                        guard emptyLines < limits.maxEmptyLines else { throw .malformedRequestLine }
                        emptyLines += 1
                    } else {
                        line = try RequestLine(bytes.extracting(range))
                        stage = .fields
                    }
                }
            case .fields:
                switch try section.next(in: bytes, from: offset, limits: limits) {
                case .needMore(let consumed):
                    return RequestStep(consumed: consumed, event: .needMore)
                case .end(let consumed):
                    return RequestStep(consumed: consumed, event: .head(try finishHead()))
                }
            case .body:
                guard remaining > 0 else {
                    stage = .end
                    continue
                }
                let count = min(remaining, bytes.count - offset)
                guard count > 0 else { return RequestStep(consumed: offset, event: .needMore) }
                remaining -= count
                return RequestStep(
                    consumed: offset + count, event: .body(offset..<offset + count))
            case .chunked:
                switch try chunks.next(
                    in: bytes, from: offset, limits: limits, maxBodyBytes: maxBodyBytes)
                {
                case .needMore(let consumed):
                    return RequestStep(consumed: consumed, event: .needMore)
                case .data(let range):
                    return RequestStep(consumed: range.upperBound, event: .body(range))
                case .end(let consumed):
                    offset = consumed
                    stage = .end
                }
            case .end:
                stage = .requestLine
                emptyLines = 0
                maxBodyBytes = limits.maxBodyBytes
                return RequestStep(consumed: offset, event: .end)
            }
        }
    }

    private mutating func finishHead() throws(HTTPError) -> RequestHead {
        guard let line else { preconditionFailure("fields are read behind a request line only") }
        let head = try RequestHead(
            line: line, fields: section.fields, maxBodyBytes: maxBodyBytes)
        self.line = nil
        section = FieldSection()
        switch head.framing {
        case .none: stage = .end
        case .length(let count): (stage, remaining) = (.body, count)
        case .chunked: (stage, chunks) = (.chunked, ChunkedDecoder())
        }
        return head
    }
}
