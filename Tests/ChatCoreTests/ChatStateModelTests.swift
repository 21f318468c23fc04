// SPDX-License-Identifier: MIT
import ChatCore
import TestSupport
import Testing
import Timing

/// The rules once more, by brute force over the whole log: slow, short and with no state to go stale.
private struct Model {
    var log: [LogEntry] = []
    var marks: [String: Int64] = [:]
    var answers: [String: Sent] = [:]

    func member(_ user: UserID, _ room: RoomID) -> Bool {
        var isMember = room == .lobby && log.contains { $0.kind == .arrival && $0.actor == user }
        for entry in log where entry.room == room && entry.kind == .member {
            guard case .member(let action, let who)? = try? entry.content(), who.id == user else {
                continue
            }
            if action == .joined { isMember = true }
            if action == .left || action == .removed { isMember = false }
        }
        return isMember
    }

    func invited(_ user: UserID, _ room: RoomID) -> Bool {
        for entry in log.reversed() where entry.room == room && entry.kind == .member {
            if case .member(let action, let who)? = try? entry.content(), who.id == user {
                return action == .invited
            }
        }
        return false
    }

    func head(_ room: RoomID) -> Int64 {
        log.last { $0.room == room && $0.roomSeq > 0 }?.roomSeq ?? 0
    }

    func unread(_ user: UserID, _ room: RoomID) -> Int64 {
        let mark = marks["\(user.rawValue) \(room.rawValue)"] ?? 0
        return Int64(
            log.count { $0.room == room && $0.kind == .message && $0.roomSeq > mark })
    }

    func isPrivate(_ room: RoomID) -> Bool? {
        if room == .lobby { return false }
        return log.first { $0.room == room }.map { $0.visibility == .private }
    }

    mutating func take(_ entry: LogEntry) {
        log.append(entry)
        func move(_ user: UserID, _ mark: Int64) {
            let key = "\(user.rawValue) \(entry.room.rawValue)"
            marks[key] = max(marks[key] ?? 0, mark)
        }
        switch entry.kind {
        case .message:
            move(entry.actor, entry.roomSeq)
            if let clientID = entry.clientID {
                answers["\(entry.actor.rawValue) \(clientID)"] = Sent(
                    seq: entry.seq, roomSeq: entry.roomSeq, at: entry.at)
            }
        case .member:
            if case .member(.joined, let who)? = try? entry.content() {
                move(who.id, entry.roomSeq)
            }
        case .arrival: move(entry.actor, head(.lobby))
        case .room, .receipt, .unknown: break
        }
    }
}

@Suite struct ChatStateModelTests {
    private static let names = ["ada", "bob", "eve", "dan"]

    private static func command(_ random: inout SeededGenerator, _ rooms: [RoomID]) -> Command {
        let room = rooms.randomElement(using: &random) ?? .lobby
        let name = names.randomElement(using: &random) ?? ""
        switch Int.random(in: 0..<20, using: &random) {
        case 0: return .openSession
        case 1:
            return .createRoom(
                name: "room \(Int.random(in: 0..<6, using: &random))",
                visibility: Bool.random(using: &random) ? .public : .private, topic: "t")
        case 2, 3: return .join(room: room.rawValue)
        case 4: return .leave(room: room)
        case 5, 6: return .invite(room: room, user: name)
        case 7, 8, 9:
            return .markRead(room: room, roomSeq: .random(in: 0..<30, using: &random))
        default:
            let clientID = Int.random(in: 0..<40, using: &random)
            return .send(
                room: room, text: "text", clientID: clientID < 30 ? "k\(clientID)" : nil,
                replyTo: nil)
        }
    }

    /// 40 runs of 250 commands: outcomes and entries as the model says, and the same state again from
    /// the log alone, from a snapshot and the rest, and from the saved changes and the rest.
    @Test(arguments: 0..<40) func agreesWithTheModel(_ run: UInt64) throws {
        let seed = testSeed() &+ run
        var random = SeededGenerator(seed: seed)
        var state = ChatState()
        var model = Model()
        var rooms: [RoomID] = [.lobby, "r1"]
        var snapshot = ChatSnapshot()
        var stored = StoredProjection()
        var now = Timestamp(milliseconds: 1_700_000_000_000)

        for _ in 0..<250 {
            now.milliseconds += 7
            let name = Self.names.randomElement(using: &random) ?? ""
            let actor = Actor(id: UserID("u_\(name)"), name: name)
            let command = Self.command(&random, rooms)
            var entries: [LogEntry] = []
            let before = model
            let outcome = state.decide(command, by: actor, at: now, into: &entries)
            for entry in entries {
                #expect(entry.seq == (model.log.last?.seq ?? 0) + 1, "seed \(seed)")
                if entry.kind == .arrival {
                    #expect(entry.roomSeq == 0 && entry.prev == 0, "seed \(seed)")
                    #expect(!model.member(entry.actor, .lobby), "seed \(seed)")
                    model.take(entry)
                    continue
                }
                #expect(entry.roomSeq == model.head(entry.room) + 1, "seed \(seed)")
                let prev = model.log.last { $0.room == entry.room && $0.kind == .message }
                #expect(entry.prev == prev?.seq ?? 0, "seed \(seed)")
                if entry.kind == .room { rooms.append(entry.room) }
                model.take(entry)
            }
            check(command, actor, outcome, entries, before, &model, seed)
            if Int.random(in: 0..<4, using: &random) == 0 {
                for receipt in state.takeReceipts(at: now) {
                    #expect(receipt.roomSeq == 0 && receipt.prev == 0, "seed \(seed)")
                    model.take(receipt)
                }
            }
            if Int.random(in: 0..<60, using: &random) == 0 {
                for receipt in state.takeReceipts(at: now) { model.take(receipt) }
                snapshot = state.snapshot
                stored.save(state.changes)
                state.forgetChanges()
                #expect(stored.normal == state.snapshot.normal, "seed \(seed)")
            }
        }

        for receipt in state.takeReceipts(at: now) { model.take(receipt) }
        var replayed = ChatState()
        for entry in model.log { replayed.apply(entry) }
        #expect(replayed.snapshot.normal == state.snapshot.normal, "seed \(seed)")
        var restored = ChatState()
        restored.reset(to: snapshot, keepingAnswersUpTo: 0)
        for entry in model.log { restored.apply(entry) }
        #expect(restored.snapshot.normal == state.snapshot.normal, "seed \(seed)")
        stored.save(restored.changes)
        #expect(stored.normal == state.snapshot.normal, "seed \(seed)")
        for room in rooms {
            #expect(restored.roomHead(room) == state.roomHead(room), "seed \(seed)")
        }
    }

    private func check(
        _ command: Command, _ actor: Actor, _ outcome: Outcome, _ entries: [LogEntry],
        _ before: Model, _ model: inout Model, _ seed: UInt64
    ) {
        switch (command, outcome) {
        case (.send(let room, _, let clientID, _), .ok(.sent(let sent))):
            let first = clientID.flatMap { before.answers["\(actor.id.rawValue) \($0)"] }
            if let first {
                #expect(sent == first && entries.isEmpty, "seed \(seed)")
            } else {
                #expect(entries.last?.seq == sent.seq, "seed \(seed)")
                #expect(model.member(actor.id, room), "seed \(seed)")
            }
        case (.send(let room, _, let clientID, _), .refused(let error)):
            #expect(
                clientID.flatMap { before.answers["\(actor.id.rawValue) \($0)"] } == nil,
                "seed \(seed)")
            #expect(!model.member(actor.id, room), "seed \(seed)")
            let isHidden = model.isPrivate(room) ?? true && !model.invited(actor.id, room)
            #expect(error.code == (isHidden ? .notFound : .notMember), "seed \(seed)")
        case (.join(let name), .ok(.room(let detail))):
            let room = RoomID(name)
            #expect(model.member(actor.id, room), "seed \(seed)")
            #expect(detail.summary.head == model.head(room), "seed \(seed)")
            #expect(detail.summary.unread == model.unread(actor.id, room), "seed \(seed)")
            #expect(
                detail.summary.memberCount
                    == Self.names.count { model.member(UserID("u_\($0)"), room) }, "seed \(seed)")
        case (.join(let name), .refused):
            let room = RoomID(name)
            #expect(model.isPrivate(room) ?? true, "seed \(seed)")
            #expect(!before.member(actor.id, room), "seed \(seed)")
            #expect(!before.invited(actor.id, room), "seed \(seed)")
        case (.markRead(let room, let roomSeq), .ok(.read(let unread))):
            let key = "\(actor.id.rawValue) \(room.rawValue)"
            model.marks[key] = max(model.marks[key] ?? 0, min(roomSeq, model.head(room)))
            #expect(unread == model.unread(actor.id, room), "seed \(seed)")
        case (.openSession, .ok(.session(let session))):
            #expect(session.seq == model.log.last?.seq, "seed \(seed)")
            for summary in session.rooms {
                #expect(model.member(actor.id, summary.id), "seed \(seed)")
                #expect(summary.unread == model.unread(actor.id, summary.id), "seed \(seed)")
            }
        case (.openSession, _): Issue.record("a session was refused, seed \(seed)")
        case (.leave(let room), .ok):
            #expect(!model.member(actor.id, room) && before.member(actor.id, room), "seed \(seed)")
        default: break
        }
    }
}

/// What a store would hold after writing each set of changes.
private struct StoredProjection {
    var users: [UserID: User] = [:]
    var rooms: [RoomID: RoomRecord] = [:]
    var members: [String: MemberRecord] = [:]
    var seq: Int64 = 0

    mutating func save(_ changes: ChatChanges) {
        seq = changes.seq
        for user in changes.users { users[user.id] = user }
        for room in changes.rooms { rooms[room.id] = room }
        for member in changes.members {
            members["\(member.room.rawValue) \(member.user.rawValue)"] = member
        }
        for member in changes.removed {
            members["\(member.room.rawValue) \(member.user.rawValue)"] = nil
        }
    }

    var normal: ChatSnapshot {
        ChatSnapshot(
            seq: seq, users: Array(users.values), rooms: Array(rooms.values),
            members: Array(members.values)
        ).normal
    }
}

extension ChatSnapshot {
    /// In one order, without rooms nothing has happened in (a store writes none down).
    fileprivate var normal: ChatSnapshot {
        var copy = self
        copy.users.sort { $0.id.rawValue < $1.id.rawValue }
        copy.rooms.removeAll { $0.head == 0 }
        copy.rooms.sort { $0.id.rawValue < $1.id.rawValue }
        copy.members.sort {
            ($0.room.rawValue, $0.user.rawValue) < ($1.room.rawValue, $1.user.rawValue)
        }
        return copy
    }
}
