// SPDX-License-Identifier: MIT
internal import Bytes

/// What the query of an Engine.IO request asks for.
package struct EngineQuery: Hashable, Sendable {
    /// `EIO`, as written; "4" is the one spoken here.
    package var protocolVersion: String?
    /// `transport`, when it is one of ours.
    package var transport: Transport?
    /// `sid`, a part of the text that was read unless it had to be decoded; nil also when it is empty,
    /// as in the reference.
    package var sid: Substring?
    /// Whether `transport` is there but none of ours, or there twice.
    package var hasUnknownTransport: Bool

    /// A query made by hand.
    package init(
        protocolVersion: String? = nil, transport: Transport? = nil, sid: Substring? = nil,
        hasUnknownTransport: Bool = false
    ) {
        self.protocolVersion = protocolVersion
        self.transport = transport
        self.sid = sid
        self.hasUnknownTransport = hasUnknownTransport
    }

    /// Reads what stands behind the `?` of a request's target. Parameters that are not ours are skipped,
    /// also `t`, the cache buster; where one of ours is repeated the first one counts, except for
    /// `transport`. Never fails: what is wrong is for `EngineRefusal.first` to say.
    package static func parse(_ text: String) -> EngineQuery {
        var query = EngineQuery()
        var text = text
        let place = text.withUTF8 { query.read(Span(_unsafeElements: $0)) }
        guard let place else { return query }
        let start = text.utf8.index(text.startIndex, offsetBy: place.lowerBound)
        let end = text.utf8.index(start, offsetBy: place.count)
        query.sid = text[start..<end]
        return query
    }

    /// Reads all parameters. `sid` is kept only where it has to be decoded; elsewhere it is said where
    /// in `bytes` it stands.
    private mutating func read(_ bytes: Span<UInt8>) -> Range<Int>? {
        var plain: Range<Int>?
        var hasTransport = false
        var hasSID = false
        var start = 0
        while start < bytes.count {
            let end = EngineQuery.first(UInt8(ascii: "&"), in: bytes, from: start)
            let pair = bytes.extracting(start..<end)
            start = end + 1
            let equals = EngineQuery.first(UInt8(ascii: "="), in: pair, from: 0)
            let name = pair.extracting(0..<equals)
            let value = pair.extracting(min(equals + 1, pair.count)..<pair.count)
            if name.equals("EIO") {
                protocolVersion = protocolVersion ?? PercentEncoding.decode(value)
            } else if name.equals("sid") {
                guard !hasSID, !value.isEmpty else { continue }
                hasSID = true
                if EngineQuery.first(UInt8(ascii: "%"), in: value, from: 0) < value.count {
                    sid = Substring(PercentEncoding.decode(value))
                } else {
                    plain = end - value.count..<end
                }
            } else if name.equals("transport") {
                transport = hasTransport ? nil : Transport(rawValue: PercentEncoding.decode(value))
                hasUnknownTransport = transport == nil
                hasTransport = true
            }
        }
        return plain
    }

    /// The offset of the first such byte, or the end's.
    private static func first(_ byte: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != byte { index += 1 }
        return index
    }
}
