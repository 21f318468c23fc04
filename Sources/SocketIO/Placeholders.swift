// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// The stand-ins for attachments in a binary packet's JSON: `{"_placeholder":true,"num":0}`.
enum Placeholders {
    /// Checks that each placeholder anywhere in `bytes[range]`, which must be sound JSON, names one of
    /// `count` attachments. A number that names none would fail in every client it is passed on to.
    static func check(
        _ bytes: Span<UInt8>, in range: Range<Int>, count: Int, maxDepth: Int
    ) throws(SocketError) {
        var scanner = JSONScanner(at: range.lowerBound, maxDepth: maxDepth)
        var areLegal = true
        do throws(JSONError) {
            try walk(
                &scanner, in: bytes.extracting(0..<range.upperBound), count: count,
                areLegal: &areLegal)
        } catch {
            throw .invalidPayload
        }
        guard areLegal else { throw .illegalPlaceholder }
    }

    private static func walk(
        _ scanner: inout JSONScanner, in text: Span<UInt8>, count: Int, areLegal: inout Bool
    ) throws(JSONError) {
        switch try scanner.peekKind(in: text) {
        case .array:
            try scanner.array(in: text) { (scanner) throws(JSONError) in
                try walk(&scanner, in: text, count: count, areLegal: &areLegal)
            }
        case .object:
            var isPlaceholder = false
            var index: Int?
            try scanner.object(in: text) { (name, scanner) throws(JSONError) in
                _ = try scanner.peekKind(in: text)
                let start = scanner.offset
                try walk(&scanner, in: text, count: count, areLegal: &areLegal)
                // Of repeated members the last one counts, as for `JSON.parse`.
                let value = text.extracting(start..<scanner.offset)
                if isName(text.extracting(name), "_placeholder") {
                    isPlaceholder = value.equals("true")
                } else if isName(text.extracting(name), "num") {
                    index = value.decimal()
                }
            }
            if isPlaceholder, index.map({ $0 >= count }) ?? true { areLegal = false }
        default: _ = try scanner.value(in: text)
        }
    }

    /// Whether a string literal says `name`, perhaps with escapes.
    private static func isName(_ literal: Span<UInt8>, _ name: StaticString) -> Bool {
        if literal.extracting(1..<literal.count - 1).equals(name) { return true }
        for index in 0..<literal.count where literal[index] == UInt8(ascii: "\\") {
            return JSONString.decode(literal) == "\(name)"
        }
        return false
    }
}
