// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTP1
package import Timing

/// One file as it is served: its bytes and those of its precompressed variants, with what makes an
/// answer conditional (RFC 9110 §13) or partial (§14).
package struct StaticFile: Sendable {
    /// The bytes in one content coding.
    package struct Variant: Sendable {
        /// Nil: as they are.
        package let coding: String?
        package let bytes: [UInt8]

        package init(coding: String?, bytes: [UInt8]) {
            self.coding = coding
            self.bytes = bytes
        }
    }

    /// The media type.
    package let type: String
    private let plain: [UInt8]
    /// The best first.
    private let encoded: [Variant]
    private let tag: String
    private let modified: Timestamp
    private let cacheControl: String

    /// - Parameters:
    ///   - tag: tells these bytes from others of the same name: characters of an entity tag, no quotes.
    ///   - encoded: variants in other codings, those the server would rather send first.
    package init(
        type: String, bytes: [UInt8], tag: String, modified: Timestamp, cacheControl: String,
        encoded: [Variant] = []
    ) {
        self.type = type
        plain = bytes
        self.tag = tag
        self.modified = modified
        self.cacheControl = cacheControl
        self.encoded = encoded
    }

    /// Answers GET and HEAD: 200, 206, 304, 412 or 416, in the order of precedence of RFC 9110 §13.2.2.
    /// For HEAD the body is what GET would get; the server does not send it.
    package func answer(_ request: HTTPRequest) -> HTTPResponse {
        let variant = choose(request)
        // Two codings are two representations, and strong tags tell them apart (RFC 9110 §8.8.3.3).
        let tag = "\"\(self.tag)\(variant.coding.map { "-\($0)" } ?? "")\""
        var fields: HTTPFields = [
            "etag": tag, "last-modified": modified.httpDate, "cache-control": cacheControl,
            "accept-ranges": "bytes",
        ]
        if !encoded.isEmpty { fields.append("vary", "Accept-Encoding") }
        switch precondition(request, tag: tag) {
        case .failed:
            return .problem(
                412, code: "precondition_failed", detail: "The file is another than that.")
        case .notModified: return HTTPResponse(status: 304, fields: fields)
        case .holds: break
        }
        fields.append("content-type", type)
        if let coding = variant.coding { fields.append("content-encoding", coding) }
        return partial(request, variant.bytes, tag, fields)
            ?? HTTPResponse(status: 200, fields: fields, body: variant.bytes)
    }

    private func choose(_ request: HTTPRequest) -> Variant {
        guard !encoded.isEmpty else { return Variant(coding: nil, bytes: plain) }
        let coding = AcceptEncoding(request.fields).best(of: encoded.compactMap(\.coding))
        return encoded.first { coding != nil && $0.coding == coding }
            ?? Variant(coding: nil, bytes: plain)
    }

    // MARK: Conditions

    private enum Precondition { case holds, failed, notModified }

    private func precondition(_ request: HTTPRequest, tag: String) -> Precondition {
        let fields = request.fields
        let matches = fields.all("if-match")
        if !matches.isEmpty {
            guard EntityTags.list(matches, holds: tag, weakly: false) else { return .failed }
        } else if let date = date(fields.single("if-unmodified-since")), modified.seconds > date {
            return .failed
        }
        let others = fields.all("if-none-match")
        if !others.isEmpty {
            if EntityTags.list(others, holds: tag, weakly: true) { return .notModified }
        } else if let date = date(fields.single("if-modified-since")), modified.seconds <= date {
            return .notModified
        }
        return .holds
    }

    private func date(_ text: String?) -> Int64? {
        guard let text else { return nil }
        let year = 1970 + Int(SystemClock.timestamp().seconds / 31_556_952)
        return HTTPDate.parse(text, year: year)?.seconds
    }

    // MARK: Ranges

    private func partial(
        _ request: HTTPRequest, _ bytes: [UInt8], _ tag: String, _ fields: HTTPFields
    ) -> HTTPResponse? {
        // Ranges are defined for GET alone (RFC 9110 §14.2).
        guard request.method == "GET", let field = request.fields.single("range") else {
            return nil
        }
        if request.fields["if-range"] != nil {
            // A strong tag, or the very date: anything else may be of other bytes (§13.1.5).
            guard let condition = request.fields.single("if-range"),
                condition == tag || date(condition) == modified.seconds
            else { return nil }
        }
        var fields = fields
        switch ByteRanges(field, of: bytes.count) {
        case .whole: return nil
        case .unsatisfiable:
            return .problem(
                416, code: "range_not_satisfiable", detail: "The file has \(bytes.count) bytes.",
                fields: ["content-range": "bytes */\(bytes.count)"])
        case .some(let ranges) where ranges.count == 1:
            fields.append("content-range", StaticFile.contentRange(ranges[0], of: bytes.count))
            return HTTPResponse(status: 206, fields: fields, body: Array(bytes[ranges[0]]))
        case .some(let ranges):
            // The tag is a digest of the bytes, which they do not hold.
            let boundary = "range-\(self.tag)"
            fields.set("content-type", "multipart/byteranges; boundary=\(boundary)")
            var body: [UInt8] = []
            for range in ranges {
                body.append("\r\n--\(boundary)\r\ncontent-type: \(type)\r\ncontent-range: ")
                body.append(StaticFile.contentRange(range, of: bytes.count))
                body.append("\r\n\r\n")
                body.append(contentsOf: bytes[range])
            }
            body.append("\r\n--\(boundary)--\r\n")
            return HTTPResponse(status: 206, fields: fields, body: body)
        }
    }

    private static func contentRange(_ range: Range<Int>, of count: Int) -> String {
        "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(count)"
    }
}

/// Lists of entity tags (RFC 9110 §8.8.3). Pure.
enum EntityTags {
    /// Whether the lines of a field list a tag, or `*`.
    /// - Parameters:
    ///   - tag: a strong one, with its quotes.
    ///   - weakly: whether `W/"x"` is the same as `"x"` (§8.8.3.2).
    static func list(_ lines: [String], holds tag: String, weakly: Bool) -> Bool {
        for line in lines {
            var rest = line.utf8[...]
            if rest.elementsEqual("*".utf8) { return true }
            while !rest.isEmpty {
                rest = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: ",") }
                let isWeak = rest.starts(with: "W/".utf8)
                if isWeak { rest = rest.dropFirst(2) }
                // What is no tag ends the list: nothing behind it can be told apart.
                guard rest.first == UInt8(ascii: "\""),
                    let end = rest.dropFirst().firstIndex(of: UInt8(ascii: "\""))
                else { break }
                if weakly || !isWeak, rest[...end].elementsEqual(tag.utf8) { return true }
                rest = rest[rest.index(after: end)...]
            }
        }
        return false
    }
}
