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
        for pair in text.utf8.split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let name = pair[..<equals]
            let value = pair[equals...].dropFirst()
            if name.elementsEqual("EIO".utf8) {
                query.protocolVersion = query.protocolVersion ?? PercentEncoding.decode(value)
            } else if name.elementsEqual("sid".utf8) {
                query.sid = query.sid ?? (value.isEmpty ? nil : PercentEncoding.decode(value))
            } else if name.elementsEqual("transport".utf8) {
                query.transport =
                    hasTransport ? nil : Transport(rawValue: PercentEncoding.decode(value))
                query.hasUnknownTransport = query.transport == nil
                hasTransport = true
            }
        }
        return query
    }
}
