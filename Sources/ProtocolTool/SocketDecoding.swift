// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
internal import SocketIO

/// The Socket.IO decoder on standard input, for comparison with somebody else's: each line is one connection,
/// its messages as `t<hex>` (text) or `b<hex>` (binary); each line out is a JSON array of what was said.
enum SocketDecoding {
    static func run() {
        while let line = readLine() {
            var said: [JSONValue] = []
            var decoder = SocketDecoder()
            for word in line.split(separator: " ") {
                let step = say(word, &decoder)
                said.append(step)
                if step["error"] != nil { break }
            }
            print(JSONValue.array(said).text)
        }
    }

    private static func say(_ word: Substring, _ decoder: inout SocketDecoder) -> JSONValue {
        let digits = Array(word.utf8.dropFirst())
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { index in
            (Hex.value(of: digits[index]) ?? 0) << 4 | (Hex.value(of: digits[index + 1]) ?? 0)
        }
        if word.first == "t", !UTF8Validator.isValid(bytes.span) { return ["error": "not_utf8"] }
        do throws(SocketError) {
            let step = word.first == "t" ? try decoder.text(bytes.span) : try decoder.binary(bytes)
            switch step {
            case .awaitingAttachments: return ["awaiting": true]
            case .packet(let packet): return describe(packet, bytes, [])
            case .binaryPacket(let packet, let text, let attachments):
                return describe(packet, text, attachments)
            }
        } catch {
            return ["error": .string(error.code)]
        }
    }

    private static func describe(
        _ packet: SocketPacket, _ text: [UInt8], _ attachments: [[UInt8]]
    ) -> JSONValue {
        [
            "type": .int(Int64(packet.type.rawValue) - 0x30), "nsp": .string(packet.namespace),
            "id": packet.ackID.map { .int(Int64($0)) } ?? .null,
            // The text, so that the other side's own parser reads it.
            "data": packet.data.map { .string(text.span.extracting($0).string()) } ?? .null,
            "attachments": .array(attachments.map { .string(Hex.string($0)) }),
        ]
    }
}
