// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON
internal import Timing

/// Clients that are only there: what each costs in memory, and what their heartbeats cost.
struct IdleScenario: BenchScenario {
    /// Handshakes under way at once: this is no storm.
    private static let atOnce = 256

    let options: BenchOptions

    init(_ options: BenchOptions) { self.options = options }

    func run(in lab: BenchLab) throws -> ScenarioReport {
        let target = try lab.target()
        let count = options.plan.clients
        let generator = try lab.generator(options.plan, on: target)
        defer { generator.close() }
        SystemClock.sleep(.seconds(1))
        guard let empty = target.memory else {
            throw Suite.Failure("the server's process cannot be read")
        }
        let kernelBefore = KernelSockets.now()
        let connects = try generator.connect(0..<count, atOnce: IdleScenario.atOnce)
        try generator.settle()
        try generator.settlePresence()

        let full = target.memory ?? empty
        let kernel = KernelSockets.now()
        let pings = generator.status.pings
        let before = target.usage ?? ProcessUsage()
        let start = SystemClock.now()
        SystemClock.sleep(.seconds(options.plan.seconds))
        let usage = (target.usage ?? before) - before
        let elapsed = SystemClock.now() - start
        let status = generator.status
        let later = target.memory ?? full
        if let failure = status.failure { throw Suite.Failure(failure) }

        let anonymous = (full.anonymous - empty.anonymous) / count
        let resident = (full.resident - empty.resident) / count
        // Both ends are on this machine.
        let slab = kernel.slabBytes.flatMap { now in
            kernelBefore.slabBytes.map { (now - $0) / count / 2 }
        }
        let answered = status.pings - pings
        let share = usage.total / BenchFormat.seconds(elapsed)
        let rows = [
            ("scenario", "\(count) clients in the lobby, saying nothing"),
            (
                "connected in",
                "\(BenchFormat.fixed(BenchFormat.seconds(connects), 2)) s "
                    + "(\(Int(Double(count) / BenchFormat.seconds(connects)))/s, first visits)"
            ),
            (
                "server memory",
                "\(BenchFormat.mebi(empty.resident)) empty (\(BenchFormat.mebi(empty.anonymous)) "
                    + "anonymous), \(BenchFormat.mebi(full.resident)) "
                    + "(\(BenchFormat.mebi(full.anonymous))) connected, "
                    + "\(BenchFormat.mebi(later.resident)) "
                    + "(\(BenchFormat.mebi(later.anonymous))) at the end"
            ),
            ("a connection", "\(resident) B resident, \(anonymous) B of it anonymous"),
            (
                "kernel, a connection's end",
                (slab.map { "\($0) B of sockets and files" } ?? "– (/proc/slabinfo needs root)")
                    + ", \(BenchFormat.mebi(kernel.bufferBytes)) of buffers in all"
            ),
            (
                "heartbeats",
                "\(answered) in \(BenchFormat.fixed(BenchFormat.seconds(elapsed), 1)) s; server "
                    + "\(BenchFormat.share(usage.total, of: elapsed)), "
                    + "\(BenchFormat.micro(usage.total / Double(max(1, answered)))) each"
            ),
            ("still connected", "\(status.ready)"),
        ]
        return ScenarioReport(
            table: BenchFormat.table(rows),
            json: [
                "clients": .int(Int64(count)),
                "connectSeconds": .double(BenchFormat.seconds(connects)),
                "residentBytesPerConnection": .int(Int64(resident)),
                "anonymousBytesPerConnection": .int(Int64(anonymous)),
                "kernelBytesPerEnd": slab.map { .int(Int64($0)) } ?? .null,
                "heartbeats": .int(Int64(answered)),
                "heartbeatSeconds": .double(BenchFormat.seconds(elapsed)),
                "heartbeatCpuShare": .double(share),
            ], isFaultless: status.ready == count)
    }
}
