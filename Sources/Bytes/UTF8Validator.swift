// SPDX-License-Identifier: MIT

/// Checks UTF-8 as it streams in: well-formedness as in Unicode 15 table 3-7 (no surrogates, no
/// overlong forms, nothing above U+10FFFF). Fails at the first byte that cannot continue, so a
/// WebSocket text message is refused as early as RFC 6455 §8.1 allows.
package struct UTF8Validator: Sendable {
    /// Continuation bytes still due for the character under way, 0...3.
    private var due: UInt8 = 0
    /// The range the next continuation byte must fall in; narrower than 80...BF after some leads.
    private var low: UInt8 = 0x80
    private var high: UInt8 = 0xBF

    package init() {}

    /// Takes the next bytes. False at the first byte that no continuation could make well-formed;
    /// after false the validator must not be used again.
    @inlinable
    package mutating func accept(_ bytes: Span<UInt8>) -> Bool {
        bytes.withUnsafeBytes { accept(raw: $0) }
    }

    @usableFromInline
    package mutating func accept(raw bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if due == 0 {
                // Eight ASCII bytes at a time: chat text is mostly that.
                while count - index >= 8 {
                    let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                    if word & 0x8080_8080_8080_8080 != 0 { break }
                    index += 8
                }
                guard index < count else { break }
            }
            guard accept(bytes[index]) else { return false }
            index += 1
        }
        return true
    }

    /// Whether the bytes so far end on a character boundary.
    package var isComplete: Bool { due == 0 }

    private mutating func accept(_ byte: UInt8) -> Bool {
        if due > 0 {
            guard byte >= low, byte <= high else { return false }
            low = 0x80
            high = 0xBF
            due -= 1
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: due = 1
        case 0xE0: (due, low) = (2, 0xA0)
        case 0xE1...0xEC, 0xEE...0xEF: due = 2
        case 0xED: (due, high) = (2, 0x9F)
        case 0xF0: (due, low) = (3, 0x90)
        case 0xF1...0xF3: due = 3
        case 0xF4: (due, high) = (3, 0x8F)
        default: return false
        }
        return true
    }

    /// Whether `bytes` as a whole is well-formed UTF-8.
    package static func isValid(_ bytes: Span<UInt8>) -> Bool {
        var validator = UTF8Validator()
        return validator.accept(bytes) && validator.isComplete
    }
}
