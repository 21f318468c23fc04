// SPDX-License-Identifier: MIT
internal import Bytes

/// The top level of one JSON object as ranges into its bytes: the hot path's view of a payload. The
/// whole text is checked, nothing is copied or decoded but what is asked for.
///
/// Shape: ranges are offsets into the buffer that was sliced, which must still hold the same bytes
/// whenever a field is read.
package struct JSONObjectSlices: Sendable {
    /// One entry a member: the name's range (quotes included) and the value's.
    package private(set) var members: [(name: Range<Int>, value: Range<Int>)] = []

    /// Slices `bytes[range]`, which must be one JSON object and nothing else.
    /// - Throws: `JSONError.syntax` when it is anything else; `tooDeep` past 32 levels.
    package init(_ bytes: Span<UInt8>, in range: Range<Int>) throws(JSONError) {
        let text = bytes.extracting(range)
        var scanner = JSONScanner()
        guard try scanner.peekKind(in: text) == .object else {
            throw .syntax(offset: range.lowerBound)
        }
        let base = range.lowerBound
        var found: [(name: Range<Int>, value: Range<Int>)] = []
        // One allocation for what events have, instead of one for each doubling on the way.
        found.reserveCapacity(8)
        try scanner.object(in: text) { (name, scanner) throws(JSONError) in
            let value = try scanner.value(in: text)
            found.append(
                (
                    name.lowerBound + base..<name.upperBound + base,
                    value.lowerBound + base..<value.upperBound + base
                ))
        }
        try scanner.end(in: text)
        members = found
    }

    /// The range of the value of a member, the last one where a name is repeated (what
    /// `JSON.parse` answers). Names written with escapes are not matched.
    package func range(_ name: StaticString, in bytes: Span<UInt8>) -> Range<Int>? {
        for member in members.reversed() {
            let inner = member.name.lowerBound + 1..<member.name.upperBound - 1
            if bytes.extracting(inner).equals(name) { return member.value }
        }
        return nil
    }

    /// The member as a string; nil when absent or of another type.
    package func string(_ name: StaticString, in bytes: Span<UInt8>) -> String? {
        guard let range = range(name, in: bytes), bytes[range.lowerBound] == UInt8(ascii: "\"")
        else { return nil }
        return JSONString.decode(bytes.extracting(range))
    }

    /// The member as a non-negative integer; nil when absent or anything else.
    package func count(_ name: StaticString, in bytes: Span<UInt8>) -> Int? {
        range(name, in: bytes).flatMap { bytes.extracting($0).decimal() }
    }

    /// The member as a Boolean; nil when absent or of another type.
    package func bool(_ name: StaticString, in bytes: Span<UInt8>) -> Bool? {
        guard let range = range(name, in: bytes) else { return nil }
        let value = bytes.extracting(range)
        return value.equals("true") ? true : value.equals("false") ? false : nil
    }
}
