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
                switch try scanner.peekKind(in: text) {
                case .array, .object:
                    try walk(&scanner, in: text, count: count, areLegal: &areLegal)
                default:
                    let value = text.extracting(try scanner.value(in: text))
                    let name = JSONString.decode(text.extracting(name))
                    if name == "_placeholder" { isPlaceholder = value.equals("true") }
                    if name == "num" { index = value.decimal() }
                }
            }
            if isPlaceholder, index.map({ $0 >= count }) ?? true { areLegal = false }
        default: _ = try scanner.value(in: text)
        }
    }
}
