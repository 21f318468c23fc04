// SPDX-License-Identifier: MIT

/// Who is in which room and who says what when: fixed by the options, so that two runs load a server
/// alike. Pure.
struct BenchPlan: Hashable, Sendable {
    var clients = 500
    var rooms = 50
    var roomsPerClient = 5
    /// Messages a second, all senders together.
    var rate = 100
    var seconds = 20
    /// Bytes of a message's text.
    var bytes = 100
    var senders = 20

    /// What is wrong with the numbers, as a sentence; nil when nothing is.
    var complaint: String? {
        // 19,000: the descriptors a process may usually have, less what it needs itself.
        if !(1...19_000).contains(clients) { return "--clients takes 1 to 19000" }
        if !(1...10_000).contains(rooms) { return "--rooms takes 1 to 10000" }
        if !(1...min(100, rooms)).contains(roomsPerClient) {
            return "--rooms-per-client takes 1 to 100, and at most as many as --rooms"
        }
        if clients * roomsPerClient < rooms { return "--rooms leaves rooms without members" }
        if !(1...200_000).contains(rate) { return "--rate takes 1 to 200000" }
        if !(1...600).contains(seconds) { return "--seconds takes 1 to 600" }
        if !(BenchMessage.leastTextBytes...4000).contains(bytes) {
            return "--bytes takes \(BenchMessage.leastTextBytes) to 4000"
        }
        if !(1...clients).contains(senders) { return "--senders takes 1 to the number of clients" }
        return nil
    }

    /// How many messages are sent in all.
    var messages: Int { rate * seconds }

    /// The rooms of a client: as many for each client, each room with as many members, ± 1.
    func rooms(of client: Int) -> [Int] {
        // Steps of rooms/roomsPerClient never meet before they are all taken.
        (0..<roomsPerClient).map { (client + $0 * (rooms / roomsPerClient)) % rooms }
    }

    /// The client and room of a message. Senders take turns, each going through its rooms; they are
    /// spread by a stride without a factor in common with clients and rooms, so that they do not
    /// crowd in a few rooms.
    func route(of message: Int) -> (client: Int, room: Int) {
        let sender = message % senders
        let client = sender * stride % clients
        return (client, rooms(of: client)[message / senders % roomsPerClient])
    }

    /// When a message is due, in nanoseconds from the start.
    func due(_ message: Int) -> Int64 { Int64(message) * 1_000_000_000 / Int64(rate) }

    /// How many messages are due at that time from the start.
    func dueCount(at nanoseconds: Int64) -> Int {
        guard nanoseconds >= 0 else { return 0 }
        return min(messages, Int(nanoseconds / 1_000 * Int64(rate) / 1_000_000) + 1)
    }

    private var stride: Int {
        func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }
        var stride = max(1, clients / senders)
        while gcd(stride, clients) != 1 || gcd(stride, rooms) != 1 { stride += 1 }
        return stride
    }
}
