// SPDX-License-Identifier: MIT
import ChatCore
import Testing
import Timing

/// A state with the entries it has led to.
final class Scene {
    var state: ChatState
    var log: [LogEntry] = []
    var now = Timestamp(milliseconds: 1_000_000)

    init(_ limits: Limits = Limits()) { state = ChatState(limits: limits) }

    static func actor(_ name: String) -> Actor { Actor(id: UserID("u_\(name)"), name: name) }

    func act(_ name: String, _ command: Command) -> Outcome {
        state.decide(command, by: Scene.actor(name), at: now, into: &log)
    }

    func code(_ name: String, _ command: Command) -> ChatError.Code? {
        if case .refused(let error) = act(name, command) { error.code } else { nil }
    }

    func send(_ name: String, _ room: RoomID, _ text: String, _ clientID: String? = nil)
        -> Sent?
    {
        let outcome = act(name, .send(room: room, text: text, clientID: clientID, replyTo: nil))
        if case .ok(.sent(let sent)) = outcome { return sent }
        return nil
    }

    func create(_ name: String, _ room: String, _ visibility: Visibility = .public)
        -> RoomID
    {
        let outcome = act(name, .createRoom(name: room, visibility: visibility, topic: ""))
        if case .ok(.room(let detail)) = outcome { return detail.summary.id }
        return ""
    }

    func session(_ name: String) -> SessionSnapshot? {
        if case .ok(.session(let session)) = act(name, .openSession) { session } else { nil }
    }

    func detail(_ name: String, _ command: Command) -> RoomDetail? {
        if case .ok(.room(let detail)) = act(name, command) { detail } else { nil }
    }

    func unread(_ name: String, _ room: RoomID, _ roomSeq: Int64) -> Int64? {
        let outcome = act(name, .markRead(room: room, roomSeq: roomSeq))
        if case .ok(.read(let unread)) = outcome { return unread }
        return nil
    }
}

@Suite struct ChatStateTests {
    @Test func everyoneEntersTheLobbyOnce() throws {
        let scene = Scene()
        let first = try #require(scene.session("ada"))
        #expect(first.rooms.map(\.id) == [.lobby])
        #expect(first.seq == 1)
        #expect(first.rooms[0].unread == 0)
        // Nobody is told: a thousand newcomers would be a million deliveries.
        #expect(scene.log.map(\.kind) == [.arrival])
        #expect(scene.log.map(\.roomSeq) == [0])
        let second = try #require(scene.session("ada"))
        #expect(second.seq == 1)
        #expect(scene.log.count == 1)
        #expect(scene.code("ada", .leave(room: .lobby)) == .forbidden)
    }

    @Test func aBotThatNeverOpenedASessionMaySpeakInTheLobby() throws {
        let scene = Scene()
        let sent = try #require(scene.send("bot", .lobby, "hello"))
        #expect(sent.seq == 2)
        #expect(sent.roomSeq == 1)
        #expect(scene.log.map(\.kind) == [.arrival, .message])
    }

    @Test func messagesAreChainedInTheirRoom() throws {
        let scene = Scene()
        let room = scene.create("ada", "one")
        let other = scene.create("ada", "two")
        #expect(room == "r2")
        let first = try #require(scene.send("ada", room, "a"))
        _ = scene.send("ada", other, "b")
        let second = try #require(scene.send("ada", room, "c"))
        #expect(second.roomSeq == first.roomSeq + 1)
        #expect(scene.log.last?.prev == first.seq)
        #expect(
            scene.state.roomHead(room)
                == RoomHead(roomSeq: second.roomSeq, lastMessage: second.seq))
    }

    @Test func aRepetitionGetsTheFirstAnswer() throws {
        let scene = Scene()
        let first = try #require(scene.send("ada", .lobby, "a", "k"))
        let count = scene.log.count
        scene.now.milliseconds += 5000
        #expect(scene.send("ada", .lobby, "a", "k") == first)
        #expect(scene.send("ada", "nowhere", "something else", "k") == first)
        #expect(scene.log.count == count)
        #expect(scene.send("bob", .lobby, "a", "k") != first)
    }

    @Test func repetitionsAreForgottenWhenOldAndMany() throws {
        var limits = Limits()
        limits.idempotencyWindow = .seconds(10)
        limits.idempotencyMinimumEntries = 3
        limits.idempotencyMaximumEntries = 6
        let scene = Scene(limits)
        let first = try #require(scene.send("ada", .lobby, "a", "k0"))
        scene.now.milliseconds += 20_000
        for index in 1...2 { _ = scene.send("ada", .lobby, "a", "k\(index)") }
        // Old, but among the latest three.
        #expect(scene.send("ada", .lobby, "a", "k0") == first)
        _ = scene.send("ada", .lobby, "a", "k3")
        let second = try #require(scene.send("ada", .lobby, "a", "k0"))
        #expect(second != first)
        // Young, and among the latest six.
        for index in 10...14 { _ = scene.send("ada", .lobby, "a", "k\(index)") }
        #expect(scene.send("ada", .lobby, "a", "k0") == second)
        // Young, but no longer.
        _ = scene.send("ada", .lobby, "a", "k15")
        #expect(scene.send("ada", .lobby, "a", "k0") != second)
    }

    @Test(
        arguments: [
            ("", .badRequest), (" \t\n\u{2003}\u{A0}", .badRequest), ("x", nil), ("\u{301}", nil),
            (String(repeating: "x", count: 4000), nil),
            (String(repeating: "x", count: 4001), .tooLarge),
            (String(repeating: "é", count: 2001), .tooLarge),
        ] as [(String, ChatError.Code?)])
    func textsHaveLimits(_ text: String, _ code: ChatError.Code?) {
        let scene = Scene()
        let command = Command.send(room: .lobby, text: text, clientID: nil, replyTo: nil)
        #expect(scene.code("ada", command) == code)
    }

    @Test(
        arguments: [
            ("", .badRequest), (String(repeating: "k", count: 64), nil),
            (String(repeating: "k", count: 65), .badRequest),
        ] as [(String, ChatError.Code?)])
    func clientIDsHaveLimits(_ clientID: String, _ code: ChatError.Code?) {
        let scene = Scene()
        let command = Command.send(room: .lobby, text: "x", clientID: clientID, replyTo: nil)
        #expect(scene.code("ada", command) == code)
    }

    @Test(
        arguments: [("m1", nil), ("m2", .badRequest), ("1", .badRequest), ("m0", .badRequest)]
            as [(String, ChatError.Code?)])
    func repliesNameAMessage(_ replyTo: String, _ code: ChatError.Code?) {
        let scene = Scene()
        _ = scene.session("ada")
        let command = Command.send(room: .lobby, text: "x", clientID: nil, replyTo: replyTo)
        #expect(scene.code("ada", command) == code)
    }

    @Test(
        arguments: [
            ("", .badRequest), ("   ", .badRequest), ("a\u{7}b", .badRequest), ("r12", .badRequest),
            ("LOBBY", .conflict), ("r", nil), ("rx", nil), (String(repeating: "é", count: 80), nil),
            (String(repeating: "é", count: 81), .tooLarge),
        ] as [(String, ChatError.Code?)])
    func roomNamesHaveRules(_ name: String, _ code: ChatError.Code?) {
        let scene = Scene()
        let command = Command.createRoom(name: name, visibility: .public, topic: "")
        #expect(scene.code("ada", command) == code)
    }

    @Test func publicNamesAreUniqueWhateverTheirCase() {
        let scene = Scene()
        _ = scene.create("ada", " Caf\u{E9} ")
        func create(_ visibility: Visibility) -> Command {
            .createRoom(name: "CAFE\u{301}", visibility: visibility, topic: "")
        }
        #expect(scene.code("bob", create(.public)) == .conflict)
        #expect(scene.code("bob", create(.private)) == nil)
        #expect(scene.detail("bob", .join(room: "café"))?.summary.name == "Café")
    }

    @Test func topicsHaveALimit() {
        let scene = Scene()
        func create(_ count: Int) -> Command {
            .createRoom(
                name: "n\(count)", visibility: .public, topic: String(repeating: "t", count: count))
        }
        #expect(scene.code("ada", create(500)) == nil)
        #expect(scene.code("ada", create(501)) == .tooLarge)
        #expect(scene.code("ada", create(1_000_000)) == .tooLarge)
    }

    @Test func theCreatorOwnsTheRoom() throws {
        let scene = Scene()
        let room = scene.create("ada", "den", .private)
        let detail = try #require(scene.detail("ada", .roomDetail(room: room)))
        #expect(detail.summary.role == .owner)
        #expect(detail.summary.head == 2)
        #expect(detail.members.map(\.user.name) == ["ada"])
        #expect(scene.log.suffix(2).map(\.type) == ["room.created", "member.joined"])
    }

    @Test func aPrivateRoomHidesItself() throws {
        let scene = Scene()
        _ = scene.session("bob")
        let room = scene.create("ada", "den", .private)
        for command in [
            .join(room: room.rawValue), .join(room: "den"), .roomDetail(room: room),
            .markRead(room: room, roomSeq: 1), .leave(room: room), .invite(room: room, user: "bob"),
            .send(room: room, text: "x", clientID: nil, replyTo: nil),
        ] as [Command] {
            #expect(scene.code("bob", command) == .notFound, "\(command)")
        }
        #expect(scene.code("ada", .invite(room: room, user: "nobody")) == .notFound)
        #expect(scene.code("ada", .invite(room: room, user: "ada")) == .conflict)
        #expect(scene.code("ada", .invite(room: room, user: "Bob")) == nil)
        let count = scene.log.count
        #expect(scene.code("ada", .invite(room: room, user: "u_bob")) == nil)
        #expect(scene.log.count == count)
        #expect(
            scene.code("bob", .send(room: room, text: "x", clientID: nil, replyTo: nil))
                == .notMember)
        if case .ok(.rooms(let rooms)) = scene.act("bob", .listRooms) {
            #expect(rooms.map(\.id) == [.lobby, room])
            #expect(rooms.map(\.isJoined) == [true, false])
        }
        let detail = try #require(scene.detail("bob", .join(room: room.rawValue)))
        #expect(detail.summary.role == .member)
        #expect(detail.members.count == 2)
        #expect(scene.code("bob", .leave(room: room)) == nil)
        // An invitation is used up.
        #expect(scene.code("bob", .join(room: room.rawValue)) == .notFound)
    }

    @Test func joiningTwiceChangesNothing() throws {
        let scene = Scene()
        let room = scene.create("ada", "den")
        let first = try #require(scene.detail("bob", .join(room: "den")))
        let count = scene.log.count
        #expect(scene.detail("bob", .join(room: room.rawValue)) == first)
        #expect(scene.log.count == count)
        #expect(first.summary.head == 3)
        #expect(first.summary.readMark == 3)
    }

    @Test func strangersOfAPublicRoomAreNoMembers() {
        let scene = Scene()
        let room = scene.create("ada", "den")
        #expect(
            scene.code("bob", .send(room: room, text: "x", clientID: nil, replyTo: nil))
                == .notMember)
        #expect(scene.code("bob", .leave(room: room)) == .notMember)
        #expect(scene.code("bob", .markRead(room: room, roomSeq: 1)) == .notMember)
        #expect(scene.code("bob", .roomDetail(room: room)) == nil)
        #expect(scene.code("bob", .roomDetail(room: "r99")) == .notFound)
    }

    @Test func unreadCountsMessagesOnly() {
        let scene = Scene()
        let room = scene.create("ada", "den")  // roomSeq 1, 2
        _ = scene.detail("bob", .join(room: "den"))  // 3
        _ = scene.send("ada", room, "a")  // 4
        _ = scene.detail("eve", .join(room: "den"))  // 5
        _ = scene.send("ada", room, "b")  // 6
        #expect(scene.detail("bob", .roomDetail(room: room))?.summary.unread == 2)
        #expect(scene.unread("bob", room, 4) == 1)
        #expect(scene.unread("bob", room, 1) == 1)
        #expect(scene.unread("bob", room, 1000) == 0)
        #expect(scene.code("bob", .markRead(room: room, roomSeq: -1)) == .badRequest)
        // The mark stopped at the head: what comes is unread.
        _ = scene.send("ada", room, "c")
        #expect(scene.unread("bob", room, 0) == 1)
        // Who speaks has read.
        _ = scene.send("bob", room, "d")
        #expect(scene.unread("bob", room, 0) == 0)
        #expect(scene.unread("ada", room, 0) == 1)
    }

    @Test func receiptsComeTogether() throws {
        let scene = Scene()
        let room = scene.create("ada", "den")
        _ = scene.detail("bob", .join(room: "den"))
        for _ in 0..<5 { _ = scene.send("ada", room, "x") }
        let count = scene.log.count
        for roomSeq in [4, 6, 5, 7] as [Int64] { _ = scene.unread("bob", room, roomSeq) }
        #expect(scene.log.count == count)
        let receipts = scene.state.takeReceipts(at: scene.now)
        #expect(receipts.count == 1)
        let receipt = try #require(receipts.first)
        #expect(receipt.roomSeq == 0)
        #expect(receipt.actor == "u_bob")
        #expect(try receipt.content() == .receipt(roomSeq: 7))
        #expect(scene.state.takeReceipts(at: scene.now).isEmpty)
        _ = scene.unread("bob", room, 7)
        #expect(scene.state.takeReceipts(at: scene.now).isEmpty)
    }

    @Test func countsHaveLimits() {
        var limits = Limits()
        limits.roomsPerUser = 2
        limits.roomsTotal = 4
        limits.invitationsPerRoom = 1
        limits.memberPage = 1
        let scene = Scene(limits)
        for name in ["bob", "eve"] { _ = scene.session(name) }
        let room = scene.create("ada", "one")
        #expect(
            scene.code("ada", .createRoom(name: "two", visibility: .public, topic: ""))
                == .limitReached)
        #expect(scene.code("ada", .invite(room: room, user: "bob")) == nil)
        #expect(scene.code("ada", .invite(room: room, user: "eve")) == .limitReached)
        #expect(scene.detail("bob", .join(room: "one"))?.members.count == 1)
        #expect(scene.code("ada", .invite(room: room, user: "eve")) == nil)
        _ = scene.create("eve", "two")
        #expect(scene.code("eve", .join(room: "one")) == .limitReached)
        _ = scene.create("dan", "three")
        #expect(
            scene.code("zoe", .createRoom(name: "four", visibility: .public, topic: ""))
                == .limitReached)
    }

    @Test func anEntryIsAppliedOnce() {
        let scene = Scene()
        _ = scene.send("ada", .lobby, "a", "k")
        var copy = ChatState()
        for entry in scene.log + scene.log { copy.apply(entry) }
        #expect(copy.head == scene.state.head)
        #expect(copy.roomHead(.lobby) == scene.state.roomHead(.lobby))
    }

    @Test func resettingForgetsWhatWasNotStored() throws {
        let scene = Scene()
        let kept = try #require(scene.send("ada", .lobby, "a", "kept"))
        let stored = scene.log
        _ = scene.send("ada", .lobby, "b", "lost")
        _ = scene.create("ada", "lost room")
        _ = scene.unread("ada", .lobby, 1)
        scene.state.reset(to: ChatSnapshot(), keepingAnswersUpTo: kept.seq)
        for entry in stored { scene.state.apply(entry) }
        #expect(scene.state.head == kept.seq)
        #expect(scene.state.takeReceipts(at: scene.now).isEmpty)
        #expect(scene.send("ada", .lobby, "a", "kept") == kept)
        #expect(scene.send("ada", .lobby, "b", "lost")?.seq == kept.seq + 1)
        #expect(scene.code("ada", .join(room: "lost room")) == .notFound)
    }
}
