// SPDX-License-Identifier: MIT
import HTTPClient
import JSON
import OAuth
import TestSupport
import Testing
import Timing

/// What AuthService takes back, ChatService no longer honours.
@Suite struct RevocationTests {
    /// Whether the client is told that its session is over and is let go, within two seconds.
    private func isSentAway(_ client: WireClient, since began: Instant) -> Bool {
        let isTold = client.event("auth:expired") != nil
        while client.next() != nil {}
        return isTold && client.hasEnded && SystemClock.now() - began < .seconds(2)
    }

    @Test func aRevokedSessionEndsAtOnce() throws {
        let stack = try ChatStack()
        let tokens = try Browser(stack).signIn(
            "ada", password: "brisk-amber-meadow", registers: true)
        let ada = WireClient.webSocket(port: stack.port(.chat))
        ada.connect(token: tokens.access)
        let grace = try stack.client("grace")
        let me = stack.url(of: .chat) + "/api/v1/me"
        #expect(try HTTP.call("GET", me, token: tokens.access).status == 200)

        let began = SystemClock.now()
        let answer = try HTTP.call(
            "POST", stack.url(of: .auth) + "/oauth/revoke",
            form: [("client_id", "web"), ("token", tokens.refresh)])
        #expect(answer.status == 200)
        #expect(isSentAway(ada, since: began))

        let again = WireClient.webSocket(port: stack.port(.chat))
        again.connect(token: tokens.access)
        #expect(again.early.first?.contains("\"token_revoked\"") == true)
        #expect(try HTTP.call("GET", me, token: tokens.access).status == 401)
        #expect(grace.ask("room:list", [:])["ok"]?.bool == true)
    }

    @Test func aDisabledAccountIsSentAway() throws {
        let stack = try ChatStack()
        let ada = try stack.client("ada")
        let began = SystemClock.now()
        try stack.operate { try $0.disable("ada", now: SystemClock.timestamp()) }
        #expect(isSentAway(ada, since: began))
    }

    @Test func anExpiredTokenIsRefused() throws {
        let stack = try ChatStack()
        let token = try stack.operate { provisioner in
            try provisioner.mintTokens(
                names: ["ada"], lifetime: .seconds(-120), now: SystemClock.timestamp())[0]
        }
        let client = WireClient.webSocket(port: stack.port(.chat))
        client.connect(token: token)
        #expect(client.early.first?.contains("\"token_expired\"") == true)
        let answer = try HTTP.call("GET", stack.url(of: .chat) + "/api/v1/me", token: token)
        #expect(answer.status == 401)
    }
}
