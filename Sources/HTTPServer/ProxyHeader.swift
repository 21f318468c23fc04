// SPDX-License-Identifier: MIT
internal import Addresses
internal import Bytes

/// What a proxy says of a connection ahead of its first byte: the PROXY protocol, versions 1 and 2
/// (HAProxy, "The PROXY protocol", 2020). Pure: bytes in, one header out.
///
/// ```
/// version 1   PROXY TCP4 192.0.2.7 10.0.0.1 5678 443\r\n        at most 107 bytes
/// version 2   signature(12) version|command(1) family|transport(1) length(2) addresses TLVs
/// ```
struct ProxyHeader: Hashable, Sendable {
    /// Where the proxy was called from. Nil when it speaks for itself (LOCAL, a health check) or of an
    /// address that is none of the Internet's: the connection's own counts then.
    var source: IPAddress?
    /// Whether the client spoke TLS with the proxy, as the proxy's TLV says.
    var isSecure = false

    enum Step: Hashable, Sendable {
        /// A header may be there, and more bytes will tell.
        case needMore
        /// The connection's own bytes begin at `consumed`.
        case header(ProxyHeader, consumed: Int)
    }

    /// Why the connection is closed without a word: what follows cannot be told from a header.
    enum Failure: Error, Hashable, Sendable, CaseIterable {
        /// Neither version's beginning, or not its grammar.
        case malformed
        /// A version of the binary form other than 2.
        case unsupportedVersion
        /// More bytes than the specification (version 1) or this server (version 2) allows.
        case tooLong
        /// The checksum that the header carries is not its own.
        case wrongChecksum
    }

    /// The longest line of version 1, CRLF included.
    static let maxLineBytes = 107
    /// The longest header of version 2: its largest addresses, a certificate's names, and room.
    static let maxBinaryBytes = 2048

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    private static let fixedBytes = 16

    /// Reads the header at the beginning of `bytes`; to be called again with more until it is whole.
    /// - Throws: as soon as the bytes cannot become a header, wherever they are cut.
    static func parse(_ bytes: Span<UInt8>) throws(Failure) -> Step {
        guard bytes.count > 0 else { return .needMore }
        return bytes[0] == UInt8(ascii: "P") ? try parseLine(bytes) : try parseBinary(bytes)
    }

    // MARK: Version 1

    private static func parseLine(_ bytes: Span<UInt8>) throws(Failure) -> Step {
        let prefix = Array("PROXY ".utf8)
        for index in 0..<min(bytes.count, prefix.count) where bytes[index] != prefix[index] {
            throw .malformed
        }
        var end = 0
        while end < bytes.count, bytes[end] != UInt8(ascii: "\r") {
            // The line ends in two bytes that have to fit too.
            guard end < maxLineBytes - 2 else { throw .tooLong }
            guard (0x20...0x7E).contains(bytes[end]) else { throw .malformed }
            end += 1
        }
        guard end + 1 < bytes.count else { return .needMore }
        guard bytes[end + 1] == UInt8(ascii: "\n") else { throw .malformed }
        let text = bytes.extracting(0..<end).string()
        return .header(try header(line: text), consumed: end + 2)
    }

    private static func header(line: String) throws(Failure) -> ProxyHeader {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        // What stands behind UNKNOWN is to be ignored.
        if words.count >= 2, words[1] == "UNKNOWN" { return ProxyHeader() }
        guard words.count == 6, let source = IPAddress(String(words[2])),
            let destination = IPAddress(String(words[3])), isPort(words[4]), isPort(words[5])
        else { throw .malformed }
        switch (words[1], source, destination) {
        case ("TCP4", .v4, .v4), ("TCP6", .v6, .v6): return ProxyHeader(source: source)
        default: throw .malformed
        }
    }

    /// 0 to 65535, without leading zeros.
    private static func isPort(_ text: Substring) -> Bool {
        guard (1...5).contains(text.utf8.count),
            text.utf8.first != UInt8(ascii: "0") || text == "0",
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text)
        else { return false }
        return number <= 65_535
    }

    // MARK: Version 2

    private static func parseBinary(_ bytes: Span<UInt8>) throws(Failure) -> Step {
        for index in 0..<min(bytes.count, signature.count) where bytes[index] != signature[index] {
            throw .malformed
        }
        if bytes.count > 12 {
            guard bytes[12] >> 4 == 2 else { throw .unsupportedVersion }
            guard bytes[12] & 15 <= 1 else { throw .malformed }
        }
        if bytes.count > 13 {
            guard bytes[13] >> 4 <= 3, bytes[13] & 15 <= 2 else { throw .malformed }
        }
        guard bytes.count >= fixedBytes else { return .needMore }
        let length = Int(bytes[14]) << 8 | Int(bytes[15])
        guard length <= maxBinaryBytes - fixedBytes else { throw .tooLong }
        let end = fixedBytes + length
        guard bytes.count >= end else { return .needMore }
        // LOCAL: the proxy's own connection; whatever the block says is to be discarded.
        guard bytes[12] & 15 == 1 else { return .header(ProxyHeader(), consumed: end) }
        return .header(try header(block: bytes.extracting(0..<end)), consumed: end)
    }

    private static func header(block: Span<UInt8>) throws(Failure) -> ProxyHeader {
        let addressBytes = [0, 12, 36, 216][Int(block[13] >> 4)]
        guard block.count >= fixedBytes + addressBytes else { throw .malformed }
        var header = ProxyHeader()
        switch block[13] {
        case 0x11:
            header.source = .v4(
                (16..<20).reduce(0) { $0 << 8 | UInt32(block[$1]) })
        case 0x21:
            header.source = .v6(
                high: (16..<24).reduce(0) { $0 << 8 | UInt64(block[$1]) },
                low: (24..<32).reduce(0) { $0 << 8 | UInt64(block[$1]) })
        default: break  // datagrams and Unix sockets: nobody we could name
        }
        try readValues(block, from: fixedBytes + addressBytes, into: &header)
        return header
    }

    /// The type-length-value triples behind the addresses.
    private static func readValues(
        _ block: Span<UInt8>, from start: Int, into header: inout ProxyHeader
    ) throws(Failure) {
        let (checksumType, securityType): (UInt8, UInt8) = (0x03, 0x20)
        var index = start
        while index < block.count {
            guard block.count - index >= 3 else { throw .malformed }
            let length = Int(block[index + 1]) << 8 | Int(block[index + 2])
            let value = index + 3
            guard block.count - value >= length else { throw .malformed }
            switch block[index] {
            case checksumType:
                guard length == 4 else { throw .malformed }
                let sent = (value..<value + 4).reduce(0 as UInt32) { $0 << 8 | UInt32(block[$1]) }
                guard checksum(block, without: value..<value + 4) == sent else {
                    throw .wrongChecksum
                }
            case securityType:
                // client(1) verify(4) …: bit 0 of the first says that the client spoke TLS.
                guard length >= 5 else { throw .malformed }
                header.isSecure = block[value] & 1 == 1
            default: break
            }
            index = value + length
        }
    }

    /// CRC-32C of the whole header, with the checksum's own bytes taken as zeros.
    private static func checksum(_ block: Span<UInt8>, without hole: Range<Int>) -> UInt32 {
        var state = ~0 as UInt32
        for index in 0..<block.count {
            state ^= hole.contains(index) ? 0 : UInt32(block[index])
            for _ in 0..<8 { state = state & 1 == 1 ? state >> 1 ^ 0x82F6_3B78 : state >> 1 }
        }
        return ~state
    }
}
