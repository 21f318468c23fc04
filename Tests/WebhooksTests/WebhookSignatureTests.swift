// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Testing
internal import Timing

@testable internal import Webhooks

@Suite struct WebhookSignatureTests {
    /// The example of the Standard Webhooks specification and of its reference libraries' tests.
    private let secret = WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")!
    private let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    private let time = Timestamp(seconds: 1_614_265_330)
    private let body = Array("{\"test\": 2432232314}".utf8)

    @Test func agreesWithTheReferenceVector() {
        #expect(
            WebhookSignature.sign(id: id, timestamp: time, body: body, secrets: [secret])
                == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    /// HMAC written out from RFC 2104 over the plain digest: nothing of the signing path is shared.
    @Test func agreesWithHMACFromScratch() {
        var key = secret.bytes + [UInt8](repeating: 0, count: 64 - secret.bytes.count)
        let text = Array("\(id).1614265330.".utf8) + body
        let inner = SHA256.digest(key.map { $0 ^ 0x36 } + text)
        let tag = SHA256.digest(key.map { $0 ^ 0x5C } + inner)
        key.removeAll()
        #expect(
            WebhookSignature.sign(id: id, timestamp: time, body: body, secrets: [secret])
                == "v1," + Base64.string(tag, alphabet: .standard))
    }

    @Test func signsWithEachSecretOfARotation() {
        let old = WebhookSecret.generate()
        let both = WebhookSignature.sign(
            id: id, timestamp: time, body: body, secrets: [secret, old])
        #expect(both.split(separator: " ", omittingEmptySubsequences: false).count == 2)
        for secret in [secret, old] {
            #expect(
                WebhookSignature.verify(
                    both, id: id, timestamp: "1614265330", body: body, secret: secret, now: time))
        }
        #expect(
            !WebhookSignature.verify(
                both, id: id, timestamp: "1614265330", body: body, secret: .generate(), now: time))
    }

    @Test(arguments: [-301, -300, 0, 300, 301] as [Int64])
    func takesTimestampsWithinFiveMinutes(_ offset: Int64) {
        let signature = WebhookSignature.sign(
            id: id, timestamp: time, body: body, secrets: [secret])
        #expect(
            WebhookSignature.verify(
                signature, id: id, timestamp: "1614265330", body: body, secret: secret,
                now: Timestamp(seconds: time.seconds + offset)) == (abs(offset) <= 300))
    }

    @Test func noticesEachChange() {
        let signature = WebhookSignature.sign(
            id: id, timestamp: time, body: body, secrets: [secret])
        func verifies(
            _ signature: String, id: String? = nil, timestamp: String = "1614265330",
            body: [UInt8]? = nil
        ) -> Bool {
            WebhookSignature.verify(
                signature, id: id ?? self.id, timestamp: timestamp, body: body ?? self.body,
                secret: secret, now: time)
        }
        #expect(verifies(signature))
        #expect(verifies("v1a,AAAA \(signature)"))
        #expect(!verifies(signature, id: "msg_other"))
        #expect(!verifies(signature, timestamp: "1614265331"))
        #expect(!verifies(signature, timestamp: "soon"))
        #expect(!verifies(signature, timestamp: "-9223372036854775808"))
        #expect(!verifies(signature, body: body + [0x20]))
        #expect(!verifies(String(signature.dropLast())))
        #expect(!verifies(""))
    }
}

@Suite struct WebhookSecretTests {
    @Test func writesAndReadsItsText() {
        let secret = WebhookSecret.generate()
        #expect(secret.bytes.count == 32)
        #expect(secret.text.hasPrefix("whsec_"))
        #expect(WebhookSecret(secret.text) == secret)
    }

    @Test(arguments: [
        "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_-_KQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA",
    ])
    func refusesWhatIsNotOne(_ text: String) {
        #expect(WebhookSecret(text) == nil)
    }

    @Test func opensOnlyForItsEndpointAndKey() {
        let secret = WebhookSecret.generate()
        let keeper = SecretKeeper(key: Array(repeating: 1, count: 32))
        let sealed = keeper.seal(secret, endpoint: "ep_1")
        #expect(keeper.open(sealed, endpoint: "ep_1") == secret)
        #expect(keeper.open(sealed, endpoint: "ep_2") == nil)
        #expect(
            SecretKeeper(key: Array(repeating: 2, count: 32)).open(sealed, endpoint: "ep_1") == nil)
    }
}
