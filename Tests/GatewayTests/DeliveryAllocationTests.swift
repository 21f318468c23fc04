// SPDX-License-Identifier: MIT
import CMeasure
import ChatCore
import Glibc
import HTTPServer
import Locks
import Reactor
import TestSupport
import Testing
import Timing

@testable import Gateway

/// What the loop allocates to deliver a message, in steady state: the same for a hundred receivers as for
/// twenty. `AllocationFigures` holds down what stands before it, frames, packets and JSON.
@Suite(.enabled(if: cmeasure_counts(), "a sanitizer has a malloc of its own"))
struct DeliveryAllocationTests {
    private final class Counting {
        private let harness: Harness
        private var clients: [WireClient] = []
        private var seq: Int64 = 1000

        init() throws {
            harness = try Harness(server: { $0.maxConnectionsPerAddress = nil })
        }

        func connect(_ count: Int) throws {
            clients += try (0..<count).map { try harness.client("user\(clients.count + $0)") }
        }

        /// Allocations of the loop's thread so far.
        private func count() -> UInt64 {
            let answer = Locked<UInt64?>(nil)
            harness.server.mailboxes[0].post { _ in
                let count = cmeasure_allocations()
                answer.withLock { $0 = count }
            }
            while true {
                if let count = answer.withLock({ $0 }) { return count }
                usleep(200)
            }
        }

        /// The fewest allocations that one message took, of many: presence and heartbeats come between.
        func perMessage() -> UInt64 {
            (0..<40).map { _ in
                seq += 1
                let before = count()
                harness.gateway.committed([
                    .entry(
                        LogEntry(
                            seq: seq, at: Timestamp(seconds: 1_700_000_000), kind: .message,
                            room: RoomID("lobby"), visibility: .public, roomSeq: seq, prev: 0,
                            actor: UserID("u_ada"), actorName: "ada", clientID: nil,
                            payload: LogContent.message(text: "hello", replyTo: nil).payload))
                ])
                // A turn for the message, at the latest when the next letter comes, and its window.
                _ = count()
                usleep(25_000)
                return count() - before
            }.min() ?? 0
        }
    }

    @Test func aReceiverMoreAllocatesNothing() throws {
        let counting = try Counting()
        try counting.connect(20)
        let few = counting.perMessage()
        try counting.connect(100)
        let many = counting.perMessage()
        #expect(few > 0)
        #expect(many <= few)
        // The letter, the publication with its one encoding, its place in the memory, and what debug builds
        // add to that.
        #expect(many <= 36)
    }
}
