// SPDX-License-Identifier: MIT
import CMeasure
import Testing

@testable import ProtocolTool

/// What one frame or packet allocates, in steady state, against `AllocationFigures`.
@Suite(.enabled(if: cmeasure_counts(), "a sanitizer has a malloc of its own"))
struct AllocationTests {
    @Test(arguments: Bench.cases.map(\.name)) func allocates(_ name: String) throws {
        let one = try #require(Bench.cases.first { $0.name == name })
        Bench.warmUp(one)
        #expect(Bench.allocations(one, 100) == 100 * AllocationFigures.figure(name))
    }

    @Test func everyFigureIsOfACase() {
        #expect(Set(AllocationFigures.names).isSubset(of: Bench.cases.map(\.name)))
    }

    /// The counter itself: it would find nothing if it did not count.
    @Test func countsEachAllocation() {
        let before = cmeasure_allocations()
        let made = (0..<10).map { [UInt8](repeating: 1, count: 64 + $0) }
        let count = cmeasure_allocations() - before
        #expect(made.count == 10 && count >= 10)
    }
}
