// SPDX-License-Identifier: MIT
import JSON
import Testing

@testable import chatctl

struct LatencyHistogramTests {
    @Test func quantilesAreWithinABucketOfTheTruth() {
        var histogram = LatencyHistogram()
        for value in 1...100_000 { histogram.record(microseconds: Int64(value)) }
        for (part, truth) in [(0.5, 50_000.0), (0.95, 95_000), (0.99, 99_000), (0.999, 99_900)] {
            let value = Double(histogram.quantile(part))
            #expect(value >= truth && value <= truth * 1.008, "\(part): \(value)")
        }
        #expect(histogram.quantile(1) == 100_000)
        #expect(histogram.maximum == 100_000)
        #expect(histogram.count == 100_000)
    }

    @Test func smallValuesAreExact() {
        for value in Int64(0)...255 {
            var histogram = LatencyHistogram()
            histogram.record(microseconds: value)
            #expect(histogram.quantile(0.5) == value)
        }
    }

    @Test func extremesAreHeldAtTheEnds() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.99) == 0)
        histogram.record(microseconds: -5)
        histogram.record(microseconds: .max)
        #expect(histogram.quantile(0.5) == 0)
        #expect(histogram.quantile(1) == 1 << 36)
    }
}

struct SequenceCheckerTests {
    func checked(_ numbers: [Int64], head: Int64 = 0) -> SequenceChecker {
        var checker = SequenceChecker(head: head)
        for number in numbers { checker.take(number) }
        return checker
    }

    @Test func everyNumberOnceInOrderIsFaultless() {
        let checker = checked([6, 7, 8], head: 5)
        #expect(checker.lost(upTo: 8) == 0)
        #expect(checker.duplicated == 0)
        #expect(checker.reordered == 0)
    }

    @Test func aGapIsLostUntilItCloses() {
        var checker = checked([1, 4])
        #expect(checker.lost(upTo: 4) == 2)
        checker.take(3)
        #expect(checker.lost(upTo: 4) == 1)
        #expect(checker.reordered == 1)
        checker.take(2)
        #expect(checker.lost(upTo: 4) == 0)
        #expect(checker.reordered == 2)
        #expect(checker.duplicated == 0)
    }

    @Test func aRepeatIsADuplicate() {
        #expect(checked([1, 2, 2, 1]).duplicated == 2)
        #expect(checked([3], head: 5).duplicated == 1)
    }

    @Test func whatNobodyDeliveredIsLost() {
        #expect(checked([1, 2]).lost(upTo: 5) == 3)
    }
}

struct BenchPlanTests {
    static let plans = [
        BenchPlan(), BenchPlan(clients: 1, rooms: 1, roomsPerClient: 1, senders: 1),
        BenchPlan(clients: 500, rooms: 1, roomsPerClient: 1, rate: 1000, senders: 20),
        BenchPlan(clients: 1000, rooms: 50, roomsPerClient: 5, rate: 2000),
        BenchPlan(clients: 7, rooms: 5, roomsPerClient: 2, rate: 3, senders: 7),
    ]

    @Test(arguments: plans)
    func roomsAreDifferentAndEvenlyFilled(plan: BenchPlan) {
        var members = [Int](repeating: 0, count: plan.rooms)
        for client in 0..<plan.clients {
            let rooms = plan.rooms(of: client)
            #expect(Set(rooms).count == plan.roomsPerClient)
            for room in rooms { members[room] += 1 }
        }
        let average = plan.clients * plan.roomsPerClient / plan.rooms
        #expect(members.allSatisfy { abs($0 - average) <= plan.roomsPerClient })
        #expect(members.allSatisfy { $0 > 0 })
    }

    @Test(arguments: plans)
    func everySenderSendsToRoomsOfItsOwn(plan: BenchPlan) {
        var senders: Set<Int> = []
        for message in 0..<(plan.senders * plan.roomsPerClient) {
            let (client, room) = plan.route(of: message)
            #expect(plan.rooms(of: client).contains(room))
            senders.insert(client)
        }
        #expect(senders.count == plan.senders)
    }

    @Test func theDefaultReachesEveryRoom() {
        let plan = BenchPlan()
        let rooms = Set((0..<plan.messages).map { plan.route(of: $0).room })
        #expect(rooms.count == plan.rooms)
    }

    @Test(arguments: plans)
    func whatIsDueAgreesWithWhenItIsDue(plan: BenchPlan) {
        for message in 0..<min(plan.messages, 500) {
            #expect(plan.dueCount(at: plan.due(message) + 1000) >= message + 1)
            #expect(plan.dueCount(at: plan.due(message) - 1000) <= message)
        }
        #expect(plan.dueCount(at: -1) == 0)
        #expect(plan.dueCount(at: 1_000_000_000_000) == plan.messages)
    }

    @Test(arguments: [
        BenchPlan(clients: 0), BenchPlan(clients: 19_001), BenchPlan(rooms: 0),
        BenchPlan(rooms: 3, roomsPerClient: 4), BenchPlan(rate: 0), BenchPlan(seconds: 601),
        BenchPlan(bytes: 9), BenchPlan(bytes: 4001), BenchPlan(clients: 10, senders: 11),
        BenchPlan(clients: 2, rooms: 50, roomsPerClient: 5, senders: 1),
    ])
    func impossiblePlansAreRefused(plan: BenchPlan) {
        #expect(plan.complaint != nil)
    }

    @Test(arguments: plans) func possiblePlansAreNot(plan: BenchPlan) {
        #expect(plan.complaint == nil)
    }
}

struct BenchMessageTests {
    func read(_ text: String) -> BenchDelivery? {
        Array(text.utf8).withUnsafeBytes { BenchDelivery.read($0) }
    }

    @Test func textsCarryTheirNumber() {
        let text = String(decoding: BenchMessage.text(index: 42, bytes: 14), as: UTF8.self)
        #expect(text == "~000000042xxxx")
    }

    @Test func messagesAreReadInTheDocumentedOrder() {
        let packet = """
            42["message",{"seq":71,"roomSeq":9,"room":"r_ab-_9","id":"m71",\
            "at":"2026-01-31T23:59:59.000Z","user":{"id":"u_x","name":"bench1"},\
            "text":"~000000042xxxx","clientId":"b-42","replyTo":null},"71"]
            """
        #expect(
            read(packet)
                == BenchDelivery(roomSeq: 9, room: BenchDelivery.key("r_ab-_9".utf8), index: 42))
    }

    @Test func otherRoomEventsHaveNoNumber() {
        #expect(
            read(#"42["member",{"seq":1,"roomSeq":2,"room":"lobby","action":"joined"}]"#)
                == BenchDelivery(roomSeq: 2, room: BenchDelivery.key("lobby".utf8), index: nil))
        #expect(read(#"42["room",{"seq":1,"roomSeq":2,"room":"a"}]"#)?.roomSeq == 2)
        #expect(read(#"42["message",{"seq":1,"roomSeq":2,"room":"a","text":"hi"}]"#)?.index == nil)
    }

    @Test(arguments: [
        "", "2", "42[]", "42[\"presence\",{}]", "42[\"message\",{\"seq\":",
        "42[\"message\",{\"seq\":1,\"roomSeq\":2,\"room\":\"a", "42[\"message\",{\"roomSeq\":1}]",
    ])
    func anythingElseIsNoDelivery(text: String) {
        #expect(read(text) == nil)
    }

    @Test func everyPrefixOfAMessageIsReadWithoutHarm() {
        let packet = Array(
            #"42["message",{"seq":71,"roomSeq":9,"room":"r","text":"~000000042"}]"#.utf8)
        for count in 0..<packet.count {
            _ = packet[..<count].withUnsafeBytes { BenchDelivery.read($0) }
        }
    }

    @Test func answersAreReadByTheirId() {
        func answer(_ text: String) -> BenchAnswer? {
            Array(text.utf8).withUnsafeBytes { BenchAnswer.read($0) }
        }
        #expect(
            answer(#"4312[{"ok":true,"id":"m1"}]"#)
                == BenchAnswer(id: 12, isAccepted: true, payload: 4))
        #expect(
            answer(#"437[{"ok":false,"error":{}}]"#)
                == BenchAnswer(id: 7, isAccepted: false, payload: 3))
        #expect(answer("42[\"x\"]") == nil)
    }
}

struct ServerFrameTests {
    func read(_ bytes: [UInt8]) throws(ServerFrame.Failure) -> ServerFrame? {
        var frame: ServerFrame?
        var failure: ServerFrame.Failure?
        bytes.withUnsafeBytes { buffer in
            do throws(ServerFrame.Failure) {
                frame = try ServerFrame.read(buffer)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return frame
    }

    @Test func theThreeFormsOfLengthAreRead() throws {
        #expect(try read([0x81, 5])?.count == 7)
        #expect(try read([0x81, 126, 1, 0])?.count == 260)
        #expect(try read([0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0])?.count == 65_546)
    }

    @Test func anUnfinishedHeaderAsksForMore() throws {
        for bytes in [[], [0x81], [0x81, 126, 1], [0x81, 127, 0, 0, 0, 0, 0, 1, 0]] as [[UInt8]] {
            #expect(try read(bytes) == nil)
        }
    }

    @Test(
        arguments: [
            [0x81, 0x85], [0x01, 5], [0xC1, 5], [0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0],
        ] as [[UInt8]])
    func whatAServerMustNotSendIsRefused(bytes: [UInt8]) {
        #expect(throws: ServerFrame.Failure.unexpected) { try read(bytes) }
    }
}

struct BenchReportTests {
    func report() -> BenchReport {
        var result = BenchResult()
        result.sent = 2000
        result.acked = 2000
        result.deliveries = 100_000
        result.deliveredBytes = 30_000_000
        result.elapsed = .seconds(20)
        result.connectTime = .milliseconds(500)
        result.serverUsage = ProcessUsage(user: 0.4, system: 0.6)
        result.residentIdle = 10 << 20
        result.residentReady = 11 << 20
        for value in 1...100 { result.latency.record(microseconds: Int64(value) * 100) }
        var floors = BenchFloors()
        floors.perMessage = SocketFloor.Figures(
            deliveries: 100_000, elapsed: .seconds(5),
            usage: ProcessUsage(user: 0.1, system: 0.4))
        return BenchReport(plan: BenchPlan(), result: result, floors: floors)
    }

    @Test func ratiosAreTakenFromTheSameRun() {
        let report = report()
        #expect(report.isFaultless)
        #expect(report.fanout == 50)
        #expect(report.deliveryBytes == 300)
        #expect(report.deliveriesPerSecond == 5000)
        #expect(abs((report.cpuPerDelivery ?? 0) - 10e-6) < 1e-12)
        #expect(abs((report.ratio(to: report.floors.perMessage) ?? 0) - 2) < 1e-9)
        #expect(report.residentPerConnection == (1 << 20) / 500)
    }

    @Test func theTableNamesEveryFigure() {
        let table = report().table
        for words in ["p99.9", "10.000 µs a delivery", "server 2.00 ×", "every message once"] {
            #expect(table.contains(words), "\(words)")
        }
    }

    @Test func oneLossIsAFault() {
        var result = report().result
        result.lost = 1
        let report = BenchReport(plan: BenchPlan(), result: result, floors: BenchFloors())
        #expect(!report.isFaultless)
        #expect(report.json["faultless"] == false)
        #expect(report.json["lost"] == 1)
    }

    @Test(arguments: [
        (1.005, 2, "1.00"), (0.999, 2, "1.00"), (12.3456, 3, "12.346"), (-0.5, 0, "-1"),
        (0.04, 1, "0.0"), (7, 0, "7"), (-0.001, 1, "0.0"), (3.07, 2, "3.07"),
    ])
    func numbersHaveTheDigitsAskedFor(value: Double, digits: Int, text: String) {
        #expect(BenchReport.fixed(value, digits) == text)
    }
}

struct ProcessUsageTests {
    @Test func theNameMayHoldAnything() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 150 0 0"
        #expect(
            ProcessUsage(stat: stat, statm: "100 25 3", ticks: 100, pageBytes: 4096)
                == ProcessUsage(user: 2.5, system: 1.5, residentBytes: 102_400))
        #expect(ProcessUsage(stat: "12 (a", statm: "1 2", ticks: 100, pageBytes: 4096) == nil)
    }

    @Test func ourselvesCanBeMeasured() {
        let usage = ProcessUsage.ofThisProcess()
        #expect(usage.user + usage.system > 0)
    }
}
