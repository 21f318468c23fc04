// SPDX-License-Identifier: MIT

/// Holds what clients saw against what the log has. Pure: histories and rows in, complaints out. In
/// memory are the log's rows, the sends, and one client's history at a time.
///
/// | promise | checked by |
/// |---|---|
/// | an acknowledged message is stored exactly once, as the acknowledgement says | `checkSends` |
/// | repeated acknowledgements are identical | `checkSends` |
/// | nothing is stored that nobody sent; what was refused is not | `checkSends` |
/// | `seq` rises, `roomSeq` is contiguous from 1 in each room | `checkLog` |
/// | the same content at the same place everywhere | `ClientCheck.event` |
/// | a connection's events come in order, each once, over all recoveries | `ClientCheck.event` |
/// | whoever was in the room gets all of it, from the joining to the leaving | `ClientCheck.expect` |
/// | nobody else gets any of it | `ClientCheck.event` |
/// | recovered means that nothing is missing | `ClientCheck.session` |
/// | the first live event after a join is head + 1 | `ClientCheck.event` |
/// | a snapshot is the log's state at its `seq` | `ClientCheck.session` |
struct Verifier {
    /// What was found, and how much was looked at.
    struct Report: Hashable, Sendable {
        var rows = 0
        var messages = 0
        var clients = 0
        var events = 0
        var sends = 0
        var attempts = 0
        var acks = 0
        var repeatedAcks = 0
        /// Sends never answered whose message is in the log, and those whose message is not.
        var unansweredStored = 0
        var unansweredLost = 0
        var recoveries = 0
        var freshSessions = 0
        var joins = 0
        var pages = 0
        /// In words, the first 50; `complaintCount` counts all.
        var complaints: [String] = []
        var complaintCount = 0

        mutating func complain(_ text: @autoclosure () -> String) {
            complaintCount += 1
            if complaints.count < 50 { complaints.append(text()) }
        }

        var isClean: Bool { complaintCount == 0 }
    }

    /// Checks everything, of histories that are all in memory.
    static func verify(
        _ histories: [ClientHistory], log: [LogRow], isComplete: Bool = true
    ) -> Report {
        verify(log: log, isComplete: isComplete) { histories.forEach($0) }
    }

    /// Checks everything. Needs one history at a time, the log, and of all sends what was asked and
    /// answered.
    /// - Parameters:
    ///   - log: in the order of `seq`.
    ///   - isComplete: whether the histories are of everybody who sent.
    ///   - forEach: calls its body with each history once.
    static func verify(
        log: [LogRow], isComplete: Bool = true,
        _ forEach: (_ body: (ClientHistory) -> Void) throws -> Void
    ) rethrows -> Report {
        var report = Report()
        report.rows = log.count
        let index = LogIndex(log)
        checkLog(log, &report)
        var sends: [SendKey: Send] = [:]
        try forEach { history in
            report.clients += 1
            note(history, in: &sends, &report)
            var check = ClientCheck(history, index)
            check.run(&report)
        }
        checkSends(sends, log, isComplete, &report)
        return report
    }

    // MARK: The log itself

    private static func checkLog(_ log: [LogRow], _ report: inout Report) {
        var last: Int64 = 0
        var heads: [String: Int64] = [:]
        var sends: Set<SendKey> = []
        for row in log {
            if row.seq <= last { report.complain("log: seq \(row.seq) follows \(last)") }
            last = row.seq
            if row.text != nil { report.messages += 1 }
            if row.roomSeq > 0 {
                let head = heads[row.room, default: 0]
                if row.roomSeq != head + 1 {
                    report.complain(
                        "log: \(row.room) has roomSeq \(row.roomSeq) after \(head) at seq \(row.seq)"
                    )
                }
                heads[row.room] = row.roomSeq
            }
            if let id = row.clientID,
                !sends.insert(SendKey(user: row.actor, clientID: id)).inserted
            {
                report.complain(
                    "log: \(row.actor)'s \(id) is stored twice, again at seq \(row.seq)")
            }
        }
    }

    // MARK: Sends

    private struct SendKey: Hashable {
        var user: String
        var clientID: String
    }

    private struct Send {
        var room: String
        var text: Fingerprint
        var attempts = 0
        var refusals = 0
        var answer: SendAnswer?
    }

    /// Takes in what one client sent and was told of it.
    private static func note(
        _ history: ClientHistory, in sends: inout [SendKey: Send], _ report: inout Report
    ) {
        for step in history.steps {
            switch step {
            case .sent(let id, let room, let text):
                let key = SendKey(user: history.user, clientID: id)
                sends[key, default: Send(room: room, text: text)].attempts += 1
                report.attempts += 1
            case .refused(let id, _):
                sends[SendKey(user: history.user, clientID: id)]?.refusals += 1
            case .acked(let id, let answer):
                let key = SendKey(user: history.user, clientID: id)
                report.acks += 1
                guard let send = sends[key] else {
                    report.complain("client \(history.client): an ack for \(id), never sent")
                    continue
                }
                if let first = send.answer {
                    report.repeatedAcks += 1
                    if first != answer {
                        report.complain("\(id): acknowledged as \(first), then as \(answer)")
                    }
                }
                sends[key]?.answer = answer
            default: break
            }
        }
    }

    private static func checkSends(
        _ sends: [SendKey: Send], _ log: [LogRow], _ isComplete: Bool, _ report: inout Report
    ) {
        report.sends = sends.count
        var stored: [SendKey: LogRow] = [:]
        for row in log {
            guard let id = row.clientID else { continue }
            let key = SendKey(user: row.actor, clientID: id)
            stored[key] = row
            guard let send = sends[key] else {
                if isComplete { report.complain("log: seq \(row.seq) (\(id)) was sent by nobody") }
                continue
            }
            if send.room != row.room || send.text != row.text {
                report.complain("log: seq \(row.seq) (\(id)) is not what was sent")
            }
        }
        for (key, send) in sends {
            let row = stored[key]
            if let answer = send.answer {
                guard let row else {
                    report.complain(
                        "\(key.clientID): acknowledged as seq \(answer.seq), not stored")
                    continue
                }
                if row.seq != answer.seq || row.roomSeq != answer.roomSeq || row.at != answer.at {
                    report.complain(
                        "\(key.clientID): acknowledged as \(answer), stored as seq \(row.seq) "
                            + "roomSeq \(row.roomSeq) at \(row.at)")
                }
            } else if send.attempts > send.refusals {
                if row == nil { report.unansweredLost += 1 } else { report.unansweredStored += 1 }
            } else if let row {
                report.complain("\(key.clientID): refused each time, stored as seq \(row.seq)")
            }
        }
    }
}

/// The log, ready for questions of the kind "what should this user have seen".
final class LogIndex {
    /// A stretch of membership, both ends in: the entry of the joining and that of the leaving.
    struct Stretch: Hashable {
        var room: String
        var from: Int64
        var through: Int64
    }

    let rows: [LogRow]
    let head: Int64
    private var places: [Int64: Int] = [:]
    private var stretches: [String: [Stretch]] = [:]
    private var expected: [String: [Int64]] = [:]
    private var byRoom: [String: [LogRow]] = [:]

    init(_ rows: [LogRow]) {
        self.rows = rows
        head = rows.last?.seq ?? 0
        for (place, row) in rows.enumerated() {
            places[row.seq] = place
            if row.fact != nil { byRoom[row.room, default: []].append(row) }
            switch row.change {
            case .joined(let user):
                stretches[user, default: []].append(
                    Stretch(room: row.room, from: row.seq, through: .max))
            case .left(let user):
                let open = stretches[user]?.lastIndex { $0.room == row.room && $0.through == .max }
                if let open { stretches[user]?[open].through = row.seq }
            default: break
            }
        }
    }

    func row(_ seq: Int64) -> LogRow? { places[seq].map { rows[$0] } }

    /// The durable entries of a room, in order.
    func entries(of room: String) -> [LogRow] { byRoom[room] ?? [] }

    func isMember(_ user: String, of room: String, at seq: Int64) -> Bool {
        stretches[user]?.contains { $0.room == room && $0.from <= seq && seq <= $0.through }
            ?? false
    }

    /// The rooms of a user right after `seq`, with their heads then.
    func rooms(of user: String, at seq: Int64) -> [RoomPosition] {
        (stretches[user] ?? []).filter { $0.from <= seq && seq < $0.through }.map {
            RoomPosition(room: $0.room, head: head(of: $0.room, at: seq))
        }
    }

    private func head(of room: String, at seq: Int64) -> Int64 {
        let entries = entries(of: room)
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].seq <= seq { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? 0 : entries[low - 1].roomSeq
    }

    /// What a user has to be given, ascending: everything of each room from the joining, which is told
    /// to the user's other devices only and so is left out, to the leaving.
    func expected(of user: String) -> [Int64] {
        if let known = expected[user] { return known }
        var all: [Int64] = []
        for stretch in stretches[user] ?? [] {
            for row in entries(of: stretch.room)
            where row.seq > stretch.from && row.seq <= stretch.through {
                all.append(row.seq)
            }
        }
        all.sort()
        expected[user] = all
        return all
    }

    /// Whether an entry may be given to a user though nothing demands it: their own joining, an
    /// invitation to them, a room they have just made.
    func isOptional(_ row: LogRow, for user: String) -> Bool {
        switch row.change {
        case .joined(user), .invited(user): true
        default: row.fact?.kind == .room && row.roomSeq == 1 && row.actor == user
        }
    }
}

/// One client's history against the log.
///
/// A stretch of history begins with a snapshot (`session` of a connection that was not recovered) and
/// goes on over every recovery until the next snapshot. Within it, what the client is owed has to come
/// without holes, in order.
private struct ClientCheck {
    private let history: ClientHistory
    private let index: LogIndex
    private let expected: [Int64]
    /// The place in `expected` of what is due next.
    private var due = 0
    /// Where the client stands in the log; nil before its first snapshot.
    private var position: Int64?
    private var isRecovered = false
    private var isConnected = false
    private var hasSession = false
    /// The first `roomSeq` to come of rooms just joined.
    private var firsts: [String: Int64] = [:]

    init(_ history: ClientHistory, _ index: LogIndex) {
        self.history = history
        self.index = index
        expected = index.expected(of: history.user)
    }

    mutating func run(_ report: inout Verifier.Report) {
        for step in history.steps {
            switch step {
            case .connected(let isRecovered):
                isConnected = true
                hasSession = false
                self.isRecovered = isRecovered
                if isRecovered, position == nil {
                    report.complain("\(name): recovered, with nothing to recover from")
                }
            case .session(let seq, let rooms): session(seq, rooms, &report)
            case .event(let fact): event(fact, &report)
            case .joined(let room, let head, let wasMember):
                report.joins += 1
                if !wasMember { firsts[room] = head + 1 }
            case .left(let room, _): firsts[room] = nil
            case .page(let room, let facts): page(room, facts, &report)
            case .level:
                if position == nil { report.complain("\(name): never got a session") }
                expect(through: index.head, "at the end", &report)
            case .sent, .acked, .refused, .joining: break
            }
        }
    }

    private var name: String { "client \(history.client) (\(history.user))" }

    private mutating func session(
        _ seq: Int64, _ rooms: [RoomPosition], _ report: inout Verifier.Report
    ) {
        hasSession = true
        if isRecovered {
            report.recoveries += 1
            expect(through: seq, "though recovered", &report)
            position = max(position ?? 0, seq)
        } else {
            report.freshSessions += 1
            if let position, seq < position {
                report.complain("\(name): a session at seq \(seq), after \(position) was seen")
            }
            firsts = [:]
            position = seq
            due = expected.partition { $0 <= seq }
        }
        let truth = Set(index.rooms(of: history.user, at: seq))
        if Set(rooms) != truth {
            let differences = Set(rooms).symmetricDifference(truth)
                .map { "\($0.room) at \($0.head)" }.sorted().prefix(4)
            report.complain(
                "\(name): the session at seq \(seq) differs from the log in \(differences)")
        }
    }

    private mutating func event(_ fact: LogFact, _ report: inout Verifier.Report) {
        report.events += 1
        guard let position else {
            return report.complain("\(name): seq \(fact.seq) before any session")
        }
        guard isRecovered || hasSession else {
            return report.complain("\(name): seq \(fact.seq) before the session")
        }
        guard let row = index.row(fact.seq) else {
            return report.complain("\(name): seq \(fact.seq) is not in the log")
        }
        if row.fact != fact {
            report.complain("\(name): seq \(fact.seq) is something else in the log")
        }
        guard fact.seq > position else {
            return report.complain("\(name): seq \(fact.seq) comes after \(position)")
        }
        let isExpected = index.isMember(history.user, of: fact.room, at: fact.seq)
        if !isExpected, !index.isOptional(row, for: history.user) {
            report.complain("\(name): seq \(fact.seq) of \(fact.room), without being a member")
        }
        // A connection that breaks right behind the answer may bring the joining itself once more.
        let isOwnJoining = index.isOptional(row, for: history.user)
        if let first = firsts[fact.room], !(isOwnJoining && fact.roomSeq < first) {
            firsts[fact.room] = nil
            if fact.roomSeq != first {
                report.complain(
                    "\(name): the first event after joining \(fact.room) is \(fact.roomSeq), "
                        + "not \(first)")
            }
        }
        expect(through: fact.seq - 1, "before seq \(fact.seq)", &report)
        self.position = fact.seq
        if due < expected.count, expected[due] == fact.seq { due += 1 }
    }

    /// Everything owed up to a point must have come.
    private mutating func expect(
        through seq: Int64, _ when: @autoclosure () -> String, _ report: inout Verifier.Report
    ) {
        var missing: [Int64] = []
        while due < expected.count, expected[due] <= seq {
            missing.append(expected[due])
            due += 1
        }
        guard let first = missing.first else { return }
        report.complain(
            "\(name): \(missing.count) missing \(when()): seq \(first) of "
                + "\(index.row(first)?.room ?? "?")"
                + (missing.count > 1 ? " to \(missing[missing.count - 1])" : ""))
    }

    private func page(_ room: String, _ facts: [LogFact], _ report: inout Verifier.Report) {
        report.pages += 1
        guard let first = facts.first, let last = facts.last else { return }
        let truth = index.entries(of: room).filter {
            $0.text != nil && $0.seq >= first.seq && $0.seq <= last.seq
        }
        if truth.map(\.fact) != facts {
            report.complain(
                "\(name): the history of \(room) from seq \(first.seq) to \(last.seq) is not the log's"
            )
        }
    }
}

extension [Int64] {
    /// How many elements at the front satisfy `isBefore`, in an ascending array.
    fileprivate func partition(_ isBefore: (Int64) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
