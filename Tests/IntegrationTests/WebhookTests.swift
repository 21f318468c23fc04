// SPDX-License-Identifier: MIT
import Bytes
import Crypto
import HTTPClient
import JSON
import TestSupport
import Testing
import Timing

/// A message and a receipt, told to a receiver outside.
@Suite struct WebhookTests {
    /// Makes an endpoint of ada's for messages and receipts.
    /// - Returns: the key that signs for it.
    private func subscribe(_ stack: ChatStack, to url: String) throws -> [UInt8] {
        let answer = try HTTP.call(
            "POST", stack.url(of: .notification) + "/api/v1/endpoints",
            token: try stack.token("ada", audience: "notification"),
            json: ["url": .string(url), "types": ["message.*", "receipt.*"]])
        let secret = try answer.json()["secret"]?.string ?? ""
        let key = Base64.decode(Array(secret.dropFirst("whsec_".count).utf8), alphabet: .standard)
        return try #require(key)
    }

    /// What a receiver does before it believes: Standard Webhooks 1.0.0, worked out anew.
    private func isGenuine(_ request: LoopbackServer.Received, key: [UInt8]) -> Bool {
        guard let id = request.fields["webhook-id"],
            let timestamp = request.fields["webhook-timestamp"],
            let seconds = Int64(timestamp),
            abs(SystemClock.timestamp().seconds - seconds) < 300
        else { return false }
        let tag = HMACSHA256.sign(Array("\(id).\(timestamp).".utf8) + request.body, key: key)
        let expected = "v1," + Base64.string(tag, alphabet: .standard)
        return request.fields["webhook-signature"] == expected
    }

    /// Type and, for messages, text of what a receiver got.
    private func contents(_ requests: [LoopbackServer.Received]) throws -> [String] {
        try requests.map { request in
            let body = try JSONValue(parsing: request.body)
            let text = body["data"]?["text"]?.string.map { " \($0)" } ?? ""
            return (body["type"]?.string ?? "") + text
        }
    }

    @Test(arguments: [true, false])
    func aMessageAndItsReceiptAreTold(withRedis hasRedis: Bool) throws {
        let receiver = LoopbackServer { _ in .response(status: 204) }
        defer { receiver.stop() }
        let stack = try ChatStack(hasRedis: hasRedis, hasNotification: true)
        let ada = try stack.client("ada")
        let grace = try stack.client("grace")
        let key = try subscribe(stack, to: receiver.url + "/hook")

        let sent = ada.say("hello")
        _ = grace.ask("message:read", ["room": "lobby", "roomSeq": sent["roomSeq"] ?? .null])
        #expect(eventually { receiver.requests.count >= 2 })
        let requests = receiver.requests
        #expect(try contents(requests).sorted() == ["message.created hello", "receipt.read"])
        #expect(requests.allSatisfy { isGenuine($0, key: key) })
        #expect(!isGenuine(requests[0], key: key.reversed()))
    }

    @Test func nothingIsForgottenWhileReceiverAndServiceAreDown() throws {
        let first = LoopbackServer { _ in .response(status: 204) }
        let stack = try ChatStack(hasNotification: true)
        let ada = try stack.client("ada")
        let grace = try stack.client("grace")
        let key = try subscribe(stack, to: first.url + "/hook")
        let token = try stack.token("ada", audience: "notification")
        first.stop()

        let sent = ada.say("tried in vain")
        let wasTried = try eventually {
            let list = try HTTP.call(
                "GET", stack.url(of: .notification) + "/api/v1/deliveries", token: token
            ).json()["deliveries"]?.array
            return (list?.first?["attempts"]?.int ?? 0) > 0
        }
        #expect(wasTried)
        stack.kill(.notification)
        _ = ada.say("nobody there to try")
        _ = grace.ask("message:read", ["room": "lobby", "roomSeq": sent["roomSeq"] ?? .null])

        let second = LoopbackServer(port: first.port) { _ in .response(status: 204) }
        defer { second.stop() }
        try stack.start(.notification)
        // The first retry is due five seconds after the failure, give or take a fifth.
        #expect(eventually(within: .seconds(15)) { second.requests.count >= 3 })
        let requests = second.requests
        #expect(
            try contents(requests).sorted() == [
                "message.created nobody there to try", "message.created tried in vain",
                "receipt.read",
            ])
        #expect(requests.allSatisfy { isGenuine($0, key: key) })
    }
}
