// SPDX-License-Identifier: MIT

/// Heap allocations of one round of each case, as they have to be: a test compares them in debug builds,
/// `ProtocolTool allocations` in release builds. Who makes one larger changes it here, and says why; one that has
/// become smaller fails too, so that all of them stay true.
enum AllocationFigures {
    private struct Figure {
        let release: Int64
        /// More than in release builds where the optimiser keeps a closure or an iterator off the heap.
        let debug: Int64
    }

    /// A case that is not here allocates nothing.
    private static let figures: [String: Figure] = [
        // Two for the fields, however many there are, and one for the query.
        "HTTP decode request, 9 fields": Figure(release: 3, debug: 3),
        // The message that is put together grows as it comes in; one for what is inflated.
        "WebSocket decode text, 1,000 fragments of 64 B": Figure(release: 11, debug: 11),
        "WebSocket decode text 1 KiB deflated": Figure(release: 1, debug: 1),
        "Engine.IO read query": Figure(release: 0, debug: 1),
        "Socket.IO decode event": Figure(release: 0, debug: 1),
        "Socket.IO decode event with ack id": Figure(release: 0, debug: 1),
        "Socket.IO decode ack": Figure(release: 0, debug: 3),
        "Socket.IO decode binary event": Figure(release: 0, debug: 9),
        "Socket.IO encode event by name": Figure(release: 0, debug: 1),
        "Socket.IO encode ack": Figure(release: 0, debug: 1),
        // A tree is made of allocations; no message on its way takes one.
        "JSON read object": Figure(release: 6, debug: 6),
        "frame to fields, all layers": Figure(release: 0, debug: 2),
    ]

    static var names: [String] { Array(figures.keys) }

    /// What a case may allocate in this build.
    static func figure(_ name: String) -> Int64 {
        #if DEBUG
            figures[name]?.debug ?? 0
        #else
            figures[name]?.release ?? 0
        #endif
    }

    /// Says which cases allocate more or less than they should. False when one does.
    static func check() -> Bool {
        var isRight = true
        for one in Bench.cases {
            Bench.warmUp(one)
            let count = Bench.allocations(one, 100)
            guard count != 100 * figure(one.name) else { continue }
            isRight = false
            print("\(one.name): \(count) allocations in 100 rounds, not \(100 * figure(one.name))")
        }
        if isRight { print("allocations: \(Bench.cases.count) cases as they should be") }
        return isRight
    }
}
