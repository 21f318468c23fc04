// SPDX-License-Identifier: MIT

/// How the end of a body is known (RFC 9112 §6.3).
package enum BodyFraming: Hashable, Sendable {
    /// There is no body.
    case none
    /// As many bytes as `content-length` says; 0 is possible.
    case length(Int)
    /// Chunked transfer coding.
    case chunked
}

extension BodyFraming {
    /// The framing that the fields of a message declare; nil when they declare none.
    ///
    /// Stricter than RFC 9112 §6.3 on purpose: whatever two implementations could read differently is
    /// refused, since the difference is where a request hides in another (RFC 9112 §11.2).
    static func declared(
        by fields: HTTPFields, minorVersion: Int, maxBodyBytes: Int
    ) throws(HTTPError) -> BodyFraming? {
        let length = fields.find("content-length")
        guard length.count < 2 else { throw .severalContentLengths }
        if fields.find("transfer-encoding").count > 0 {
            guard length.count == 0 else { throw .lengthAndTransferCoding }
            guard minorVersion > 0 else { throw .transferCodingInHTTP10 }
            try checkChunkedOnly(fields.all("transfer-encoding"))
            return .chunked
        }
        guard length.count > 0 else { return nil }
        guard let count = count(fields.bytes[length.first]) else { throw .badContentLength }
        guard count <= maxBodyBytes else { throw .bodyTooLarge }
        return .length(count)
    }

    /// Digits as a number, held at `Int.max`; nil for anything else.
    private static func count(_ text: ArraySlice<UInt8>) -> Int? {
        guard !text.isEmpty else { return nil }
        var value = 0
        var isHeld = false
        for byte in text {
            guard HTTPCharacter.isDigit(byte) else { return nil }
            let (product, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, over2) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            isHeld = isHeld || over || over2
            value = isHeld ? 0 : sum
        }
        return isHeld ? .max : value
    }

    private static func checkChunkedOnly(_ lines: [String]) throws(HTTPError) {
        var codings: [[UInt8]] = []
        for line in lines {
            for item in line.utf8.split(
                separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            {
                codings.append(trimmed(item).map(HTTPCharacter.lowercased))
            }
        }
        let chunked = Array("chunked".utf8)
        guard codings.last == chunked, codings.filter({ $0 == chunked }).count == 1 else {
            throw .badTransferCoding
        }
        for coding in codings where !coding.allSatisfy(HTTPCharacter.isToken) || coding.isEmpty {
            throw .badTransferCoding
        }
        guard codings.count == 1 else { throw .unknownTransferCoding }
    }

    /// `text` without spaces and tabs around it.
    private static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        var text = text
        while let first = text.first, HTTPCharacter.isBlank(first) { text.removeFirst() }
        while let last = text.last, HTTPCharacter.isBlank(last) { text.removeLast() }
        return text
    }
}
