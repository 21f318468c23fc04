// SPDX-License-Identifier: MIT
internal import Bytes
package import JSON
package import Store
internal import Timing
internal import Webhooks

/// The logs this service follows, and what their entries mean here.
package enum LogSource: String, Sendable, CaseIterable {
    case chat, auth

    /// Reads an entry of `/internal/log` or of an announcement. An entry that has its number but is
    /// otherwise not what the contract says makes no event and changes nothing, so that one bad entry
    /// never stops what follows it.
    /// - Returns: nil when there is no number to go on by.
    package func entry(_ value: JSONValue) -> SourceEntry? {
        guard let sequence = value["seq"]?.int, sequence > 0 else { return nil }
        let at = value["at"]?.string.flatMap { InternetTime.parse($0) }
        guard let at, let type = value["type"]?.string else {
            return SourceEntry(
                sequence: sequence, at: Timestamp(milliseconds: 0), type: nil, audience: .nobody,
                data: [])
        }
        switch self {
        case .chat: return chatEntry(value, sequence, at, type)
        case .auth: return authEntry(value, sequence, at, type)
        }
    }

    /// Whether an entry of that type is known: others pass without making an event.
    private func chatEntry(
        _ value: JSONValue, _ sequence: Int64, _ at: Timestamp, _ type: String
    ) -> SourceEntry {
        var entry = SourceEntry(
            sequence: sequence, at: at, type: nil, audience: .nobody, data: [])
        if type == "user.arrived" {
            // No event of the webhooks' kind: only who is in the lobby.
            if let room = value["room"]?.string, let user = value["user"]?["id"]?.string {
                entry.membership = .joined(room: room, user: user)
            }
            return entry
        }
        guard let room = value["room"]?.string, let data = value["data"],
            EventTypes.all.contains(type), data.object != nil
        else { return entry }
        entry.type = type
        entry.room = room
        entry.audience = .members(room: room)
        entry.data = data.bytes
        switch type {
        case "member.joined":
            entry.membership = data["member"]?["id"]?.string.map { .joined(room: room, user: $0) }
        case "member.left", "member.removed":
            entry.membership = data["member"]?["id"]?.string.map { .left(room: room, user: $0) }
        case "room.created":
            entry.membership = value["user"]?["id"]?.string.map { .joined(room: room, user: $0) }
        default: break
        }
        return entry
    }

    private func authEntry(
        _ value: JSONValue, _ sequence: Int64, _ at: Timestamp, _ type: String
    ) -> SourceEntry {
        let user = value["sub"]?.string
        var data: JSONObject = [:]
        data["user"] = user.map { .string($0) } ?? .null
        data["session"] = value["sid"]?.string.map { .string($0) } ?? .null
        data["at"] = .string(at.rfc3339)
        for member in value["data"]?.object?.members ?? [] where data[member.name] == nil {
            data[member.name] = member.value
        }
        return SourceEntry(
            sequence: sequence, at: at, type: user == nil ? nil : EventTypes.ofAuthEntry(type),
            audience: user.map { .user($0) } ?? .nobody,
            closedAccount: type == "user.disabled" ? user : nil,
            data: JSONValue.object(data).bytes)
    }
}

/// RFC 3339 in UTC as this project writes it.
enum InternetTime {
    /// `2026-01-31T23:59:59.000Z`, the fraction optional; nil for anything else.
    static func parse(_ text: String) -> Timestamp? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            bytes.span.extracting(range).decimal().map { Int64($0) }
        }
        guard let year = number(0..<4), let month = number(5..<7), (1...12).contains(month),
            let day = number(8..<10), (1...31).contains(day), let hour = number(11..<13),
            hour < 24, let minute = number(14..<16), minute < 60, let second = number(17..<19),
            second <= 60
        else { return nil }
        var fraction: Int64 = 0
        if bytes.count > 20 {
            guard bytes[19] == UInt8(ascii: "."), bytes.count <= 30,
                let digits = number(20..<bytes.count - 1)
            else { return nil }
            fraction = digits
            for _ in 0..<max(0, 3 - (bytes.count - 21)) { fraction *= 10 }
            for _ in 0..<max(0, bytes.count - 21 - 3) { fraction /= 10 }
        }
        let shifted = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let days =
            shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second
        let time = Timestamp(milliseconds: seconds * 1000 + fraction)
        // Written back it must begin the same, which refuses odd separators and 31 February.
        return time.rfc3339.utf8.prefix(19).elementsEqual(bytes[..<19]) ? time : nil
    }
}
