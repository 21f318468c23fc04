// SPDX-License-Identifier: MIT
internal import Bytes

extension JSONValue {
    /// Appends the compact text of this value. Deterministic: members in their order, no spaces.
    package func write(into output: inout [UInt8]) {
        switch self {
        case .null: output.append("null")
        case .bool(let value): output.append(value ? "true" : "false")
        case .int(let value): output.append(decimal: value)
        case .double(let value):
            // JSON has no NaN and no infinities (RFC 8259 §6).
            output.append(value.isFinite ? "\(value)" : "null")
        case .string(let value): JSONString.write(value, into: &output)
        case .array(let values):
            output.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                value.write(into: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            output.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                JSONString.write(member.name, into: &output)
                output.append(UInt8(ascii: ":"))
                member.value.write(into: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }

    /// The compact text as bytes.
    package var bytes: [UInt8] {
        var output: [UInt8] = []
        write(into: &output)
        return output
    }

    /// The compact text as a string.
    package var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// JSON string literals.
package enum JSONString {
    /// Appends `text` quoted and escaped: quote, backslash and controls only (RFC 8259 §7).
    package static func write(_ text: String, into output: inout [UInt8]) {
        var text = text
        text.withUTF8 { write(utf8: Span(_unsafeElements: $0), into: &output) }
    }

    /// Appends well-formed UTF-8 quoted and escaped.
    package static func write(utf8 bytes: Span<UInt8>, into output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        var start = 0
        for index in 0..<bytes.count {
            let byte = bytes[index]
            if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { continue }
            output.append(bytes.extracting(start..<index))
            start = index + 1
            switch byte {
            case UInt8(ascii: "\""): output.append("\\\"")
            case UInt8(ascii: "\\"): output.append("\\\\")
            case 0x08: output.append("\\b")
            case 0x09: output.append("\\t")
            case 0x0A: output.append("\\n")
            case 0x0C: output.append("\\f")
            case 0x0D: output.append("\\r")
            default:
                output.append("\\u00")
                output.append(hexDigit(byte >> 4))
                output.append(hexDigit(byte & 15))
            }
        }
        output.append(bytes.extracting(start..<bytes.count))
        output.append(UInt8(ascii: "\""))
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
