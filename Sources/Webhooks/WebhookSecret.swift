// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto

/// The key that an endpoint and we share. Its text form is `whsec_` and the standard base64 of its
/// bytes (Standard Webhooks 1.0.0, "Signature scheme"): a URL-safe alphabet decodes to another key in
/// the reference verifiers without a word.
package struct WebhookSecret: Hashable, Sendable {
    /// What new secrets have. The specification asks for 24 to 64.
    package static let byteCount = 32
    package static let prefix = "whsec_"

    /// The key itself: 24 to 64 bytes.
    package let bytes: [UInt8]

    /// A new random one.
    package static func generate() -> WebhookSecret {
        WebhookSecret(unchecked: SecureRandom.bytes(byteCount))
    }

    /// Nil unless 24 to 64 bytes long.
    package init?(bytes: [UInt8]) {
        guard (24...64).contains(bytes.count) else { return nil }
        self.init(unchecked: bytes)
    }

    /// Reads the text form; nil when it is not exactly that.
    package init?(_ text: String) {
        guard text.hasPrefix(WebhookSecret.prefix),
            let bytes = Base64.decode(
                Array(text.utf8.dropFirst(WebhookSecret.prefix.utf8.count)), alphabet: .standard)
        else { return nil }
        self.init(bytes: bytes)
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// The text form. Shown to the owner once, never logged.
    package var text: String {
        WebhookSecret.prefix + Base64.string(bytes, alphabet: .standard)
    }
}

/// Secrets at rest: sealed with AES-256-GCM under the service's key and bound to their endpoint, so
/// that a row copied to another endpoint does not open.
package struct SecretKeeper: Sendable {
    private let key: [UInt8]

    /// - Parameter key: 32 bytes, from a file or the environment; another length traps.
    package init(key: [UInt8]) {
        precondition(key.count == AESGCM.keyByteCount)
        self.key = key
    }

    package func seal(_ secret: WebhookSecret, endpoint: String) -> [UInt8] {
        AESGCM.seal(secret.bytes, key: key, additional: Array(endpoint.utf8))
    }

    /// Nil when the row was sealed under another key or for another endpoint.
    package func open(_ sealed: [UInt8], endpoint: String) -> WebhookSecret? {
        AESGCM.open(sealed, key: key, additional: Array(endpoint.utf8)).flatMap {
            WebhookSecret(bytes: $0)
        }
    }
}
