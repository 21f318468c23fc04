// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import SocketIOServer

extension Publication {
    /// An event of the log. Its commit number is its place and, with the suffix, the recovery offset
    /// (`LogCursor`).
    convenience init(_ entry: LogEntry, offsetSuffix: [UInt8]) {
        var event: [UInt8] = []
        event.reserveCapacity(entry.payload.count + 256)
        entry.writeEvent(into: &event)
        self.init(
            event: entry.eventName, argument: event, order: entry.seq,
            offsetSuffix: offsetSuffix)
    }

    /// An event outside the log: typing, presence, alerts. Its argument is an object, never a string,
    /// so that no client takes it for an offset.
    convenience init(_ event: LiveEvent) {
        self.init(event: event.event, argument: event.argument)
    }
}
