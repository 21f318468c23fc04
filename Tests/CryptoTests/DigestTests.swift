// SPDX-License-Identifier: MIT
import Bytes
import Crypto
import Testing

@Suite struct DigestTests {
    /// FIPS 180-4's published examples (NIST CSRC "Examples with Intermediate Values").
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func sha256(_ text: String, _ expected: String) {
        #expect(Hex.string(SHA256.digest(text)) == expected)
    }

    @Test func sha256OfAMillionLetters() {
        let digest = SHA256.digest([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
        #expect(
            Hex.string(digest) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        )
    }

    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
    ])
    func sha1(_ text: String, _ expected: String) {
        #expect(Hex.string(SHA1.digest(Array(text.utf8))) == expected)
    }

    /// RFC 6455 §1.3: the handshake's own example.
    @Test func webSocketAccept() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        let accept = Base64.string(SHA1.digest(Array(key.utf8)), alphabet: .standard)
        #expect(accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
}
