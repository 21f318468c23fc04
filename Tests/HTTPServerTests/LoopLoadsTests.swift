// SPDX-License-Identifier: MIT
import Metrics
import Reactor
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct LoopLoadsTests {
    @Test func aFewAreEven() {
        let loads = LoopLoads(loops: 4)
        // All come to the same loop.
        let places = (0..<8).map { _ in loads.place(cameTo: 2) }
        #expect(places == [2, 0, 1, 3, 2, 0, 1, 3])
        #expect(loads.all == [2, 2, 2, 2])
    }

    @Test func whoComesToTheLightestStays() {
        let loads = LoopLoads(loops: 3)
        for _ in 0..<5 { loads.enter(0) }
        #expect(loads.place(cameTo: 1) == 1)
        #expect(loads.place(cameTo: 2) == 2)
        #expect(loads.place(cameTo: 0) == 1)
        #expect(loads.all == [5, 2, 1])
    }

    @Test func ofManyALittleUnevennessIsNotWorthAMove() {
        let loads = LoopLoads(loops: 2)
        for _ in 0..<3200 { loads.enter(1) }
        for _ in 0..<3300 { loads.enter(0) }
        #expect(loads.place(cameTo: 0) == 0)
        #expect(loads.place(cameTo: 0) == 1)
        loads.leave(1)
        #expect(loads.all == [3301, 3200])
    }

    private static func server() throws -> Running {
        try Running(loops: 4) {
            $0.maxConnectionsPerAddress = nil
        } routes: { router in
            router.on("GET", "/", .immediate { _ in .text("here") })
        }
    }

    /// Over real sockets, whichever listener the kernel chose.
    @Test func connectionsAreSpreadEvenlyAndServedWhereTheyAre() throws {
        let running = try LoopLoadsTests.server()
        let clients = (0..<40).map { _ in RawClient(port: running.port) }
        #expect(eventually { running.server.admission.count == 40 })
        #expect(eventually { running.server.loads.all == [10, 10, 10, 10] })
        for client in clients {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.readResponse().body == "here")
        }
    }

    @Test func whoLeavesIsNotCounted() throws {
        let running = try LoopLoadsTests.server()
        let threads = (0..<8).map { number in
            let port = running.port
            return WorkerThread(name: "client-\(number)") {
                for _ in 0..<50 {
                    let client = RawClient(port: port)
                    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    _ = client.readToEnd()
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(eventually { running.server.admission.count == 0 })
        #expect(eventually { running.server.loads.all == [0, 0, 0, 0] })
    }
}
