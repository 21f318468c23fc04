// SPDX-License-Identifier: MIT
import Glibc
import TestSupport
import Testing

@testable import Chaos

/// The verifier against histories made by hand: one that is good, and one for each way to be bad.
@Suite struct VerifierTests {
    /// ```
    /// 1 ann joins lobby    2 bob joins lobby    3 ann: a    4 bob: b    5 ann joins den
    /// 6 ann: c in den      7 ann leaves den     8 ann: d
    /// ```
    private static let log: [LogRow] = [
        .joining(1, "lobby", 1, "ann"), .joining(2, "lobby", 2, "bob"),
        .message(3, "lobby", 3, "ann", "a"), .message(4, "lobby", 4, "bob", "b"),
        .joining(5, "den", 1, "ann"), .message(6, "den", 2, "ann", "c"),
        .leaving(7, "den", 3, "ann"), .message(8, "lobby", 5, "ann", "d"),
    ]

    private static func lobby(_ head: Int64) -> RoomPosition {
        RoomPosition(room: "lobby", head: head)
    }

    private static let ann: [HistoryStep] = [
        .connected(isRecovered: false), .session(seq: 2, rooms: [lobby(2)]),
        .sent(clientID: "a", room: "lobby", text: "a".print), .acked(clientID: "a", answer(3)),
        .event(fact(3)), .event(fact(4)), .joining,
        .joined(room: "den", head: 1, wasMember: false),
        .sent(clientID: "c", room: "den", text: "c".print), .event(fact(6)),
        .acked(clientID: "c", answer(6)), .event(fact(7)), .left(room: "den", seq: 7),
        // The connection breaks before the answer; the second attempt is answered.
        .sent(clientID: "d", room: "lobby", text: "d".print), .connected(isRecovered: true),
        .event(fact(8)), .session(seq: 8, rooms: [lobby(5)]),
        .sent(clientID: "d", room: "lobby", text: "d".print), .acked(clientID: "d", answer(8)),
        .level,
    ]

    private static let bob: [HistoryStep] = [
        .connected(isRecovered: false), .session(seq: 2, rooms: [lobby(2)]), .event(fact(3)),
        .sent(clientID: "b", room: "lobby", text: "b".print), .event(fact(4)),
        // Away for long: a snapshot.
        .connected(isRecovered: false), .session(seq: 7, rooms: [lobby(4)]), .event(fact(8)),
        .page(room: "lobby", [fact(3), fact(4), fact(8)]), .level,
    ]

    private static func fact(_ seq: Int64) -> LogFact { log[Int(seq) - 1].fact! }

    private static func answer(_ seq: Int64) -> SendAnswer {
        SendAnswer(seq: seq, roomSeq: log[Int(seq) - 1].roomSeq, at: "t\(seq)")
    }

    private func verify(
        ann: [HistoryStep] = VerifierTests.ann, bob: [HistoryStep] = VerifierTests.bob,
        log: [LogRow] = VerifierTests.log
    ) -> [String] {
        Verifier.verify(
            [
                ClientHistory(client: 0, user: "ann", steps: ann),
                ClientHistory(client: 1, user: "bob", steps: bob),
            ], log: log
        ).complaints
    }

    @Test func aGoodHistoryIsClean() {
        let report = Verifier.verify(
            [
                ClientHistory(client: 0, user: "ann", steps: Self.ann),
                ClientHistory(client: 1, user: "bob", steps: Self.bob),
            ], log: Self.log)
        #expect(report.complaints == [])
        #expect((report.sends, report.attempts, report.acks) == (4, 5, 3))
        #expect((report.recoveries, report.freshSessions, report.unansweredStored) == (1, 3, 1))
    }

    // MARK: What clients were given

    @Test func anEventThatIsMissingIsFoundAtTheNextOne() {
        let complaints = verify(ann: Self.ann.without(.event(Self.fact(3))))
        #expect(complaints == ["client 0 (ann): 1 missing before seq 4: seq 3 of lobby"])
    }

    @Test func theLastEventMissingIsFoundAtTheEnd() {
        let complaints = verify(
            ann: Self.ann.without(.session(seq: 8, rooms: [Self.lobby(5)]))
                .without(.event(Self.fact(8))))
        #expect(complaints == ["client 0 (ann): 1 missing at the end: seq 8 of lobby"])
    }

    @Test func aRecoveryThatLeftSomethingOutIsFound() {
        let complaints = verify(ann: Self.ann.without(.event(Self.fact(8))))
        #expect(complaints == ["client 0 (ann): 1 missing though recovered: seq 8 of lobby"])
    }

    @Test func whatAnUnansweredClientMissedAtItsLeavingIsFound() {
        let complaints = verify(ann: Self.ann.without(.event(Self.fact(7))))
        #expect(complaints == ["client 0 (ann): 1 missing before seq 8: seq 7 of den"])
    }

    @Test func anEventThatCameTwiceIsFound() {
        let complaints = verify(ann: Self.ann.doubling(.event(Self.fact(4))))
        #expect(complaints == ["client 0 (ann): seq 4 comes after 4"])
    }

    @Test func anEventOutOfOrderIsFound() {
        var steps = Self.bob
        steps.swapAt(2, 4)
        #expect(
            verify(bob: steps) == [
                "client 1 (bob): 1 missing before seq 4: seq 3 of lobby",
                "client 1 (bob): seq 3 comes after 4",
            ])
    }

    @Test func anEventOfARoomOfOthersIsFound() {
        var steps = Self.bob
        steps.insert(.event(Self.fact(6)), at: 5)
        #expect(verify(bob: steps) == ["client 1 (bob): seq 6 of den, without being a member"])
    }

    @Test func otherContentIsFound() {
        var other = Self.fact(3)
        other.content = "other".print
        #expect(
            verify(ann: Self.ann.replacing(.event(Self.fact(3)), by: .event(other)))
                == ["client 0 (ann): seq 3 is something else in the log"])
    }

    @Test func anEventThatIsNotInTheLogIsFound() {
        var other = Self.fact(8)
        other.seq = 9
        #expect(
            verify(bob: Self.bob.inserting(.event(other), before: .level))
                == ["client 1 (bob): seq 9 is not in the log"])
    }

    @Test func aJoinThatSkipsAnEventIsFound() {
        let complaints = verify(
            ann: Self.ann.replacing(
                .joined(room: "den", head: 1, wasMember: false),
                by: .joined(room: "den", head: 0, wasMember: false)))
        #expect(complaints == ["client 0 (ann): the first event after joining den is 2, not 1"])
    }

    @Test func aJoiningMayComeAgainBehindARecovery() {
        let joined = HistoryStep.joined(room: "den", head: 1, wasMember: false)
        var steps = Self.ann
        let place = steps.firstIndex(of: joined)! + 1
        steps.insert(contentsOf: [.connected(isRecovered: true), .event(Self.fact(5))], at: place)
        #expect(verify(ann: steps) == [])
    }

    @Test func aSnapshotThatLiesIsFound() {
        let complaints = verify(
            bob: Self.bob.replacing(
                .session(seq: 7, rooms: [Self.lobby(4)]),
                by: .session(seq: 7, rooms: [Self.lobby(5)])))
        #expect(
            complaints == [
                "client 1 (bob): the session at seq 7 differs from the log in "
                    + "[\"lobby at 4\", \"lobby at 5\"]"
            ])
    }

    @Test func aSnapshotFromBeforeWhatWasSeenIsFound() {
        let complaints = verify(
            bob: Self.bob.replacing(
                .session(seq: 7, rooms: [Self.lobby(4)]),
                by: .session(seq: 3, rooms: [Self.lobby(3)])))
        #expect(complaints.first == "client 1 (bob): a session at seq 3, after 4 was seen")
    }

    @Test func aRecoveryOfNothingIsFound() {
        let complaints = verify(bob: [.connected(isRecovered: true)] + Self.bob.dropFirst())
        #expect(complaints.first == "client 1 (bob): recovered, with nothing to recover from")
    }

    @Test func historyWithAHoleIsFound() {
        let complaints = verify(
            bob: Self.bob.replacing(
                .page(room: "lobby", [Self.fact(3), Self.fact(4), Self.fact(8)]),
                by: .page(room: "lobby", [Self.fact(3), Self.fact(8)])))
        #expect(complaints.count == 1)
    }

    // MARK: Sends

    @Test func anAcknowledgedMessageThatIsNotStoredIsFound() {
        let complaints = verify(
            ann: Self.ann.inserting(
                .sent(clientID: "x", room: "lobby", text: "x".print), before: .level
            ).inserting(
                .acked(clientID: "x", SendAnswer(seq: 9, roomSeq: 6, at: "t9")), before: .level))
        #expect(complaints == ["x: acknowledged as seq 9, not stored"])
    }

    @Test func anAcknowledgementOfAnotherPlaceIsFound() {
        let wrong = SendAnswer(seq: 3, roomSeq: 2, at: "t3")
        let complaints = verify(
            ann: Self.ann.replacing(
                .acked(clientID: "a", Self.answer(3)), by: .acked(clientID: "a", wrong)))
        #expect(complaints.count == 1)
        #expect(complaints.first?.hasPrefix("a: acknowledged as") == true)
    }

    @Test func repeatedAcknowledgementsThatDifferAreFound() {
        let wrong = SendAnswer(seq: 8, roomSeq: 5, at: "later")
        let complaints = verify(
            ann: Self.ann.inserting(.acked(clientID: "d", wrong), before: .level))
        #expect(complaints.count == 2)
        #expect(complaints.first?.contains("then as") == true)
    }

    @Test func aMessageStoredTwiceIsFound() {
        let log = Self.log + [.message(9, "lobby", 6, "bob", "b")]
        #expect(verify(log: log).contains("log: bob's b is stored twice, again at seq 9"))
    }

    @Test func aMessageOfNobodyIsFound() {
        let log = Self.log + [.message(9, "lobby", 6, "eve", "e")]
        #expect(verify(log: log).contains("log: seq 9 (e) was sent by nobody"))
    }

    @Test func aRefusedMessageThatIsStoredIsFound() {
        let complaints = verify(
            bob: Self.bob.inserting(.refused(clientID: "b", code: "busy"), before: .level))
        #expect(complaints == ["b: refused each time, stored as seq 4"])
    }

    @Test func aMessageStoredWithAnotherTextIsFound() {
        let complaints = verify(
            bob: Self.bob.replacing(
                .sent(clientID: "b", room: "lobby", text: "b".print),
                by: .sent(clientID: "b", room: "lobby", text: "B".print)))
        #expect(complaints == ["log: seq 4 (b) is not what was sent"])
    }

    // MARK: The log

    @Test func aHoleInARoomsOrderIsFound() {
        var log = Self.log
        log[7].roomSeq = 6
        #expect(
            verify(log: log).contains("log: lobby has roomSeq 6 after 4 at seq 8"))
    }

    // MARK: Files

    @Test func everyStepSurvivesTheFile() throws {
        for step in Self.ann + Self.bob + [.refused(clientID: "r", code: "busy")] {
            #expect(HistoryFile.decode(HistoryFile.encode(step)) == step)
        }
    }

    /// What a recorder has spilled and what it still holds are one history, alone and among others.
    @Test func aRecordedHistoryComesBackWhole() throws {
        let folder = try TemporaryDirectory()
        let recorders = ["ann", "bob"].enumerated().map {
            HistoryRecorder(client: $0, user: $1, folder: folder.path)
        }
        let many = (0..<3000).flatMap { _ in Self.ann }
        for step in many { recorders[0].append(step) }
        for step in Self.bob { recorders[1].append(step) }
        let histories = [
            ClientHistory(client: 0, user: "ann", steps: many),
            ClientHistory(client: 1, user: "bob", steps: Self.bob),
        ]
        #expect(try recorders.map { try $0.read() } == histories)
        recorders[1].append(.joining)
        let together = folder.file("all")
        let descriptor = open(together, O_WRONLY | O_CREAT, 0o600)
        for recorder in recorders { try recorder.copy(to: descriptor) }
        close(descriptor)
        var read: [ClientHistory] = []
        try HistoryFile.forEach(together) { read.append($0) }
        #expect(read.map(\.steps) == [many, Self.bob + [.joining]])
    }

    /// A history that could not be written is no clean run.
    @Test func aHistoryThatIsLostIsSaid() {
        let recorder = HistoryRecorder(client: 0, user: "ann", folder: "/nowhere")
        recorder.append(.joining)
        #expect(throws: HistoryFile.Failure.self) { try recorder.read() }
    }
}

/// What the seeds decide.
@Suite struct FaultPlanTests {
    @Test func theSameSeedGivesTheSamePlan() {
        let plans = (0..<2).map { _ in
            FaultPlan.make(seed: 7, milliseconds: 60_000, count: 200, kinds: Fault.Kind.allCases)
        }
        #expect(plans[0] == plans[1])
        #expect(plans[0].items.count == 200)
        #expect(
            plans[0]
                != FaultPlan.make(
                    seed: 8, milliseconds: 60_000, count: 200, kinds: Fault.Kind.allCases))
    }

    @Test func everyKindComesUp() {
        let plan = FaultPlan.make(
            seed: 1, milliseconds: 300_000, count: 60, kinds: Fault.Kind.allCases)
        #expect(Set(plan.items.map(\.fault.kind)) == Set(Fault.Kind.allCases))
    }

    @Test func noTwoFaultsHoldOneInstanceAtOnce() {
        let plan = FaultPlan.make(
            seed: 3, milliseconds: 100_000, count: 200, kinds: Fault.Kind.allCases)
        let grips: [Fault.Kind] = [.kill, .pause, .drain]
        for instance in 0...1 {
            var freeAt: Int64 = 0
            for item in plan.items
            where item.fault.kind == .killBoth
                || grips.contains(item.fault.kind) && item.fault.instance == instance
            {
                #expect(item.at >= freeAt)
                freeAt = item.at + item.fault.lasts
            }
        }
    }
}

extension String {
    fileprivate var print: Fingerprint { Fingerprint(utf8) }
}

extension LogRow {
    fileprivate static func message(
        _ seq: Int64, _ room: String, _ roomSeq: Int64, _ actor: String, _ text: String
    ) -> LogRow {
        make(.message, seq, room, roomSeq, actor, clientID: text, text: text.print)
    }

    fileprivate static func joining(
        _ seq: Int64, _ room: String, _ roomSeq: Int64, _ user: String
    ) -> LogRow {
        make(.member, seq, room, roomSeq, user, change: .joined(user: user))
    }

    fileprivate static func leaving(
        _ seq: Int64, _ room: String, _ roomSeq: Int64, _ user: String
    ) -> LogRow {
        make(.member, seq, room, roomSeq, user, change: .left(user: user))
    }

    private static func make(
        _ kind: LogFact.Kind, _ seq: Int64, _ room: String, _ roomSeq: Int64, _ actor: String,
        clientID: String? = nil, text: Fingerprint? = nil, change: Change? = nil
    ) -> LogRow {
        LogRow(
            fact: LogFact(
                kind: kind, room: room, seq: seq, roomSeq: roomSeq, content: "\(seq)".print),
            seq: seq, room: room, roomSeq: roomSeq, actor: actor, clientID: clientID,
            at: "t\(seq)", text: text, change: change)
    }
}

extension [HistoryStep] {
    fileprivate func without(_ step: HistoryStep) -> [HistoryStep] { filter { $0 != step } }

    fileprivate func doubling(_ step: HistoryStep) -> [HistoryStep] {
        flatMap { $0 == step ? [$0, $0] : [$0] }
    }

    fileprivate func replacing(_ step: HistoryStep, by other: HistoryStep) -> [HistoryStep] {
        map { $0 == step ? other : $0 }
    }

    fileprivate func inserting(_ step: HistoryStep, before other: HistoryStep) -> [HistoryStep] {
        flatMap { $0 == other ? [step, $0] : [$0] }
    }
}
