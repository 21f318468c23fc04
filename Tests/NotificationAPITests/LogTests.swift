// SPDX-License-Identifier: MIT
internal import ChatCore
internal import HTTPServer
internal import JSON
internal import Metrics
internal import Store
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Testing
internal import Timing
internal import Webhooks

@testable internal import NotificationAPI

@Suite struct LogSourceTests {
    private let user: JSONValue = ["id": "u_bob", "name": "bob"]

    private func chat(_ type: String, data: JSONValue) -> SourceEntry? {
        LogSource.chat.entry(
            [
                "seq": 7, "at": "2026-01-31T23:59:59.000Z", "type": .string(type), "room": "r1",
                "roomSeq": 2, "visibility": "private", "user": user, "data": data,
            ])
    }

    @Test func readsAMessage() {
        let data: JSONValue = ["seq": 7, "text": "hi"]
        #expect(
            chat("message.created", data: data)
                == SourceEntry(
                    sequence: 7, at: Timestamp(milliseconds: 1_769_903_999_000),
                    type: "message.created", room: "r1", audience: .members(room: "r1"),
                    data: data.bytes))
    }

    @Test func knowsWhoComesAndGoes() {
        let member: JSONValue = ["member": ["id": "u_eve", "name": "eve"]]
        #expect(
            chat("member.joined", data: member)?.membership == .joined(room: "r1", user: "u_eve"))
        #expect(chat("member.left", data: member)?.membership == .left(room: "r1", user: "u_eve"))
        #expect(
            chat("member.removed", data: member)?.membership == .left(room: "r1", user: "u_eve"))
        #expect(chat("member.invited", data: member)?.membership == nil)
        #expect(chat("room.created", data: [:])?.membership == .joined(room: "r1", user: "u_bob"))
        #expect(chat("message.created", data: member)?.membership == nil)
    }

    @Test func goesOnPastWhatItDoesNotKnow() throws {
        #expect(chat("message.exploded", data: [:])?.type == nil)
        #expect(chat("message.created", data: "text")?.type == nil)
        let bare = try #require(LogSource.chat.entry(["seq": 9]))
        #expect(bare.sequence == 9)
        #expect(bare.type == nil)
        #expect(LogSource.chat.entry(["at": "2026-01-31T23:59:59.000Z"]) == nil)
        #expect(LogSource.chat.entry(["seq": 0]) == nil)
        #expect(LogSource.chat.entry("x") == nil)
    }

    @Test func readsWhatConcernsAnAccount() throws {
        let entry = try #require(
            LogSource.auth.entry(
                [
                    "seq": 3, "at": "2026-01-31T23:59:59Z", "type": "user.disabled", "sub": "u_ada",
                    "sid": "s1", "data": ["reason": "admin"],
                ]))
        #expect(entry.type == "security.user_disabled")
        #expect(entry.audience == .user("u_ada"))
        #expect(entry.closedAccount == "u_ada")
        #expect(
            try JSONValue(parsing: entry.data) == [
                "user": "u_ada", "session": "s1", "at": "2026-01-31T23:59:59.000Z",
                "reason": "admin",
            ])
        let key = LogSource.auth.entry(
            ["seq": 4, "at": "2026-01-31T23:59:59Z", "type": "key.rotated", "data": [:]])
        #expect(key?.type == nil)
        #expect(key?.audience == .nobody)
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:00.5Z", 500),
            ("1970-01-01T00:00:00.123456Z", 123), ("2000-02-29T12:00:00.000Z", 951_825_600_000),
        ] as [(String, Int64)])
    func readsTimes(_ text: String, _ milliseconds: Int64) {
        #expect(InternetTime.parse(text) == Timestamp(milliseconds: milliseconds))
    }

    @Test(arguments: [
        "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00:00+00:00",
        "1970-13-01T00:00:00Z",
        "1970-02-30T00:00:00Z", "1970-01-01 00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.12345678901Z",
    ])
    func readsNothingElse(_ text: String) {
        #expect(InternetTime.parse(text) == nil)
    }
}

/// A service with a log, as far as a follower sees it.
private final class FakeLog: Sendable {
    let entries = Locked<[JSONValue]>([])
    let pulls = Atomic(0)
    let refuses = Atomic(false)
    /// Which history the entries are of, and the last one it shares with the one before.
    let epoch = Locked<(name: String, base: Int64)?>(nil)
    private let server = Locked<LoopbackServer?>(nil)

    init() {
        let server = LoopbackServer { [weak self] request in
            self?.answer(request) ?? .close
        }
        self.server.withLock { $0 = server }
    }

    deinit { stop() }

    var url: String { server.withLock { $0!.url } }

    func stop() { server.withLock { $0?.stop() } }

    func add(_ count: Int) {
        entries.withLock { entries in
            for _ in 0..<count { entries.append(FakeLog.message(entries.count + 1)) }
        }
    }

    static func message(_ number: Int) -> JSONValue {
        let seq = JSONValue.int(Int64(number))
        if number == 1 {
            return [
                "seq": 1, "at": "2026-01-31T23:59:59.000Z", "type": "member.joined",
                "room": "lobby", "user": ["id": "u_ada", "name": "ada"],
                "data": ["member": ["id": "u_ada", "name": "ada"]],
            ]
        }
        return [
            "seq": seq, "at": "2026-01-31T23:59:59.000Z", "type": "message.created",
            "room": "lobby", "user": ["id": "u_bob", "name": "bob"], "data": ["seq": seq],
        ]
    }

    private func answer(_ request: LoopbackServer.Received) -> LoopbackServer.Reply {
        pulls.add(1, ordering: .relaxed)
        guard request.fields["authorization"] == "Bearer service" else {
            return .response(status: 401)
        }
        if refuses.load(ordering: .relaxed) { return .response(status: 503) }
        let query = request.target.split(separator: "?").last.map(String.init) ?? ""
        let after = Int(FormURLEncoded.first("after", in: query) ?? "") ?? 0
        let limit = Int(FormURLEncoded.first("limit", in: query) ?? "") ?? 0
        let all = entries.withLock { $0 }
        var page: JSONObject = [
            "source": "chat", "after": .int(Int64(after)), "head": .int(Int64(all.count)),
            "entries": .array(Array(all.dropFirst(after).prefix(limit))),
        ]
        if let (name, base) = epoch.withLock({ $0 }) {
            page["epoch"] = .string(name)
            page["epochBase"] = .int(base)
        }
        return .response(status: 200, body: JSONValue.object(page).bytes)
    }
}

/// A bus that a test speaks through.
private final class FakeBus: Bus {
    let handlers = Locked<[String: @Sendable ([UInt8]) -> Void]>([:])
    let connected = Atomic(true)

    func publish(_ channel: String, _ payload: [UInt8]) {
        handlers.withLock { $0[channel] }?(payload)
    }
    func subscribe(_ channel: String, _ handler: @escaping @Sendable ([UInt8]) -> Void) {
        handlers.withLock { $0[channel] = handler }
    }
    var isConnected: Bool { connected.load(ordering: .relaxed) }
    func stop() {}

    func announce(_ numbers: ClosedRange<Int>, withEntries: Bool = true, epoch: String? = nil) {
        var value: JSONObject = [
            "instance": "i", "first": .int(Int64(numbers.lowerBound)),
            "last": .int(Int64(numbers.upperBound)),
        ]
        if let epoch { value["epoch"] = .string(epoch) }
        if withEntries { value["entries"] = .array(numbers.map(FakeLog.message)) }
        publish(BusChannel.chatLog, JSONValue.object(value).bytes)
    }
}

@Suite struct LogFollowerTests {
    private func makeStore(_ directory: TemporaryDirectory) throws -> NotificationStore {
        let store = try NotificationStore(
            path: directory.file("notification.db"), now: SystemClock.timestamp())
        _ = try store.insert(
            EndpointRecord(
                id: "ep_1", owner: "u_ada", url: "https://example.com/", secret: [],
                createdAt: SystemClock.timestamp()), limit: 10)
        return store
    }

    private func follower(
        _ log: FakeLog, _ store: NotificationStore, bus: (any Bus)? = nil,
        metrics: MetricsRegistry = MetricsRegistry(),
        _ change: (inout LogFollower.Configuration) -> Void = { _ in }
    ) -> LogFollower {
        var configuration = LogFollower.Configuration(source: .chat, url: log.url)
        configuration.page = 3
        configuration.pollInterval = .milliseconds(10)
        change(&configuration)
        return LogFollower(
            configuration, store: store,
            credential: ServiceCredential(token: { "service" }, drop: {}), bus: bus,
            metrics: metrics, wakeEngine: {})
    }

    private func sequences(_ store: NotificationStore) throws -> [Int64] {
        try store.deliveries(owner: "u_ada", endpoint: nil, state: nil, before: nil, limit: 200)
            .map(\.sequence).reversed()
    }

    @Test func takesEachEntryOnceAcrossRestarts() throws {
        let directory = try TemporaryDirectory()
        let log = FakeLog()
        log.add(8)
        do {
            let store = try makeStore(directory)
            let follower = follower(log, store)
            follower.start()
            #expect(eventually { follower.status.isCurrent })
            #expect(try sequences(store) == Array(1...8))
            log.add(4)
            #expect(try eventually { try sequences(store) == Array(1...12) })
            follower.stop()
        }
        log.add(3)
        let store = try NotificationStore(
            path: directory.file("notification.db"), now: SystemClock.timestamp())
        let follower = follower(log, store)
        follower.start()
        defer { follower.stop() }
        #expect(eventually { follower.status.watermark == 15 && follower.status.isCurrent })
        #expect(try sequences(store) == Array(1...15))
    }

    @Test func appliesAnnouncementsInOrderAndPullsTheRest() throws {
        let directory = try TemporaryDirectory()
        let log = FakeLog()
        let bus = FakeBus()
        log.add(2)
        let store = try makeStore(directory)
        let follower = follower(log, store, bus: bus) { $0.checkInterval = .seconds(60) }
        follower.start()
        defer { follower.stop() }
        #expect(eventually { follower.status.isCurrent })

        // Only announced, never in the log: so it can only have come by the bus.
        let pulls = log.pulls.load(ordering: .relaxed)
        bus.announce(3...4)
        #expect(eventually { follower.status.watermark == 4 })
        #expect(log.pulls.load(ordering: .relaxed) == pulls)

        // Repeated, overlapping, after a gap and without entries.
        bus.announce(3...4)
        log.add(8)
        bus.announce(4...5)
        bus.announce(8...9)
        #expect(eventually { follower.status.watermark >= 9 })
        bus.announce(10...10, withEntries: false)
        #expect(eventually { follower.status.watermark == 10 })
        #expect(try sequences(store) == Array(1...10))
    }

    /// The chat's log is put back to an older state, while the follower runs or while it is down: what
    /// comes after the parting is told, though its numbers were told before, and nothing before it
    /// twice.
    @Test(arguments: [true, false], [true, false])
    func followsARestoredLog(whileRunning isRunning: Bool, withBus hasBus: Bool) throws {
        let directory = try TemporaryDirectory()
        let log = FakeLog()
        let bus = FakeBus()
        log.epoch.withLock { $0 = ("one", 0) }
        log.add(9)
        let store = try makeStore(directory)
        func make() -> LogFollower {
            let follower = self.follower(log, store, bus: hasBus ? bus : nil) {
                $0.checkInterval = .milliseconds(20)
            }
            follower.start()
            return follower
        }
        var follower = make()
        defer { follower.stop() }
        #expect(eventually { follower.status.isCurrent && follower.status.watermark == 9 })
        if !isRunning { follower.stop() }
        // Restored to 6, and by now one further than before: the head alone tells nothing.
        log.entries.withLock { $0.removeLast(3) }
        log.epoch.withLock { $0 = ("two", 6) }
        log.add(4)
        if !isRunning { follower = make() }
        // An announcement of the new history is no continuation of the old.
        if hasBus { bus.announce(10...10, epoch: "two") }
        #expect(eventually { follower.status.isCurrent && follower.status.watermark == 10 })
        #expect(try sequences(store) == Array(1...9) + [7, 8, 9, 10])
        #expect(try store.epoch(of: "chat") == "two")
        // One of the old, late on the bus, changes nothing.
        if hasBus {
            bus.announce(11...11, epoch: "one")
            log.add(1)
            #expect(eventually { follower.status.watermark == 11 })
            #expect(try sequences(store) == Array(1...9) + [7, 8, 9, 10, 11])
        }
    }

    /// How far behind a reader is can be seen from outside while it cannot catch up, and that it has
    /// when it can.
    @Test func theBacklogIsOnTheMetricsPage() throws {
        let directory = try TemporaryDirectory()
        let log = FakeLog()
        let bus = FakeBus()
        log.add(9)
        let metrics = MetricsRegistry()
        let store = try makeStore(directory)
        let follower = follower(log, store, bus: bus, metrics: metrics) {
            $0.checkInterval = .seconds(60)
        }
        func metric(_ name: String) -> String? {
            metrics.exposition().split(separator: "\n")
                .first { $0.hasPrefix("\(name){source=\"chat\"} ") }?
                .split(separator: " ").last.map(String.init)
        }
        follower.start()
        defer { follower.stop() }
        #expect(eventually { follower.status.isCurrent })
        #expect(metric("notification_log_lag") == "0")
        log.refuses.store(true, ordering: .relaxed)
        bus.announce(20...20)
        #expect(eventually { metric("notification_log_lag") == "11" })
        #expect(metric("notification_log_watermark") == "9")
        log.add(11)
        log.refuses.store(false, ordering: .relaxed)
        #expect(eventually { metric("notification_log_lag") == "0" })
        #expect(metric("notification_log_watermark") == "20")
    }

    @Test func pullsWhenTheBusIsSilent() throws {
        let directory = try TemporaryDirectory()
        let log = FakeLog()
        log.add(1)
        let store = try makeStore(directory)
        let follower = follower(log, store, bus: FakeBus()) {
            $0.checkInterval = .milliseconds(20)
        }
        follower.start()
        defer { follower.stop() }
        #expect(eventually { follower.status.isCurrent })
        log.add(5)
        #expect(eventually { follower.status.watermark == 6 })
    }

    @Test func saysWhatIsWrongAndGoesOnWhenItIsRight() throws {
        let directory = try TemporaryDirectory()
        let log = FakeLog()
        log.add(3)
        log.refuses.store(true, ordering: .relaxed)
        let store = try makeStore(directory)
        let follower = follower(log, store)
        follower.start()
        defer { follower.stop() }
        #expect(eventually { follower.status.trouble == "status 503" })
        log.refuses.store(false, ordering: .relaxed)
        #expect(eventually { follower.status.isCurrent && follower.status.trouble == nil })

        log.entries.withLock { $0 = [] }
        #expect(eventually { follower.status.trouble == "the log went back" })
        #expect(try store.watermark(of: "chat") == 3)
    }
}

@Suite struct AlertForwarderTests {
    @Test func triesAgainOverARestartUntilChatServiceTakesIt() throws {
        let directory = try TemporaryDirectory()
        let down = LoopbackServer { _ in .response(status: 503) }
        func forwarder(_ store: NotificationStore, _ url: String) -> AlertForwarder {
            AlertForwarder(
                store: store, url: url,
                credential: ServiceCredential(token: { "service" }, drop: {}))
        }
        do {
            let store = try NotificationStore(
                path: directory.file("notification.db"), now: SystemClock.timestamp())
            let now = SystemClock.timestamp()
            let outcome = try store.raise(
                NewAlert(
                    id: "al_1", owner: "client:ops", key: nil, digest: [],
                    body: Array(
                        "{\"id\":\"al_1\",\"severity\":\"info\",\"text\":\"x\",\"ttl\":60}".utf8),
                    expiresAt: now + .seconds(60),
                    entry: SourceEntry(
                        sequence: 0, at: now, type: "alert.raised", audience: .everyone,
                        data: Array("{}".utf8))), rules: .webhooks, now: now)
            #expect(outcome == .accepted)
            let first = forwarder(store, down.url)
            first.start()
            #expect(eventually { down.requests.count >= 2 })
            first.stop()
            down.stop()
        }
        let up = LoopbackServer { _ in .response(status: 202) }
        defer { up.stop() }
        let store = try NotificationStore(
            path: directory.file("notification.db"), now: SystemClock.timestamp())
        let second = forwarder(store, up.url)
        second.start()
        defer { second.stop() }
        #expect(try eventually { try store.openAlerts() == 0 })
        #expect(up.requests.count == 1)
        let request = try #require(up.requests.first)
        #expect(request.target == "/internal/alerts")
        #expect(request.fields["authorization"] == "Bearer service")
        let body = try JSONValue(parsing: request.body)
        #expect(body["id"] == "al_1")
        let ttl = try #require(body["ttl"]?.int)
        #expect((1...60).contains(ttl))
    }

    @Test func dropsWhatIsPastItsTimeOrRefused() throws {
        let directory = try TemporaryDirectory()
        let server = LoopbackServer { _ in .response(status: 400) }
        defer { server.stop() }
        let store = try NotificationStore(
            path: directory.file("notification.db"), now: SystemClock.timestamp())
        let now = SystemClock.timestamp()
        for (id, life) in [("al_old", -1), ("al_bad", 60)] {
            _ = try store.raise(
                NewAlert(
                    id: id, owner: "client:ops", key: nil, digest: [],
                    body: Array("{\"id\":\"\(id)\"}".utf8), expiresAt: now + .seconds(life),
                    entry: SourceEntry(
                        sequence: 0, at: now, type: "alert.raised", audience: .everyone,
                        data: Array("{}".utf8))), rules: .webhooks, now: now)
        }
        let forwarder = AlertForwarder(
            store: store, url: server.url,
            credential: ServiceCredential(token: { "service" }, drop: {}))
        forwarder.start()
        defer { forwarder.stop() }
        #expect(try eventually { try store.openAlerts() == 0 })
        #expect(server.requests.count == 1)
    }
}

@Suite struct SecretKeyFileTests {
    @Test func makesAKeyOnceAndRefusesAnotherFile() throws {
        let directory = try TemporaryDirectory()
        let key = try SecretKeyFile.load(directory.file("secrets.key"))
        #expect(key.count == 32)
        #expect(try SecretKeyFile.load(directory.file("secrets.key")) == key)
        #expect(throws: SecretKeyFile.Failure.self) {
            try SecretKeyFile.load(directory.file("missing/secrets.key"))
        }
    }
}
