// SPDX-License-Identifier: MIT
import Bytes
import SocketIO
import Testing

@Suite struct EventArgumentsTests {
    static func split(_ text: String, from start: Int = 0) throws -> (String, [String]) {
        let bytes = Array(text.utf8)
        let parts = try EventArguments.split(bytes.span, in: start..<bytes.count)
        func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        return (string(parts.name), parts.arguments.map(string))
    }

    @Test(
        arguments: [
            ("[\"a\"]", "\"a\"", []), ("[ 1.5 ,\t2 ]", "1.5", ["2"]),
            (
                "[\"é\", {\"b\" : [1, 2]} ,\"]\",null]", "\"é\"",
                ["{\"b\" : [1, 2]}", "\"]\"", "null"]
            ),
        ] as [(String, String, [String])])
    func splits(_ text: String, _ name: String, _ arguments: [String]) throws {
        let parts = try Self.split(text)
        #expect(parts.0 == name && parts.1 == arguments)
    }

    @Test func rangesAreOffsetsIntoTheWholeBuffer() throws {
        let parts = try Self.split("212[\"a\",7]", from: 3)
        #expect(parts.0 == "\"a\"" && parts.1 == ["7"])
    }

    @Test(arguments: ["[]", "{}", "[null]", "[\"a\"", "[\"a\"] 1", "", "\"a\""])
    func refuses(_ text: String) {
        #expect(throws: SocketError.invalidPayload) { try Self.split(text) }
    }

    @Test(arguments: EventArguments.reservedNames) func refusesReserved(_ name: String) {
        #expect(throws: SocketError.reservedEvent) { try Self.split("[\"\(name)\"]") }
    }

    @Test func acksMayBeEmpty() throws {
        let empty = Array("[]".utf8)
        let none = try EventArguments.splitAck(empty.span, in: 0..<2)
        #expect(none.isEmpty)
        let two = Array("[1,\"connect\"]".utf8)
        let ranges = try EventArguments.splitAck(two.span, in: 0..<two.count)
        #expect(ranges == [1..<2, 3..<12])
        #expect(throws: SocketError.invalidPayload) {
            try EventArguments.splitAck(Array("{}".utf8).span, in: 0..<2)
        }
    }
}
