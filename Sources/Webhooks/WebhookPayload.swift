// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
package import Timing

/// The body of a webhook: `{"v":1,"type","timestamp","source","sequence","room"?,"data"}`. Made
/// once for an event and sent byte for byte the same at every attempt and to every endpoint, since the
/// signature covers the bytes.
package enum WebhookPayload {
    /// Past it the data is replaced by references, `"truncated":true` says so, and nothing is lost.
    package static let maxBytes = 256 << 10

    /// - Parameters:
    ///   - sequence: the event's number in the log of `source`: a receiver can order by it.
    ///   - data: one JSON object as text: the event as clients see it.
    package static func build(
        type: String, at: Timestamp, source: String, sequence: Int64, room: String?,
        data: Span<UInt8>
    ) -> [UInt8] {
        let full = envelope(type, at, source, sequence, room, data, isThin: false)
        if full.count <= maxBytes { return full }
        return envelope(type, at, source, sequence, room, Array("{}".utf8).span, isThin: true)
    }

    private static func envelope(
        _ type: String, _ at: Timestamp, _ source: String, _ sequence: Int64, _ room: String?,
        _ data: Span<UInt8>, isThin: Bool
    ) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(data.count + 192)
        body.append("{\"v\":1,\"type\":")
        JSONString.write(type, into: &body)
        body.append(",\"timestamp\":\"\(at.rfc3339)\",\"source\":")
        JSONString.write(source, into: &body)
        body.append(",\"sequence\":")
        body.append(decimal: sequence)
        if let room {
            body.append(",\"room\":")
            JSONString.write(room, into: &body)
        }
        if isThin { body.append(",\"truncated\":true") }
        body.append(",\"data\":")
        body.append(data)
        body.append("}")
        return body
    }
}
