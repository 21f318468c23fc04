// SPDX-License-Identifier: MIT

/// Percent-encoding (RFC 3986 §2.1): the one implementation, for queries, forms, paths and user information.
package enum PercentEncoding {
    /// Encodes all but the unreserved characters of RFC 3986 §2.3: good in any part of a URI and in forms.
    package static func encode(_ text: String) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                output.append(byte)
            default:
                output.append(UInt8(ascii: "%"))
                output.append(upperHexDigit(byte >> 4))
                output.append(upperHexDigit(byte & 15))
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Decodes as browsers do (URL standard, percent-decode): an ill-formed escape stays as written, bytes
    /// that are not UTF-8 are replaced.
    /// - Parameter plusIsSpace: true in `application/x-www-form-urlencoded`, false elsewhere.
    package static func decode(_ text: Span<UInt8>, plusIsSpace: Bool = false) -> String {
        // Mostly there is nothing to decode.
        for index in 0..<text.count
        where text[index] == UInt8(ascii: "%") || text[index] == UInt8(ascii: "+") {
            return String(
                decoding: bytes(text, plusIsSpace: plusIsSpace).bytes, as: UTF8.self)
        }
        return text.string()
    }

    /// Decodes a text.
    package static func decode(_ text: String, plusIsSpace: Bool = false) -> String {
        var text = text
        return text.withUTF8 { decode(Span(_unsafeElements: $0), plusIsSpace: plusIsSpace) }
    }

    /// Decodes what must be sound: nil where an escape is ill-formed or the bytes are not UTF-8.
    package static func decodeStrictly(_ text: String) -> String? {
        var text = text
        let decoded = text.withUTF8 { bytes(Span(_unsafeElements: $0), plusIsSpace: false) }
        return decoded.isSound ? String(validating: decoded.bytes, as: UTF8.self) : nil
    }

    private static func bytes(
        _ text: Span<UInt8>, plusIsSpace: Bool
    ) -> (bytes: [UInt8], isSound: Bool) {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var isSound = true
        var index = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            guard byte == UInt8(ascii: "%") else {
                output.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
                continue
            }
            if text.count - index >= 2, let high = Hex.value(of: text[index]),
                let low = Hex.value(of: text[index + 1])
            {
                output.append(high << 4 | low)
                index += 2
            } else {
                isSound = false
                output.append(byte)
            }
        }
        return (output, isSound)
    }

    private static func upperHexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}
