// SPDX-License-Identifier: MIT

/// What one stretch of load measured. Raw figures; ratios are the report's.
struct BenchResult: Sendable {
    /// Load messages sent, stored and refused.
    var sent = 0
    var acked = 0
    var refused = 0
    /// Load messages answered at all, whenever.
    var answered = 0
    /// The first refusal as it came.
    var firstRefusal = ""
    /// Load messages received, over all clients, and their bytes with frame headers.
    var deliveries = 0
    var deliveredBytes = 0
    /// Reads that brought deliveries: deliveries a read are the messages that a client got at once.
    var reads = 0
    /// Room events that a member never got, got twice or got late, over all clients and rooms, since
    /// they connected.
    var lost = 0
    var duplicated = 0
    var reordered = 0
    /// From the scheduled time to the receiver's hand.
    var latency = LatencyHistogram()
    /// From the scheduled time to the sender's answer; from the sending where the loop is closed.
    var ackLatency = LatencyHistogram()
    /// From the first message's time to the last delivery.
    var elapsed = Duration.zero
    /// For all clients, from the first connect to the last `session`.
    var connectTime = Duration.zero
    var serverUsage: ProcessUsage?
    var ownUsage = ProcessUsage()
    /// CPU seconds of the load generator's busiest thread.
    var busiestThread = 0.0
    /// The server's resident bytes before the first client, before the run, after it.
    var residentIdle = 0
    var residentReady = 0
    var residentEnd = 0

    /// Adds what another thread saw of the same stretch.
    mutating func merge(part: BenchResult) {
        addCounts(part)
        duplicated += part.duplicated
        reordered += part.reordered
        lost += part.lost
        elapsed = max(elapsed, part.elapsed)
        busiestThread = max(busiestThread, part.busiestThread)
    }

    /// Adds the next stretch of the same clients; what is counted since they connected is the later's.
    mutating func append(_ later: BenchResult) {
        addCounts(later)
        lost = later.lost
        duplicated = later.duplicated
        reordered = later.reordered
        elapsed += later.elapsed
        busiestThread += later.busiestThread
        ownUsage = ownUsage + later.ownUsage
        if let usage = later.serverUsage { serverUsage = (serverUsage ?? ProcessUsage()) + usage }
        residentEnd = later.residentEnd
    }

    private mutating func addCounts(_ other: BenchResult) {
        sent += other.sent
        acked += other.acked
        refused += other.refused
        answered += other.answered
        if firstRefusal.isEmpty { firstRefusal = other.firstRefusal }
        deliveries += other.deliveries
        deliveredBytes += other.deliveredBytes
        reads += other.reads
        latency.merge(other.latency)
        ackLatency.merge(other.ackLatency)
    }
}

extension BenchResult {
    var deliveriesPerSecond: Double {
        elapsed > .zero ? Double(deliveries) / BenchFormat.seconds(elapsed) : 0
    }

    /// Bytes of a delivery with its frame header, on average.
    var deliveryBytes: Int { deliveries > 0 ? deliveredBytes / deliveries : 0 }

    /// How many members a message went to, on average.
    var fanout: Int { acked > 0 ? deliveries / acked : 0 }

    /// Deliveries that a client got with one read, on average: nearly what the server sent at once.
    var batch: Double { reads > 0 ? Double(deliveries) / Double(reads) : 0 }

    /// The server's CPU seconds a delivery; nil when its process is not known.
    var cpuPerDelivery: Double? {
        guard let usage = serverUsage, deliveries > 0 else { return nil }
        return usage.total / Double(deliveries)
    }

    /// The event loops' CPU seconds a delivery: what grows with the receivers.
    var loopCPUPerDelivery: Double? {
        guard let usage = serverUsage, deliveries > 0, !usage.loops.isEmpty else { return nil }
        return usage.loopTotal / Double(deliveries)
    }

    /// The other threads' CPU seconds a message: what it costs to keep one.
    var restCPUPerMessage: Double? {
        guard let usage = serverUsage, acked > 0, !usage.loops.isEmpty else { return nil }
        return (usage.total - usage.loopTotal) / Double(acked)
    }

    /// Whether every client got every event of its rooms once and in order, and every message sent
    /// was stored.
    var isFaultless: Bool { isLossless && acked == sent }

    /// The same where `acked` counts those of a part of the time.
    var isLossless: Bool {
        lost == 0 && duplicated == 0 && reordered == 0 && refused == 0 && answered == sent
    }
}

extension BenchResult {
    /// What is wrong with several stretches together, for people.
    static func verdict(_ results: [BenchResult], isFaultless: Bool) -> String {
        guard !isFaultless else { return "every message once, in order" }
        func sum(_ count: (BenchResult) -> Int) -> Int { results.map(count).reduce(0, +) }
        let faults = [
            (sum(\.lost), "lost"), (sum(\.duplicated), "twice"),
            (sum(\.reordered), "out of order"), (sum(\.refused), "refused"),
            (sum { $0.sent - $0.answered }, "unanswered"),
        ].filter { $0.0 != 0 }.map { "\($0.0) \($0.1)" }
        return "NOT faultless"
            + (faults.isEmpty ? "" : ": " + faults.joined(separator: ", "))
    }
}

/// What the floors of the same run cost.
struct BenchFloors: Sendable {
    /// The same bytes to the same number of sockets, one send a message and socket.
    var perMessage: SocketFloor.Figures?
    /// The same bytes with all that falls into a window sent at once; nil where that is one message.
    var coalesced: SocketFloor.Figures?
    /// The window of `coalesced`: what the server's own sends came to.
    var window = Duration.zero
    /// SQLite alone, by rows a commit.
    var store: [StoreFloor.Figures] = []
    /// The server's CPU a delivery over the floor's, of each pair of runs.
    var perMessageRatios: [Double] = []
    var coalescedRatios: [Double] = []
}
