// SPDX-License-Identifier: MIT
internal import Bytes
package import JSON

/// What a log entry says beyond its envelope, and its text form: the members that the client event has
/// besides the envelope's.
///
/// | kind | payload |
/// |---|---|
/// | message | `{"text":"…","replyTo":null or "m…"}` |
/// | room | `{"action":"created" or "updated","name":"…","topic":"…","visibility":"public" or "private"}` |
/// | member | `{"action":"joined", "left", "invited" or "removed","member":{"id":"…","name":"…"}}` |
/// | receipt | `{"roomSeq":n}`: the mark |
/// | arrival | `{"action":"arrived"}` |
package enum LogContent: Hashable, Sendable {
    case message(text: String, replyTo: String?)
    case room(RoomAction, name: String, topic: String, visibility: Visibility)
    case member(MemberAction, User)
    case receipt(roomSeq: Int64)
    case arrival

    package enum RoomAction: String, Hashable, Sendable { case created, updated }
    package enum MemberAction: String, Hashable, Sendable { case joined, left, invited, removed }

    /// Decodes a payload. Members it does not know are passed over.
    package init(kind: LogKind, payload: [UInt8]) throws(JSONError) {
        let value = try JSONValue(parsing: payload)
        func required<Value>(_ value: Value?) throws(JSONError) -> Value {
            guard let value else { throw .syntax(offset: 0) }
            return value
        }
        switch kind {
        case .message:
            self = .message(
                text: try required(value["text"]?.string), replyTo: value["replyTo"]?.string)
        case .room:
            self = .room(
                try required(value["action"]?.string.flatMap { RoomAction(rawValue: $0) }),
                name: try required(value["name"]?.string),
                topic: try required(value["topic"]?.string),
                visibility: try required(
                    value["visibility"]?.string.flatMap { Visibility(rawValue: $0) }))
        case .member:
            self = .member(
                try required(value["action"]?.string.flatMap { MemberAction(rawValue: $0) }),
                User(
                    id: UserID(try required(value["member"]?["id"]?.string)),
                    name: try required(value["member"]?["name"]?.string)))
        case .receipt:
            self = .receipt(roomSeq: try required(value["roomSeq"]?.int))
        case .arrival:
            guard value["action"]?.string == "arrived" else { throw .syntax(offset: 0) }
            self = .arrival
        case .unknown: throw .syntax(offset: 0)
        }
    }

    /// The payload's text.
    package var payload: [UInt8] {
        var output: [UInt8] = []
        switch self {
        case .message(let text, let replyTo):
            output.reserveCapacity(text.utf8.count + 40)
            output.append("{\"text\":")
            JSONString.write(text, into: &output)
            output.append(",\"replyTo\":")
            if let replyTo {
                JSONString.write(replyTo, into: &output)
            } else {
                output.append("null")
            }
        case .room(let action, let name, let topic, let visibility):
            output.append("{\"action\":\"\(action.rawValue)\",\"name\":")
            JSONString.write(name, into: &output)
            output.append(",\"topic\":")
            JSONString.write(topic, into: &output)
            output.append(",\"visibility\":\"\(visibility.rawValue)\"")
        case .member(let action, let user):
            output.append("{\"action\":\"\(action.rawValue)\",\"member\":")
            user.writeJSON(into: &output)
        case .receipt(let roomSeq):
            output.append("{\"roomSeq\":")
            output.append(decimal: roomSeq)
        case .arrival: output.append("{\"action\":\"arrived\"")
        }
        output.append(UInt8(ascii: "}"))
        return output
    }
}
