// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// Tells the other processes what was committed: `{"instance","epoch","first","last","entries":[…]}`
/// with the entries as in `LogEntry.logJSON`, left out when they pass 64 KiB (the reader then pulls them).
package final class LogAnnouncer: Sendable {
    /// Above this the entries stay out: Redis copies each payload to each subscriber.
    package static let maxEntriesBytes = 65_536

    private let bus: any Bus
    private let instance: String
    private let epoch: String

    /// - Parameters:
    ///   - instance: this process's name, by which it knows its own announcements again.
    ///   - epoch: which history the log's numbers belong to.
    package init(bus: any Bus, instance: String, epoch: String) {
        self.bus = bus
        self.instance = instance
        self.epoch = epoch
    }

    /// Announces entries of this process, in order, after their commit, if anybody may hear it. Does not
    /// block.
    package func announce(_ entries: [LogEntry]) {
        guard bus.reachesOthers,
            let payload = LogAnnouncement.payload(of: entries, instance: instance, epoch: epoch)
        else { return }
        bus.publish(BusChannel.chatLog, payload)
    }
}

/// What an announcement says without its entries.
package struct LogAnnouncement: Hashable, Sendable {
    /// The process that committed.
    package var instance: String
    /// Which history the numbers belong to; nil where the log has but one.
    package var epoch: String?
    /// The first and last `seq` committed; others may lie between.
    package var first: Int64
    package var last: Int64

    /// Reads an announcement; nil when it is not one.
    package init?(_ payload: [UInt8]) {
        guard let slices = try? JSONObjectSlices(payload.span, in: 0..<payload.count),
            let instance = slices.string("instance", in: payload.span),
            let first = slices.count("first", in: payload.span),
            let last = slices.count("last", in: payload.span), first <= last
        else { return nil }
        self.instance = instance
        epoch = slices.string("epoch", in: payload.span)
        self.first = Int64(first)
        self.last = Int64(last)
    }

    /// The payload for entries in order; nil when there are none.
    package static func payload(
        of entries: [LogEntry], instance: String, epoch: String
    ) -> [UInt8]? {
        guard let first = entries.first, let last = entries.last else { return nil }
        var output: [UInt8] = []
        output.append("{\"instance\":")
        JSONString.write(instance, into: &output)
        output.append(",\"epoch\":")
        JSONString.write(epoch, into: &output)
        output.append(",\"first\":\(first.seq),\"last\":\(last.seq)")
        let short = output.count
        output.append(",\"entries\":[")
        for (index, entry) in entries.enumerated() {
            if index > 0 { output.append(",") }
            entry.writeLogJSON(into: &output)
            if output.count - short > LogAnnouncer.maxEntriesBytes {
                output.removeSubrange(short...)
                output.append("}")
                return output
            }
        }
        output.append("]}")
        return output
    }
}
