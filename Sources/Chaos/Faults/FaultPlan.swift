// SPDX-License-Identifier: MIT
internal import TestSupport

/// One thing that goes wrong, and for how long.
struct Fault: Hashable, Sendable {
    /// Raw values are what `--kinds` takes.
    enum Kind: String, Hashable, Sendable, CaseIterable {
        /// SIGKILL to one instance; started again later.
        case kill
        /// SIGKILL to both instances at once.
        case killBoth = "kill-both"
        /// SIGSTOP, later SIGCONT.
        case pause
        /// SIGTERM: the instance has to drain and exit 0; started again later.
        case drain
        /// Redis is killed and comes back empty.
        case redisRestart = "redis-restart"
        /// SIGSTOP to Redis.
        case redisPause = "redis-pause"
        /// CLIENT KILL of all subscribers and publishers.
        case redisLinks = "redis-links"
        /// A `client-output-buffer-limit` that the next big announcement passes.
        case redisBuffers = "redis-buffers"
        /// Connections of clients are reset.
        case cut
        /// Connections of clients go half-open: neither side hears that the other has gone.
        case freeze
        /// Everything between clients and server arrives late.
        case delay
        /// Clients stop reading, while much is sent.
        case stall
        /// New connections reach the server twice.
        case double
        /// The disk under the chat database is full.
        case diskFull = "disk-full"
        /// Nothing of the chat database can be written.
        case readOnly = "read-only"
        /// The wall clock of one instance jumps, later back.
        case clock
        /// AuthService is killed.
        case authDown = "auth-down"
    }

    var kind: Kind
    /// Which instance, where one is meant.
    var instance = 0
    /// Milliseconds until it is undone.
    var lasts: Int64 = 0
    /// Which part of the clients, where some are meant.
    var fraction = 0.0
    /// Milliseconds of delay, or seconds of a clock's jump.
    var amount: Int64 = 0
}

/// What goes wrong when, all of it decided by a seed before the run begins.
struct FaultPlan: Hashable, Sendable {
    struct Item: Hashable, Sendable {
        /// Milliseconds after the start of the run.
        var at: Int64
        var fault: Fault
    }

    var items: [Item]

    /// What no two faults may touch at the same time.
    private enum Resource: Hashable { case instance(Int), redis, disk, auth, clock(Int), network }

    /// - Parameters:
    ///   - milliseconds: the length of the run; the last fault begins before its end.
    ///   - count: how many faults.
    ///   - kinds: which; each comes once before any comes twice as often as chance would have it.
    static func make(
        seed: UInt64, milliseconds: Int64, count: Int, kinds: [Fault.Kind]
    ) -> FaultPlan {
        guard !kinds.isEmpty, count > 0 else { return FaultPlan(items: []) }
        var generator = SeededGenerator(seed: seed)
        var busyUntil: [Resource: Int64] = [:]
        var items: [Item] = []
        // Every kind comes up before any is drawn at random.
        var order = kinds.shuffled(using: &generator)
        for number in 0..<count {
            let slot = milliseconds * Int64(number) / Int64(count)
            let at = slot + Int64.random(in: 0...(milliseconds / Int64(count)), using: &generator)
            var drawn: Fault?
            for _ in 0..<20 where drawn == nil {
                let kind = order.popLast() ?? kinds.randomElement(using: &generator)!
                let fault = make(kind, &generator)
                if resources(fault).allSatisfy({ busyUntil[$0, default: 0] <= at }) {
                    drawn = fault
                } else if !items.contains(where: { $0.fault.kind == kind }) {
                    order.insert(kind, at: 0)
                }
            }
            // Everything else is at work already: a cut is always possible.
            let fault =
                drawn
                ?? Fault(kind: .cut, fraction: Double.random(in: 0.05...0.3, using: &generator))
            for resource in resources(fault) {
                // Half a second to come back to life before the next blow.
                busyUntil[resource] = at + fault.lasts + 500
            }
            items.append(Item(at: at, fault: fault))
        }
        return FaultPlan(items: items)
    }

    private static func make(_ kind: Fault.Kind, _ generator: inout SeededGenerator) -> Fault {
        func number(_ range: ClosedRange<Int64>) -> Int64 {
            Int64.random(in: range, using: &generator)
        }
        var fault = Fault(kind: kind)
        switch kind {
        case .kill, .drain:
            fault.instance = Int(number(0...1))
            fault.lasts = number(200...3000)
        case .killBoth: fault.lasts = number(200...2000)
        case .pause:
            fault.instance = Int(number(0...1))
            fault.lasts = number(300...5000)
        case .redisRestart: fault.lasts = number(200...4000)
        case .redisPause: fault.lasts = number(300...4000)
        case .redisLinks: fault.lasts = 0
        case .redisBuffers: fault.lasts = number(500...3000)
        case .cut: fault.fraction = Double(number(5...60)) / 100
        case .freeze:
            fault.fraction = Double(number(5...30)) / 100
            fault.lasts = number(1000...8000)
        case .delay:
            fault.amount = number(20...400)
            fault.lasts = number(1000...4000)
        case .stall:
            fault.fraction = Double(number(5...20)) / 100
            fault.lasts = number(2000...5000)
        case .double: fault.lasts = number(1000...4000)
        case .diskFull, .readOnly: fault.lasts = number(1000...4000)
        case .clock:
            fault.instance = Int(number(0...1))
            fault.lasts = number(1000...6000)
            let size = [2, 90, 7200, 100_000].randomElement(using: &generator)!
            fault.amount = number(0...1) == 0 ? -Int64(size) : Int64(size)
        case .authDown: fault.lasts = number(500...4000)
        }
        return fault
    }

    private static func resources(_ fault: Fault) -> [Resource] {
        switch fault.kind {
        // An instance whose clock is wrong, or that cannot open its database, is not to be started
        // then: that is another test.
        case .kill, .drain: [.instance(fault.instance), .clock(fault.instance), .disk]
        case .pause: [.instance(fault.instance)]
        case .killBoth: [.instance(0), .instance(1), .clock(0), .clock(1), .disk]
        case .redisRestart, .redisPause, .redisLinks, .redisBuffers: [.redis]
        case .cut, .freeze: []
        case .delay, .stall, .double: [.network]
        case .diskFull, .readOnly: [.disk]
        case .clock: [.clock(fault.instance)]
        case .authDown: [.auth]
        }
    }
}
