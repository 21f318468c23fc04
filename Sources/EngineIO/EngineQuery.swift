// SPDX-License-Identifier: MIT
internal import Bytes

/// What the query of an Engine.IO request asks for.
package struct EngineQuery: Hashable, Sendable {
    /// `EIO`, as written; "4" is the one spoken here.
    package var protocolVersion: String?
    /// `transport`, when it is one of ours.
    package var transport: Transport?
    /// `sid`; nil also when it is empty, as in the reference.
    package var sid: String?
    /// Whether `transport` is there but none of ours, or there twice.
    package var hasUnknownTransport: Bool

    /// A query made by hand.
    package init(
        protocolVersion: String? = nil, transport: Transport? = nil, sid: String? = nil,
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
        var hasTransport = false
        var text = text
        text.withUTF8 { buffer in
            let bytes = Span(_unsafeElements: buffer)
            var start = 0
            while start < bytes.count {
                let end = first(UInt8(ascii: "&"), in: bytes, from: start)
                let pair = bytes.extracting(start..<end)
                start = end + 1
                let equals = first(UInt8(ascii: "="), in: pair, from: 0)
                let name = pair.extracting(0..<equals)
                let value = pair.extracting(min(equals + 1, pair.count)..<pair.count)
                if name.equals("EIO") {
                    query.protocolVersion = query.protocolVersion ?? PercentEncoding.decode(value)
                } else if name.equals("sid") {
                    query.sid = query.sid ?? (value.isEmpty ? nil : PercentEncoding.decode(value))
                } else if name.equals("transport") {
                    query.transport =
                        hasTransport ? nil : Transport(rawValue: PercentEncoding.decode(value))
                    query.hasUnknownTransport = query.transport == nil
                    hasTransport = true
                }
            }
        }
        return query
    }

    /// The offset of the first such byte, or the end's.
    private static func first(_ byte: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != byte { index += 1 }
        return index
    }
}
