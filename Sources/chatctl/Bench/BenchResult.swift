// SPDX-License-Identifier: MIT

/// What one load run measured. Raw figures; ratios are the report's.
struct BenchResult: Sendable {
    /// Load messages sent, stored and refused.
    var sent = 0
    var acked = 0
    var refused = 0
    /// The first refusal as it came.
    var firstRefusal = ""
    /// Load messages received, over all clients, and their bytes with frame headers.
    var deliveries = 0
    var deliveredBytes = 0
    /// Room events that a member never got, got twice or got late, over all clients and rooms.
    var lost = 0
    var duplicated = 0
    var reordered = 0
    /// Events that were missing already when the run began.
    var setupLost = 0
    /// From the scheduled time to the receiver's hand.
    var latency = LatencyHistogram()
    /// From the scheduled time to the sender's answer.
    var ackLatency = LatencyHistogram()
    /// From the first message's time to the last delivery.
    var lastDelivery = Duration.zero
    var elapsed = Duration.zero
    /// For all clients, from the first connect to the last `session`.
    var connectTime = Duration.zero
    var serverUsage: ProcessUsage?
    var ownUsage = ProcessUsage()
    /// The server's resident bytes before the first client, before the run, after it.
    var residentIdle = 0
    var residentReady = 0
    var residentEnd = 0
}

/// What the floors of the same run cost.
struct BenchFloors: Sendable {
    /// The same bytes to the same number of sockets, one send a message and socket.
    var perMessage: SocketFloor.Figures?
    /// The same bytes with all that falls into 20 ms sent at once; nil where that is one message.
    var coalesced: SocketFloor.Figures?
    /// SQLite alone, by rows a commit.
    var store: [StoreFloor.Figures] = []
}
