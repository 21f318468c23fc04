// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import JSON
internal import Timing

/// The first event a client gets: everything an application needs to draw its first screen.
enum SessionEvent {
    /// Appends the event's argument.
    /// - Parameters:
    ///   - epoch: the part of the epoch's name that cursors carry.
    ///   - isRecovered: whether everything after the place the client named has been sent.
    ///   - presence: the page of presence every client starts from, encoded once a tick.
    static func write(
        _ snapshot: SessionSnapshot, epoch: String, isRecovered: Bool, expiresAt: Timestamp?,
        presence: [UInt8], limits: Limits, into output: inout [UInt8]
    ) {
        output.append("{\"user\":")
        snapshot.user.writeJSON(into: &output)
        if let expiresAt { output.append(",\"expiresAt\":\"\(expiresAt.rfc3339)\"") }
        output.append(",\"serverTime\":\"\(SystemClock.timestamp().rfc3339)\",\"seq\":")
        output.append(decimal: snapshot.seq)
        output.append(",\"epoch\":\"\(epoch)\",\"recovered\":\(isRecovered)")
        output.append(",\"rooms\":[")
        for (index, room) in snapshot.rooms.enumerated() {
            if index > 0 { output.append(",") }
            room.writeJSON(into: &output)
        }
        output.append("],\"presence\":")
        output.append(contentsOf: presence)
        output.append(",\"limits\":")
        output.append(contentsOf: limits.json.bytes)
        output.append("}")
    }
}

extension Limits {
    /// What a client must know to stay inside.
    var json: JSONValue {
        [
            "messageBytes": .int(Int64(messageBytes)), "historyPage": .int(Int64(historyPage)),
            "messagesPerSecond": .int(Int64(messagesPerSecond)),
            "roomsPerUser": .int(Int64(roomsPerUser)),
        ]
    }
}
