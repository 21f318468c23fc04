// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON

/// Histories as text, a JSON array a line: `["client",number,user]`, then that client's steps. So a run
/// can be verified again, or looked at by hand.
enum HistoryFile {
    /// What is wrong with a file or a line.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        init(_ description: String) { self.description = description }

        init(path: String) { description = "\(path): \(String(cString: strerror(errno)))" }
    }

    /// The line that a client's steps follow.
    static func head(client: Int, user: String) -> JSONValue {
        ["client", .int(Int64(client)), .string(user)]
    }

    /// Reads a file, a client at a time, however many there are.
    static func forEach(_ path: String, _ body: (ClientHistory) throws -> Void) throws {
        guard let file = fopen(path, "re") else { throw Failure(path: path) }
        defer { fclose(file) }
        var history: ClientHistory?
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        while true {
            let count = getline(&line, &capacity, file)
            guard count > 0, let line else { break }
            let bytes = UnsafeRawBufferPointer(start: line, count: count - 1)
            let value = try JSONValue(parsing: Array(bytes))
            if value.array?.first?.string == "client", let fields = value.array, fields.count == 3 {
                if let history { try body(history) }
                history = ClientHistory(
                    client: Int(fields[1].int ?? 0), user: fields[2].string ?? "")
            } else if let step = decode(value), history != nil {
                history?.steps.append(step)
            } else {
                throw Failure("\(path): no step: \(value.text)")
            }
        }
        if let history { try body(history) }
    }

    static func encode(_ step: HistoryStep) -> JSONValue {
        switch step {
        case .connected(let isRecovered): ["connected", .bool(isRecovered)]
        case .session(let seq, let rooms):
            [
                "session", .int(seq),
                .array(rooms.map { [.string($0.room), .int($0.head)] }),
            ]
        case .event(let fact): .array(["event"] + encode(fact))
        case .sent(let id, let room, let text):
            ["sent", .string(id), .string(room), encode(text)]
        case .acked(let id, let answer):
            [
                "acked", .string(id), .int(answer.seq), .int(answer.roomSeq), .string(answer.at),
            ]
        case .refused(let id, let code): ["refused", .string(id), .string(code)]
        case .joining: ["joining"]
        case .joined(let room, let head, let wasMember):
            ["joined", .string(room), .int(head), .bool(wasMember)]
        case .left(let room, let seq): ["left", .string(room), .int(seq)]
        case .page(let room, let facts):
            ["page", .string(room), .array(facts.map { .array(encode($0)) })]
        case .level: ["level"]
        }
    }

    static func decode(_ value: JSONValue) -> HistoryStep? {
        guard let fields = value.array, let name = fields.first?.string else { return nil }
        func text(_ place: Int) -> String? { place < fields.count ? fields[place].string : nil }
        func number(_ place: Int) -> Int64? { place < fields.count ? fields[place].int : nil }
        func flag(_ place: Int) -> Bool? { place < fields.count ? fields[place].bool : nil }
        func list(_ place: Int) -> [JSONValue]? {
            place < fields.count ? fields[place].array : nil
        }
        switch name {
        case "connected": return flag(1).map { .connected(isRecovered: $0) }
        case "session":
            guard let seq = number(1), let rooms = list(2) else { return nil }
            return .session(
                seq: seq,
                rooms: rooms.compactMap { room in
                    guard let pair = room.array, pair.count == 2, let id = pair[0].string,
                        let head = pair[1].int
                    else { return nil }
                    return RoomPosition(room: id, head: head)
                })
        case "event": return fact(fields.dropFirst()).map { .event($0) }
        case "sent":
            guard let id = text(1), let room = text(2), let hash = fingerprint(text(3)) else {
                return nil
            }
            return .sent(clientID: id, room: room, text: hash)
        case "acked":
            guard let id = text(1), let seq = number(2), let roomSeq = number(3), let at = text(4)
            else { return nil }
            return .acked(clientID: id, SendAnswer(seq: seq, roomSeq: roomSeq, at: at))
        case "refused":
            guard let id = text(1), let code = text(2) else { return nil }
            return .refused(clientID: id, code: code)
        case "joining": return .joining
        case "joined":
            guard let room = text(1), let head = number(2), let wasMember = flag(3) else {
                return nil
            }
            return .joined(room: room, head: head, wasMember: wasMember)
        case "left":
            guard let room = text(1), let seq = number(2) else { return nil }
            return .left(room: room, seq: seq)
        case "page":
            guard let room = text(1), let facts = list(2) else { return nil }
            return .page(room: room, facts.compactMap { fact(($0.array ?? [])[...]) })
        case "level": return .level
        default: return nil
        }
    }

    private static func encode(_ fact: LogFact) -> [JSONValue] {
        [
            .string(fact.kind.rawValue), .string(fact.room), .int(fact.seq), .int(fact.roomSeq),
            encode(fact.content),
        ]
    }

    private static func encode(_ hash: Fingerprint) -> JSONValue {
        .string(String(hash.value, radix: 16))
    }

    private static func fingerprint(_ text: String?) -> Fingerprint? {
        text.flatMap { UInt64($0, radix: 16) }.map { Fingerprint(value: $0) }
    }

    private static func fact(_ fields: ArraySlice<JSONValue>) -> LogFact? {
        let fields = Array(fields)
        guard fields.count == 5,
            let kind = fields[0].string.flatMap({ LogFact.Kind(rawValue: $0) }),
            let room = fields[1].string, let seq = fields[2].int, let roomSeq = fields[3].int,
            let content = fingerprint(fields[4].string)
        else { return nil }
        return LogFact(kind: kind, room: room, seq: seq, roomSeq: roomSeq, content: content)
    }
}
