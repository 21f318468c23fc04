// SPDX-License-Identifier: MIT

/// The value of `sec-websocket-extensions`, taken apart (RFC 6455 §9.1).
struct ExtensionList: Hashable, Sendable {
    struct Parameter: Hashable, Sendable {
        var name: String
        /// Unquoted; nil for a parameter without `=`.
        var value: String?
    }

    struct Element: Hashable, Sendable {
        var name: String
        var parameters: [Parameter] = []
    }

    private(set) var elements: [Element] = []

    /// Reads all lines of the field, joined in order. Nil when one breaks the grammar. Empty elements are
    /// passed over, as RFC 9110 §5.6.1.2 demands of recipients, but a list of nothing else is refused.
    init?(_ lines: [String]) {
        var isEmpty = true
        for line in lines {
            var rest = Array(line.utf8)[...]
            if rest.isEmpty { continue }
            isEmpty = false
            repeat {
                ExtensionList.skipBlanks(&rest)
                if rest.isEmpty || rest.first == UInt8(ascii: ",") { continue }
                guard let name = ExtensionList.token(&rest) else { return nil }
                var element = Element(name: name)
                ExtensionList.skipBlanks(&rest)
                while rest.first == UInt8(ascii: ";") {
                    rest.removeFirst()
                    guard let parameter = ExtensionList.parameter(&rest) else { return nil }
                    element.parameters.append(parameter)
                }
                elements.append(element)
                guard rest.isEmpty || rest.first == UInt8(ascii: ",") else { return nil }
            } while rest.popFirst() != nil
        }
        guard isEmpty || !elements.isEmpty else { return nil }
    }

    private static func parameter(_ rest: inout ArraySlice<UInt8>) -> Parameter? {
        skipBlanks(&rest)
        guard let name = token(&rest) else { return nil }
        skipBlanks(&rest)
        guard rest.first == UInt8(ascii: "=") else { return Parameter(name: name) }
        rest.removeFirst()
        skipBlanks(&rest)
        let isQuoted = rest.first == UInt8(ascii: "\"")
        guard let value = isQuoted ? quotedToken(&rest) : token(&rest) else { return nil }
        skipBlanks(&rest)
        return Parameter(name: name, value: value)
    }

    /// A quoted string that is a token once it is unquoted (§9.1). A backslash stands for what follows it
    /// (RFC 9110 §5.6.4).
    private static func quotedToken(_ rest: inout ArraySlice<UInt8>) -> String? {
        rest.removeFirst()
        var value: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""):
                guard !value.isEmpty, value.allSatisfy(isToken) else { return nil }
                return String(decoding: value, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst() else { return nil }
                value.append(escaped)
            default: value.append(byte)
            }
        }
        return nil
    }

    private static func skipBlanks(_ rest: inout ArraySlice<UInt8>) {
        while let byte = rest.first, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
            rest.removeFirst()
        }
    }

    private static func token(_ rest: inout ArraySlice<UInt8>) -> String? {
        let end = rest.firstIndex { !isToken($0) } ?? rest.endIndex
        guard end > rest.startIndex else { return nil }
        defer { rest = rest[end...] }
        return String(decoding: rest[..<end], as: UTF8.self)
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x7E: !"\"(),/:;<=>?@[\\]{}".utf8.contains(byte)
        default: false
        }
    }
}
