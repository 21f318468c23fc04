// SPDX-License-Identifier: MIT
internal import Glibc

/// Every way to cut bytes in two, and the cut after every byte.
package func everyCut(_ bytes: [UInt8]) -> [[[UInt8]]] {
    (0...bytes.count).map { [Array(bytes[..<$0]), Array(bytes[$0...])] } + [bytes.map { [$0] }]
}

/// Where a decoder loses its place: what it makes of `bytes` cut in two everywhere, in single bytes, and
/// glued behind and before a neighbour has to be what it makes of them whole.
///
/// - Parameters:
///   - before: a sound message that is glued in front, nil where `bytes` begin a connection.
///   - behind: a sound message that is glued to the end, nil where `bytes` end one or are refused.
///   - read: feeds the pieces as a connection would.
/// - Returns: the runs that went otherwise, in words; empty for a decoder that keeps its place.
package func misreadings<Seen: Equatable>(
    of bytes: [UInt8], before: [UInt8]? = nil, behind: [UInt8]? = nil,
    _ read: ([[UInt8]]) -> [Seen]
) -> [String] {
    let whole = read([bytes])
    var found: [String] = []
    for pieces in everyCut(bytes) {
        let seen = read(pieces)
        if seen != whole {
            let cut = pieces.count == 2 ? "cut at \(pieces[0].count)" : "in single bytes"
            found.append("\(cut): \(seen), whole: \(whole)")
        }
    }
    for (name, glued, wanted) in [
        ("behind a neighbour", before.map { $0 + bytes }, before.map { read([$0]) + whole }),
        ("before a neighbour", behind.map { bytes + $0 }, behind.map { whole + read([$0]) }),
    ] {
        guard let glued, let wanted else { continue }
        let seen = read([glued])
        if seen != wanted { found.append("\(name): \(seen), apart: \(wanted)") }
    }
    return found
}

extension RawClient {
    /// What a server answers, to the end of the connection, to bytes that it gets in pieces: each in a
    /// segment of its own, as far as that can be had.
    package static func answer(to pieces: [[UInt8]], port: Int) -> [UInt8] {
        let client = RawClient(port: port)
        var on: Int32 = 1
        setsockopt(
            client.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on,
            socklen_t(MemoryLayout<Int32>.size))
        for (index, piece) in pieces.enumerated() {
            // Long enough for a loop to turn; single bytes need no wait to arrive in all sorts of ways.
            if index > 0, pieces.count == 2 { usleep(300) }
            client.send(piece)
        }
        var answer: [UInt8] = []
        while true {
            let more = client.read()
            if more.isEmpty { return answer }
            answer += more
        }
    }
}
