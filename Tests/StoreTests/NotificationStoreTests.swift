// SPDX-License-Identifier: MIT
internal import TestSupport
internal import Testing
internal import Timing

@testable internal import Store

@Suite struct NotificationStoreTests {
    private let now = Timestamp(seconds: 1_000_000)
    private let rules = FanOutRules(
        wants: { endpoint, entry in
            endpoint.rooms.isEmpty || entry.room.map { endpoint.rooms.contains($0) } ?? true
        }, body: { source, entry in Array("\(source)-\(entry.sequence)".utf8) },
        deliveryID: { "msg_\($0)_\($1)_\($2)" })

    private func open(_ directory: TemporaryDirectory) throws -> NotificationStore {
        try NotificationStore(path: directory.file("n.db"), now: now)
    }

    private func add(
        _ store: NotificationStore, _ id: String, owner: String, rooms: [String] = []
    ) throws {
        let result = try store.insert(
            EndpointRecord(
                id: id, owner: owner, url: "https://example.com/\(id)", rooms: rooms, secret: [1],
                createdAt: now), limit: 100)
        #expect((try? result.get()) != nil)
    }

    private func message(_ sequence: Int64, room: String) -> SourceEntry {
        SourceEntry(
            sequence: sequence, at: now, type: "message.created", room: room,
            audience: .members(room: room), data: [])
    }

    private func member(_ sequence: Int64, _ change: SourceEntry.Membership) -> SourceEntry {
        let room: String
        switch change {
        case .joined(let name, _), .left(let name, _): room = name
        }
        return SourceEntry(
            sequence: sequence, at: now, type: "member.changed", room: room,
            audience: .members(room: room), membership: change, data: [])
    }

    private func got(_ store: NotificationStore, _ owner: String) throws -> [Int64] {
        try store.deliveries(owner: owner, endpoint: nil, state: nil, before: nil, limit: 100)
            .map(\.sequence).reversed()
    }

    @Test func sendsARoomsEventsToWhoWasAMemberAtTheirCommit() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        try add(store, "ep_e", owner: "eve")
        _ = try store.apply(
            source: "chat", after: 0,
            [
                member(1, .joined(room: "r1", user: "ada")), message(2, room: "r1"),
                member(3, .joined(room: "r1", user: "eve")), message(4, room: "r1"),
                member(5, .left(room: "r1", user: "ada")), message(6, room: "r1"),
                message(7, room: "r2"),
            ], rules: rules, now: now)
        #expect(try got(store, "ada") == [1, 2, 3, 4, 5])
        #expect(try got(store, "eve") == [3, 4, 5, 6])
        #expect(try !store.isMember("ada", of: "r1"))
        #expect(try store.isMember("eve", of: "r1"))
    }

    @Test func takesEachEntryOnceAndRefusesAGap() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        let join = member(1, .joined(room: "r1", user: "ada"))
        let first = try store.apply(
            source: "chat", after: 0, [join, message(2, room: "r1")], rules: rules, now: now)
        #expect(first == IntakeResult(watermark: 2, applied: 2, deliveries: 2, hasGap: false))
        let overlap = try store.apply(
            source: "chat", after: 0, [join, message(2, room: "r1"), message(3, room: "r1")],
            rules: rules, now: now)
        #expect(overlap == IntakeResult(watermark: 3, applied: 1, deliveries: 1, hasGap: false))
        let gap = try store.apply(
            source: "chat", after: 4, [message(5, room: "r1")], rules: rules, now: now)
        #expect(gap == IntakeResult(watermark: 3, applied: 0, deliveries: 0, hasGap: true))
        #expect(try store.watermark(of: "chat") == 3)
        #expect(try store.watermark(of: "auth") == 0)
        #expect(try got(store, "ada") == [1, 2, 3])
    }

    /// A restored log tells other entries under numbers that were told before: none of those before
    /// the parting is told again, all after it are, and to who was in the room then, whatever the lost
    /// entries said.
    @Test func aRestoredLogIsToldFromThePartingOn() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        try add(store, "ep_e", owner: "eve")
        #expect(
            try store.enter(source: "chat", epoch: "one", base: 0, tellsMemberships: true) == 0)
        let common = [
            member(1, .joined(room: "r1", user: "ada")),
            member(2, .joined(room: "r1", user: "eve")),
            message(3, room: "r1"),
        ]
        let lost = [member(4, .left(room: "r1", user: "eve")), message(5, room: "r1")]
        _ = try store.apply(source: "chat", after: 0, common + lost, rules: rules, now: now)
        #expect(try got(store, "ada") == [1, 2, 3, 4, 5])
        // Once more by the same name is nothing new.
        #expect(
            try store.enter(source: "chat", epoch: "one", base: 0, tellsMemberships: true) == 5)

        #expect(
            try store.enter(source: "chat", epoch: "two", base: 3, tellsMemberships: true) == 0)
        #expect(try store.epoch(of: "chat") == "two")
        let found = [message(4, room: "r1"), message(5, room: "r1")]
        let result = try store.apply(
            source: "chat", after: 0, common + found, rules: rules, now: now)
        #expect(result == IntakeResult(watermark: 5, applied: 5, deliveries: 4, hasGap: false))
        #expect(try got(store, "ada") == [1, 2, 3, 4, 5, 4, 5])
        #expect(try got(store, "eve") == [2, 3, 4, 4, 5])
        #expect(try store.isMember("eve", of: "r1"))
        let ids = try store.deliveries(
            owner: "ada", endpoint: nil, state: nil, before: nil, limit: 100
        ).map(\.id)
        #expect(Set(ids).count == 7)
        // Another source's restore leaves the rooms alone.
        _ = try store.enter(source: "auth", epoch: "a", base: 0, tellsMemberships: false)
        _ = try store.enter(source: "auth", epoch: "b", base: 0, tellsMemberships: false)
        #expect(try store.isMember("eve", of: "r1"))
    }

    @Test func asksTheFilterAndTheAudience() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada", rooms: ["r2"])
        try add(store, "ep_e", owner: "eve")
        func entry(_ sequence: Int64, _ audience: SourceEntry.Audience) -> SourceEntry {
            SourceEntry(sequence: sequence, at: now, type: "x", audience: audience, data: [])
        }
        _ = try store.apply(
            source: "chat", after: 0,
            [
                member(1, .joined(room: "r1", user: "ada")),
                member(2, .joined(room: "r2", user: "ada")), message(3, room: "r1"),
                message(4, room: "r2"), entry(5, .user("eve")), entry(6, .everyone),
                entry(7, .nobody), entry(8, .membersOfAny(["r2", "r3"])),
            ], rules: rules, now: now)
        #expect(try got(store, "ada") == [2, 4, 6, 8])
        #expect(try got(store, "eve") == [5, 6])
    }

    @Test func switchesOffTheEndpointsOfAClosedAccount() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        _ = try store.apply(
            source: "auth", after: 0,
            [
                SourceEntry(
                    sequence: 1, at: now, type: "x", audience: .user("ada"), closedAccount: "ada",
                    data: [])
            ], rules: rules, now: now)
        let endpoint = try #require(try store.endpoint(id: "ep_a", owner: "ada"))
        #expect(!endpoint.isEnabled)
        #expect(endpoint.disabledReason == "account")
        let turn = try store.turn(
            finished: [], capacity: 9, limits: DeliveryLimits(), now: now)
        #expect(turn.claims.isEmpty)
        #expect(turn.nextDue == nil)
    }

    @Test func claimsFairlyWithinTheLimitsOfEachEndpoint() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        try add(store, "ep_b", owner: "ada")
        _ = try store.apply(
            source: "chat", after: 0,
            [member(1, .joined(room: "r1", user: "ada"))]
                + (2...20).map { message($0, room: "r1") }, rules: rules, now: now)
        var limits = DeliveryLimits()
        limits.inFlightPerEndpoint = 3
        let first = try store.turn(finished: [], capacity: 4, limits: limits, now: now)
        #expect(first.claims.map(\.endpoint.id).sorted() == ["ep_a", "ep_a", "ep_b", "ep_b"])
        #expect(first.claims.allSatisfy { $0.attempts == 1 })
        let second = try store.turn(finished: [], capacity: 9, limits: limits, now: now)
        #expect(second.claims.count == 2)
        #expect(second.nextDue == nil, "both endpoints are full")
        let ends = first.claims.prefix(1).map {
            FinishedAttempt(
                delivery: $0.delivery, attempt: $0.attempt, endpoint: $0.endpoint.id,
                end: .delivered)
        }
        let third = try store.turn(finished: ends, capacity: 9, limits: limits, now: now)
        #expect(third.claims.count == 1)
        #expect(try store.ledger() == [.inFlight: 6, .delivered: 1, .ready: 33])
    }

    @Test func holdsALongFailingEndpointBackAndThenSwitchesItOff() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        _ = try store.apply(
            source: "chat", after: 0,
            [member(1, .joined(room: "r1", user: "ada")), message(2, room: "r1")], rules: rules,
            now: now)
        var limits = DeliveryLimits()
        limits.breakerFailures = 1
        func fail(_ claims: [ClaimedDelivery], at time: Timestamp) throws -> DeliveryTurn {
            try store.turn(
                finished: claims.map {
                    FinishedAttempt(
                        delivery: $0.delivery, attempt: $0.attempt, endpoint: "ep_a",
                        end: .retry(at: time), error: "unreachable")
                }, capacity: 9, limits: limits, now: time)
        }
        let first = try store.turn(finished: [], capacity: 1, limits: limits, now: now)
        let closed = try fail(first.claims, at: now)
        #expect(closed.claims.isEmpty, "the breaker is open")
        #expect(closed.nextDue == now + .seconds(30))
        let probe = try store.turn(
            finished: [], capacity: 9, limits: limits, now: now + .seconds(30))
        #expect(probe.claims.count == 1, "one probe")
        let late = now + .seconds(5 * 86_400)
        #expect(try fail(probe.claims, at: late).disabled == ["ep_a"])
        #expect(try store.endpoint(id: "ep_a", owner: "ada")?.disabledReason == "failing")

        let on = try store.update(id: "ep_a", owner: "ada", version: nil, now: late) {
            $0.isEnabled = true
        }
        #expect(try on.get().failures == 0)
        #expect(
            try store.turn(finished: [], capacity: 9, limits: limits, now: late).claims.count == 2)
    }

    @Test func givesBackWhatAKilledProcessHeld() throws {
        let directory = try TemporaryDirectory()
        var claims: [ClaimedDelivery] = []
        do {
            let store = try open(directory)
            try add(store, "ep_a", owner: "ada")
            _ = try store.apply(
                source: "chat", after: 0, [member(1, .joined(room: "r1", user: "ada"))],
                rules: rules, now: now)
            claims = try store.turn(
                finished: [], capacity: 9, limits: DeliveryLimits(), now: now
            ).claims
            #expect(claims.count == 1)
            #expect(throws: StoreError.busy, "one process at a time") { try open(directory) }
        }
        let store = try open(directory)
        let again = try store.turn(
            finished: [], capacity: 9, limits: DeliveryLimits(), now: now
        ).claims
        #expect(again.map(\.id) == claims.map(\.id))
        #expect(again.map(\.body) == claims.map(\.body))
        let found = try #require(try store.delivery(id: claims[0].id, owner: "ada"))
        #expect(found.attempts.map(\.error) == ["interrupted", nil])
    }

    @Test func purgesOnlyWhatEndedLongAgo() throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try add(store, "ep_a", owner: "ada")
        _ = try store.apply(
            source: "chat", after: 0,
            [member(1, .joined(room: "r1", user: "ada")), message(2, room: "r1")], rules: rules,
            now: now)
        let claim = try store.turn(
            finished: [], capacity: 1, limits: DeliveryLimits(), now: now
        ).claims[0]
        _ = try store.turn(
            finished: [
                FinishedAttempt(
                    delivery: claim.delivery, attempt: claim.attempt, endpoint: "ep_a",
                    end: .delivered, status: 200)
            ], capacity: 0, limits: DeliveryLimits(), now: now)
        #expect(try store.purge(endedBefore: now, limit: 10) == 0)
        #expect(try store.purge(endedBefore: now + .seconds(1), limit: 10) == 1)
        #expect(try store.ledger() == [.ready: 1])
        #expect(try got(store, "ada") == [2])
        let backlog = try store.backlog()
        #expect(backlog.queued == 1)
        #expect(backlog.oldestDue == now)

        // What a switched-off endpoint holds is kept as long, and no longer.
        _ = try store.update(id: "ep_a", owner: "ada", version: nil, now: now) {
            $0.isEnabled = false
        }
        #expect(try store.purge(endedBefore: now, limit: 10) == 0)
        #expect(try store.purge(endedBefore: now + .seconds(1), limit: 10) == 1)
        #expect(try store.ledger() == [:])
    }
}
