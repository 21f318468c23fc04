// SPDX-License-Identifier: MIT
internal import Bytes

/// Why a text is not JSON that we take.
package enum JSONError: Error, Hashable, Sendable {
    /// The text breaks the grammar of RFC 8259 at this byte offset.
    case syntax(offset: Int)
    /// Arrays and objects nest deeper than the limit.
    case tooDeep
    /// An object names one member twice (RFC 8259 §4 leaves the meaning open, so we refuse).
    case duplicateMember(String)
    /// A string that is not well-formed UTF-8.
    case invalidUTF8
}

/// Walks a JSON text once, checking the whole grammar, without building anything. The tree parser and
/// the slicer are both made of it, so there is one grammar in the project. Every call gets the same
/// bytes again: a struct that kept a span could not be passed on without experimental features.
package struct JSONScanner: Sendable {
    /// Offset of the next unread byte.
    package private(set) var offset: Int
    private let maxDepth: Int
    private var depth = 0

    /// - Parameter maxDepth: nesting that is refused when passed; recursion is bounded by it.
    package init(at offset: Int = 0, maxDepth: Int = 32) {
        self.offset = offset
        self.maxDepth = maxDepth
    }

    package enum Kind: Sendable { case null, bool, number, string, array, object }

    /// Skips white space (RFC 8259 §2) and reports what starts here.
    package mutating func peekKind(in bytes: Span<UInt8>) throws(JSONError) -> Kind {
        skipSpace(in: bytes)
        guard offset < bytes.count else { throw .syntax(offset: offset) }
        switch bytes[offset] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw .syntax(offset: offset)
        }
    }

    /// Reads one whole value, checks it, and gives its range without white space around it.
    package mutating func value(in bytes: Span<UInt8>) throws(JSONError) -> Range<Int> {
        let kind = try peekKind(in: bytes)
        let start = offset
        switch kind {
        case .object:
            try object(in: bytes) { (_, scanner) throws(JSONError) in
                _ = try scanner.value(in: bytes)
            }
        case .array:
            try array(in: bytes) { (scanner) throws(JSONError) in _ = try scanner.value(in: bytes) }
        case .string: _ = try string(in: bytes)
        case .number: _ = try number(in: bytes)
        case .bool, .null: try literal(in: bytes)
        }
        return start..<offset
    }

    /// Reads an object; `member` is called with the range of each name (quotes included) while the
    /// scanner stands before the value, which it must read.
    package mutating func object(
        in bytes: Span<UInt8>,
        _ member: (Range<Int>, inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        try open(UInt8(ascii: "{"), in: bytes)
        skipSpace(in: bytes)
        if take(UInt8(ascii: "}"), in: bytes) { return close() }
        while true {
            skipSpace(in: bytes)
            let name = try string(in: bytes)
            skipSpace(in: bytes)
            guard take(UInt8(ascii: ":"), in: bytes) else { throw .syntax(offset: offset) }
            try member(name, &self)
            skipSpace(in: bytes)
            if take(UInt8(ascii: "}"), in: bytes) { return close() }
            guard take(UInt8(ascii: ","), in: bytes) else { throw .syntax(offset: offset) }
        }
    }

    /// Reads an array; `element` is called while the scanner stands before each element.
    package mutating func array(
        in bytes: Span<UInt8>,
        _ element: (inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        try open(UInt8(ascii: "["), in: bytes)
        skipSpace(in: bytes)
        if take(UInt8(ascii: "]"), in: bytes) { return close() }
        while true {
            try element(&self)
            skipSpace(in: bytes)
            if take(UInt8(ascii: "]"), in: bytes) { return close() }
            guard take(UInt8(ascii: ","), in: bytes) else { throw .syntax(offset: offset) }
        }
    }

    /// Reads a string literal and gives its range, quotes included. Escapes are checked for form;
    /// UTF-8 is checked.
    package mutating func string(in bytes: Span<UInt8>) throws(JSONError) -> Range<Int> {
        let start = offset
        guard take(UInt8(ascii: "\""), in: bytes) else { throw .syntax(offset: offset) }
        var isASCII = true
        while true {
            skipPlain(in: bytes, stopsAtNonASCII: isASCII)
            guard offset < bytes.count else { break }
            let byte = bytes[offset]
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                if !isASCII, !UTF8Validator.isValid(bytes.extracting(start..<offset)) {
                    throw .invalidUTF8
                }
                return start..<offset
            case UInt8(ascii: "\\"):
                offset += 1
                guard offset < bytes.count else { throw .syntax(offset: offset) }
                switch bytes[offset] {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
                    UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                    offset += 1
                case UInt8(ascii: "u"):
                    guard bytes.count - offset > 4 else { throw .syntax(offset: bytes.count) }
                    for index in offset + 1...offset + 4 where Hex.value(of: bytes[index]) == nil {
                        throw .syntax(offset: index)
                    }
                    offset += 5
                default: throw .syntax(offset: offset)
                }
            case 0x00..<0x20: throw .syntax(offset: offset)
            default:
                if byte >= 0x80 { isASCII = false }
                offset += 1
            }
        }
        throw .syntax(offset: offset)
    }

    /// Skips characters that mean themselves, eight at a time: chat text is mostly letters. Stands
    /// before one that does not then, or before the last few bytes.
    /// - Parameter stopsAtNonASCII: whether a byte of a character beyond ASCII is to be stopped at.
    private mutating func skipPlain(in bytes: Span<UInt8>, stopsAtNonASCII: Bool) {
        let (ones, tops) = (0x0101_0101_0101_0101 as UInt64, 0x8080_8080_8080_8080 as UInt64)
        let wanted = stopsAtNonASCII ? tops : 0
        bytes.withUnsafeBytes { raw in
            while raw.count - offset >= 8 {
                let word = raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian
                // The top bit of a byte of `(x - n) & ~x` is set where x < n, and perhaps in bytes
                // above such a one: the lowest is true.
                let quote = word ^ ones &* UInt64(UInt8(ascii: "\""))
                let backslash = word ^ ones &* UInt64(UInt8(ascii: "\\"))
                let low =
                    (word &- ones &* 0x20) & ~word | (quote &- ones) & ~quote
                    | (backslash &- ones) & ~backslash
                let special = low & tops | word & wanted
                if special != 0 {
                    offset += special.trailingZeroBitCount >> 3
                    return
                }
                offset += 8
            }
        }
    }

    /// Reads a number (RFC 8259 §6); true when it has a fraction or an exponent.
    package mutating func number(in bytes: Span<UInt8>) throws(JSONError) -> (
        range: Range<Int>, isFloating: Bool
    ) {
        let start = offset
        var isFloating = false
        _ = take(UInt8(ascii: "-"), in: bytes)
        if !take(UInt8(ascii: "0"), in: bytes) { try digits(in: bytes) }
        if take(UInt8(ascii: "."), in: bytes) {
            isFloating = true
            try digits(in: bytes)
        }
        if take(UInt8(ascii: "e"), in: bytes) || take(UInt8(ascii: "E"), in: bytes) {
            isFloating = true
            if !take(UInt8(ascii: "+"), in: bytes) { _ = take(UInt8(ascii: "-"), in: bytes) }
            try digits(in: bytes)
        }
        return (start..<offset, isFloating)
    }

    /// Reads `true`, `false` or `null`.
    package mutating func literal(in bytes: Span<UInt8>) throws(JSONError) {
        for word: StaticString in ["true", "false", "null"] {
            let end = offset + word.utf8CodeUnitCount
            if end <= bytes.count, bytes.extracting(offset..<end).equals(word) {
                offset = end
                return
            }
        }
        throw .syntax(offset: offset)
    }

    /// Demands that nothing but white space is left.
    package mutating func end(in bytes: Span<UInt8>) throws(JSONError) {
        skipSpace(in: bytes)
        guard offset == bytes.count else { throw .syntax(offset: offset) }
    }

    private mutating func open(_ bracket: UInt8, in bytes: Span<UInt8>) throws(JSONError) {
        guard take(bracket, in: bytes) else { throw .syntax(offset: offset) }
        depth += 1
        guard depth <= maxDepth else { throw .tooDeep }
    }

    private mutating func close() { depth -= 1 }

    private mutating func digits(in bytes: Span<UInt8>) throws(JSONError) {
        let start = offset
        while offset < bytes.count, bytes[offset] &- UInt8(ascii: "0") < 10 { offset += 1 }
        guard offset > start else { throw .syntax(offset: offset) }
    }

    private mutating func take(_ byte: UInt8, in bytes: Span<UInt8>) -> Bool {
        guard offset < bytes.count, bytes[offset] == byte else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace(in bytes: Span<UInt8>) {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            default: return
            }
        }
    }
}
