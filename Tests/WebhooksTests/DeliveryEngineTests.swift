// SPDX-License-Identifier: MIT
internal import Addresses
internal import HTTPClient
internal import JSON
internal import Store
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Testing
internal import Timing

@testable internal import Webhooks

/// A store in a folder of its own, a clock to turn and one endpoint at a receiver on this machine.
private final class Bench: Sendable {
    let directory: TemporaryDirectory
    let keeper = SecretKeeper(key: Array(repeating: 7, count: 32))
    let secret = WebhookSecret.generate()
    private let offset = Locked<Int64>(0)

    init() throws { directory = try TemporaryDirectory() }

    var now: Timestamp {
        Timestamp(
            milliseconds: SystemClock.timestamp().milliseconds + offset.withLock { $0 })
    }

    func advance(_ duration: Duration) { offset.withLock { $0 += duration.milliseconds } }

    func openStore() throws -> NotificationStore {
        try NotificationStore(path: directory.file("notification.db"), now: now)
    }

    func addEndpoint(
        _ store: NotificationStore, id: String = "ep_1", url: String, types: [String] = []
    ) throws {
        var endpoint = EndpointRecord(
            id: id, owner: "u_ada", url: url, types: types,
            secret: keeper.seal(secret, endpoint: id), createdAt: now)
        endpoint.fields = [.init(name: "x-key", value: "k")]
        _ = try store.insert(endpoint, limit: 100)
        _ = try store.apply(
            source: "chat", after: 0,
            [
                SourceEntry(
                    sequence: 1, at: now, type: nil, audience: .nobody,
                    membership: .joined(room: "lobby", user: "u_ada"), data: [])
            ], rules: .webhooks, now: now)
    }

    func post(_ store: NotificationStore, _ sequences: ClosedRange<Int64>) throws {
        let entries = sequences.map { sequence in
            SourceEntry(
                sequence: sequence, at: now, type: "message.created", room: "lobby",
                audience: .members(room: "lobby"), data: Array("{\"seq\":\(sequence)}".utf8))
        }
        _ = try store.apply(
            source: "chat", after: sequences.lowerBound - 1, entries, rules: .webhooks, now: now)
    }

    func engine(
        _ store: NotificationStore, timeout: Duration = .seconds(5),
        _ change: (inout DeliveryEngine.Configuration) -> Void = { _ in },
        report: @escaping @Sendable (DeliveryReport) -> Void = { _ in }
    ) -> DeliveryEngine {
        var configuration = DeliveryEngine.Configuration()
        configuration.workers = 4
        change(&configuration)
        let policy = URLPolicy(
            allowsHTTP: true, addresses: AddressPolicy(allowed: [NetworkRange("127.0.0.0/8")!]))
        return DeliveryEngine(
            store: store, sender: WebhookSender(policy: policy, keeper: keeper, timeout: timeout),
            configuration: configuration, now: { [self] in now }, random: { 0.5 }, report: report)
    }

    func states(_ store: NotificationStore) throws -> [DeliveryState: Int] { try store.ledger() }
}

@Suite struct DeliveryEngineTests {
    @Test func deliversSignedBytes() throws {
        let bench = try Bench()
        let receiver = LoopbackServer { _ in .response(status: 204) }
        defer { receiver.stop() }
        let store = try bench.openStore()
        try bench.addEndpoint(store, url: "\(receiver.url)/hook")
        try bench.post(store, 2...4)
        let engine = bench.engine(store)
        engine.start()
        defer { engine.stop() }

        #expect(try eventually { try bench.states(store) == [.delivered: 3] })
        #expect(receiver.requests.count == 3)
        for request in receiver.requests {
            let isGood = WebhookSignature.verify(
                request.fields["webhook-signature"] ?? "", id: request.fields["webhook-id"] ?? "",
                timestamp: request.fields["webhook-timestamp"] ?? "", body: request.body,
                secret: bench.secret, now: bench.now)
            #expect(isGood)
            #expect(request.fields["webhook-attempt"] == "1")
            #expect(request.fields["content-type"] == "application/json")
            #expect(request.fields["x-key"] == "k")
            #expect(request.fields["content-length"] == "\(request.body.count)")
        }
        let sequences = try receiver.requests.map { try JSONValue(parsing: $0.body)["sequence"] }
        #expect(Set(sequences) == [2, 3, 4])
        #expect(Set(receiver.requests.compactMap { $0.fields["webhook-id"] }).count == 3)
    }

    @Test func keepsTryingAReceiverThatIsDownUntilItIsUp() throws {
        let bench = try Bench()
        let receiver = LoopbackServer { _ in .close }
        let (port, url) = (receiver.port, receiver.url)
        receiver.stop()
        let store = try bench.openStore()
        try bench.addEndpoint(store, url: url)
        try bench.post(store, 2...3)
        let engine = bench.engine(store)
        engine.start()
        defer { engine.stop() }
        let failed = try eventually {
            let waiting = try store.deliveries(
                owner: "u_ada", endpoint: nil, state: .ready, before: nil, limit: 9)
            return waiting.count == 2
                && waiting.allSatisfy { $0.attempts == 1 && $0.error == "unreachable" }
        }
        #expect(failed)

        let again = LoopbackServer(port: port) { _ in .response(status: 200) }
        defer { again.stop() }
        bench.advance(.seconds(6))
        engine.wake()

        #expect(try eventually { try bench.states(store) == [.delivered: 2] })
        #expect(again.requests.allSatisfy { $0.fields["webhook-attempt"] == "2" })
    }

    @Test func sendsTheSameIDAndBytesAfterBeingKilled() throws {
        let bench = try Bench()
        let receiver = LoopbackServer { _ in .stall("") }
        defer { receiver.stop() }
        do {
            let store = try bench.openStore()
            try bench.addEndpoint(store, url: receiver.url)
            try bench.post(store, 2...2)
            let engine = bench.engine(store)
            engine.start()
            #expect(eventually { receiver.requests.count == 1 })
            // What a kill leaves behind: the attempt under way, its end never written.
            engine.stop()
            #expect(try bench.states(store) == [.inFlight: 1])
        }
        let again = LoopbackServer { _ in .response(status: 200) }
        defer { again.stop() }
        let store = try bench.openStore()
        let moved = try store.update(
            id: "ep_1", owner: "u_ada", version: nil, now: bench.now
        ) { [url = again.url] in $0.url = url }
        #expect((try? moved.get()) != nil)
        let engine = bench.engine(store)
        engine.start()
        defer { engine.stop() }

        #expect(try eventually { try bench.states(store) == [.delivered: 1] })
        let first = try #require(receiver.requests.first)
        let second = try #require(again.requests.first)
        #expect(first.fields["webhook-id"] == second.fields["webhook-id"])
        #expect(first.body == second.body)
        let id = try #require(second.fields["webhook-id"])
        let found = try #require(try store.delivery(id: id, owner: "u_ada"))
        #expect(found.attempts.map(\.error) == ["interrupted", nil])
        #expect(found.attempts.map(\.number) == [1, 2])
        #expect(found.body == first.body)
    }

    @Test func switchesOffAnEndpointThatIsGoneAndHoldsTheRest() throws {
        let bench = try Bench()
        let reports = Locked<[DeliveryReport]>([])
        let receiver = LoopbackServer { _ in .response(status: 410) }
        defer { receiver.stop() }
        let store = try bench.openStore()
        try bench.addEndpoint(store, url: receiver.url)
        try bench.post(store, 2...2)
        let engine = bench.engine(
            store, report: { report in reports.withLock { $0.append(report) } })
        engine.start()
        defer { engine.stop() }
        #expect(try eventually { try bench.states(store) == [.dead: 1] })
        let endpoint = try #require(try store.endpoint(id: "ep_1", owner: "u_ada"))
        #expect(!endpoint.isEnabled)
        #expect(endpoint.disabledReason == "gone")
        #expect(endpoint.version == 2)
        #expect(eventually { reports.withLock { $0 } == [.endpointDisabled("ep_1")] })

        try bench.post(store, 3...3)
        engine.wake()
        #expect(engine.drain(timeout: .seconds(5)))
        #expect(try bench.states(store) == [.dead: 1, .ready: 1])
        #expect(receiver.requests.count == 1)
    }

    @Test func givesUpAfterTheLastAttemptAndSendsAgainByHand() throws {
        let bench = try Bench()
        let answers = Locked(500)
        let receiver = LoopbackServer { _ in .response(status: answers.withLock { $0 }) }
        defer { receiver.stop() }
        let store = try bench.openStore()
        try bench.addEndpoint(store, url: receiver.url)
        try bench.post(store, 2...2)
        let engine = bench.engine(store) {
            $0.schedule.delays = [.zero, .milliseconds(1), .milliseconds(1)]
        }
        engine.start()
        defer { engine.stop() }
        #expect(try eventually { try bench.states(store) == [.dead: 1] })
        #expect(receiver.requests.compactMap { $0.fields["webhook-attempt"] } == ["1", "2", "3"])
        let id = try #require(receiver.requests.first?.fields["webhook-id"])
        #expect(try store.delivery(id: id, owner: "u_ada")?.delivery.error == "server_error")

        answers.withLock { $0 = 200 }
        #expect(try store.retry(id: id, owner: "u_eve", now: bench.now) == .notFound)
        #expect(try store.retry(id: id, owner: "u_ada", now: bench.now) == .queued)
        engine.wake()
        #expect(try eventually { try bench.states(store) == [.delivered: 1] })
        #expect(receiver.requests.allSatisfy { $0.fields["webhook-id"] == id })
    }

    @Test func doesNotLetAHangingReceiverHoldUpAnother() throws {
        let bench = try Bench()
        let hanging = LoopbackServer { _ in .stall("") }
        let healthy = LoopbackServer { _ in .response(status: 200) }
        defer {
            hanging.stop()
            healthy.stop()
        }
        let store = try bench.openStore()
        try bench.addEndpoint(store, id: "ep_hanging", url: hanging.url)
        try bench.addEndpoint(store, id: "ep_healthy", url: healthy.url)
        try bench.post(store, 2...21)
        let engine = bench.engine(store, timeout: .seconds(30)) {
            $0.limits.inFlightPerEndpoint = 2
        }
        engine.start()
        #expect(eventually { healthy.requests.count == 20 })
        #expect(hanging.requests.count <= 2)
        engine.stop()
    }

    @Test func probesAFailingReceiverOneAtATimeAndFlushesWhenItIsBack() throws {
        let bench = try Bench()
        let isUp = Atomic(false)
        let receiver = LoopbackServer { _ in
            .response(status: isUp.load(ordering: .relaxed) ? 200 : 500)
        }
        defer { receiver.stop() }
        let store = try bench.openStore()
        try bench.addEndpoint(store, url: receiver.url)
        try bench.post(store, 2...9)
        let engine = bench.engine(store) {
            $0.limits.breakerFailures = 3
            $0.limits.inFlightPerEndpoint = 1
        }
        engine.start()
        defer { engine.stop() }
        #expect(eventually { receiver.requests.count == 3 })
        let waiting = try eventually {
            try store.endpoint(id: "ep_1", owner: "u_ada")?.failures == 3
        }
        #expect(waiting)

        isUp.store(true, ordering: .relaxed)
        bench.advance(.seconds(31))
        engine.wake()
        #expect(try eventually { try bench.states(store) == [.delivered: 8] })
    }

    @Test func sendsNothingToAnAddressThatIsNotAllowed() throws {
        let bench = try Bench()
        let store = try bench.openStore()
        try bench.addEndpoint(store, url: "http://10.0.0.1/")
        try bench.post(store, 2...2)
        let engine = bench.engine(store)
        engine.start()
        defer { engine.stop() }
        let isBlocked = try eventually {
            try store.deliveries(
                owner: "u_ada", endpoint: "ep_1", state: .ready, before: nil, limit: 1
            ).first?.error == "blocked_address"
        }
        #expect(isBlocked)
    }
}
