// SPDX-License-Identifier: MIT
import JWT
import Testing
import Timing

@testable import OAuth

@Suite struct LoginThrottleTests {
    private func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: 1_000_000 + seconds) }

    private func fail(
        _ throttle: inout LoginThrottle, account: String = "ada", address: String = "1",
        known: Bool = false, at seconds: Int64 = 0
    ) -> Duration? {
        throttle.admit(account: account, address: address, isKnownDevice: known, now: time(seconds))
    }

    @Test func fiveAreFreeThenTheWaitDoubles() {
        var throttle = LoginThrottle()
        for _ in 0..<5 { #expect(fail(&throttle) == nil) }
        #expect(fail(&throttle) == .seconds(1))
        #expect(fail(&throttle, at: 1) == nil)
        #expect(fail(&throttle, at: 1) == .seconds(2))
        #expect(fail(&throttle, at: 3) == nil)
        #expect(fail(&throttle, at: 3) == .seconds(4))
    }

    @Test func theWaitIsCapped() {
        var throttle = LoginThrottle()
        var now: Int64 = 0
        for _ in 0..<40 {
            while let wait = fail(&throttle, at: now) { now += wait.components.seconds }
        }
        #expect(fail(&throttle, at: now)! <= .seconds(3600))
    }

    @Test func successClearsTheAccount() {
        var throttle = LoginThrottle()
        for _ in 0..<5 { _ = fail(&throttle) }
        throttle.succeeded(account: "ada", address: "1")
        #expect(fail(&throttle) == nil)
    }

    @Test func otherAccountsAndAddressesAreFree() {
        var throttle = LoginThrottle()
        for _ in 0..<5 { _ = fail(&throttle) }
        #expect(fail(&throttle, address: "2") == nil)
        #expect(fail(&throttle, account: "bob") == nil)
    }

    @Test func manyAddressesTogetherAreSlowedToo() {
        var throttle = LoginThrottle()
        var admitted = 0
        for index in 0..<100_000 where fail(&throttle, address: "\(index)", at: Int64(index)) == nil
        {
            admitted += 1
        }
        // About a day of guessing from a hundred thousand addresses.
        #expect(admitted <= 100)
    }

    @Test func aKnownBrowserIsNotHeldUpByStrangers() {
        var throttle = LoginThrottle()
        for index in 0..<200 { _ = fail(&throttle, address: "\(index)") }
        #expect(fail(&throttle, address: "home") != nil)
        #expect(fail(&throttle, address: "home", known: true) == nil)
    }

    @Test func oneAddressCannotTryAllAccounts() {
        var throttle = LoginThrottle()
        for index in 0..<50 { #expect(fail(&throttle, account: "user\(index)") == nil) }
        #expect(fail(&throttle, account: "another") != nil)
        throttle.succeeded(account: "user1", address: "1")
        #expect(fail(&throttle, account: "another") == nil)
        #expect(fail(&throttle, account: "another2") != nil)
    }

    @Test func memoryIsBounded() {
        var throttle = LoginThrottle()
        for index in 0..<80_000 {
            _ = fail(&throttle, account: "a\(index)", address: "\(index)", at: Int64(index))
        }
        let mirror = Mirror(reflecting: throttle).descendant("buckets") as? any Collection
        #expect(mirror!.count <= LoginThrottle.maxBuckets + 3)
    }
}

@Suite struct KeyRingTests {
    private func ring() -> KeyRing {
        KeyRing(
            master: [UInt8](repeating: 1, count: 32), issuer: "i", longestToken: .seconds(600))
    }

    private func record(_ kid: String, _ seconds: Int64) -> SigningKeyRecord {
        SigningKeyRecord(
            kid: kid, createdAt: Timestamp(seconds: seconds),
            activatesAt: Timestamp(seconds: seconds)
        )
    }

    @Test func statesFollowTheClock() {
        let ring = ring()
        ring.load([record("old", 0), record("new", 1000)])
        func states(_ seconds: Int64) -> [String] {
            ring.keys(for: .chat, now: Timestamp(seconds: seconds)).map {
                "\($0.key.kid) \($0.state.rawValue)"
            }
        }
        #expect(states(500) == ["old active", "new next"])
        #expect(states(1000) == ["old retiring", "new active"])
        #expect(states(1609) == ["old retiring", "new active"])
        #expect(states(1610) == ["new active"])
        #expect(ring.signer(for: .chat, now: Timestamp(seconds: 999))?.kid == "old")
        #expect(ring.signer(for: .chat, now: Timestamp(seconds: 1000))?.kid == "new")
    }

    @Test func eachAudienceAndKeyHasASecretOfItsOwn() {
        let ring = ring()
        ring.load([record("a", 0), record("b", 1)])
        let now = Timestamp(seconds: 2)
        let secrets = Audience.allCases.flatMap { ring.keys(for: $0, now: now).map(\.key.secret) }
        #expect(Set(secrets).count == 6)
        #expect(secrets.allSatisfy { $0.count == 32 })
        #expect(ring.secret(for: "x") != ring.secret(for: "y"))
    }

    @Test func anEmptyRingSignsNothing() {
        let ring = ring()
        let now = Timestamp(seconds: 2)
        #expect(ring.signer(for: .chat, now: now) == nil)
        #expect(ring.isRotationDue(now: now))
        #expect(ring.successor(now: now).activatesAt == now)
        ring.load([record("a", 0)])
        #expect(!ring.isRotationDue(now: now))
        #expect(ring.successor(now: now).activatesAt == now + KeyRing.distribution)
    }
}
