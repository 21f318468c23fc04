// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTP1

/// What a parser said, bodies joined, so that runs over different cuts compare equal.
private enum Said: Hashable {
    case request(RequestHead)
    case response(ResponseHead)
    case body([UInt8])
    case end
    case refused(HTTPError)
}

extension [Said] {
    fileprivate mutating func add(_ said: Said) {
        if case .body(let more) = said, case .body(let bytes)? = last {
            self[count - 1] = .body(bytes + more)
        } else {
            append(said)
        }
    }
}

private let limits = HTTPLimits(
    maxRequestLineBytes: 64, maxFields: 8, maxFieldBytes: 256, maxBodyBytes: 512,
    maxChunkExtensionBytes: 32)

private func requests(_ input: [UInt8], piece: Int) -> [Said] {
    var parser = RequestParser(limits: limits)
    var said: [Said] = []
    feed(input, piece: piece, &said) { (bytes: Span<UInt8>) throws(HTTPError) in
        let step = try parser.next(in: bytes)
        switch step.event {
        case .needMore: return (step.consumed, nil)
        case .head(let head): return (step.consumed, .request(head))
        case .body(let range): return (step.consumed, .body(bytes.extracting(range).array()))
        case .end: return (step.consumed, .end)
        }
    }
    return said
}

private func responses(_ input: [UInt8], piece: Int) -> [Said] {
    var parser = ResponseParser(limits: limits)
    var said: [Said] = []
    feed(input, piece: piece, &said) { (bytes: Span<UInt8>) throws(HTTPError) in
        let step = try parser.next(in: bytes)
        switch step.event {
        case .needMore: return (step.consumed, nil)
        case .head(let head): return (step.consumed, .response(head))
        case .body(let range): return (step.consumed, .body(bytes.extracting(range).array()))
        case .end: return (step.consumed, .end)
        }
    }
    return said
}

private func feed(
    _ input: [UInt8], piece: Int, _ said: inout [Said],
    _ next: (Span<UInt8>) throws(HTTPError) -> (consumed: Int, said: Said?)
) {
    var buffer: [UInt8] = []
    var offset = 0
    while offset < input.count {
        let end = min(input.count, offset + piece)
        buffer += input[offset..<end]
        offset = end
        while true {
            do throws(HTTPError) {
                let step = try next(buffer.span)
                buffer.removeFirst(step.consumed)
                guard let event = step.said else { break }
                said.add(event)
            } catch {
                said.add(.refused(error))
                return
            }
        }
    }
}

/// The first byte chooses the cut, the rest is the stream. Cuts must change nothing.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzHTTP1(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let piece = Int(data[0] % 32) + 1
    let input = Array(UnsafeBufferPointer(start: data + 1, count: count - 1))
    precondition(requests(input, piece: piece) == requests(input, piece: .max / 2))
    precondition(responses(input, piece: piece) == responses(input, piece: .max / 2))
    return 0
}
