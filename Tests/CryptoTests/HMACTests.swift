// SPDX-License-Identifier: MIT
import Bytes
import Crypto
import Testing

private func hex(_ text: String) -> [UInt8] {
    var output: [UInt8] = []
    let digits = Array(text.utf8)
    for index in stride(from: 0, to: digits.count, by: 2) {
        output.append(Hex.value(of: digits[index])! << 4 | Hex.value(of: digits[index + 1])!)
    }
    return output
}

@Suite struct HMACTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let key: [UInt8]
        let message: [UInt8]
        let tag: String
        var testDescription: String { name }
    }

    /// RFC 4231 §4.2-4.8 (case 5 tests truncation, which we do not offer).
    static let vectors = [
        Vector(
            name: "case 1", key: .init(repeating: 0x0b, count: 20), message: Array("Hi There".utf8),
            tag: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        Vector(
            name: "case 2", key: Array("Jefe".utf8),
            message: Array("what do ya want for nothing?".utf8),
            tag: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        Vector(
            name: "case 3", key: .init(repeating: 0xaa, count: 20),
            message: .init(repeating: 0xdd, count: 50),
            tag: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        Vector(
            name: "case 4", key: Array(1...25), message: .init(repeating: 0xcd, count: 50),
            tag: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        Vector(
            name: "case 6", key: .init(repeating: 0xaa, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            tag: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        Vector(
            name: "case 7", key: .init(repeating: 0xaa, count: 131),
            message: Array(
                ("This is a test using a larger than block-size key and a larger than block-size "
                    + "data. The key needs to be hashed before being used by the HMAC algorithm.")
                    .utf8),
            tag: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ]

    @Test(arguments: vectors)
    func signs(_ vector: Vector) {
        #expect(Hex.string(HMACSHA256.sign(vector.message, key: vector.key)) == vector.tag)
    }

    @Test func aPreparedKeySignsAgainAndAgain() {
        let vector = HMACTests.vectors[1]
        let key = HMACSHA256.Key(vector.key)
        for _ in 0..<3 { #expect(Hex.string(key.sign(vector.message)) == vector.tag) }
        #expect(Hex.string(key.sign([])) != vector.tag)
    }

    @Test func emptyKeyAndMessage() {
        #expect(
            Hex.string(HMACSHA256.sign([], key: []))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test func refusesEachFlippedBitAndEachOtherLength() {
        let vector = HMACTests.vectors[1]
        let tag = hex(vector.tag)
        #expect(HMACSHA256.verify(tag, of: vector.message, key: vector.key))
        for index in tag.indices {
            var other = tag
            other[index] ^= 1
            #expect(!HMACSHA256.verify(other, of: vector.message, key: vector.key))
        }
        for count in 0..<32 {
            #expect(
                !HMACSHA256.verify(Array(tag.prefix(count)), of: vector.message, key: vector.key))
        }
        #expect(!HMACSHA256.verify(tag + [0], of: vector.message, key: vector.key))
    }

    @Test func constantTimeEqualityIsEquality() {
        #expect(constantTimeEquals("", ""))
        #expect(constantTimeEquals("secret", "secret"))
        #expect(!constantTimeEquals("secret", "secreT"))
        #expect(!constantTimeEquals("secret", "secrets"))
    }
}

@Suite struct HKDFTests {
    /// RFC 5869 A.1.
    @Test func basic() {
        let output = HKDF.derive(
            from: .init(repeating: 0x0b, count: 22), salt: hex("000102030405060708090a0b0c"),
            info: hex("f0f1f2f3f4f5f6f7f8f9"), count: 42)
        #expect(
            Hex.string(output)
                == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b8"
                + "87185865")
    }

    /// RFC 5869 A.2: longer inputs and outputs.
    @Test func long() {
        let output = HKDF.derive(
            from: Array(0x00...0x4f), salt: Array(0x60...0xaf), info: Array(0xb0...0xff), count: 82)
        #expect(
            Hex.string(output)
                == "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7"
                + "827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5"
                + "c1f3434f1d87")
    }

    /// RFC 5869 A.3: no salt, no info.
    @Test func empty() {
        let output = HKDF.derive(from: .init(repeating: 0x0b, count: 22), info: [], count: 42)
        #expect(
            Hex.string(output)
                == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4"
                + "b61a96c8")
    }
}
