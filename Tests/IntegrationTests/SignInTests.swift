// SPDX-License-Identifier: MIT
import HTTPClient
import JSON
import OAuth
import TestSupport
import Testing
import Timing

/// The main job with real processes: sign in, join, send, be heard, be read.
@Suite struct SignInTests {
    @Test func peopleSignInThroughThePagesAndChat() throws {
        let stack = try ChatStack()
        try stack.operate { provisioner in
            _ = try provisioner.createAccount(
                name: "grace", password: "quiet-copper-lantern", now: SystemClock.timestamp())
        }
        let adasToken = try Browser(stack).signIn(
            "ada", password: "brisk-amber-meadow", registers: true)
        let gracesToken = try Browser(stack).signIn("grace", password: "quiet-copper-lantern")

        let ada = WireClient.webSocket(port: stack.port(.chat))
        ada.connect(token: adasToken.access)
        let grace = WireClient.polling(port: stack.port(.chat))
        grace.connect(token: gracesToken.access)
        #expect(ada.session["user"]?["name"]?.string == "ada")
        #expect(ada.session["rooms"]?.array?.map { $0["id"]?.string } == ["lobby"])

        let room = ada.ask("room:create", ["name": "garden"])["room"]?["id"] ?? .null
        let joined = grace.ask("room:join", ["room": "garden"])
        #expect(joined["room"]?["id"] == room)
        #expect(ada.event("member")?["member"]?["name"]?.string == "grace")

        let sent = ada.say("Are you there?", in: room, id: "first")
        #expect(sent["ok"]?.bool == true)
        let heard = try #require(grace.event("message"))
        #expect(heard["text"]?.string == "Are you there?")
        #expect(heard["user"] == ada.session["user"])
        for name in ["id", "seq", "roomSeq", "at"] { #expect(heard[name] == sent[name]) }

        let read = grace.ask("message:read", ["room": room, "roomSeq": sent["roomSeq"] ?? .null])
        #expect(read["unread"]?.int == 0)
        let receipt = try #require(ada.event("receipt"))
        #expect(receipt["user"] == grace.session["user"])
        #expect(receipt["roomSeq"] == sent["roomSeq"])
    }

    @Test func aCodeIsGoodForItsVerifierAndOnce() throws {
        let stack = try ChatStack(chats: 0)
        let browser = Browser(stack)
        let (code, verifier) = try browser.authorize(
            "ada", password: "brisk-amber-meadow", registers: true)
        let wrong = try browser.exchange(code: code, verifier: "not-" + verifier)
        #expect(wrong.status == 400)
        #expect(try wrong.json()["error"]?.string == "invalid_grant")
        let (next, nextVerifier) = try browser.authorize("ada", password: "")
        #expect(try browser.exchange(code: next, verifier: nextVerifier).status == 200)
        let again = try browser.exchange(code: next, verifier: nextVerifier)
        #expect(again.status == 400)
    }
}
