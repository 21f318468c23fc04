// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto

/// A symmetric key of one issuer for one audience. Who can verify with it can also sign, so no two
/// audiences share one (OWASP JWT cheat sheet, "Public-key signatures vs. MAC").
package struct SigningKey: Sendable {
    /// Names the key in the token header: 1...64 characters of `A-Z a-z 0-9 . _ -`.
    package let kid: String
    /// 32 random bytes or more. Never logged, never in an error.
    package let secret: [UInt8]

    /// Shortest secret for HS256 (RFC 7518 §3.2).
    package static let minSecretBytes = 32

    /// - Throws: `tooShort`, `malformedKeyID`.
    package init(kid: String, secret: [UInt8]) throws(SigningKeyError) {
        guard secret.count >= SigningKey.minSecretBytes else { throw .tooShort }
        guard SigningKey.isKeyID(kid) else { throw .malformedKeyID }
        self.kid = kid
        self.secret = secret
    }

    /// Whether a text could be a key id at all. Asked before any look-up, so a hostile `kid` reaches
    /// neither a dictionary nor a log.
    static func isKeyID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// The header segment of every token signed with this key, encoded:
    /// `{"alg":"HS256","typ":"at+jwt","kid":"…"}`.
    var headerSegment: [UInt8] {
        var output: [UInt8] = []
        let header = Array("{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"\(kid)\"}".utf8)
        Base64.encode(header.span, alphabet: .url, into: &output)
        return output
    }
}

/// The keys one verifier knows, ready for use, found by key id and by nothing else.
struct KeySet: Sendable {
    struct Entry: Sendable {
        let mac: HMACSHA256.Key
        let headerSegment: [UInt8]
    }

    private let entries: [String: Entry]

    init(_ keys: [SigningKey]) throws(SigningKeyError) {
        var entries: [String: Entry] = [:]
        var secrets: Set<[UInt8]> = []
        for key in keys {
            guard entries[key.kid] == nil, secrets.insert(key.secret).inserted else {
                throw .duplicate
            }
            entries[key.kid] = Entry(
                mac: HMACSHA256.Key(key.secret), headerSegment: key.headerSegment)
        }
        self.entries = entries
    }

    /// A dictionary look-up: no default, no file, no query (RFC 8725 §3.10).
    subscript(kid: String) -> HMACSHA256.Key? { entries[kid]?.mac }

    /// The key whose own header segment this is, byte for byte: what our signer writes needs no
    /// parsing. Anything else takes the long way and is judged there.
    func key(ofHeaderSegment segment: Span<UInt8>) -> HMACSHA256.Key? {
        for entry in entries.values where entry.headerSegment.count == segment.count {
            let isSame = segment.withUnsafeBufferPointer { $0.elementsEqual(entry.headerSegment) }
            if isSame { return entry.mac }
        }
        return nil
    }
}
