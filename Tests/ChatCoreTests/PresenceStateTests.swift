// SPDX-License-Identifier: MIT
import ChatCore
import TestSupport
import Testing
import Timing

@Suite struct PresenceStateTests {
    private let ada = User(id: "u_ada", name: "ada")
    private let bob = User(id: "u_bob", name: "bob")
    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func texts(_ changes: [(user: User, status: PresenceStatus)]) -> [String] {
        changes.map { "\($0.user.name) \($0.status.rawValue)" }
    }

    private func claim(
        _ user: User, _ status: PresenceStatus = .online, at time: Int64 = 0
    ) -> PresenceClaim {
        PresenceClaim(user: user, status: status, chosenAt: time)
    }

    @Test func severalDevicesAreOnePerson() {
        var state = PresenceState()
        state.connected(ada)
        state.connected(ada)
        #expect(texts(state.tick(now: at(0))) == ["ada online"])
        state.disconnected(ada.id, now: at(1))
        #expect(texts(state.tick(now: at(60))).isEmpty)
        #expect(state.onlineCount == 1)
    }

    /// What others are told comes in numbered pieces, and what they know in between is what they were told.
    @Test func aCrowdIsToldAFewAtATime() {
        var state = PresenceState()
        let crowd = (1...5).map { User(id: UserID("u_\($0)"), name: "n\($0)") }
        for user in crowd { state.connected(user) }
        var told: [PresenceClaim] = []
        for version in 1...3 {
            let part = state.takeUntold(limit: 2)
            #expect(part.count == (version == 3 ? 1 : 2))
            told += part
            #expect(state.version == Int64(version))
            #expect(Set(state.told) == Set(told))
        }
        #expect(state.takeUntold(limit: 2).isEmpty)
        #expect(Set(told) == Set(crowd.map { claim($0) }))
        // What is chosen and not told yet is not what they know.
        state.choose(.away, for: crowd[0].id, at: 7)
        state.choose(.dnd, for: crowd[0].id, at: 8)
        #expect(Set(state.told) == Set(told))
        #expect(state.takeUntold() == [claim(crowd[0], .dnd, at: 8)])
        #expect(state.told.count == 5)
    }

    @Test func aReconnectInsideTheGraceDoesNotShow() {
        var state = PresenceState(grace: .seconds(10))
        state.connected(ada)
        _ = state.tick(now: at(0))
        #expect(state.takeUntold() == [claim(ada)])
        state.disconnected(ada.id, now: at(1))
        #expect(state.tick(now: at(9)).isEmpty)
        state.connected(ada)
        #expect(state.tick(now: at(30)).isEmpty)
        #expect(state.takeUntold().isEmpty)
        state.disconnected(ada.id, now: at(31))
        #expect(state.tick(now: at(40)).isEmpty)
        #expect(state.takeUntold().isEmpty)
        #expect(texts(state.tick(now: at(41))) == ["ada offline"])
        #expect(state.takeUntold() == [claim(ada, .offline)])
        #expect(state.onlineCount == 0)
        #expect(state.page(limit: 10).isEmpty)
        #expect(state.told.isEmpty)
    }

    @Test func aChoiceShowsOnceAndHoldsWhileHere() {
        var state = PresenceState()
        state.connected(ada)
        state.choose(.away, for: ada.id, at: 1)
        state.choose(.dnd, for: ada.id, at: 2)
        #expect(texts(state.tick(now: at(0))) == ["ada dnd"])
        #expect(state.tick(now: at(1)).isEmpty)
        state.choose(.offline, for: ada.id, at: 3)
        #expect(state.tick(now: at(2)).isEmpty)
        #expect(state.takeUntold() == [claim(ada, .dnd, at: 2)])
    }

    @Test func anInstanceThatFallsSilentTakesItsUsersWithIt() {
        var state = PresenceState()
        #expect(
            state.heard(
                "b", snapshot: [claim(ada, .away, at: 5)], isFirst: true, isLast: true, version: 1,
                until: at(10)) == .current)
        #expect(texts(state.tick(now: at(0))) == ["ada away"])
        #expect(state.heard("b", version: 1, until: at(20)) == .current)
        #expect(state.tick(now: at(19)).isEmpty)
        #expect(texts(state.tick(now: at(20))) == ["ada offline"])
        #expect(state.onlineCount == 0)
    }

    @Test func movingBetweenInstancesDoesNotShow() {
        var state = PresenceState(grace: .seconds(10))
        _ = state.heard(
            "b", snapshot: [claim(ada)], isFirst: true, isLast: true, version: 1, until: at(10))
        _ = state.tick(now: at(0))
        state.connected(ada)
        #expect(
            state.heard("b", changes: [claim(ada, .offline)], version: 2, until: at(11)) == .current
        )
        #expect(state.tick(now: at(60)).isEmpty)
        #expect(state.onlineCount == 1)
    }

    @Test func goodbyeFromElsewhereIsBelievedAtOnce() {
        // The other instance has waited for the grace before it said so.
        var state = PresenceState()
        _ = state.heard(
            "b", snapshot: [claim(ada)], isFirst: true, isLast: true, version: 1, until: at(10))
        _ = state.tick(now: at(0))
        _ = state.heard("b", changes: [claim(ada, .offline)], version: 2, until: at(11))
        #expect(texts(state.tick(now: at(1))) == ["ada offline"])
    }

    @Test func aMissedChangeIsNoticed() {
        var state = PresenceState()
        #expect(state.heard("b", changes: [claim(ada)], version: 1, until: at(10)) == .gap)
        #expect(state.heard("b", version: 1, until: at(10)) == .gap)
        #expect(state.tick(now: at(0)).isEmpty)
        func snapshot(_ claims: [PresenceClaim], _ version: Int64) -> PresenceState.Heard {
            state.heard(
                "b", snapshot: claims, isFirst: true, isLast: true, version: version,
                until: at(10))
        }
        #expect(snapshot([claim(ada)], 1) == .current)
        #expect(texts(state.tick(now: at(0))) == ["ada online"])
        #expect(state.heard("b", changes: [claim(bob)], version: 3, until: at(10)) == .gap)
        #expect(snapshot([claim(bob)], 3) == .current)
        #expect(texts(state.tick(now: at(0))) == ["bob online", "ada offline"])
        // An old one, asked for by somebody else.
        #expect(snapshot([claim(ada)], 2) == .current)
        #expect(state.tick(now: at(0)).isEmpty)
    }

    @Test func aSnapshotInPartsCountsWhenItIsWhole() {
        var state = PresenceState()
        func part(_ claims: [PresenceClaim], _ isFirst: Bool, _ isLast: Bool, _ version: Int64)
            -> PresenceState.Heard
        {
            state.heard(
                "b", snapshot: claims, isFirst: isFirst, isLast: isLast, version: version,
                until: at(10))
        }
        #expect(part([claim(ada)], true, false, 4) == .current)
        #expect(state.heard("b", version: 4, until: at(10)) == .gap)
        #expect(part([claim(bob)], false, true, 4) == .current)
        #expect(state.heard("b", version: 4, until: at(10)) == .current)
        #expect(state.onlineCount == 2)
        // The middle of another got lost.
        #expect(part([claim(bob)], false, true, 6) == .gap)
        #expect(state.onlineCount == 2)
    }

    @Test func theLatestChoiceHoldsWhicheverWayItComes() {
        var states = (PresenceState(), PresenceState())
        for _ in 0..<2 {
            states.0.connected(ada)
            states.1.connected(ada)
        }
        states.0.choose(.away, for: ada.id, at: 10)
        states.1.choose(.dnd, for: ada.id, at: 20)
        let told = (states.0.takeUntold(), states.1.takeUntold())
        _ = states.0.heard(
            "1", snapshot: told.1, isFirst: true, isLast: true, version: 1, until: at(10))
        _ = states.1.heard(
            "0", snapshot: told.0, isFirst: true, isLast: true, version: 1, until: at(10))
        #expect(texts(states.0.tick(now: at(0))) == ["ada dnd"])
        #expect(texts(states.1.tick(now: at(0))) == ["ada dnd"])
        // A clock that runs behind does not win by coming later.
        states.0.choose(.online, for: ada.id, at: 15)
        #expect(states.0.tick(now: at(1)).isEmpty)
    }

    @Test func aStormIsToldInShares() {
        var state = PresenceState()
        let users = (0..<450).map { User(id: UserID("u\($0)"), name: "n\($0)") }
        for user in users { state.connected(user) }
        #expect(state.onlineCount == 450)
        var told: [String] = []
        var sizes: [Int] = []
        for second in 0..<4 as Range<Int64> {
            let changes = state.tick(now: at(second), limit: 200)
            sizes.append(changes.count)
            told += changes.map(\.user.name)
            // The page is what has been told, so page and later changes make the whole.
            #expect(Set(state.page(limit: 1000).map(\.user.name)) == Set(told))
        }
        #expect(sizes == [200, 200, 50, 0])
        #expect(told == users.map(\.name))
    }

    @Test func whoCameAndWentBeforeTheirTurnIsNotMentioned() {
        var state = PresenceState(grace: .seconds(1))
        for number in 0..<3 { state.connected(User(id: UserID("u\(number)"), name: "n\(number)")) }
        #expect(texts(state.tick(now: at(0), limit: 1)) == ["n0 online"])
        state.disconnected("u1", now: at(0))
        #expect(texts(state.tick(now: at(5), limit: 1)) == ["n2 online"])
        #expect(state.tick(now: at(6)).isEmpty)
    }

    /// Three instances over a bus that loses, under random comings and goings: once everything is
    /// quiet and beats get through, all agree with what is true, and nobody's clients were told
    /// anything twice.
    @Test func randomHistoriesConverge() {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<60 {
            var states = (0..<3).map { _ in PresenceState(grace: .seconds(2)) }
            var shown = [[String: PresenceStatus]](repeating: [:], count: 3)
            let users = (0..<6).map { User(id: UserID("u\($0)"), name: "n\($0)") }
            var connections = [[Int]](repeating: Array(repeating: 0, count: 6), count: 3)
            var second: Int64 = 0
            func step(lossy: Bool) {
                second += 1
                let now = at(second)
                for sender in 0..<3 {
                    let claims = states[sender].takeUntold()
                    let version = states[sender].version
                    for receiver in 0..<3 where receiver != sender {
                        if lossy, Int.random(in: 0..<3, using: &random) == 0 { continue }
                        let lease = now + .seconds(4)
                        var heard = PresenceState.Heard.current
                        if !claims.isEmpty {
                            heard = states[receiver].heard(
                                "\(sender)", changes: claims, version: version, until: lease)
                        }
                        if heard == .current {
                            heard = states[receiver].heard(
                                "\(sender)", version: version, until: lease)
                        }
                        if heard == .gap {
                            _ = states[receiver].heard(
                                "\(sender)", snapshot: states[sender].told, isFirst: true,
                                isLast: true, version: version, until: lease)
                        }
                    }
                }
                for index in 0..<3 {
                    for (user, status) in states[index].tick(now: now, limit: 3) {
                        #expect(shown[index][user.name] ?? .offline != status, "seed \(seed)")
                        shown[index][user.name] = status == .offline ? nil : status
                    }
                }
            }
            for _ in 0..<40 {
                let (place, user) = (
                    Int.random(in: 0..<3, using: &random), Int.random(in: 0..<6, using: &random)
                )
                switch Int.random(in: 0..<3, using: &random) {
                case 0:
                    states[place].connected(users[user])
                    connections[place][user] += 1
                case 1 where connections[place][user] > 0:
                    states[place].disconnected(users[user].id, now: at(second))
                    connections[place][user] -= 1
                default:
                    let status: PresenceStatus = Bool.random(using: &random) ? .away : .dnd
                    states[place].choose(status, for: users[user].id, at: second)
                }
                step(lossy: true)
            }
            for _ in 0..<12 { step(lossy: false) }
            let here = Set(
                (0..<6).filter { user in connections.contains { $0[user] > 0 } }.map { "n\($0)" })
            for index in 0..<3 {
                #expect(Set(shown[index].keys) == here, "seed \(seed)")
                #expect(states[index].onlineCount == here.count, "seed \(seed)")
                #expect(shown[index] == shown[0], "seed \(seed)")
            }
        }
    }
}
