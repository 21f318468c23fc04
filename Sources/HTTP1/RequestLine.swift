// SPDX-License-Identifier: MIT
internal import Bytes

/// A request line, taken apart (RFC 9112 §3).
struct RequestLine: Hashable, Sendable {
    var method: String
    var target: String
    var path: String
    var query: String
    /// The authority of a target in absolute form.
    var authority: String?
    var minorVersion: Int

    init(_ line: Span<UInt8>) throws(HTTPError) {
        var methodEnd = 0
        while methodEnd < line.count, HTTPCharacter.isToken(line[methodEnd]) { methodEnd += 1 }
        guard methodEnd > 0, methodEnd < line.count, line[methodEnd] == HTTPCharacter.space else {
            throw .malformedRequestLine
        }
        var targetEnd = methodEnd + 1
        while targetEnd < line.count, line[targetEnd] != HTTPCharacter.space { targetEnd += 1 }
        guard targetEnd < line.count, targetEnd > methodEnd + 1 else { throw .malformedRequestLine }
        minorVersion = try RequestLine.minorVersion(
            line.extracting(targetEnd + 1..<line.count), orThrow: .malformedRequestLine)
        method = line.extracting(0..<methodEnd).string()
        // A CONNECT that was answered would turn what follows into a tunnel's bytes.
        guard method != "CONNECT" else { throw .unsupportedMethod }

        let bytes = line.extracting(methodEnd + 1..<targetEnd)
        for index in 0..<bytes.count where !HTTPCharacter.isTarget(bytes[index]) {
            throw .badTarget
        }
        target = bytes.string()
        var rest = target.utf8[...]
        if bytes[0] != UInt8(ascii: "/") {
            if target == "*" {
                guard method == "OPTIONS" else { throw .badTarget }
                (path, query, authority) = ("*", "", nil)
                return
            }
            let scheme = try RequestLine.schemeLength(bytes)
            rest = rest.dropFirst(scheme)
            let end =
                rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
                ?? rest.endIndex
            let host = rest[..<end]
            // User information in a target is an old phishing trick (RFC 9110 §4.2.4).
            guard RequestLine.isAuthority(host, mayBeEmpty: false) else { throw .badTarget }
            authority = String(Substring(host))
            rest = rest[end...]
        }
        let mark = rest.firstIndex(of: UInt8(ascii: "?"))
        let plain = rest[..<(mark ?? rest.endIndex)]
        guard RequestLine.hasSoundEscapes(plain) else { throw .badTarget }
        query = mark.map { String(Substring(rest[rest.index(after: $0)...])) } ?? ""
        if !plain.isEmpty {
            path = String(Substring(plain))
        } else {
            // RFC 9112 §3.2.4: OPTIONS for a whole server, sent through a proxy.
            path = method == "OPTIONS" && mark == nil ? "*" : "/"
        }
    }

    /// The minor version of `HTTP/1.x`, held at 1.
    /// - Throws: `unsupportedVersion` for another major version; `failure` for another form.
    static func minorVersion(
        _ text: Span<UInt8>, orThrow failure: HTTPError
    ) throws(HTTPError) -> Int {
        guard text.count == 8, text.extracting(0..<5).equals("HTTP/"),
            HTTPCharacter.isDigit(text[5]), text[6] == UInt8(ascii: "."),
            HTTPCharacter.isDigit(text[7])
        else { throw failure }
        guard text[5] == UInt8(ascii: "1") else { throw .unsupportedVersion }
        return text[7] == UInt8(ascii: "0") ? 0 : 1
    }

    /// Bytes of `http://` or `https://` that the target begins with, without case.
    private static func schemeLength(_ target: Span<UInt8>) throws(HTTPError) -> Int {
        for scheme: StaticString in ["http://", "https://"] {
            let count = scheme.utf8CodeUnitCount
            guard target.count > count else { continue }
            var matches = true
            for index in 0..<count
            where HTTPCharacter.lowercased(target[index]) != scheme.utf8Start[index] {
                matches = false
            }
            if matches { return count }
        }
        throw .badTarget
    }

    /// Whether `text` is `uri-host [":" port]` (RFC 3986 §3.2), without user information.
    static func isAuthority(_ text: some Collection<UInt8>, mayBeEmpty: Bool) -> Bool {
        if text.isEmpty { return mayBeEmpty }
        var rest = text[...]
        if rest.first == UInt8(ascii: "[") {
            guard let close = rest.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let inner = rest[rest.index(after: rest.startIndex)..<close]
            guard isAddressLiteral(inner) else { return false }
            rest = rest[rest.index(after: close)...]
        } else {
            let end = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
            let host = rest[..<end]
            guard !host.isEmpty, hasSoundEscapes(host),
                host.allSatisfy({
                    HTTPCharacter.isRegisteredName($0) || $0 == UInt8(ascii: "%")
                })
            else { return false }
            rest = rest[end...]
        }
        guard let first = rest.first else { return true }
        return first == UInt8(ascii: ":") && rest.count <= 6
            && rest.dropFirst().allSatisfy(HTTPCharacter.isDigit)
    }

    /// Whether `text` may stand in brackets: the letters of an IPv6 address, or `IPvFuture` (RFC 3986 §3.2.2).
    private static func isAddressLiteral(_ text: some Collection<UInt8>) -> Bool {
        if let first = text.first, first | 0x20 == UInt8(ascii: "v") {
            let digits = text.dropFirst().prefix(while: HTTPCharacter.isHexDigit)
            let rest = text.dropFirst(digits.count + 1)
            return !digits.isEmpty && rest.first == UInt8(ascii: ".") && rest.count > 1
                && rest.dropFirst().allSatisfy {
                    HTTPCharacter.isRegisteredName($0) || $0 == UInt8(ascii: ":")
                }
        }
        return text.count >= 2 && text.contains(UInt8(ascii: ":"))
            && text.allSatisfy {
                HTTPCharacter.isHexDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
            }
    }

    /// Whether two hexadecimal digits stand behind each `%`.
    private static func hasSoundEscapes(_ text: some Collection<UInt8>) -> Bool {
        var due = 0
        for byte in text {
            if due > 0 {
                guard HTTPCharacter.isHexDigit(byte) else { return false }
                due -= 1
            } else if byte == UInt8(ascii: "%") {
                due = 2
            }
        }
        return due == 0
    }
}
