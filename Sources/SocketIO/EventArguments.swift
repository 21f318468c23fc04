// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// The payload of an event or ack taken apart, as ranges into its bytes: arguments stay JSON until the
/// domain needs a field.
package enum EventArguments {
    /// Names that clients emit to themselves; taking them from a peer would let it fake a connect
    /// (Socket.IO protocol 5, EVENT; the reference parser refuses them).
    package static let reservedNames = [
        "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
    ]

    /// Splits `["name", argument, …]`.
    ///
    /// Shape: ranges are offsets into `bytes`; `name` includes the quotes of a string. One allocation, for
    /// the list, when there are arguments.
    /// - Throws: `invalidPayload` unless it is an array whose first element is a string or number;
    ///   `reservedEvent`.
    package static func split(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int = 32
    ) throws(SocketError) -> (name: Range<Int>, arguments: [Range<Int>]) {
        var name: Range<Int>?
        var arguments: [Range<Int>] = []
        try walk(bytes, in: range, maxDepth: maxDepth) { element in
            if name == nil { name = element } else { arguments.append(element) }
        }
        guard let name else { throw .invalidPayload }
        try check(name: bytes.extracting(name))
        return (name, arguments)
    }

    /// Splits the payload of an ack, `[argument, …]`, which may be empty.
    /// - Throws: `invalidPayload` unless it is an array.
    package static func splitAck(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int = 32
    ) throws(SocketError) -> [Range<Int>] {
        var arguments: [Range<Int>] = []
        try walk(bytes, in: range, maxDepth: maxDepth) { arguments.append($0) }
        return arguments
    }

    /// Checks an event's payload without keeping its parts.
    static func check(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int
    ) throws(SocketError) {
        var name: Range<Int>?
        try walk(bytes, in: range, maxDepth: maxDepth) { if name == nil { name = $0 } }
        guard let name else { throw .invalidPayload }
        try check(name: bytes.extracting(name))
    }

    /// Calls `body` with the range of each element of the one array that `bytes[range]` must be.
    static func walk(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int, _ body: (Range<Int>) -> Void
    ) throws(SocketError) {
        let text = bytes.extracting(0..<range.upperBound)
        var scanner = JSONScanner(at: range.lowerBound, maxDepth: maxDepth)
        do throws(JSONError) {
            _ = try scanner.peekKind(in: text)
            try scanner.array(in: text) { (scanner) throws(JSONError) in
                body(try scanner.value(in: text))
            }
            try scanner.end(in: text)
        } catch {
            throw .invalidPayload
        }
    }

    /// Checks that an element can name an event.
    private static func check(name: Span<UInt8>) throws(SocketError) {
        switch name[0] {
        case UInt8(ascii: "\""): break
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return
        default: throw .invalidPayload
        }
        // Nearly all names differ from all reserved ones in their first letter.
        switch name[1] {
        case UInt8(ascii: "c"), UInt8(ascii: "d"), UInt8(ascii: "n"), UInt8(ascii: "r"),
            UInt8(ascii: "\\"):
            guard !reservedNames.contains(JSONString.decode(name)) else { throw .reservedEvent }
        default: break
        }
    }
}
