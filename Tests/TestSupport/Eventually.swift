// SPDX-License-Identifier: MIT
internal import Glibc
internal import Timing

/// How many times longer things may take in this build than in a plain one: a sanitizer looks at
/// each access to memory. Waits for something to happen are multiplied by it, so that they end in
/// time where it does not happen, and not before where it does.
package var patience: Int {
    #if SANITIZED
        10
    #else
        1
    #endif
}

/// Waits until `condition` holds, looking each 5 ms, for at most `timeout` of the monotonic clock. For
/// what other threads and processes do; a pure test never needs it.
/// - Returns: whether it held in time, so that the caller can expect it: `#expect(eventually { … })`.
package func eventually(
    within timeout: Duration = .seconds(10), _ condition: () throws -> Bool
) rethrows -> Bool {
    let deadline = SystemClock.now() + timeout * patience
    while true {
        if try condition() { return true }
        if SystemClock.now() > deadline { return false }
        usleep(5_000)
    }
}

/// The seed of a random test: `TEST_SEED` when it is set, else a new one. Print it with a failure.
package func testSeed() -> UInt64 {
    getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        ?? UInt64.random(in: 1...999_999_999)
}

/// A small generator with a seed (SplitMix64), so that a failed run can be repeated.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
