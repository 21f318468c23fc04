// SPDX-License-Identifier: MIT
internal import Bytes

/// The top level of one JSON object as ranges into its bytes: the hot path's view of a payload. The
/// whole text is checked, nothing is copied or decoded but what is asked for.
///
/// Shape: ranges are offsets into the buffer that was sliced, which must still hold the same bytes
/// whenever a field is read.
package struct JSONObjectSlices: Sendable {
    /// Name (quotes included) and value of each member, in turn. Eight members, more than a chat's
    /// request has, allocate nothing.
    private var ranges = RangeList()

    /// Slices `bytes[range]`, which must be one JSON object and nothing else.
    /// - Throws: `JSONError.syntax` when it is anything else; `tooDeep` past 32 levels.
    package init(_ bytes: Span<UInt8>, in range: Range<Int>) throws(JSONError) {
        let text = bytes.extracting(0..<range.upperBound)
        var scanner = JSONScanner(at: range.lowerBound)
        guard try scanner.peekKind(in: text) == .object else {
            throw .syntax(offset: range.lowerBound)
        }
        try scanner.object(in: text) { (name, scanner) throws(JSONError) in
            ranges.append(name)
            ranges.append(try scanner.value(in: text))
        }
        try scanner.end(in: text)
    }

    /// Members there are, repeated ones too.
    package var count: Int { ranges.count / 2 }

    /// The ranges of one member's name, quotes included, and of its value.
    package func member(_ index: Int) -> (name: Range<Int>, value: Range<Int>) {
        (ranges[2 * index], ranges[2 * index + 1])
    }

    /// The range of the value of a member, the last one where a name is repeated (what
    /// `JSON.parse` answers). Names written with escapes are not matched.
    package func range(_ name: StaticString, in bytes: Span<UInt8>) -> Range<Int>? {
        var index = ranges.count - 2
        while index >= 0 {
            let written = ranges[index]
            let inner = written.lowerBound + 1..<written.upperBound - 1
            if bytes.extracting(inner).equals(name) { return ranges[index + 1] }
            index -= 2
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
