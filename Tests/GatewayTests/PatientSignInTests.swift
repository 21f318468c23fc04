// SPDX-License-Identifier: MIT
import Glibc
import JSON
import ServiceRuntime
import Store
import TestSupport
import Testing
import Timing

@testable import Gateway

/// Clients that come before they can be let in. A refusal is final for the official clients, so one that
/// is only for the moment must not be told at once.
@Suite struct PatientSignInTests {
    /// Follows nobody, and never can judge a token.
    private static func unready() -> TokenAuthority {
        TokenAuthority(
            .init(
                url: "http://127.0.0.1:9", issuer: "http://auth.test", audience: "chat",
                clientID: "chat-service", secret: "secret"))
    }

    @Test func whoCannotBeJudgedIsToldWhenPatienceRunsOut() throws {
        let harness = try Harness(authority: PatientSignInTests.unready()) {
            $0.signInPatience = .milliseconds(300)
        }
        let ada = WireClient.webSocket(port: harness.port)
        let asked = SystemClock.now()
        ada.connect(token: harness.token("ada"))
        #expect(ada.session.isNull)
        #expect(ada.early.last?.contains("\"auth_unavailable\"") == true)
        #expect(SystemClock.now() - asked >= .milliseconds(300))
        // The connection is there to try again on.
        ada.connect(token: harness.token("ada"))
        #expect(ada.early.count == 2)
    }

    @Test func whoLeavesMeanwhileIsForgotten() throws {
        let harness = try Harness(authority: PatientSignInTests.unready()) {
            $0.signInPatience = .milliseconds(200)
        }
        let ada = WireClient.webSocket(port: harness.port)
        for _ in 0..<3 {
            ada.send("40{\"token\":\"\(harness.token("ada"))\"}")
            ada.send("41")
        }
        // Only the last one is answered.
        ada.connect(token: harness.token("ada"))
        #expect(ada.early.count == 1)
        #expect(harness.metric("chat_clients") == 0)
    }

    @Test func aTokenTooLargeForAnyoneIsNotKept() throws {
        let harness = try Harness(authority: PatientSignInTests.unready())
        let ada = WireClient.webSocket(port: harness.port)
        ada.connect(token: String(repeating: "x", count: 8193))
        #expect(ada.early.last?.contains("\"invalid_token\"") == true)
    }

    /// Another process holds the write lock: whoever comes for the first time, which is written down, is
    /// let in as soon as it lets go.
    @Test func whoComesWhileNothingCanBeWrittenIsLetInAfterwards() throws {
        let harness = try Harness(store: { $0.lockTimeout = .milliseconds(50) })
        let other = try SQLiteDatabase(path: harness.databasePath)
        try other.execute("BEGIN IMMEDIATE")
        let ada = WireClient.webSocket(port: harness.port)
        ada.send("40{\"token\":\"\(harness.token("ada"))\"}")
        #expect(eventually { harness.store.trouble != nil })
        usleep(300_000)
        try other.execute("ROLLBACK")
        #expect(ada.next()?.hasPrefix("40{\"sid\"") == true)
        #expect(ada.event("session")?["user"]?["name"]?.string == "ada")
        #expect(harness.metric("chat_clients") == 1)
    }

    /// As long as that lasts, and the same for who comes and is refused at the door.
    @Test func whoComesWhileNothingCanBeWrittenIsToldWhenPatienceRunsOut() throws {
        let harness = try Harness {
            $0.signInPatience = .milliseconds(400)
        } store: {
            $0.lockTimeout = .milliseconds(50)
        }
        let other = try SQLiteDatabase(path: harness.databasePath)
        try other.execute("BEGIN IMMEDIATE")
        let ada = WireClient.webSocket(port: harness.port)
        ada.connect(token: harness.token("ada"))
        #expect(ada.early.last?.contains("\"busy\"") == true)
        #expect(harness.metric("chat_clients") == 0)
        try other.execute("ROLLBACK")
        #expect(eventually { harness.store.trouble == nil })
        ada.connect(token: harness.token("ada"))
        #expect(!ada.session.isNull)
    }

    #if DEBUG
        /// The disk is full for a while. Whoever came before is let in meanwhile: that writes nothing.
        @Test func whoComesWhileTheDiskIsFullIsLetInAfterwards() throws {
            let harness = try Harness()
            do { _ = try harness.client("known") }
            harness.disk.set { if case .write = $0 { .fail(DiskFaults.full) } else { .pass } }
            let ada = WireClient.webSocket(port: harness.port)
            ada.send("40{\"token\":\"\(harness.token("ada"))\"}")
            #expect(eventually { harness.store.trouble != nil })
            #expect(try !harness.client("known").session.isNull)
            usleep(300_000)
            harness.disk.set(nil)
            #expect(ada.next()?.hasPrefix("40{\"sid\"") == true)
            #expect(ada.event("session")?["user"]?["name"]?.string == "ada")
        }
    #endif

    @Test func triesBecomeRarerAndEnd() throws {
        let packet = Array(#"{"token":"t","pid":"p"}"#.utf8)
        let start = SystemClock.now()
        let made = SignIn(0..<packet.count, in: packet.span, now: start)
        let signIn = try #require(made)
        var now = start
        var pauses: [Int64] = []
        while let pause = signIn.nextPause(now: now, patience: .seconds(3)) {
            pauses.append(pause.milliseconds)
            now = now + pause
        }
        #expect(pauses == [25, 50, 100, 200, 400, 800, 1000, 425])
        #expect(now - start == .seconds(3))
    }

    @Test func withoutATokenThereIsNothingToKeep() {
        for text in ["{}", #"{"token":""}"#, #"{"token":7}"#, "[]", "null"] {
            let packet = Array(text.utf8)
            let isKept = SignIn(0..<packet.count, in: packet.span, now: SystemClock.now()) != nil
            #expect(!isKept, "\(text)")
        }
    }
}
