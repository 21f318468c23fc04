// SPDX-License-Identifier: MIT
internal import Bytes

/// The header fields of a message, in order. Names are kept in lower case, since they compare
/// without case (RFC 9110 §5.1) and every lookup would fold them again.
///
/// Shape: the bytes of all names and values end to end in one buffer, and where each ends in another:
/// however many fields a request has, they are two allocations, and a `String` is made only of what
/// somebody asks for. Most fields nobody asks for.
package struct HTTPFields: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// One field line.
    package struct Field: Hashable, Sendable {
        /// Lower case.
        package var name: String
        /// Without white space around it. Bytes of the peer that are not UTF-8 are replaced.
        package var value: String
    }

    /// Where a line's name and value end in `text`; it begins where the line before ends.
    private struct Line: Hashable, Sendable {
        var nameEnd: Int
        var end: Int
    }

    private var text: [UInt8] = []
    private var lines: [Line] = []

    /// No fields.
    package init() {}

    package init(dictionaryLiteral elements: (String, String)...) {
        reserve(bytes: elements.reduce(0) { $0 + $1.0.utf8.count + $1.1.utf8.count })
        for (name, value) in elements { append(name, value) }
    }

    /// All lines in order, each made when it is asked for.
    package var fields: some RandomAccessCollection<Field> {
        lines.indices.lazy.map { index in
            Field(name: string(nameRange(index)), value: string(valueRange(index)))
        }
    }

    /// Adds a field line behind those there are.
    package mutating func append(_ name: String, _ value: String) {
        let start = text.count
        text.append(name)
        // A field's name is ASCII; what is not stays as it is.
        for index in start..<text.count { text[index] = HTTPCharacter.lowercased(text[index]) }
        let nameEnd = text.count
        text.append(value)
        lines.append(Line(nameEnd: nameEnd, end: text.count))
    }

    /// Adds a field line, the name in whatever case.
    mutating func append(name: Span<UInt8>, value: Span<UInt8>) {
        for index in name.indices { text.append(HTTPCharacter.lowercased(name[index])) }
        let nameEnd = text.count
        text.append(value)
        lines.append(Line(nameEnd: nameEnd, end: text.count))
    }

    /// Makes room for lines of that many bytes in all.
    mutating func reserve(bytes: Int) {
        text.reserveCapacity(bytes)
        lines.reserveCapacity(16)
    }

    /// Puts one line in place of all lines of that name.
    package mutating func set(_ name: String, _ value: String) {
        remove(name)
        append(name, value)
    }

    /// Removes all lines of that name.
    package mutating func remove(_ name: String) {
        let name = name.lowercased()
        guard first(name) != nil else { return }
        var kept = HTTPFields()
        for index in lines.indices where !isNamed(index, name) {
            let (nameRange, valueRange) = (nameRange(index), valueRange(index))
            kept.append(
                name: text.span.extracting(nameRange), value: text.span.extracting(valueRange))
        }
        self = kept
    }

    /// The first line of that name; `name` must be in lower case.
    package subscript(name: String) -> String? {
        first(name).map { string(valueRange($0)) }
    }

    /// All lines of that name, in order; `name` must be in lower case.
    package func all(_ name: String) -> [String] {
        lines.indices.filter { isNamed($0, name) }.map { string(valueRange($0)) }
    }

    /// The value of a field that is no list; nil also when it was sent more than once, as nobody knows
    /// which of them was meant (RFC 9110 §5.3). `name` must be in lower case.
    package func single(_ name: String) -> String? {
        let found = find(name)
        return found.count == 1 ? string(found.first) : nil
    }

    /// What a comma-separated field lists in all its lines, for fields whose items have no quoted
    /// strings. Empty items are passed over (RFC 9110 §5.6.1.2). `name` must be in lower case.
    package func items(_ name: String) -> [String] {
        var items: [String] = []
        for index in lines.indices where isNamed(index, name) {
            for item in text[valueRange(index)].split(separator: UInt8(ascii: ",")) {
                let range = trimmed(item.startIndex..<item.endIndex)
                if !range.isEmpty { items.append(string(range)) }
            }
        }
        return items
    }

    /// Whether a comma-separated field lists that token, without case and without regard to
    /// parameters behind `;` (RFC 9110 §5.6.1). `name` and `token` must be in lower case.
    package func lists(_ name: String, token: String) -> Bool {
        for index in lines.indices where isNamed(index, name) {
            var start = valueRange(index).lowerBound
            let end = lines[index].end
            while start < end {
                var comma = start
                while comma < end, text[comma] != UInt8(ascii: ",") { comma += 1 }
                var itemEnd = start
                while itemEnd < comma, text[itemEnd] != UInt8(ascii: ";") { itemEnd += 1 }
                if equalsWithoutCase(trimmed(start..<itemEnd), token) { return true }
                start = comma + 1
            }
        }
        return false
    }

    // MARK: Bytes

    /// Calls `body` with name and value of each line, as bytes.
    func forEach(_ body: (_ name: Span<UInt8>, _ value: Span<UInt8>) -> Void) {
        let bytes = text.span
        for index in lines.indices {
            body(bytes.extracting(nameRange(index)), bytes.extracting(valueRange(index)))
        }
    }

    /// Lines of that name, which must be in lower case: how many, and where the first one's value is
    /// in `bytes`.
    func find(_ name: String) -> (count: Int, first: Range<Int>) {
        var found = (count: 0, first: 0..<0)
        for index in lines.indices where isNamed(index, name) {
            if found.count == 0 { found.first = valueRange(index) }
            found.count += 1
        }
        return found
    }

    /// What ranges of `find` lie in.
    var bytes: [UInt8] { text }

    private func first(_ name: String) -> Int? { lines.indices.first { isNamed($0, name) } }

    private func nameRange(_ index: Int) -> Range<Int> {
        (index == 0 ? 0 : lines[index - 1].end)..<lines[index].nameEnd
    }

    private func valueRange(_ index: Int) -> Range<Int> { lines[index].nameEnd..<lines[index].end }

    private func string(_ range: Range<Int>) -> String { text.span.extracting(range).string() }

    private func isNamed(_ index: Int, _ name: String) -> Bool {
        let range = nameRange(index)
        let name = name.utf8
        guard range.count == name.count else { return false }
        var place = range.lowerBound
        for byte in name {
            if text[place] != byte { return false }
            place += 1
        }
        return true
    }

    private func equalsWithoutCase(_ range: Range<Int>, _ token: String) -> Bool {
        let token = token.utf8
        guard range.count == token.count else { return false }
        var place = range.lowerBound
        for byte in token {
            if HTTPCharacter.lowercased(text[place]) != byte { return false }
            place += 1
        }
        return true
    }

    /// `range` without spaces and tabs around it.
    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, HTTPCharacter.isBlank(text[start]) { start += 1 }
        while end > start, HTTPCharacter.isBlank(text[end - 1]) { end -= 1 }
        return start..<end
    }
}
