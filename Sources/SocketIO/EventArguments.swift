// SPDX-License-Identifier: MIT
package import Bytes
internal import JSON

/// The payload of an event or ack taken apart, as ranges into its bytes: arguments stay JSON until the
/// domain needs a field.
package enum EventArguments {
    /// Where each argument stands. Up to sixteen, far more than the chat's own events have, allocate
    /// nothing.
    package typealias Ranges = RangeList

    /// Names that clients emit to themselves; taking them from a peer would let it fake a connect
    /// (Socket.IO protocol 5, EVENT; the reference parser refuses them).
    package static let reservedNames = [
        "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
    ]

    /// An event's payload, or an ack's, taken apart.
    ///
    /// Shape: ranges are offsets into the packet's bytes.
    package struct Parts: Hashable, Sendable {
        /// The event's name, a string's quotes included; nil for an ack.
        package var name: Range<Int>?
        package var arguments: Ranges

        package init(name: Range<Int>? = nil, arguments: Ranges = []) {
            self.name = name
            self.arguments = arguments
        }
    }

    /// Splits `["name", argument, …]`.
    ///
    /// Shape: ranges are offsets into `bytes`; `name` includes the quotes of a string.
    /// - Throws: `invalidPayload` unless it is an array whose first element is a string or number;
    ///   `reservedEvent`.
    package static func split(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int = 32
    ) throws(SocketError) -> (name: Range<Int>, arguments: Ranges) {
        var parts = Parts()
        let name = try event(bytes, in: range, maxDepth: maxDepth, into: &parts)
        return (name, parts.arguments)
    }

    /// Splits the payload of an ack, `[argument, …]`, which may be empty.
    /// - Throws: `invalidPayload` unless it is an array.
    package static func splitAck(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int = 32
    ) throws(SocketError) -> Ranges {
        var parts = Parts()
        try ack(bytes, in: range, maxDepth: maxDepth, into: &parts)
        return parts.arguments
    }

    /// Takes an event's payload apart and checks its name, which it returns.
    @discardableResult
    static func event(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int, into parts: inout Parts
    ) throws(SocketError) -> Range<Int> {
        try walk(bytes, in: range, maxDepth: maxDepth) { element in
            if parts.name == nil { parts.name = element } else { parts.arguments.append(element) }
        }
        guard let name = parts.name else { throw .invalidPayload }
        try check(name: bytes.extracting(name))
        return name
    }

    /// Takes an ack's payload apart.
    static func ack(
        _ bytes: Span<UInt8>, in range: Range<Int>, maxDepth: Int, into parts: inout Parts
    ) throws(SocketError) {
        try walk(bytes, in: range, maxDepth: maxDepth) { parts.arguments.append($0) }
    }

    /// Calls `body` with the range of each element of the one array that `bytes[range]` must be.
    private static func walk(
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
