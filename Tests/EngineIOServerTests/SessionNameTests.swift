// SPDX-License-Identifier: MIT
import Testing

@testable import EngineIOServer

@Suite struct SessionNameTests {
    private func name(place: Int = 7) -> SessionName {
        SessionName(
            owner: SessionOwner(instance: 3, loop: 1), key: SessionKey(place: place))
    }

    @Test(arguments: [0, 1, 255, 256, 65_536, SessionKey.places - 1])
    func aNameIsReadAsItWasWritten(place: Int) {
        let name = name(place: place)
        #expect(name.text.utf8.count == 24)
        #expect(SessionName(name.text[...]) == name)
        #expect(name.key.place == place)
    }

    @Test func namesOfOnePlaceDiffer() {
        #expect(Set((0..<1000).map { _ in name().text }).count == 1000)
    }

    @Test func eachCharacterCounts() {
        let name = name()
        let text = Array(name.text.utf8)
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : 65
            #expect(SessionName(String(decoding: changed, as: UTF8.self)[...]) != name)
        }
    }

    @Test(arguments: [
        "", "x", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAA AAAAAAAAAAA",
    ])
    func whatIsNoNameIsNone(_ text: String) {
        #expect(SessionName(text[...]) == nil)
    }
}
