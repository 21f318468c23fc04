// SPDX-License-Identifier: MIT

/// The header fields of a message, in order. Names are kept in lower case, since they compare
/// without case (RFC 9110 §5.1) and every lookup would fold them again.
package struct HTTPFields: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// One field line.
    package struct Field: Hashable, Sendable {
        /// Lower case.
        package var name: String
        /// Without white space around it. Bytes of the peer that are not UTF-8 are replaced.
        package var value: String
    }

    /// All lines in order.
    package private(set) var fields: [Field] = []

    /// No fields.
    package init() {}

    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0.0.lowercased(), value: $0.1) }
    }

    /// Adds a field line behind those there are.
    package mutating func append(_ name: String, _ value: String) {
        append(lowercased: name.lowercased(), value)
    }

    /// Adds a field line whose name is in lower case already, which saves folding it again.
    mutating func append(lowercased name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }

    /// Puts one line in place of all lines of that name.
    package mutating func set(_ name: String, _ value: String) {
        remove(name)
        append(name, value)
    }

    /// Removes all lines of that name.
    package mutating func remove(_ name: String) {
        let name = name.lowercased()
        fields.removeAll { $0.name == name }
    }

    /// The first line of that name; `name` must be in lower case.
    package subscript(name: String) -> String? {
        fields.first { $0.name == name }?.value
    }

    /// All lines of that name, in order; `name` must be in lower case.
    package func all(_ name: String) -> [String] {
        fields.filter { $0.name == name }.map(\.value)
    }

    /// Whether a comma-separated field lists that token, without case and without regard to
    /// parameters behind `;` (RFC 9110 §5.6.1). `name` and `token` must be in lower case.
    package func lists(_ name: String, token: String) -> Bool {
        fields.contains { field in
            field.name == name
                && field.value.utf8.split(separator: UInt8(ascii: ",")).contains { item in
                    let end = item.firstIndex(of: UInt8(ascii: ";")) ?? item.endIndex
                    return HTTPFields.trimmed(item[..<end])
                        .lazy.map(HTTPCharacter.lowercased).elementsEqual(token.utf8)
                }
        }
    }

    /// `text` without spaces and tabs around it.
    static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        func isBlank(_ byte: UInt8) -> Bool {
            byte == HTTPCharacter.space || byte == HTTPCharacter.tab
        }
        var text = text
        while let first = text.first, isBlank(first) { text.removeFirst() }
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}
