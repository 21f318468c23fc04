// SPDX-License-Identifier: MIT
internal import Addresses

/// Which field the proxies in front write, and so the one that is believed. A proxy that writes one as
/// a rule hands the other on as the client sent it: a server that believes both believes the client.
package enum ForwardingField: String, CaseIterable, Sendable {
    /// `X-Forwarded-For`, and the last `X-Forwarded-Proto` when it says `https`.
    case xForwardedFor = "x-forwarded-for"
    /// `Forwarded` (RFC 7239).
    case forwarded
}

/// `Forwarded` (RFC 7239 §4), taken apart. Pure.
struct ForwardedElement: Hashable, Sendable {
    /// Who called the proxy, or the proxy that was called (§6).
    enum Node: Hashable, Sendable {
        case address(IPAddress)
        case unknown
        /// A name made up to hide the address, with its underscore.
        case obfuscated(String)
    }

    var node: Node?
    var by: Node?
    /// The scheme the proxy was called with, in lower case.
    var proto: String?
    /// The `host` field the proxy was called with.
    var host: String?

    /// Reads one field line into its elements, in order.
    /// - Returns: nil for anything that is not the grammar of RFC 7239 §4; parameters it does not define
    ///   are read over.
    static func parse(_ line: String) -> [ForwardedElement]? {
        var reader = Reader(bytes: Array(line.utf8))
        var elements: [ForwardedElement] = []
        while true {
            reader.skipBlanks()
            if let element = reader.element() {
                guard let element = element.value else { return nil }
                elements.append(element)
            }
            reader.skipBlanks()
            if reader.isAtEnd { return elements }
            guard reader.take(UInt8(ascii: ",")) else { return nil }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        var isAtEnd: Bool { index == bytes.count }

        mutating func take(_ byte: UInt8) -> Bool {
            guard index < bytes.count, bytes[index] == byte else { return false }
            index += 1
            return true
        }

        mutating func skipBlanks() {
            while index < bytes.count, bytes[index] == 0x20 || bytes[index] == 0x09 { index += 1 }
        }

        /// One element. Nil: an empty place in the list, which is skipped (RFC 9110 §5.6.1.2).
        mutating func element() -> (value: ForwardedElement?, Void)? {
            var element = ForwardedElement()
            var seen: Set<String> = []
            while true {
                if index < bytes.count, isToken(bytes[index]) {
                    let name = token().lowercased()
                    guard take(UInt8(ascii: "=")), let value = value(),
                        seen.insert(name).inserted,
                        element.set(name, value)
                    else { return (nil, ()) }
                }
                guard take(UInt8(ascii: ";")) else { break }
            }
            return seen.isEmpty && (isAtEnd || bytes[index] == UInt8(ascii: ","))
                ? nil : (element, ())
        }

        private mutating func token() -> String {
            let start = index
            while index < bytes.count, isToken(bytes[index]) { index += 1 }
            return String(decoding: bytes[start..<index], as: UTF8.self)
        }

        private mutating func value() -> String? {
            guard take(UInt8(ascii: "\"")) else {
                let text = token()
                return text.isEmpty ? nil : text
            }
            var text: [UInt8] = []
            while index < bytes.count {
                var byte = bytes[index]
                index += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
                if byte == UInt8(ascii: "\\") {
                    guard index < bytes.count else { return nil }
                    byte = bytes[index]
                    index += 1
                }
                text.append(byte)
            }
            return nil
        }

        private func isToken(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
        }
    }

    private mutating func set(_ name: String, _ value: String) -> Bool {
        switch name {
        case "for":
            node = ForwardedElement.node(value)
            return node != nil
        case "by":
            by = ForwardedElement.node(value)
            return by != nil
        case "proto": proto = value.lowercased()
        case "host": host = value
        default: break
        }
        return true
    }

    /// `nodename [":" node-port]` (§6): the port may be hidden too.
    static func node(_ text: String) -> Node? {
        func isName(_ text: some StringProtocol) -> Bool {
            text.utf8.count > 1 && text.utf8.first == UInt8(ascii: "_")
                && text.utf8.dropFirst().allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"),
                        UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
                        UInt8(ascii: "_"), UInt8(ascii: "-"):
                        true
                    default: false
                    }
                }
        }
        func isPort(_ text: Substring) -> Bool {
            guard let first = text.first else { return true }
            let port = text.dropFirst()
            return first == ":"
                && (isName(port)
                    || (1...5).contains(port.utf8.count)
                        && port.utf8.allSatisfy { (0x30...0x39).contains($0) })
        }
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]"),
                isPort(text[text.index(after: end)...]),
                case .v6(let high, let low)? = IPAddress(String(text[..<end].dropFirst()))
            else { return nil }
            return .address(.v6(high: high, low: low))
        }
        let end = text.firstIndex(of: ":") ?? text.endIndex
        guard isPort(text[end...]) else { return nil }
        let name = String(text[..<end])
        if name.lowercased() == "unknown" { return .unknown }
        if isName(name) { return .obfuscated(name) }
        guard case .v4(let bits)? = IPAddress(name) else { return nil }
        return .address(.v4(bits))
    }
}
