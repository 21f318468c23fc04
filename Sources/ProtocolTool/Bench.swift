// SPDX-License-Identifier: MIT
internal import Bytes
internal import CMeasure
internal import EngineIO
internal import HTTP1
internal import JSON
internal import SocketIO
internal import Timing
internal import WebSocket

/// One thing that a layer does with one frame or packet, in steady state.
struct BenchCase {
    let name: String
    /// Bytes read, or the body's where something is written; 0 where there are none.
    let bytes: Int
    /// Does it once and gives a number that depends on what was done.
    let body: () -> Int
}

/// What the layers cost: time, instructions and heap allocations of one frame or packet.
enum Bench {
    /// Prints name, bytes, nanoseconds and allocations of each case. Of seven runs the fastest counts,
    /// since whatever else the machine does only adds.
    static func run() {
        for one in cases {
            var rounds = 64
            warmUp(one)
            while time(rounds, one.body).nanoseconds < 5_000_000 { rounds *= 2 }
            var best = Int64.max
            for _ in 0..<7 { best = min(best, time(rounds, one.body).nanoseconds) }
            print(
                one.name, one.bytes, tenths(best, rounds), tenths(allocations(one, rounds), rounds),
                separator: "\t")
        }
    }

    /// Runs one case that many times and nothing else, for a simulator that counts instructions: what
    /// twice as many cost more is exactly what they cost.
    static func rounds(_ name: String, _ rounds: Int) -> Bool {
        guard let one = cases.first(where: { $0.name == name }) else { return false }
        warmUp(one)
        _ = time(rounds, one.body)
        return true
    }

    /// Heap allocations of the calling thread in so many rounds of a case that is warm.
    static func allocations(_ one: BenchCase, _ rounds: Int) -> Int64 {
        var sink = 0
        let before = cmeasure_allocations()
        for _ in 0..<rounds { sink &+= one.body() }
        let after = cmeasure_allocations()
        precondition(sink != 1, "what was done counts")
        return Int64(after - before)
    }

    /// Grows buffers to what they will be.
    static func warmUp(_ one: BenchCase) { _ = allocations(one, 20) }

    private static func time(_ rounds: Int, _ body: () -> Int) -> Duration {
        var sink = 0
        let start = SystemClock.now()
        for _ in 0..<rounds { sink &+= body() }
        let time = SystemClock.now() - start
        precondition(sink != 1, "what was done counts")
        return time
    }

    private static func tenths(_ total: Int64, _ rounds: Int) -> String {
        let value = (total * 10 + Int64(rounds) / 2) / Int64(rounds)
        return "\(value / 10).\(value % 10)"
    }
}
