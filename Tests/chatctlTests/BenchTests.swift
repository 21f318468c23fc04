// SPDX-License-Identifier: MIT
import Glibc
import JSON
import Locks
import Reactor
import Testing
import WebSocket

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

    @Test func mergingIsRecordingAll() {
        var one = LatencyHistogram()
        var two = LatencyHistogram()
        var all = LatencyHistogram()
        for value in 1...1000 {
            let microseconds = Int64(value * value)
            if value % 3 == 0 {
                one.record(microseconds: microseconds)
            } else {
                two.record(microseconds: microseconds)
            }
            all.record(microseconds: microseconds)
        }
        one.merge(two)
        one.merge(LatencyHistogram())
        #expect(one == all)
    }
}

struct SpreadTests {
    @Test func theMiddleOfThreeIsOneOfThem() throws {
        let spread = try #require(Spread([3, 1, 2]))
        #expect((spread.least, spread.median, spread.most) == (1, 2, 3))
        #expect(BenchFormat.ratio(spread) == "2.00 × (1.00 to 3.00 in 3 pairs)")
    }

    @Test func theMiddleOfTwoIsTheirMean() {
        #expect(Spread([1, 2])?.median == 1.5)
    }

    @Test func nothingHasNoMiddle() { #expect(Spread([]) == nil) }

    @Test func oneIsItself() throws {
        let spread = try #require(Spread([1.5]))
        #expect(BenchFormat.ratio(spread) == "1.50 ×")
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
        #expect(text.hasPrefix("~000000042"))
        #expect(text.utf8.count == 14)
        #expect(BenchMessage.text(index: 42, bytes: 10).count == 10)
    }

    /// They go into JSON as they are.
    @Test func textsAreWordsThatNeedNoEscapes() {
        for index in [0, 1, 7, 999_999_999] {
            for bytes in [10, 11, 100, 4000] {
                let text = BenchMessage.text(index: index, bytes: bytes)
                #expect(text.count == bytes)
                #expect(text.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C })
                #expect(text.dropFirst().allSatisfy { $0 != UInt8(ascii: "~") })
            }
        }
        #expect(
            BenchMessage.text(index: 1, bytes: 100).dropFirst(10)
                != BenchMessage.text(index: 2, bytes: 100).dropFirst(10))
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
            answer(#"439[{"ok":true,"id":"m1","seq":1,"roomSeq":34,"at":"2026"}]"#)
                == BenchAnswer(id: 9, isAccepted: true, payload: 3, roomSeq: 34))
        #expect(
            answer(#"437[{"ok":false,"error":{}}]"#)
                == BenchAnswer(id: 7, isAccepted: false, payload: 3))
        #expect(answer("42[\"x\"]") == nil)
    }
}

struct ServerFrameTests {
    func read(_ bytes: [UInt8], deflate: Bool = false) throws(ServerFrame.Failure) -> ServerFrame? {
        var frame: ServerFrame?
        var failure: ServerFrame.Failure?
        bytes.withUnsafeBytes { buffer in
            do throws(ServerFrame.Failure) {
                frame = try ServerFrame.read(buffer, allowsCompression: deflate)
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

    @Test func compressedFramesAreReadWhereTheyWereAgreedOn() throws {
        let frame = try #require(try read([0xC1, 5], deflate: true))
        #expect(frame.isCompressed)
        #expect(frame.opcode == 1)
        #expect(frame.count == 7)
        let plain = try #require(try read([0x81, 5], deflate: true))
        #expect(!plain.isCompressed)
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
        result.answered = 2000
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
        #expect(report.result.fanout == 50)
        #expect(report.result.deliveryBytes == 300)
        #expect(report.result.deliveriesPerSecond == 5000)
        #expect(abs((report.result.cpuPerDelivery ?? 0) - 10e-6) < 1e-12)
        let ratio = report.ratio(to: report.floors.perMessage, pairs: [])
        #expect(abs((ratio?.median ?? 0) - 2) < 1e-9)
        #expect(report.residentPerConnection == (1 << 20) / 500)
    }

    @Test func pairsHaveTheWordOverTheSum() {
        let report = report()
        let ratio = report.ratio(to: report.floors.perMessage, pairs: [1.5, 1, 1.25])
        #expect(ratio?.median == 1.25)
        #expect(ratio?.count == 3)
    }

    @Test func partsOfOneStretchRunBesideEachOther() {
        var whole = BenchResult()
        var part = BenchResult()
        part.deliveries = 5
        part.lost = 1
        part.elapsed = .seconds(2)
        part.busiestThread = 1
        whole.merge(part: part)
        part.elapsed = .seconds(1)
        whole.merge(part: part)
        #expect(whole.deliveries == 10)
        #expect(whole.lost == 2)
        #expect(whole.elapsed == .seconds(2))
        #expect(whole.busiestThread == 1)
    }

    @Test func stretchesFollowEachOther() {
        var whole = BenchResult()
        whole.elapsed = .seconds(2)
        whole.acked = 3
        whole.duplicated = 1
        whole.serverUsage = ProcessUsage(user: 1, system: 1)
        var next = whole
        next.duplicated = 2
        whole.append(next)
        #expect(whole.elapsed == .seconds(4))
        #expect(whole.acked == 6)
        // Clients count since they connected: the later figure holds the earlier one.
        #expect(whole.duplicated == 2)
        #expect(whole.serverUsage?.total == 4)
    }

    @Test func theWindowIsWhatTheServerSentAtOnce() {
        var result = BenchResult()
        result.acked = 1000
        result.deliveries = 500_000
        result.reads = 50_000
        let plan = BenchPlan(clients: 500, rooms: 1, roomsPerClient: 1, rate: 1000)
        #expect(LoadScenario.window(of: plan, result) == .milliseconds(10))
        #expect(LoadScenario.window(of: plan, BenchResult()) == .zero)
    }

    @Test func theTableNamesEveryFigure() {
        let table = report().table
        for words in ["p99.9", "10.000 µs a delivery", "server 2.00 ×", "every message once"] {
            #expect(table.contains(words), "\(words)")
        }
    }

    /// Whoever was not answered may have been forgotten.
    @Test func oneMissingAnswerIsAFault() {
        var result = report().result
        result.answered -= 1
        #expect(!result.isLossless)
        #expect(!result.isFaultless)
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
        #expect(BenchFormat.fixed(value, digits) == text)
    }
}

struct LoadPlacementTests {
    /// Every client has one place, and the places of a loop are numbered without a gap.
    @Test(arguments: [
        LoadPlacement(loops: 1), LoadPlacement(loops: 3), LoadPlacement(loops: 2, apart: 10),
        LoadPlacement(loops: 4, apart: 7),
    ])
    func everyClientHasAPlace(placement: LoadPlacement) {
        var places: [Int: [Int]] = [:]
        for client in 0..<100 {
            let loop = placement.loop(of: client)
            #expect((0..<placement.loops).contains(loop))
            #expect(placement.apart == 0 || (loop == 0) == (client < placement.apart))
            places[loop, default: []].append(placement.place(of: client))
        }
        for (loop, taken) in places { #expect(taken == Array(0..<taken.count), "loop \(loop)") }
    }
}

struct BenchMachineTests {
    @Test func theFileSystemIsThatOfTheLongestMount() {
        let mounts = """
            rootfs / rootfs rw 0 0
            /dev/vda / ext4 rw,relatime 0 0
            tmpfs /tmp tmpfs rw 0 0
            /dev/vdb /home xfs rw 0 0
            """
        #expect(BenchMachine.fileSystem(of: "/", mounts: mounts) == "ext4")
        #expect(BenchMachine.fileSystem(of: "/tmp/a", mounts: mounts) == "tmpfs")
        #expect(BenchMachine.fileSystem(of: "/tmpfs", mounts: mounts) == "ext4")
        #expect(BenchMachine.fileSystem(of: "/home", mounts: mounts) == "xfs")
        #expect(BenchMachine.fileSystem(of: "/home", mounts: "") == "unknown file system")
    }
}

struct ProcessUsageTests {
    /// Threads are told apart by their names.
    @Test func eventLoopsAreCountedByThemselves() throws {
        let before = try #require(ProcessUsage.of(getpid()))
        let mailbox = Mailbox()
        let seconds = Locked(0.0)
        let thread = WorkerThread(name: "loop-9") {
            let loop = EventLoop(index: 9, mailbox: mailbox)
            while ProcessUsage.ofThisThread().total < 0.02 {}
            seconds.withLock { $0 = ProcessUsage.of(getpid())?.loops["loop-9"] ?? 0 }
            loop.stop()
        }
        thread.join()
        #expect(before.loops["loop-9"] == nil)
        #expect(seconds.withLock { $0 } >= 0.015)
        var later = before
        later.loops["loop-9"] = 0.5
        #expect((later - before).loopTotal >= 0.5)
    }

    /// A process's ticks are ten milliseconds; what the scheduler counts is exact.
    @Test func theSchedulersAccountHasTheWord() {
        var before = ProcessUsage(user: 1, system: 1)
        before.scheduled = 2.0043
        var after = ProcessUsage(user: 1.01, system: 1)
        after.scheduled = 2.0091
        #expect(abs((after - before).total - 0.0048) < 1e-9)
        #expect(abs((after + before).total - 4.0134) < 1e-9)
        #expect(ProcessUsage(user: 1, system: 2).total == 3)
    }

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

struct ProcessMemoryTests {
    @Test func bothFiguresAreReadInBytes() throws {
        let status = "Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t    1736 kB\nRssAnon:\t     112 kB\n"
        let memory = try #require(ProcessMemory(status: status))
        #expect(memory.resident == 1736 * 1024)
        #expect(memory.anonymous == 112 * 1024)
        #expect(ProcessMemory(status: "Name:\tkthread\n") == nil)
    }

    @Test func theKernelsSocketsAreAddedUp() {
        let slabs = """
            slabinfo - version: 2.1
            # name            <active_objs> <num_objs> <objsize> <objperslab>
            TCP                  100    156   2000   13    8 : tunables
            TCPv6                 26     26   2496   13    8 : tunables
            filp                  10   1218    192   21    1 : tunables
            """
        let sockets = "sockets: used 58\nTCP: inuse 42 orphan 0 tw 18846 alloc 42 mem 7\n"
        let kernel = KernelSockets(slabinfo: slabs, sockstat: sockets, pageBytes: 4096)
        #expect(kernel.slabBytes == 100 * 2000 + 10 * 192)
        #expect(kernel.bufferBytes == 7 * 4096)
        let blind = KernelSockets(slabinfo: nil, sockstat: "", pageBytes: 4096)
        #expect(blind.slabBytes == nil)
        #expect(blind.bufferBytes == 0)
    }

    @Test func filesOfTheKernelAreReadToTheirEnd() throws {
        let text = try #require(KernelFile.read("/proc/self/smaps"))
        #expect(text.contains("[stack]"))
        #expect(KernelFile.read("/proc/self/nothing") == nil)
    }
}

struct MetricsTextTests {
    @Test func seriesOfOneNameAreAddedUp() {
        let metrics = MetricsText(
            """
            # HELP a_total What.
            a_total{loop="0"} 2
            a_total{loop="1 2"} 3.5
            b 7
            nonsense
            """)
        #expect(metrics["a_total"] == 5.5)
        #expect(metrics["b"] == 7)
        #expect(metrics["c"] == 0)
    }
}

struct BenchOptionsTests {
    @Test(arguments: ScenarioName.allCases)
    func whatAScenarioDoesByItselfMakesSense(scenario: ScenarioName) {
        #expect(BenchOptions(scenario).complaint(given: []) == nil)
    }

    @Test func optionsThatMeanNothingAreRefused() {
        #expect(
            BenchOptions(.idle).complaint(given: [.rate])
                == "--rate means nothing to --scenario idle")
        #expect(
            BenchOptions(.loops).complaint(given: [.url])
                == "--url means nothing to --scenario loops")
        #expect(BenchOptions(.load).complaint(given: [.svg]) != nil)
    }

    @Test func whatCannotBeMeasuredIsRefused() {
        func refused(_ scenario: ScenarioName, _ change: (inout BenchOptions) -> Void) -> Bool {
            var options = BenchOptions(scenario)
            change(&options)
            return options.complaint(given: []) != nil
        }
        #expect(refused(.idle) { $0.plan.seconds = 29 })
        #expect(refused(.storm) { $0.plan.clients = 18_001 })
        #expect(refused(.loops) { $0.serverLoops = 1 })
        #expect(refused(.curve) { $0.plan.clients = 40 })
        #expect(refused(.load) { $0.threads = 0 })
        #expect(refused(.load) { $0.pairs = 21 })
        #expect(refused(.load) { $0.url = "http://127.0.0.1:1" })
        #expect(refused(.load) { $0.dataDirectory = "d" })
        #expect(refused(.sends) { $0.inFlight = 257 })
        #expect(refused(.load) { $0.window = .milliseconds(1001) })
        #expect(
            refused(.slow) {
                $0.url = "http://127.0.0.1:1"
                $0.dataDirectory = "d"
            })
    }
}

struct ChartTests {
    @Test func everyPointIsDrawnInsideTheFrame() {
        let chart = Chart(
            title: "a < b", yLabel: "µs",
            panels: [
                Chart.Panel(
                    xLabel: "n",
                    series: [Chart.Series(name: "s", points: [(10, 1), (100, 2), (1000, 4)])])
            ])
        let svg = chart.svg
        #expect(svg.contains("a &lt; b"))
        #expect(svg.contains("points=\"56.0,243.0 256.0,178.0 456.0,48.0\""))
        #expect(svg.hasSuffix("</svg>\n"))
    }

    @Test(arguments: [0.5, 3, 7, 60, 1234]) func linesAcrossAreFew(most: Double) {
        let lines = most / Chart.step(to: most)
        #expect(lines >= 3 && lines <= 8)
    }

    @Test func onePointIsInTheMiddle() {
        let chart = Chart(
            title: "", yLabel: "",
            panels: [Chart.Panel(xLabel: "", series: [Chart.Series(name: "", points: [(5, 1)])])])
        #expect(chart.svg.contains("cx=\"256.0\""))
    }
}

struct SharedInflaterTests {
    @Test func aFrameIsInflatedOnceForAll() throws {
        let parameters = DeflateParameters(serverNoContextTakeover: true)
        let deflater = MessageDeflater(windowBits: 15, takesContext: false)
        var inflater = SharedInflater()
        for text in ["hello hello hello", "something else", "hello hello hello"] {
            var payload: [UInt8] = []
            deflater.compress(Array(text.utf8).span, into: &payload)
            let frame = [0xC1, UInt8(payload.count)] + payload
            let inflated = frame.withUnsafeBytes {
                inflater.inflate($0, parameters: parameters)
            }
            #expect(inflated == Array(text.utf8))
        }
        let broken = ([0xC1, 2, 0xFF, 0xFF] as [UInt8]).withUnsafeBytes {
            inflater.inflate($0, parameters: parameters)
        }
        #expect(broken == nil)
    }
}
