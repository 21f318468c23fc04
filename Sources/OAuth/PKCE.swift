// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto

/// Proof Key for Code Exchange (RFC 7636), method S256 only: `plain` protects nothing from whoever can
/// read the request, and OAuth 2.1 drops it.
package enum PKCE: Sendable {
    /// Whether a challenge has the form of an S256 challenge: 43 characters of base64url that encode
    /// 32 bytes.
    package static func isChallenge(_ text: String) -> Bool {
        text.utf8.count == 43
            && Base64.decode(Array(text.utf8), alphabet: .url)?.count == SHA256.byteCount
    }

    /// Whether a verifier has the form RFC 7636 §4.1 wants: 43...128 unreserved characters. Shorter ones
    /// have been guessed online.
    package static func isVerifier(_ text: String) -> Bool {
        (43...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "_"), UInt8(ascii: "~"):
                    true
                default: false
                }
            }
    }

    /// The challenge of a verifier: BASE64URL(SHA256(ASCII(verifier))).
    package static func challenge(of verifier: String) -> String {
        Base64.string(SHA256.digest(verifier), alphabet: .url)
    }

    /// Whether the verifier is the one behind the challenge, in time that tells nothing.
    package static func verify(_ verifier: String, against challenge: String) -> Bool {
        isVerifier(verifier) && constantTimeEquals(self.challenge(of: verifier), challenge)
    }
}
