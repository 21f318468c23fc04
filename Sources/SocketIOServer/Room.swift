// SPDX-License-Identifier: MIT
internal import EngineIOServer
internal import HTTPServer

/// A room as one loop knows it: its members connected here, in a dense array, and the publications of
/// the turn under way.
package final class Room {
    struct Member {
        let socket: Socket
        /// Where in the turn's publications the member came in: those before it are not for them.
        var first: Int
    }

    package let id: String
    private(set) var members: [Member] = []
    private(set) var publications: [Publication] = []
    /// The turn's frames end to end, laid out once per class of receiver when somebody needs them.
    private var batches: [(receiver: ReceiverClass, batch: Batch)] = []

    /// A turn's frames: each publication's first frame begins at its bound.
    struct Batch {
        let frames: SharedBytes
        /// Where each publication begins, and the end of the last.
        let bounds: [Int]
        let packets: [FramedPacket]
        /// How many packets come before each publication.
        let firstPackets: [Int]
    }

    init(id: String) { self.id = id }

    package var isEmpty: Bool { members.isEmpty }
    package var count: Int { members.count }
    package var sockets: some Sequence<Socket> { members.lazy.map(\.socket) }

    /// Adds a member; from now on, publications reach them.
    /// - Returns: the index in `members`, which the socket keeps for O(1) removal.
    func add(_ socket: Socket) -> Int {
        members.append(Member(socket: socket, first: publications.count))
        return members.count - 1
    }

    /// Removes the member at an index; the last one takes its place and is told.
    func remove(at index: Int) {
        let last = members.removeLast()
        guard index < members.count else { return }
        members[index] = last
        last.socket.moved(in: self, to: index)
    }

    /// Adds a publication to the turn.
    /// - Returns: whether it is the turn's first.
    func append(_ publication: Publication) -> Bool {
        publications.append(publication)
        return publications.count == 1
    }

    /// What the turn has brought a member so far; the rest of it begins behind that.
    func takeTurn(ofMember index: Int) -> ArraySlice<Publication> {
        defer { members[index].first = publications.count }
        return publications[members[index].first...]
    }

    /// The turn's frames for a class of receiver, of which `engine` is one.
    func batch(for receiver: ReceiverClass, by engine: EngineConnection) -> Batch {
        for (known, batch) in batches where known == receiver { return batch }
        let batch = layOut(for: receiver, by: engine)
        batches.append((receiver, batch))
        return batch
    }

    private func layOut(for receiver: ReceiverClass, by engine: EngineConnection) -> Batch {
        if publications.count == 1 {
            // One publication is sent from where it was encoded, without a copy.
            let encoded = publications[0].encoded(for: receiver) { engine.deflated($0) }
            return Batch(
                frames: encoded.frames, bounds: [0, encoded.frames.bytes.count],
                packets: Array(encoded.packets), firstPackets: [0])
        }
        var bytes: [UInt8] = []
        var bounds: [Int] = []
        var packets: [FramedPacket] = []
        var firstPackets: [Int] = []
        let all = publications.map { $0.encoded(for: receiver) { engine.deflated($0) } }
        bytes.reserveCapacity(all.reduce(0) { $0 + $1.frames.bytes.count })
        for encoded in all {
            bounds.append(bytes.count)
            firstPackets.append(packets.count)
            for packet in encoded.packets { packets.append(packet.moved(by: bytes.count)) }
            bytes.append(contentsOf: encoded.frames.bytes)
        }
        bounds.append(bytes.count)
        return Batch(
            frames: SharedBytes(bytes), bounds: bounds, packets: packets, firstPackets: firstPackets
        )
    }

    /// Forgets the turn's publications: everybody has them.
    func endTurn() {
        publications.removeAll(keepingCapacity: publications.count <= 256)
        batches.removeAll(keepingCapacity: true)
        for index in members.indices where members[index].first > 0 { members[index].first = 0 }
    }
}
