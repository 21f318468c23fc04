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
    package static func decode(
        _ text: some Collection<UInt8>, plusIsSpace: Bool = false
    ) -> String {
        String(decoding: bytes(text, plusIsSpace: plusIsSpace).bytes, as: UTF8.self)
    }

    /// Decodes what must be sound: nil where an escape is ill-formed or the bytes are not UTF-8.
    package static func decodeStrictly(_ text: some Collection<UInt8>) -> String? {
        let (bytes, isSound) = bytes(text, plusIsSpace: false)
        return isSound ? String(validating: bytes, as: UTF8.self) : nil
    }

    private static func bytes(
        _ text: some Collection<UInt8>, plusIsSpace: Bool
    ) -> (bytes: [UInt8], isSound: Bool) {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var isSound = true
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index = text.index(after: index)
            guard byte == UInt8(ascii: "%") else {
                output.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
                continue
            }
            if index < text.endIndex, let high = Hex.value(of: text[index]) {
                let second = text.index(after: index)
                if second < text.endIndex, let low = Hex.value(of: text[second]) {
                    output.append(high << 4 | low)
                    index = text.index(after: second)
                    continue
                }
            }
            isSound = false
            output.append(byte)
        }
        return (output, isSound)
    }

    private static func upperHexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}
