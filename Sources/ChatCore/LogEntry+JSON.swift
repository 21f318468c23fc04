// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
package import Timing

extension LogEntry {
    /// The name of the event that tells clients of this entry: `message`, `room`, `member`, `receipt`.
    /// Of what is no event for clients (`LogKind.isEvent`), the name of the kind.
    package var eventName: String {
        switch kind {
        case .message: "message"
        case .room: "room"
        case .member: "member"
        case .receipt: "receipt"
        case .arrival: "arrival"
        case .unknown: "unknown"
        }
    }

    /// Appends the client event, one JSON object. Byte appends only: the payload was encoded when the
    /// entry was decided and its members are spliced in.
    ///
    /// Shapes: `message {seq,roomSeq,room,id,at,user,text,replyTo,clientId}`,
    /// `room {seq,roomSeq,room,at,user,action,name,topic,visibility}`,
    /// `member {seq,roomSeq,room,at,user,action,member}`, `receipt {room,at,user,roomSeq}`.
    package func writeEvent(into output: inout [UInt8]) {
        if kind == .receipt {
            output.append("{\"room\":")
        } else {
            output.append("{\"seq\":")
            output.append(decimal: seq)
            output.append(",\"roomSeq\":")
            output.append(decimal: roomSeq)
            output.append(",\"room\":")
        }
        JSONString.write(room.rawValue, into: &output)
        if kind == .message {
            output.append(",\"id\":\"m")
            output.append(decimal: seq)
            output.append("\",\"at\":\"")
        } else {
            output.append(",\"at\":\"")
        }
        output.append(rfc3339: at)
        output.append("\",\"user\":{\"id\":")
        JSONString.write(actor.rawValue, into: &output)
        output.append(",\"name\":")
        JSONString.write(actorName, into: &output)
        output.append("},")
        output.append(payload.span.extracting(1..<payload.count - 1))
        if kind == .message {
            output.append(",\"clientId\":")
            if let clientID {
                JSONString.write(clientID, into: &output)
            } else {
                output.append("null")
            }
        }
        output.append(UInt8(ascii: "}"))
    }

    /// Appends the entry as other services read it: `{"seq","at","type","room","roomSeq","visibility",
    /// "user","data"}` with the client event as `data`.
    package func writeLogJSON(into output: inout [UInt8]) {
        output.append("{\"seq\":")
        output.append(decimal: seq)
        output.append(",\"at\":\"")
        output.append(rfc3339: at)
        output.append("\",\"type\":\"")
        output.append(type)
        output.append("\",\"room\":")
        JSONString.write(room.rawValue, into: &output)
        output.append(",\"roomSeq\":")
        output.append(decimal: roomSeq)
        output.append(",\"visibility\":\"")
        output.append(visibility.rawValue)
        output.append("\",\"user\":")
        user.writeJSON(into: &output)
        output.append(",\"data\":")
        if kind == .unknown { output.append("{}") } else { writeEvent(into: &output) }
        output.append(UInt8(ascii: "}"))
    }

    /// The entry as other services read it.
    package var logJSON: [UInt8] {
        var output: [UInt8] = []
        writeLogJSON(into: &output)
        return output
    }

    /// The type other services switch on: `message.created`, `member.joined`, `member.left`,
    /// `member.invited`, `member.removed`, `room.created`, `room.updated`, `receipt.read`,
    /// `user.arrived`; `unknown` for what only a newer version can read.
    package var type: String {
        switch kind {
        case .message: "message.created"
        case .receipt: "receipt.read"
        case .room, .member: "\(eventName).\(action)"
        case .arrival: "user.arrived"
        case .unknown: "unknown"
        }
    }

    /// The payload's `action`, which we always write first.
    private var action: String {
        let prefix = "{\"action\":\"".utf8.count
        guard payload.count > prefix else { return "" }
        let rest = payload[prefix...]
        return String(decoding: rest.prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
    }
}

extension [UInt8] {
    /// Appends `2026-01-31T23:59:59.000Z`, the same as `Timestamp.rfc3339`, without building strings:
    /// it is written once for each event.
    package mutating func append(rfc3339 time: Timestamp) {
        let milliseconds = time.milliseconds
        guard milliseconds >= 0, milliseconds < 253_402_300_800_000 else {
            return append(time.rfc3339)
        }
        let (days, rest) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        // The era arithmetic of `Timestamp`, for days after 1970 only.
        let shiftedDays = days + 719_468
        let era = shiftedDays / 146_097
        let dayOfEra = shiftedDays - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        append(padded: year, width: 4)
        append(UInt8(ascii: "-"))
        append(padded: month, width: 2)
        append(UInt8(ascii: "-"))
        append(padded: dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, width: 2)
        append(UInt8(ascii: "T"))
        append(padded: rest / 3_600_000, width: 2)
        append(UInt8(ascii: ":"))
        append(padded: rest / 60_000 % 60, width: 2)
        append(UInt8(ascii: ":"))
        append(padded: rest / 1000 % 60, width: 2)
        append(UInt8(ascii: "."))
        append(padded: rest % 1000, width: 3)
        append(UInt8(ascii: "Z"))
    }

    private mutating func append(padded value: Int64, width: Int) {
        var unit: Int64 = 1
        for _ in 1..<width { unit *= 10 }
        while unit > 0 {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / unit % 10))
            unit /= 10
        }
    }
}
