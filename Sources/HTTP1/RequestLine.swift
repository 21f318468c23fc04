// SPDX-License-Identifier: MIT
internal import Bytes

/// A request line, taken apart (RFC 9112 §3).
struct RequestLine: Hashable, Sendable {
    var method: String
    /// The whole target where path and query do not tell it.
    var writtenTarget: String?
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
        var start = 0
        if bytes[0] != UInt8(ascii: "/") {
            writtenTarget = bytes.string()
            if bytes.equals("*") {
                guard method == "OPTIONS" else { throw .badTarget }
                (path, query, authority, writtenTarget) = ("*", "", nil, nil)
                return
            }
            let scheme = try RequestLine.schemeLength(bytes)
            start = scheme
            while start < bytes.count, bytes[start] != UInt8(ascii: "/"),
                bytes[start] != UInt8(ascii: "?")
            { start += 1 }
            let host = bytes.extracting(scheme..<start)
            // User information in a target is an old phishing trick (RFC 9110 §4.2.4).
            guard RequestLine.isAuthority(host, mayBeEmpty: false) else { throw .badTarget }
            authority = host.string()
        }
        let mark = RequestLine.first(UInt8(ascii: "?"), in: bytes, from: start)
        let plain = bytes.extracting(start..<mark)
        guard RequestLine.hasSoundEscapes(plain) else { throw .badTarget }
        let hasMark = mark < bytes.count
        query = hasMark ? bytes.extracting(mark + 1..<bytes.count).string() : ""
        if !plain.isEmpty {
            path = plain.string()
        } else {
            // RFC 9112 §3.2.4: OPTIONS for a whole server, sent through a proxy.
            path = method == "OPTIONS" && !hasMark ? "*" : "/"
        }
        if hasMark, query.isEmpty, writtenTarget == nil { writtenTarget = bytes.string() }
    }

    /// The offset of the first such byte, or the end's.
    private static func first(_ byte: UInt8, in bytes: Span<UInt8>, from start: Int = 0) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != byte { index += 1 }
        return index
    }

    private static func isMade(_ text: Span<UInt8>, of isIncluded: (UInt8) -> Bool) -> Bool {
        for index in text.indices where !isIncluded(text[index]) { return false }
        return true
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
    static func isAuthority(_ text: Span<UInt8>, mayBeEmpty: Bool) -> Bool {
        if text.isEmpty { return mayBeEmpty }
        var end: Int
        if text[0] == UInt8(ascii: "[") {
            end = first(UInt8(ascii: "]"), in: text)
            guard end < text.count, isAddressLiteral(text.extracting(1..<end)) else { return false }
            end += 1
        } else {
            end = first(UInt8(ascii: ":"), in: text)
            let host = text.extracting(0..<end)
            guard !host.isEmpty, hasSoundEscapes(host),
                isMade(
                    host,
                    of: { HTTPCharacter.isRegisteredName($0) || $0 == UInt8(ascii: "%") })
            else { return false }
        }
        guard end < text.count else { return true }
        return text[end] == UInt8(ascii: ":") && text.count - end <= 6
            && isMade(text.extracting(end + 1..<text.count), of: HTTPCharacter.isDigit)
    }

    /// Whether `text` may stand in brackets: the letters of an IPv6 address, or `IPvFuture` (RFC 3986 §3.2.2).
    private static func isAddressLiteral(_ text: Span<UInt8>) -> Bool {
        if text.count > 0, text[0] | 0x20 == UInt8(ascii: "v") {
            var end = 1
            while end < text.count, HTTPCharacter.isHexDigit(text[end]) { end += 1 }
            return end > 1 && end + 1 < text.count && text[end] == UInt8(ascii: ".")
                && isMade(
                    text.extracting(end + 1..<text.count),
                    of: { HTTPCharacter.isRegisteredName($0) || $0 == UInt8(ascii: ":") })
        }
        return text.count >= 2 && first(UInt8(ascii: ":"), in: text) < text.count
            && isMade(
                text,
                of: {
                    HTTPCharacter.isHexDigit($0) || $0 == UInt8(ascii: ":")
                        || $0 == UInt8(ascii: ".")
                })
    }

    /// Whether two hexadecimal digits stand behind each `%`.
    private static func hasSoundEscapes(_ text: Span<UInt8>) -> Bool {
        var due = 0
        for index in text.indices {
            if due > 0 {
                guard HTTPCharacter.isHexDigit(text[index]) else { return false }
                due -= 1
            } else if text[index] == UInt8(ascii: "%") {
                due = 2
            }
        }
        return due == 0
    }
}
