// SPDX-License-Identifier: MIT
import Bytes
import JSON
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        "null", "true", "false", "0", "-1", "9223372036854775807", "1.5", "\"\"", "\"a\\\"b\\\\\"",
        "[]", "[1,[2,[3]]]", "{}", "{\"a\":{\"b\":[null,true]}}", "\"\\u0001\\n\"", "\"日本\"",
    ])
    func roundTrips(_ text: String) throws {
        let value = try JSONValue(parsing: Array(text.utf8))
        #expect(value.text == text)
    }

    @Test(arguments: [
        "", " ", "nul", "tru", "01", "-", "1.", "1e", ".5", "+1", "\"", "\"\\x\"", "\"\\u12g4\"",
        "\"\u{1}\"", "[1,]", "[1 2]", "[", "{", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "1 2",
        "'a'", "NaN", "\u{FEFF}1",
    ])
    func refuses(_ text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
    }

    @Test func refusesRepeatedNamesAlsoWhenEscaped() {
        #expect(throws: JSONError.duplicateMember("a")) {
            try JSONValue(parsing: Array(#"{"a":1,"\u0061":2}"#.utf8))
        }
    }

    @Test func nestingIsLimitedExactly() throws {
        func nested(_ depth: Int) -> [UInt8] {
            Array(
                (String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        _ = try JSONValue(parsing: nested(32))
        #expect(throws: JSONError.tooDeep) { try JSONValue(parsing: nested(33)) }
    }

    @Test func illFormedUTF8IsRefused() {
        #expect(throws: JSONError.invalidUTF8) {
            try JSONValue(parsing: [0x22, 0xC3, 0x28, 0x22])
        }
    }

    @Test func surrogatePairsJoinAndLoneOnesAreReplaced() throws {
        #expect(try JSONValue(parsing: Array(#""\ud83d\ude00""#.utf8)).string == "😀")
        #expect(try JSONValue(parsing: Array(#""\ud83dx""#.utf8)).string == "\u{FFFD}x")
        #expect(try JSONValue(parsing: Array(#""\ude00""#.utf8)).string == "\u{FFFD}")
    }

    @Test func slicesGiveFieldsWithoutATree() throws {
        let bytes = Array(
            #"  {"room":"r1","text":"a\nb","n":12,"on":true,"deep":{"room":"x"}} "#.utf8)
        let slices = try JSONObjectSlices(bytes.span, in: 0..<bytes.count)
        let (room, text) = (
            slices.string("room", in: bytes.span), slices.string("text", in: bytes.span)
        )
        let (n, on) = (slices.count("n", in: bytes.span), slices.bool("on", in: bytes.span))
        #expect(room == "r1")
        #expect(text == "a\nb")
        #expect(n == 12)
        #expect(on == true)
        let wrong = (slices.string("n", in: bytes.span), slices.count("room", in: bytes.span))
        #expect(wrong.0 == nil)
        #expect(wrong.1 == nil)
    }

    @Test(arguments: ["[]", "1", "{\"a\":1}x", "{\"a\":[}"])
    func slicesRefuseAnythingElse(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(throws: JSONError.self) {
            _ = try JSONObjectSlices(bytes.span, in: 0..<bytes.count)
        }
    }

    /// Every prefix of a valid text is refused, none traps.
    @Test func everyCutIsRefused() throws {
        let bytes = Array(#"{"a":[1,-2.5e3,"\u00e9é\\",null,true,{"b":{}}]}"#.utf8)
        _ = try JSONValue(parsing: bytes)
        for count in 0..<bytes.count {
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(bytes[..<count])) }
        }
    }
}
