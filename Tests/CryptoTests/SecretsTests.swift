// SPDX-License-Identifier: MIT
import Bytes
import Testing

@testable import Crypto

private func hex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    return stride(from: 0, to: digits.count, by: 2).map {
        Hex.value(of: digits[$0])! << 4 | Hex.value(of: digits[$0 + 1])!
    }
}

@Suite struct AESGCMTests {
    /// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
    @Test func testCase16() {
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
        let text = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf"
                + "0e2449a6b525b16aedf5aa0de657ba637b39")
        let additional = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let nonce = hex("cafebabefacedbaddecaf888")
        let sealed = AESGCM.seal(text, key: key, nonce: nonce, additional: additional)
        #expect(
            Hex.string(Array(sealed.dropFirst(12)))
                == "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590d"
                + "bb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                + "76fc6ece0f4e1768cddf8853bb2d551b"
        )
        #expect(AESGCM.open(sealed, key: key, additional: additional) == text)
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1000])
    func opensWhatItSealed(count: Int) {
        let key = SecureRandom.bytes(32)
        let text = SecureRandom.bytes(count)
        let sealed = AESGCM.seal(text, key: key, additional: [1, 2])
        #expect(sealed.count == count + 28)
        #expect(AESGCM.open(sealed, key: key, additional: [1, 2]) == text)
        #expect(AESGCM.open(sealed, key: key, additional: [1, 3]) == nil)
        #expect(AESGCM.open(sealed, key: SecureRandom.bytes(32), additional: [1, 2]) == nil)
    }

    @Test func refusesEachFlippedByteAndEachCut() {
        let key = SecureRandom.bytes(32)
        let sealed = AESGCM.seal(Array("hello".utf8), key: key)
        for index in sealed.indices {
            var other = sealed
            other[index] ^= 0x80
            #expect(AESGCM.open(other, key: key) == nil)
        }
        for count in sealed.indices {
            #expect(AESGCM.open(Array(sealed.prefix(count)), key: key) == nil)
        }
    }
}

@Suite struct SecureRandomTests {
    @Test func tokensAreLongUniqueAndURLSafe() {
        let tokens = (0..<1000).map { _ in SecureRandom.token() }
        #expect(Set(tokens).count == 1000)
        #expect(tokens.allSatisfy { $0.utf8.count == 43 })
        #expect(SecureRandom.token(bytes: 12).utf8.count == 16)
        #expect(SecureRandom.bytes(0).isEmpty)
    }
}

@Suite struct PasswordHashTests {
    /// Cheap parameters: the tests are about the format, not the cost.
    static let cheap = PasswordHash.Parameters(memoryKiB: 64, iterations: 1, parallelism: 1)

    @Test func theStandardIsTheOneOWASPAdvises() throws {
        let phc = try PasswordHash.hash("correct horse battery staple")
        #expect(phc.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
        #expect(PasswordHash.verify("correct horse battery staple", against: phc))
        #expect(!PasswordHash.verify("correct horse battery stapler", against: phc))
        #expect(!PasswordHash.needsRehash(phc))
    }

    @Test func saltsDiffer() throws {
        let first = try PasswordHash.hash("same", parameters: PasswordHashTests.cheap)
        let second = try PasswordHash.hash("same", parameters: PasswordHashTests.cheap)
        #expect(first != second)
        #expect(PasswordHash.needsRehash(first))
        #expect(PasswordHash.verify("same", against: first))
    }

    @Test func passwordLengthAtTheLimitAndOnePast() throws {
        let longest = String(repeating: "é", count: 256)
        let phc = try PasswordHash.hash(longest, parameters: PasswordHashTests.cheap)
        #expect(PasswordHash.verify(longest, against: phc))
        #expect(!PasswordHash.verify(longest + "x", against: phc))
        #expect(throws: PasswordHashError.tooLong) {
            try PasswordHash.hash(longest + "x", parameters: PasswordHashTests.cheap)
        }
    }

    @Test(arguments: [
        "", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=64,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "!", "password",
    ])
    func stringsThatAreNoHashMatchNothing(_ phc: String) {
        #expect(!PasswordHash.verify("", against: phc))
        #expect(!PasswordHash.verify("password", against: phc))
        #expect(PasswordHash.needsRehash(phc))
    }
}
