// SPDX-License-Identifier: MIT
internal import EngineIOServer

/// A room as one loop knows it: its members connected here, in a dense array, and the publications
/// that the flush window has gathered.
package final class Room {
    struct Member {
        let socket: Socket
        /// Where among the publications the member came in: those before it are not for them.
        var first: Int
    }

    package let id: String
    private(set) var members: [Member] = []
    private(set) var publications: [Publication] = []
    /// The publications' frames end to end, laid out once per class of receiver when somebody needs them.
    private var batches: [(receiver: ReceiverClass, batch: FrameBatch)] = []

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

    /// Adds a publication.
    /// - Returns: whether it is the window's first.
    func append(_ publication: Publication) -> Bool {
        publications.append(publication)
        return publications.count == 1
    }

    /// What waits for a member; what is published from now on begins behind that.
    func take(ofMember index: Int) -> ArraySlice<Publication> {
        defer { members[index].first = publications.count }
        return publications[members[index].first...]
    }

    /// The gathered frames for a class of receiver, of which `engine` is one.
    func batch(for receiver: ReceiverClass, by engine: EngineConnection) -> FrameBatch {
        for index in batches.indices where batches[index].receiver == receiver {
            return batches[index].batch
        }
        let all = publications.map { $0.encoded(for: receiver) { engine.deflated($0) } }
        // One publication is sent from where it was encoded, without a copy.
        let batch = all.count == 1 ? all[0] : FrameBatch(joining: all)
        batches.append((receiver, batch))
        return batch
    }

    /// Forgets the publications: everybody has them.
    func endWindow() {
        publications.removeAll(keepingCapacity: publications.count <= 256)
        batches.removeAll(keepingCapacity: true)
        for index in members.indices where members[index].first > 0 { members[index].first = 0 }
    }
}
