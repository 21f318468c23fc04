// SPDX-License-Identifier: MIT

/// Base 64 as RFC 4648 defines it. Encoders append to a buffer given to them; decoders are strict.
package enum Base64 {
    /// Which of RFC 4648's two alphabets, and whether `=` fills the last group.
    package enum Alphabet: Sendable {
        /// §4: `+` `/`, padded. Engine.IO binary packets and Standard Webhooks use it.
        case standard
        /// §5 without padding, as RFC 7515 §2 wants it. Tokens and ids use it.
        case url
    }

    /// Appends the encoding of `bytes` to `output`: 4 characters for each 3 bytes begun.
    package static func encode(
        _ bytes: Span<UInt8>, alphabet: Alphabet, into output: inout [UInt8]
    ) {
        let high: (UInt8, UInt8) =
            alphabet == .standard
            ? (UInt8(ascii: "+"), UInt8(ascii: "/")) : (UInt8(ascii: "-"), UInt8(ascii: "_"))
        func digit(_ value: UInt8) -> UInt8 {
            switch value {
            case 0..<26: UInt8(ascii: "A") + value
            case 26..<52: UInt8(ascii: "a") + (value - 26)
            case 52..<62: UInt8(ascii: "0") + (value - 52)
            case 62: high.0
            default: high.1
            }
        }
        output.makeRoom(for: (bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let left = bytes.count - index
            let a = bytes[index]
            let b = left > 1 ? bytes[index + 1] : 0
            let c = left > 2 ? bytes[index + 2] : 0
            output.append(digit(a >> 2))
            output.append(digit((a & 0x03) << 4 | b >> 4))
            if left > 1 { output.append(digit((b & 0x0F) << 2 | c >> 6)) }
            if left > 2 { output.append(digit(c & 0x3F)) }
            if left < 3, alphabet == .standard {
                output.append(contentsOf: repeatElement(UInt8(ascii: "="), count: 3 - left))
            }
            index += 3
        }
    }

    /// The encoding of `bytes` as a string.
    package static func string(_ bytes: [UInt8], alphabet: Alphabet) -> String {
        var output: [UInt8] = []
        encode(bytes.span, alphabet: alphabet, into: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes that `text` encodes, or nil when it is anything but the one canonical encoding:
    /// a foreign character, a missing or misplaced `=` (`.standard`), any `=` (`.url`), a length of
    /// one more than a multiple of four, or unused bits that are not zero (RFC 4648 §3.5).
    package static func decode(_ text: Span<UInt8>, alphabet: Alphabet) -> [UInt8]? {
        var count = text.count
        if alphabet == .standard {
            guard count % 4 == 0 else { return nil }
            if count > 0, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
            if count > 0, count % 4 == 3, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
        }
        guard count % 4 != 1 else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(count / 4 * 3 + 2)
        var accumulator: UInt32 = 0
        var bits: UInt32 = 0
        for index in 0..<count {
            guard let value = value(of: text[index], alphabet) else { return nil }
            accumulator = (accumulator << 6 | UInt32(value)) & 0xFFFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(truncatingIfNeeded: accumulator >> bits))
            }
        }
        guard accumulator & ((1 << bits) - 1) == 0 else { return nil }
        return output
    }

    /// `decode` over an array.
    package static func decode(_ text: [UInt8], alphabet: Alphabet) -> [UInt8]? {
        decode(text.span, alphabet: alphabet)
    }

    /// The six bits that one character stands for, or nil.
    package static func value(of character: UInt8, _ alphabet: Alphabet) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+") where alphabet == .standard: 62
        case UInt8(ascii: "/") where alphabet == .standard: 63
        case UInt8(ascii: "-") where alphabet == .url: 62
        case UInt8(ascii: "_") where alphabet == .url: 63
        default: nil
        }
    }
}
