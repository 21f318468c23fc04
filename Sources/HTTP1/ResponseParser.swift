// SPDX-License-Identifier: MIT
internal import Bytes

/// Status line and fields of one response, checked.
package struct ResponseHead: Hashable, Sendable {
    /// 100...999.
    package var status: Int
    /// The reason phrase; empty when there is none.
    package var reason: String
    /// 0 for HTTP/1.0, else 1.
    package var minorVersion: Int
    package var fields: HTTPFields
    /// How the body ends; nil when it ends with the connection.
    package var framing: BodyFraming?
    /// Whether the connection can serve another exchange.
    package var keepAlive: Bool

    /// A head made by hand, as tests do; nothing is checked.
    package init(
        status: Int, reason: String, minorVersion: Int = 1, fields: HTTPFields,
        framing: BodyFraming?, keepAlive: Bool = true
    ) {
        self.status = status
        self.reason = reason
        self.minorVersion = minorVersion
        self.fields = fields
        self.framing = framing
        self.keepAlive = keepAlive
    }
}

/// What a call of `ResponseParser.next` found; `consumed` and the events are those of `RequestStep`.
package struct ResponseStep: Hashable, Sendable {
    package var consumed: Int
    package var event: Event

    package enum Event: Hashable, Sendable {
        case needMore
        case head(ResponseHead)
        case body(Range<Int>)
        case end
    }
}

/// Reads the responses of one connection (RFC 9112), for clients and tests.
///
/// ```
/// statusLine ──line──► fields ──empty line──► body(n) ─────► end ──► statusLine
///                                 ├─────────► chunked ─────► end
///                                 ├─────────► untilClose ──► finish()
///                                 └─────────► end
/// ```
/// An interim response (1xx) is a `.head` and an `.end` of its own before the final one. After a 101 the
/// bytes belong to the protocol switched to, so stop at its `.head`.
package struct ResponseParser: Sendable {
    private enum Stage { case statusLine, fields, body, chunked, untilClose, end }

    private let limits: HTTPLimits
    private var stage = Stage.statusLine
    private var scanner = LineScanner()
    private var line: (status: Int, reason: String, minorVersion: Int)?
    private var section = FieldSection()
    private var remaining = 0
    private var received = 0
    private var chunks = ChunkedDecoder()

    /// The method of the request that the next response answers: one to HEAD has no body whatever its
    /// fields say (RFC 9112 §6.3). Set it before the response's first byte.
    package var requestMethod = "GET"

    /// A parser at the start of a connection.
    package init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

    /// Reads on. `bytes` begins with the first byte not consumed by the calls before.
    /// - Throws: `HTTPError`; the parser is spent then.
    package mutating func next(in bytes: Span<UInt8>) throws(HTTPError) -> ResponseStep {
        var offset = 0
        while true {
            switch stage {
            case .statusLine:
                switch try scanner.next(
                    in: bytes, from: offset, limit: limits.maxRequestLineBytes)
                {
                case .needMore: return ResponseStep(consumed: offset, event: .needMore)
                case .tooLong: throw .malformedStatusLine
                case .line(let range, let next):
                    line = try ResponseParser.statusLine(bytes.extracting(range))
                    offset = next
                    stage = .fields
                }
            case .fields:
                switch try section.next(in: bytes, from: offset, limits: limits) {
                case .needMore(let consumed):
                    return ResponseStep(consumed: consumed, event: .needMore)
                case .end(let consumed):
                    return ResponseStep(consumed: consumed, event: .head(try finishHead()))
                }
            case .body:
                guard remaining > 0 else {
                    stage = .end
                    continue
                }
                let count = min(remaining, bytes.count - offset)
                guard count > 0 else { return ResponseStep(consumed: offset, event: .needMore) }
                remaining -= count
                return ResponseStep(
                    consumed: offset + count, event: .body(offset..<offset + count))
            case .chunked:
                switch try chunks.next(
                    in: bytes, from: offset, limits: limits, maxBodyBytes: limits.maxBodyBytes)
                {
                case .needMore(let consumed):
                    return ResponseStep(consumed: consumed, event: .needMore)
                case .data(let range):
                    return ResponseStep(consumed: range.upperBound, event: .body(range))
                case .end(let consumed):
                    offset = consumed
                    stage = .end
                }
            case .untilClose:
                guard bytes.count > offset else {
                    return ResponseStep(consumed: offset, event: .needMore)
                }
                guard received < limits.maxBodyBytes else { throw .bodyTooLarge }
                let end = offset + min(bytes.count - offset, limits.maxBodyBytes - received)
                received += end - offset
                return ResponseStep(consumed: end, event: .body(offset..<end))
            case .end:
                stage = .statusLine
                received = 0
                return ResponseStep(consumed: offset, event: .end)
            }
        }
    }

    /// Tells the parser that the peer closed and all bytes were read.
    /// - Throws: `truncated` inside a response, unless its body ends with the connection.
    package mutating func finish() throws(HTTPError) {
        guard stage == .statusLine || stage == .untilClose || stage == .end else {
            throw .truncated
        }
        stage = .statusLine
    }

    private mutating func finishHead() throws(HTTPError) -> ResponseHead {
        guard let line else { preconditionFailure("fields are read behind a status line only") }
        let fields = section.fields
        self.line = nil
        section = FieldSection()
        let declared = try BodyFraming.declared(
            by: fields, minorVersion: line.minorVersion,
            maxBodyBytes: requestMethod == "HEAD" || line.status == 304
                ? .max : limits.maxBodyBytes)
        // What follows the answer to a CONNECT that was granted is the tunnel's (RFC 9112 §6.3).
        let isTunnel = requestMethod == "CONNECT" && (200..<300).contains(line.status)
        let hasNoBody =
            requestMethod == "HEAD" || line.status < 200 || line.status == 204
            || line.status == 304 || isTunnel
        let framing: BodyFraming? = hasNoBody ? BodyFraming.none : declared
        switch framing {
        case .some(.none): stage = .end
        case .length(let count): (stage, remaining) = (.body, count)
        case .chunked: (stage, chunks) = (.chunked, ChunkedDecoder())
        case nil: stage = .untilClose
        }
        let staysOpen = line.minorVersion > 0 || fields.lists("connection", token: "keep-alive")
        return ResponseHead(
            status: line.status, reason: line.reason, minorVersion: line.minorVersion,
            fields: fields, framing: framing,
            keepAlive: staysOpen && framing != nil && !fields.lists("connection", token: "close"))
    }

    private static func statusLine(
        _ line: Span<UInt8>
    ) throws(HTTPError) -> (status: Int, reason: String, minorVersion: Int) {
        guard line.count >= 12, line[8] == HTTPCharacter.space else { throw .malformedStatusLine }
        let version = try RequestLine.minorVersion(
            line.extracting(0..<8), orThrow: .malformedStatusLine)
        guard let status = line.extracting(9..<12).decimal(), status >= 100 else {
            throw .malformedStatusLine
        }
        // The space before an empty reason is often left out; nothing hangs on it.
        guard line.count > 12 else { return (status, "", version) }
        guard line[12] == HTTPCharacter.space else { throw .malformedStatusLine }
        for index in 13..<line.count where !HTTPCharacter.isFieldText(line[index]) {
            throw .malformedStatusLine
        }
        return (status, line.extracting(13..<line.count).string(), version)
    }
}
