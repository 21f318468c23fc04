// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import HTTPServer

/// A room as one loop knows it: its members connected here, in a dense array, and the publications of
/// the turn under way.
final class LocalRoom {
    struct Member {
        let client: ChatClient
        /// Where in the turn's publications the member came in: those before it are not for them.
        var first: Int
    }

    let id: RoomID
    private(set) var members: [Member] = []
    private(set) var publications: [Publication] = []
    /// The turn's frames end to end, laid out once per class of receiver when somebody needs them.
    private var batches: [Bool: Batch] = [:]

    struct Batch {
        let frames: SharedBytes
        /// Where each frame begins, and the end of the last.
        let bounds: [Int]
        let packets: [Range<Int>]
    }

    init(id: RoomID) { self.id = id }

    var isEmpty: Bool { members.isEmpty }

    /// Adds a member; from now on, publications reach them.
    /// - Returns: the index in `members`, which the client keeps for O(1) removal.
    func add(_ client: ChatClient) -> Int {
        members.append(Member(client: client, first: publications.count))
        return members.count - 1
    }

    /// Removes the member at an index; the last one takes its place and is told.
    func remove(at index: Int) {
        let last = members.removeLast()
        guard index < members.count else { return }
        members[index] = last
        last.client.moved(in: self, to: index)
    }

    /// Adds a publication to the turn.
    /// - Returns: whether it is the turn's first.
    func append(_ publication: Publication) -> Bool {
        publications.append(publication)
        return publications.count == 1
    }

    /// The turn's frames from a member's first on.
    func batch(keepsOffset: Bool) -> Batch {
        if let batch = batches[keepsOffset] { return batch }
        let batch: Batch
        if publications.count == 1 {
            // One publication is sent from where it was encoded, without a copy.
            let encoded = publications[0].encoded(keepsOffset: keepsOffset)
            batch = Batch(
                frames: encoded.frame, bounds: [0, encoded.frame.bytes.count],
                packets: [encoded.packet])
        } else {
            var bytes: [UInt8] = []
            var bounds: [Int] = []
            var packets: [Range<Int>] = []
            for publication in publications {
                let encoded = publication.encoded(keepsOffset: keepsOffset)
                bounds.append(bytes.count)
                packets.append(
                    encoded.packet.lowerBound + bytes.count..<encoded.packet.upperBound
                        + bytes.count)
                bytes.append(contentsOf: encoded.frame.bytes)
            }
            bounds.append(bytes.count)
            batch = Batch(frames: SharedBytes(bytes), bounds: bounds, packets: packets)
        }
        batches[keepsOffset] = batch
        return batch
    }

    /// Forgets the turn's publications: everybody has them.
    func endTurn() {
        publications.removeAll(keepingCapacity: publications.count <= 256)
        batches.removeAll(keepingCapacity: true)
        for index in members.indices where members[index].first > 0 { members[index].first = 0 }
    }
}
