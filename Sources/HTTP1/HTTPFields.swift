// SPDX-License-Identifier: MIT

/// The header fields of a message, in order. Names are kept in lower case, since they compare
/// without case (RFC 9110 §5.1) and every lookup would fold them again.
package struct HTTPFields: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    package struct Field: Hashable, Sendable {
        /// Lower case.
        package var name: String
        /// Without white space around it.
        package var value: String
    }

    package private(set) var fields: [Field] = []

    package init() {}

    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0.0.lowercased(), value: $0.1) }
    }

    /// Adds a field line behind those there are.
    package mutating func append(_ name: String, _ value: String) {
        fields.append(Field(name: name.lowercased(), value: value))
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

    /// Whether a comma-separated field lists that token, without case (RFC 9110 §5.6.1).
    package func lists(_ name: String, token: String) -> Bool {
        all(name).contains { line in
            line.split(separator: ",").contains { item in
                item.drop { $0 == " " || $0 == "\t" }.lowercased()
                    .split(separator: ";", omittingEmptySubsequences: false).first
                    .map { $0.reversed().drop { $0 == " " || $0 == "\t" }.reversed() }
                    .map { String($0) == token } ?? false
            }
        }
    }
}
