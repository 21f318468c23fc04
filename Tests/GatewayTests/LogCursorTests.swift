// SPDX-License-Identifier: MIT
import Testing

@testable import Gateway

@Suite struct LogCursorTests {
    @Test func readsWhatItWrites() {
        let epoch = "9f3ac01b00112233445566778899aabb"
        let text = "1042" + String(decoding: LogCursor.suffix(of: epoch), as: UTF8.self)
        #expect(text == "1042-9f3ac01b")
        #expect(LogCursor(text)?.seq == 1042)
        #expect(LogCursor(text)?.mark == LogCursor.mark(of: epoch))
        #expect(LogCursor("7")?.seq == 7)
        #expect(LogCursor("7")?.mark == nil)
        #expect(LogCursor("7-")?.mark == "")
        #expect(LogCursor("7-a-b")?.mark == "a-b")
    }

    @Test(arguments: ["", "-", "-1", "+1", "x", "1x-9f3ac01b", " 1", "9223372036854775808", "١"])
    func readsNothingElse(_ text: String) {
        #expect(LogCursor(text) == nil)
    }
}
