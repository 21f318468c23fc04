// SPDX-License-Identifier: MIT
import Bytes
import Testing

@Suite struct Base64Tests {
    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func vectors(_ plain: String, _ encoded: String) {
        #expect(Base64.string(Array(plain.utf8), alphabet: .standard) == encoded)
        #expect(Base64.decode(Array(encoded.utf8), alphabet: .standard) == Array(plain.utf8))
        let unpadded = encoded.filter { $0 != "=" }
        #expect(Base64.string(Array(plain.utf8), alphabet: .url) == unpadded)
        #expect(Base64.decode(Array(unpadded.utf8), alphabet: .url) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v=", "====", "=", "Z===", "Zm 9", "Zm9_", "A",
    ])
    func standardRefuses(_ text: String) {
        #expect(Base64.decode(Array(text.utf8), alphabet: .standard) == nil)
    }

    @Test(arguments: ["Zg==", "Zh", "Zm9", "Zm9+", "Zm9/", "A", "Zg\n"])
    func urlRefuses(_ text: String) {
        #expect(Base64.decode(Array(text.utf8), alphabet: .url) == nil)
    }

    @Test func roundTripsAllLengths() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 197 &+ 251) }
            for alphabet in [Base64.Alphabet.standard, .url] {
                let text = Array(Base64.string(bytes, alphabet: alphabet).utf8)
                #expect(Base64.decode(text, alphabet: alphabet) == bytes)
            }
        }
    }
}

@Suite struct UTF8ValidatorTests {
    static let good = [
        "", "a", "é", "€", "😀", "\u{10FFFF}", "\u{D7FF}\u{E000}", "Hello 世界, long enough",
    ]
    static let bad: [[UInt8]] = [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0x80], [0xED, 0xA0, 0x80],
        [0xF0, 0x8F, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5], [0xFF], [0xC3, 0x28],
    ]

    @Test(arguments: good) func acceptsWholeAndCutAnywhere(_ text: String) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var validator = UTF8Validator()
            let first = validator.accept(bytes.span.extracting(0..<cut))
            let second = validator.accept(bytes.span.extracting(cut..<bytes.count))
            #expect(first && second && validator.isComplete)
        }
    }

    @Test(arguments: bad) func refuses(_ bytes: [UInt8]) {
        let alone = UTF8Validator.isValid(bytes.span)
        let behindWords = UTF8Validator.isValid((Array("12345678abc".utf8) + bytes).span)
        #expect(!alone && !behindWords)
    }

    @Test func failsAtTheFirstImpossibleByte() {
        var validator = UTF8Validator()
        let accepted = validator.accept([0xF4, 0x90].span)
        #expect(!accepted)
    }

    @Test func anUnfinishedCharacterIsNotComplete() {
        let valid = UTF8Validator.isValid([0xE2, 0x82].span)
        #expect(!valid)
    }
}

@Suite struct ASCIITests {
    @Test(arguments: [0, 7, 10, 99, 100, -1, Int.max, Int.min])
    func decimalsAppend(_ value: Int) {
        var bytes: [UInt8] = []
        bytes.append(decimal: value)
        #expect(String(decoding: bytes, as: UTF8.self) == String(value))
    }

    @Test(
        arguments: [
            ("0", 0), ("007", 7), ("9223372036854775807", Int.max), ("9223372036854775808", nil),
            ("", nil), ("+1", nil), ("-1", nil), ("1 ", nil), ("99999999999999999999", nil),
        ] as [(String, Int?)])
    func decimalsParse(_ text: String, _ value: Int?) {
        let parsed = Array(text.utf8).span.decimal()
        #expect(parsed == value)
    }
}

@Suite struct PercentEncodingTests {
    @Test(
        arguments: [
            ("", ""), ("a%20b", "a b"), ("%C3%A9", "é"), ("%c3%a9", "é"), ("%", "%"), ("%4", "%4"),
            ("%4g", "%4g"), ("%%41", "%A"), ("a+b", "a+b"), ("%FF", "\u{FFFD}"), ("%00", "\u{0}"),
        ])
    func decodes(_ text: String, _ decoded: String) {
        #expect(PercentEncoding.decode(text) == decoded)
    }

    @Test func plusIsASpaceInForms() {
        #expect(PercentEncoding.decode("a+b%2B", plusIsSpace: true) == "a b+")
    }

    @Test func strictDecodingRefuses() {
        #expect(PercentEncoding.decodeStrictly("p%40ss") == "p@ss")
        for text in ["%", "%4", "%zz", "%FF", "a%C3"] {
            #expect(PercentEncoding.decodeStrictly(text) == nil)
        }
    }

    @Test func encodingComesBack() {
        let text = "a b/é?&=#%+~._-\u{0}😀"
        #expect(PercentEncoding.encode("a b/é~") == "a%20b%2F%C3%A9~")
        #expect(PercentEncoding.decode(PercentEncoding.encode(text)) == text)
    }
}

@Suite struct GrowthTests {
    /// `reserveCapacity` before each of many small appends would move the whole each time.
    @Test func roomIsMadeByDoubling() {
        var bytes: [UInt8] = []
        var moves = 0
        for _ in 0..<10_000 {
            let before = bytes.capacity
            bytes.makeRoom(for: 64)
            if bytes.capacity != before { moves += 1 }
            bytes.append(contentsOf: repeatElement(0, count: 64))
        }
        #expect(moves < 24)
    }
}
