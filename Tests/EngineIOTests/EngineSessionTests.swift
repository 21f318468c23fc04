// SPDX-License-Identifier: MIT
import EngineIO
import Testing
import Timing

/// A session by reference, so that expectations can drive it.
private final class Machine {
    private var session: EngineSession

    init(_ session: EngineSession) { self.session = session }

    var transport: Transport { session.transport }
    var isProbing: Bool { session.isProbing }
    var releasesPolls: Bool { session.releasesPolls }
    var nextDeadline: Instant { session.nextDeadline }
    func probeOpened(now: Instant) -> Bool { session.probeOpened(now: now) }
    func probeClosed() { session.probeClosed() }
    func timePassed(now: Instant) -> EngineSession.Step { session.timePassed(now: now) }
    func received(
        _ type: EnginePacketType, isProbePayload: Bool, from origin: EngineSession.Origin,
        now: Instant
    ) -> EngineSession.Step {
        session.received(type, isProbePayload: isProbePayload, from: origin, now: now)
    }
}

@Suite struct EngineSessionTests {
    private static let configuration = EngineConfiguration(
        pingInterval: .seconds(25), pingTimeout: .seconds(20), upgradeTimeout: .seconds(10))

    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func session(_ transport: Transport = .polling) -> Machine {
        Machine(EngineSession(transport: transport, configuration: Self.configuration, now: at(0)))
    }

    // MARK: Heartbeat

    @Test func aPingIsDueAfterTheIntervalAndNoSooner() {
        let session = self.session()
        #expect(session.nextDeadline == at(25))
        #expect(session.timePassed(now: at(24)) == .nothing)
        #expect(session.timePassed(now: at(25)) == .sendPing)
        #expect(session.timePassed(now: at(25)) == .nothing)
        #expect(session.nextDeadline == at(45))
    }

    @Test func theFirstPingMayBeEarlier() {
        let session = EngineSession(
            transport: .websocket, configuration: Self.configuration, now: at(0),
            firstPing: .seconds(21))
        #expect(session.nextDeadline == at(21))
    }

    @Test func aPongBeginsTheNextInterval() {
        let session = self.session()
        _ = session.timePassed(now: at(25))
        #expect(
            session.received(.pong, isProbePayload: false, from: .current, now: at(30))
                == .nothing)
        #expect(session.nextDeadline == at(55))
    }

    @Test func withoutAPongTheSessionEnds() {
        let session = self.session()
        _ = session.timePassed(now: at(25))
        #expect(session.timePassed(now: at(44)) == .nothing)
        #expect(session.timePassed(now: at(45)) == .close(.pingTimeout))
    }

    @Test func aMessageShowsThePeerAliveWhileAPongIsDue() {
        let session = self.session()
        _ = session.timePassed(now: at(25))
        #expect(
            session.received(.message, isProbePayload: false, from: .current, now: at(40))
                == .deliver)
        #expect(session.timePassed(now: at(59)) == .nothing)
        #expect(session.timePassed(now: at(60)) == .close(.pingTimeout))
    }

    @Test func afterALongSleepThePeerStillGetsItsTimeToAnswer() {
        let session = self.session()
        #expect(session.timePassed(now: at(1000)) == .sendPing)
        #expect(session.timePassed(now: at(1000)) == .nothing)
        #expect(session.nextDeadline == at(1020))
    }

    // MARK: Packets on the current transport

    @Test(arguments: [
        (EnginePacketType.message, EngineSession.Step.deliver), (.pong, .nothing),
        (.noop, .nothing), (.close, .close(.closedByPeer)), (.ping, .close(.protocolError)),
        (.open, .close(.protocolError)), (.upgrade, .close(.protocolError)),
    ])
    func eachPacketHasItsStep(_ type: EnginePacketType, _ step: EngineSession.Step) {
        for transport in [Transport.polling, .websocket] {
            for isProbe in [false, true] {
                let session = self.session(transport)
                #expect(
                    session.received(type, isProbePayload: isProbe, from: .current, now: at(1))
                        == step)
            }
        }
    }

    // MARK: Upgrade

    private func probing() -> Machine {
        let session = self.session()
        #expect(session.probeOpened(now: at(1)))
        return session
    }

    private func probed() -> Machine {
        let session = self.probing()
        #expect(
            session.received(.ping, isProbePayload: true, from: .probe, now: at(2))
                == .confirmProbe)
        return session
    }

    @Test func theUpgradeGoesThroughItsThreeSteps() {
        let session = self.session()
        #expect(!session.isProbing && !session.releasesPolls)
        #expect(session.probeOpened(now: at(1)))
        #expect(session.isProbing && !session.releasesPolls)
        #expect(
            session.received(.ping, isProbePayload: true, from: .probe, now: at(2))
                == .confirmProbe)
        #expect(session.isProbing && session.releasesPolls && session.transport == .polling)
        #expect(
            session.received(.upgrade, isProbePayload: false, from: .probe, now: at(3))
                == .completeUpgrade)
        #expect(!session.isProbing && !session.releasesPolls && session.transport == .websocket)
    }

    @Test func aSecondProbeIsRefusedWhileOneAsksAndAfterTheUpgrade() {
        let probing = probing()
        #expect(!probing.probeOpened(now: at(2)))
        let session = self.probed()
        #expect(!session.probeOpened(now: at(3)))
        _ = session.received(.upgrade, isProbePayload: false, from: .probe, now: at(3))
        #expect(!session.probeOpened(now: at(4)))
        let webSocket = self.session(.websocket)
        #expect(!webSocket.probeOpened(now: at(1)))
    }

    @Test(arguments: EnginePacketType.allCases)
    func anythingButAPingClosesAFreshProbe(_ type: EnginePacketType) {
        for isProbe in [false, true] where !(type == .ping && isProbe) {
            let session = self.probing()
            #expect(
                session.received(type, isProbePayload: isProbe, from: .probe, now: at(2))
                    == .closeProbe)
            #expect(!session.isProbing && session.transport == .polling)
            #expect(session.probeOpened(now: at(3)))
        }
    }

    @Test(arguments: EnginePacketType.allCases.filter { $0 != .upgrade })
    func anythingButAnUpgradeClosesAConfirmedProbe(_ type: EnginePacketType) {
        let session = self.probed()
        #expect(
            session.received(type, isProbePayload: true, from: .probe, now: at(3)) == .closeProbe)
        #expect(!session.isProbing && session.transport == .polling)
    }

    @Test func aPacketFromNoProbeIsRefused() {
        let session = self.session()
        #expect(
            session.received(.ping, isProbePayload: true, from: .probe, now: at(1)) == .closeProbe)
    }

    @Test func aProbeThatTakesTooLongIsClosedAndTheSessionGoesOn() {
        for session in [probing(), probed()] {
            #expect(session.nextDeadline == at(11))
            #expect(session.timePassed(now: at(10)) == .nothing)
            #expect(session.timePassed(now: at(11)) == .closeProbe)
            #expect(session.timePassed(now: at(11)) == .nothing)
            #expect(session.nextDeadline == at(25))
            #expect(session.transport == .polling)
        }
    }

    @Test func aProbeThatGoesAwayLeavesTheSessionAsItWas() {
        let session = self.probed()
        session.probeClosed()
        #expect(!session.releasesPolls)
        #expect(session.nextDeadline == at(25))
    }

    @Test func theHeartbeatGoesOnDuringTheUpgrade() {
        let session = self.session()
        _ = session.timePassed(now: at(25))
        #expect(session.probeOpened(now: at(40)))
        #expect(session.nextDeadline == at(45))
        #expect(session.timePassed(now: at(45)) == .close(.pingTimeout))
    }
}
