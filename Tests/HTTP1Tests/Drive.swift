// SPDX-License-Identifier: MIT
import Bytes
import HTTP1
import TestSupport
import Testing

/// What a parser says about some bytes, with neighbouring body pieces joined, so that runs over
/// different cuts of the same bytes compare equal.
enum Seen: Hashable, CustomStringConvertible {
    case head(RequestHead)
    case response(ResponseHead)
    case body(String)
    case end
    case refused(HTTPError)

    var description: String {
        switch self {
        case .head(let head): "head(\(head.method) \(head.target))"
        case .response(let head): "response(\(head.status))"
        case .body(let text): "body(\(text))"
        case .end: "end"
        case .refused(let error): "refused(\(error))"
        }
    }
}

extension [Seen] {
    mutating func add(_ seen: Seen) {
        if case .body(let more) = seen, case .body(let text)? = last {
            self[count - 1] = .body(text + more)
        } else {
            append(seen)
        }
    }
}

/// Feeds `pieces` as a connection would: consumed bytes are dropped, the rest kept.
func requests(_ pieces: [[UInt8]], limits: HTTPLimits = HTTPLimits()) -> [Seen] {
    var parser = RequestParser(limits: limits)
    var buffer: [UInt8] = []
    var seen: [Seen] = []
    for piece in pieces {
        buffer += piece
        while true {
            do throws(HTTPError) {
                let step = try parser.next(in: buffer.span)
                switch step.event {
                case .needMore: break
                case .head(let head): seen.add(.head(head))
                case .body(let range):
                    seen.add(.body(String(decoding: buffer[range], as: UTF8.self)))
                case .end: seen.add(.end)
                }
                buffer.removeFirst(step.consumed)
                if step.event == .needMore { break }
            } catch {
                seen.add(.refused(error))
                return seen
            }
        }
    }
    return seen
}

func requests(_ text: String, limits: HTTPLimits = HTTPLimits()) -> [Seen] {
    requests([Array(text.utf8)], limits: limits)
}

/// The same for responses; `closes` tells the parser at last that the peer closed.
func responses(
    _ pieces: [[UInt8]], method: String = "GET", limits: HTTPLimits = HTTPLimits(),
    closes: Bool = false
) -> [Seen] {
    var parser = ResponseParser(limits: limits)
    parser.requestMethod = method
    var buffer: [UInt8] = []
    var seen: [Seen] = []
    do throws(HTTPError) {
        for piece in pieces {
            buffer += piece
            reading: while true {
                let step = try parser.next(in: buffer.span)
                switch step.event {
                case .needMore: break
                case .head(let head): seen.add(.response(head))
                case .body(let range):
                    seen.add(.body(String(decoding: buffer[range], as: UTF8.self)))
                case .end: seen.add(.end)
                }
                buffer.removeFirst(step.consumed)
                if step.event == .needMore { break reading }
            }
        }
        if closes {
            try parser.finish()
            seen.add(.end)
        }
    } catch {
        seen.add(.refused(error))
    }
    return seen
}

/// What comes of `text`, wherever it is cut and whatever it is glued to.
func requestsEverywhere(
    _ text: String, limits: HTTPLimits = HTTPLimits(),
    sourceLocation: SourceLocation = #_sourceLocation
) -> [Seen] {
    let neighbour = Array("GET /b HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
    let bytes = Array(text.utf8)
    let whole = requests([bytes], limits: limits)
    #expect(
        misreadings(of: bytes, before: neighbour, behind: whole.last == .end ? neighbour : nil) {
            requests($0, limits: limits)
        } == [], sourceLocation: sourceLocation)
    return whole
}

/// The same for responses to requests of a method.
func responsesEverywhere(
    _ text: String, method: String = "GET", limits: HTTPLimits = HTTPLimits(),
    sourceLocation: SourceLocation = #_sourceLocation
) -> [Seen] {
    let neighbour = Array("HTTP/1.1 204 \r\n\r\n".utf8)
    let bytes = Array(text.utf8)
    let whole = responses([bytes], method: method, limits: limits)
    #expect(
        misreadings(of: bytes, before: neighbour, behind: whole.last == .end ? neighbour : nil) {
            responses($0, method: method, limits: limits)
        } == [], sourceLocation: sourceLocation)
    return whole
}

/// Why a request is refused, everywhere alike; nil when it is taken.
func refusal(_ text: String, limits: HTTPLimits = HTTPLimits()) -> HTTPError? {
    if case .refused(let error)? = requestsEverywhere(text, limits: limits).last { return error }
    return nil
}

/// The one request that `text` is.
func head(_ text: String) -> RequestHead? {
    if case .head(let head)? = requestsEverywhere(text).first { return head }
    return nil
}

// MARK: Requests as text

/// A GET with some field lines behind `Host`.
func get(_ fields: String = "", target: String = "/") -> String {
    "GET \(target) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"
}

/// A POST with a field line, and a body.
func post(_ field: String, _ body: String = "") -> String {
    "POST / HTTP/1.1\r\nHost: h\r\n\(field)\r\n\r\n\(body)"
}

/// A POST in chunks.
func chunked(_ body: String) -> String { post("Transfer-Encoding: chunked", body) }
