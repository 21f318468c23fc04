// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor
internal import Locks
internal import Synchronization
internal import TestSupport
internal import Timing

/// Carries out a plan of faults against a cluster, on the calling thread.
final class Injector: Sendable {
    private struct Act: Sendable {
        var at: Int64
        var fault: Fault
        var isEnd: Bool
    }

    private let cluster: Cluster
    private let mailbox: Mailbox
    private let isVerbose: Bool
    private let counts = Locked<[Fault.Kind: Int]>([:])

    init(cluster: Cluster, mailbox: Mailbox, isVerbose: Bool) {
        self.cluster = cluster
        self.mailbox = mailbox
        self.isVerbose = isVerbose
    }

    /// How many faults of each kind have been done.
    var done: [Fault.Kind: Int] { counts.withLock { $0 } }

    /// Kinds that this machine can do.
    static func possibleKinds(_ cluster: Cluster) -> [Fault.Kind] {
        Fault.Kind.allCases.filter { kind in
            switch kind {
            case .diskFull: cluster.hasOwnDisk
            case .readOnly: cluster.canBeReadOnly
            case .clock: cluster.hasFakeClock
            case .redisRestart, .redisPause, .redisLinks, .redisBuffers: cluster.redis != nil
            default: true
            }
        }
    }

    /// Does everything at its time, undoes it at its time, and returns when all is well again.
    func run(_ plan: FaultPlan, milliseconds: Int64) throws {
        let started = SystemClock.now()
        var acts: [Act] = []
        for item in plan.items {
            acts.append(Act(at: item.at, fault: item.fault, isEnd: false))
            acts.append(Act(at: item.at + item.fault.lasts, fault: item.fault, isEnd: true))
        }
        // A fault without length ends right behind its beginning.
        acts.sort { ($0.at, $0.isEnd ? 1 : 0) < ($1.at, $1.isEnd ? 1 : 0) }
        for act in acts {
            try wait(until: started + .milliseconds(act.at))
            try perform(act)
        }
        try wait(until: started + .milliseconds(milliseconds))
    }

    private func wait(until moment: Instant) throws {
        while true {
            let left = moment - SystemClock.now()
            if left <= .zero { return }
            SystemClock.sleep(min(left, .milliseconds(100)))
            if !isDiskFull.load(ordering: .relaxed) { try cluster.supervise() }
        }
    }

    private let isDiskFull = Atomic(false)

    private func perform(_ act: Act) throws {
        let fault = act.fault
        if !act.isEnd {
            counts.withLock { $0[fault.kind, default: 0] += 1 }
            if isVerbose { say("  \(act.at) ms: \(fault.kind.rawValue) \(fault)") }
        }
        switch (fault.kind, act.isEnd) {
        case (.kill, false): cluster.killChat(fault.instance)
        case (.kill, true): try cluster.startChat(fault.instance)
        case (.killBoth, false): for instance in [0, 1] { cluster.killChat(instance) }
        case (.killBoth, true): for instance in [0, 1] { try cluster.startChat(instance) }
        case (.pause, false): cluster.signalChat(fault.instance, SIGSTOP)
        case (.pause, true): cluster.signalChat(fault.instance, SIGCONT)
        case (.drain, false): cluster.drainChat(fault.instance)
        case (.drain, true):
            cluster.waitForDrain(fault.instance)
            try cluster.startChat(fault.instance)
        case (.redisRestart, false): cluster.redis?.stop()
        case (.redisRestart, true): try cluster.redis?.start()
        case (.redisPause, let isEnd):
            if let pid = cluster.redis?.pid { kill(pid, isEnd ? SIGCONT : SIGSTOP) }
        case (.redisLinks, false):
            for type in ["pubsub", "normal"] {
                _ = try? cluster.redis?.command(["CLIENT", "KILL", "TYPE", type])
            }
        case (.redisBuffers, let isEnd):
            let limit = isEnd ? "pubsub 33554432 8388608 60" : "pubsub 2048 1024 1"
            _ = try? cluster.redis?.command(
                ["CONFIG", "SET", "client-output-buffer-limit", limit])
        case (.diskFull, let isEnd):
            isDiskFull.store(!isEnd, ordering: .relaxed)
            if isEnd { cluster.freeDisk() } else { cluster.fillDisk() }
        case (.readOnly, let isEnd): cluster.setReadOnly(!isEnd)
        case (.clock, let isEnd):
            try cluster.setClock(fault.instance, offsetSeconds: isEnd ? 0 : fault.amount)
        case (.authDown, false): cluster.killAuth()
        case (.authDown, true): try cluster.startAuth()
        case (.cut, _), (.freeze, _), (.delay, _), (.stall, _), (.double, _):
            mailbox.post { Workload.of($0)?.population.apply(fault, isOver: act.isEnd) }
        case (.redisLinks, true): break
        }
    }
}
