// SPDX-License-Identifier: MIT
import ChatCore
import Testing
import Timing

@Suite struct PresenceStateTests {
    private let ada = User(id: "u_ada", name: "ada")
    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func texts(_ changes: [(user: User, status: PresenceStatus)]) -> [String] {
        changes.map { "\($0.user.name) \($0.status.rawValue)" }
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

    @Test func aReconnectInsideTheGraceDoesNotShow() {
        var state = PresenceState(grace: .seconds(10))
        state.connected(ada)
        _ = state.tick(now: at(0))
        state.disconnected(ada.id, now: at(1))
        #expect(state.tick(now: at(9)).isEmpty)
        state.connected(ada)
        #expect(state.tick(now: at(30)).isEmpty)
        state.disconnected(ada.id, now: at(31))
        #expect(state.tick(now: at(40)).isEmpty)
        #expect(texts(state.tick(now: at(41))) == ["ada offline"])
        #expect(state.onlineCount == 0)
        #expect(state.page(limit: 10).isEmpty)
    }

    @Test func aChoiceShowsOnceAndHoldsWhileHere() {
        var state = PresenceState()
        state.connected(ada)
        state.choose(.away, for: ada.id)
        state.choose(.dnd, for: ada.id)
        #expect(texts(state.tick(now: at(0))) == ["ada dnd"])
        #expect(state.tick(now: at(1)).isEmpty)
        state.choose(.offline, for: ada.id)
        #expect(state.tick(now: at(2)).isEmpty)
    }

    @Test func anInstanceThatFallsSilentTakesItsUsersWithIt() {
        var state = PresenceState()
        state.heard("b", has: [(ada, .away)], until: at(15))
        #expect(texts(state.tick(now: at(0))) == ["ada away"])
        state.heard("b", has: [(ada, .away)], until: at(30))
        #expect(state.tick(now: at(20)).isEmpty)
        #expect(texts(state.tick(now: at(31))) == ["ada offline"])
    }

    @Test func movingBetweenInstancesDoesNotShow() {
        var state = PresenceState(grace: .seconds(10))
        state.heard("b", has: [(ada, .online)], until: at(15))
        _ = state.tick(now: at(0))
        state.heard("b", lost: ada.id, now: at(1))
        #expect(state.tick(now: at(2)).isEmpty)
        state.connected(ada)
        #expect(state.tick(now: at(60)).isEmpty)
        #expect(state.onlineCount == 1)
    }

    @Test func goodbyeFromElsewhereEndsAfterTheGrace() {
        var state = PresenceState(grace: .seconds(10))
        state.heard("b", has: [(ada, .online)], until: at(1000))
        _ = state.tick(now: at(0))
        state.heard("b", lost: ada.id, now: at(1))
        #expect(texts(state.tick(now: at(12))) == ["ada offline"])
    }
}
