// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import Timing

/// Standard Webhooks 1.0.0: HMAC-SHA256 over `{id}.{timestamp}.{body}`.
package enum WebhookSignature {
    /// How far a timestamp may be off at the receiver, both ways: what the reference verifiers take.
    package static let tolerance: Duration = .seconds(300)

    /// The value of `webhook-signature`: one `v1,<base64>` for each secret, a single space between.
    /// An empty item or a space at the end makes the Python reference verifier fail with an error
    /// that is none of its own.
    /// - Parameters:
    ///   - id: `webhook-id`; holds no `.`, which would make the signed text ambiguous.
    ///   - timestamp: the time of this attempt, not of the event.
    ///   - secrets: the current one first, then those of a rotation under way; never empty.
    package static func sign(
        id: String, timestamp: Timestamp, body: [UInt8], secrets: [WebhookSecret]
    ) -> String {
        precondition(!id.utf8.contains(UInt8(ascii: ".")) && !secrets.isEmpty)
        let text = signedText(id: id, seconds: timestamp.seconds, body: body)
        return secrets.map { secret in
            "v1," + Base64.string(HMACSHA256.sign(text, key: secret.bytes), alphabet: .standard)
        }.joined(separator: " ")
    }

    /// What a receiver does: any `v1` item that matches will do, other versions are skipped.
    package static func verify(
        _ signature: String, id: String, timestamp: String, body: [UInt8], secret: WebhookSecret,
        now: Timestamp
    ) -> Bool {
        guard let seconds = Int64(timestamp),
            abs(now.seconds.subtractingReportingOverflow(seconds).partialValue)
                <= tolerance.components.seconds
        else { return false }
        let text = signedText(id: id, seconds: seconds, body: body)
        return signature.split(separator: " ").contains { item in
            guard item.hasPrefix("v1,"),
                let tag = Base64.decode(Array(item.utf8.dropFirst(3)), alphabet: .standard)
            else { return false }
            return HMACSHA256.verify(tag, of: text, key: secret.bytes)
        }
    }

    private static func signedText(id: String, seconds: Int64, body: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(id.utf8.count + body.count + 24)
        text.append(id)
        text.append(UInt8(ascii: "."))
        text.append(decimal: seconds)
        text.append(UInt8(ascii: "."))
        text.append(contentsOf: body)
        return text
    }
}
