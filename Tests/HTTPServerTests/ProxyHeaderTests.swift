// SPDX-License-Identifier: MIT
import Addresses
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    /// A header of version 2 around what stands behind its fixed part.
    private static func binary(
        versionAndCommand: UInt8 = 0x21, family: UInt8 = 0x11, _ rest: [UInt8]
    ) -> [UInt8] {
        signature + [
            versionAndCommand, family, UInt8(rest.count >> 8), UInt8(rest.count & 255),
        ] + rest
    }

    private static let v4: [UInt8] = [192, 0, 2, 7, 10, 0, 0, 1, 0x16, 0x2E, 1, 0xBB]
    private static let v6: [UInt8] =
        [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [7]
        + [UInt8](repeating: 0, count: 15) + [1] + [0x16, 0x2E, 1, 0xBB]

    /// Every way to cut: nothing is said before the last byte, and what follows is left alone.
    private static func parse(
        _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
    ) throws(ProxyHeader.Failure) -> ProxyHeader {
        for cut in 0..<bytes.count {
            let part = Array(bytes[..<cut])
            let step = try ProxyHeader.parse(part.span)
            #expect(step == .needMore, "cut at \(cut)", sourceLocation: sourceLocation)
        }
        for rest in ["", "P", "GET / HTTP/1.1\r\n\r\n", "\r\n\r\n"] {
            let glued = bytes + Array(rest.utf8)
            guard case .header(let header, let consumed) = try ProxyHeader.parse(glued.span) else {
                Issue.record("not whole", sourceLocation: sourceLocation)
                break
            }
            #expect(consumed == bytes.count, sourceLocation: sourceLocation)
            if rest == "\r\n\r\n" { return header }
        }
        return ProxyHeader()
    }

    @Test(
        arguments: [
            ("PROXY TCP4 192.0.2.7 10.0.0.1 5678 443", "192.0.2.7"),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255"),
            ("PROXY TCP4 192.0.2.7 10.0.0.1 0 0", "192.0.2.7"),
            ("PROXY TCP6 2001:db8::7 ::1 5678 443", "2001:db8::7"),
            (
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                    + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
            ),
            ("PROXY UNKNOWN", nil), ("PROXY UNKNOWN whatever it is", nil),
            (
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                    + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535", nil
            ),
        ] as [(String, String?)])
    func linesAreRead(line: String, source: String?) throws {
        let header = try Self.parse(Array("\(line)\r\n".utf8))
        #expect(header == ProxyHeader(source: source.flatMap(IPAddress.init)))
    }

    @Test(arguments: [
        "PROXY TCP4 192.0.2.7 10.0.0.1 5678\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 5678 443 \r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 5678 443\r\n", "PROXY TCP4 ::1 ::1 5678 443\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 5678 443\r\n", "PROXY TCP4 192.0.2.7 ::1 5678 443\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 5678 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 5678 0443\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 +5 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 5678 443\n\n", "PROXY TCP4 192.0.2.7 10.0.0.1 5678 443\rX",
        "PROXY TCP4 192.0.2.7 10.0.0.1 5678 \t443\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 5678 443\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 5678 443\r\n", "PROXY \r\n", "PROXY\r\n",
        "PROXY  UNKNOWN\r\n",
        "POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", "proxy UNKNOWN\r\n", "\u{16}\u{3}\u{1}",
        "PROXY UNKNOWN \u{7F}\r\n",
    ])
    func otherLinesAreMalformed(text: String) {
        let bytes = Array(text.utf8)
        #expect(throws: ProxyHeader.Failure.malformed) { try ProxyHeader.parse(bytes.span) }
    }

    @Test func aLineIsHeldToItsLength() throws {
        let longest = "PROXY UNKNOWN " + String(repeating: "x", count: 91)
        #expect(longest.utf8.count + 2 == ProxyHeader.maxLineBytes)
        #expect(try Self.parse(Array("\(longest)\r\n".utf8)) == ProxyHeader())
        let longer = Array("\(longest)x\r\n".utf8)
        #expect(throws: ProxyHeader.Failure.tooLong) { try ProxyHeader.parse(longer.span) }
        // Without waiting for its end.
        let endless = Array("\(longest)x".utf8)
        #expect(throws: ProxyHeader.Failure.tooLong) { try ProxyHeader.parse(endless.span) }
    }

    @Test func binaryHeadersAreRead() throws {
        #expect(
            try Self.parse(Self.binary(Self.v4)) == ProxyHeader(source: IPAddress("192.0.2.7")))
        #expect(
            try Self.parse(Self.binary(family: 0x21, Self.v6))
                == ProxyHeader(source: IPAddress("2001:db8::7")))
        // Families without an address for us: unspecified, datagrams, Unix sockets.
        #expect(try Self.parse(Self.binary(family: 0, [])) == ProxyHeader())
        #expect(try Self.parse(Self.binary(family: 0x12, Self.v4)) == ProxyHeader())
        #expect(
            try Self.parse(Self.binary(family: 0x31, [UInt8](repeating: 0, count: 216)))
                == ProxyHeader())
        // LOCAL: nothing behind the fixed part is looked at.
        #expect(
            try Self.parse(Self.binary(versionAndCommand: 0x20, family: 0x11, [1, 2, 3]))
                == ProxyHeader())
        #expect(
            try Self.parse(Self.binary(versionAndCommand: 0x20, family: 0, [])) == ProxyHeader())
    }

    @Test func valuesBehindTheAddressesAreRead() throws {
        let secure: [UInt8] = [0x20, 0, 5, 1, 0, 0, 0, 0]
        let plain: [UInt8] = [0x20, 0, 5, 0, 0, 0, 0, 0]
        let unknown: [UInt8] = [0xEA, 0, 3, 7, 7, 7]
        #expect(try Self.parse(Self.binary(Self.v4 + unknown + secure)).isSecure)
        #expect(try !Self.parse(Self.binary(Self.v4 + plain + unknown)).isSecure)
        for broken in [[0x20, 0], [0x20, 0, 4, 1, 0, 0, 0], [0xEA, 0, 9, 1]] as [[UInt8]] {
            let bytes = Self.binary(Self.v4 + broken)
            #expect(throws: ProxyHeader.Failure.malformed) { try ProxyHeader.parse(bytes.span) }
        }
    }

    @Test func theChecksumIsHeldTo() throws {
        // CRC-32C, bit by bit, with the four bytes of the checksum as zeros.
        var bytes = Self.binary(Self.v4 + [0x03, 0, 4, 0, 0, 0, 0])
        var state = ~0 as UInt32
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state & 1 == 1 ? state >> 1 ^ 0x82F6_3B78 : state >> 1 }
        }
        let end = bytes.count
        for index in 0..<4 {
            bytes[end - 4 + index] = UInt8(~state >> UInt32(24 - 8 * index) & 255)
        }
        #expect(try Self.parse(bytes) == ProxyHeader(source: IPAddress("192.0.2.7")))
        for index in [16, end - 1] {
            var wrong = bytes
            wrong[index] ^= 1
            #expect(throws: ProxyHeader.Failure.wrongChecksum) {
                try ProxyHeader.parse(wrong.span)
            }
        }
        let short = Self.binary(Self.v4 + [0x03, 0, 3, 0, 0, 0])
        #expect(throws: ProxyHeader.Failure.malformed) { try ProxyHeader.parse(short.span) }
    }

    @Test func otherBinaryHeadersAreRefusedAtTheByteThatShowsIt() {
        for (bytes, failure) in [
            (Self.signature + [0x11], .unsupportedVersion),
            (Self.signature + [0x31], .unsupportedVersion),
            (Self.signature + [0x22], .malformed), (Self.signature + [0x2F], .malformed),
            (Self.signature + [0x21, 0x41], .malformed),
            (Self.signature + [0x21, 0x13], .malformed),
            ([13, 10, 13, 10, 1], .malformed), ([13, 13], .malformed), ([0], .malformed),
            // Addresses cut short by the length.
            (Self.binary(Array(Self.v4.dropLast())), .malformed),
            (Self.binary(family: 0x21, Self.v4), .malformed),
            (Self.binary(family: 0x31, Self.v6), .malformed),
        ] as [([UInt8], ProxyHeader.Failure)] {
            #expect(throws: failure) { try ProxyHeader.parse(bytes.span) }
        }
    }

    @Test func aBinaryHeaderIsHeldToItsLength() throws {
        let room = ProxyHeader.maxBinaryBytes - 16 - Self.v4.count
        let value: [UInt8] = [0xEA, UInt8((room - 3) >> 8), UInt8((room - 3) & 255)]
        let longest = Self.binary(Self.v4 + value + [UInt8](repeating: 0, count: room - 3))
        #expect(longest.count == ProxyHeader.maxBinaryBytes)
        guard case .header(_, let consumed) = try ProxyHeader.parse(longest.span) else {
            Issue.record("not whole")
            return
        }
        #expect(consumed == longest.count)
        let announced = ProxyHeader.maxBinaryBytes - 16 + 1
        let longer = Self.signature + [0x21, 0x11, UInt8(announced >> 8), UInt8(announced & 255)]
        #expect(throws: ProxyHeader.Failure.tooLong) { try ProxyHeader.parse(longer.span) }
    }

    @Test func randomBytesNeverTrap() {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            var bytes = Self.binary(Self.v4 + Self.v4 + Self.v4)
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                bytes[Int.random(in: 12..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            _ = try? ProxyHeader.parse(bytes.span)
        }
    }
}
