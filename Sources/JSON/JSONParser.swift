// SPDX-License-Identifier: MIT
internal import Bytes

extension JSONValue {
    /// The tree of one JSON text. Member names must be unique; nesting is limited; nothing may follow.
    package init(parsing bytes: Span<UInt8>, maxDepth: Int = 32) throws(JSONError) {
        var scanner = JSONScanner(maxDepth: maxDepth)
        self = try JSONValue.read(from: &scanner, in: bytes)
        try scanner.end(in: bytes)
    }

    /// The tree of one JSON text.
    package init(parsing bytes: [UInt8], maxDepth: Int = 32) throws(JSONError) {
        try self.init(parsing: bytes.span, maxDepth: maxDepth)
    }

    private static func read(
        from scanner: inout JSONScanner, in bytes: Span<UInt8>
    ) throws(JSONError) -> JSONValue {
        switch try scanner.peekKind(in: bytes) {
        case .null:
            try scanner.literal(in: bytes)
            return .null
        case .bool:
            let start = scanner.offset
            try scanner.literal(in: bytes)
            return .bool(bytes[start] == UInt8(ascii: "t"))
        case .number:
            let (range, isFloating) = try scanner.number(in: bytes)
            let text = bytes.extracting(range).string()
            if !isFloating, let value = Int64(text) { return .int(value) }
            return .double(Double(text) ?? .infinity)
        case .string:
            return .string(JSONString.decode(bytes.extracting(try scanner.string(in: bytes))))
        case .array:
            var elements: [JSONValue] = []
            try scanner.array(in: bytes) { (scanner) throws(JSONError) in
                elements.append(try read(from: &scanner, in: bytes))
            }
            return .array(elements)
        case .object:
            var object = JSONObject()
            var names: Set<String> = []
            try scanner.object(in: bytes) { (range, scanner) throws(JSONError) in
                let name = JSONString.decode(bytes.extracting(range))
                guard names.insert(name).inserted else { throw .duplicateMember(name) }
                let value = try read(from: &scanner, in: bytes)
                object.members.append(JSONObject.Member(name: name, value: value))
            }
            return .object(object)
        }
    }
}

extension JSONString {
    /// The text of a string literal that a scanner has checked, quotes included in the range. A
    /// surrogate escape without its partner becomes U+FFFD, as in the WHATWG encoding standard.
    package static func decode(_ literal: Span<UInt8>) -> String {
        let body = literal.extracting(1..<literal.count - 1)
        var index = 0
        while index < body.count, body[index] != UInt8(ascii: "\\") { index += 1 }
        // Most texts stand there as they are.
        if index == body.count { return body.string() }
        var output: [UInt8] = []
        output.reserveCapacity(body.count)
        output.append(body.extracting(0..<index))
        while index < body.count {
            let byte = body[index]
            guard byte == UInt8(ascii: "\\") else {
                output.append(byte)
                index += 1
                continue
            }
            let escape = body[index + 1]
            index += 2
            switch escape {
            case UInt8(ascii: "b"): output.append(0x08)
            case UInt8(ascii: "f"): output.append(0x0C)
            case UInt8(ascii: "n"): output.append(0x0A)
            case UInt8(ascii: "r"): output.append(0x0D)
            case UInt8(ascii: "t"): output.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = hex4(body, at: index)
                index += 4
                if scalar & 0xFC00 == 0xD800, index + 6 <= body.count,
                    body[index] == UInt8(ascii: "\\"), body[index + 1] == UInt8(ascii: "u")
                {
                    let low = hex4(body, at: index + 2)
                    if low & 0xFC00 == 0xDC00 {
                        scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
                        index += 6
                    }
                }
                output.append(contentsOf: String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
            default: output.append(escape)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func hex4(_ bytes: Span<UInt8>, at index: Int) -> UInt32 {
        var value: UInt32 = 0
        for offset in 0..<4 {
            value = value << 4 | UInt32(Hex.value(of: bytes[index + offset]) ?? 0)
        }
        return value
    }
}
