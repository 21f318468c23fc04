// SPDX-License-Identifier: MIT
import Bytes
import SocketIO

/// What a decoder says about one message, with the JSON as text instead of a range.
enum Got: Hashable {
    case packet(SocketPacketType, String, Int?, String?)
    case awaiting
    case binary(SocketPacketType, String, Int?, String, [[UInt8]])
    case refused(SocketError)
}

/// One message of Engine.IO.
enum Message: Hashable, Sendable {
    case text(String)
    case binary([UInt8])
}

func decode(_ messages: [Message], limits: SocketLimits = SocketLimits()) -> [Got] {
    var decoder = SocketDecoder(limits: limits)
    var got: [Got] = []
    for message in messages {
        var given: [UInt8] = []
        do throws(SocketError) {
            let step: SocketStep
            switch message {
            case .text(let text):
                given = Array(text.utf8)
                step = try decoder.text(given.span)
            case .binary(let bytes): step = try decoder.binary(bytes)
            }
            switch step {
            case .packet(let packet):
                let data = packet.data.map { String(decoding: given[$0], as: UTF8.self) }
                got.append(.packet(packet.type, packet.namespace, packet.ackID, data))
            case .awaitingAttachments: got.append(.awaiting)
            case .binaryPacket(let packet, let text, let attachments):
                let data = String(decoding: text[packet.data ?? 0..<0], as: UTF8.self)
                got.append(
                    .binary(packet.type, packet.namespace, packet.ackID, data, attachments))
            }
        } catch {
            got.append(.refused(error))
            return got
        }
    }
    return got
}

func decode(_ text: String, limits: SocketLimits = SocketLimits()) -> Got? {
    decode([.text(text)], limits: limits).first
}
