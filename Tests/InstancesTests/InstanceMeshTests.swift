// SPDX-License-Identifier: MIT
import Glibc
import Locks
import Synchronization
import TestSupport
import Testing
import Timing

@testable import Instances

/// Keeps what handlers get.
private final class Inbox<Item: Sendable>: Sendable {
    private let items = Locked<[Item]>([])
    var all: [Item] { items.withLock { $0 } }
    func take(_ item: Item) { items.withLock { $0.append(item) } }
}

/// Whether the descriptor is open in this process.
private func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

/// A connected pair; the first end is what a server would have accepted.
private func pair() -> (server: Int32, client: Int32) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK
    precondition(socketpair(AF_UNIX, type, 0, &ends) == 0)
    return (ends[0], ends[1])
}

private func text(from descriptor: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    var text = ""
    _ = eventually {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count > 0 { text = String(decoding: buffer[..<count], as: UTF8.self) }
        return count >= 0
    }
    return text
}

@Suite struct InstanceMeshTests {
    private let folder: TemporaryDirectory
    private var path: String { folder.file("instances") }

    init() throws { folder = try TemporaryDirectory() }

    private func linked(_ count: Int) throws -> [InstanceMesh] {
        let meshes = try (0..<count).map { _ in try InstanceMesh(directory: path) }
        #expect(eventually { meshes.allSatisfy { $0.peers.count == count - 1 } })
        return meshes
    }

    @Test func eachTakesTheLowestFreeNumber() throws {
        let meshes = try linked(3)
        #expect(meshes.map(\.number) == [0, 1, 2])
        #expect(meshes[1].peers == [0, 2])
        meshes[1].stop()
        #expect(eventually { meshes[0].peers == [2] && meshes[2].peers == [0] })
        for mesh in meshes { mesh.stop() }
    }

    @Test func theFolderIsForThisUserOnly() throws {
        mkdir(path, 0o755)
        let mesh = try InstanceMesh(directory: path)
        var status = stat()
        stat(path, &status)
        #expect(status.st_mode & 0o777 == 0o700)
        mesh.stop()
    }

    @Test func whatADeadProcessLeftIsRemoved() throws {
        mkdir(path, 0o700)
        for number in [0, 3] {
            // A socket whose listener has gone, as after SIGKILL.
            let place = try InstanceDirectory(path: folder.file("other\(number)"))
            rename(
                folder.file("other\(number)/\(place.number).sock"), "\(path)/\(number).sock")
        }
        let mesh = try InstanceMesh(directory: path)
        #expect(mesh.number == 0)
        #expect(eventually { access("\(path)/3.sock", F_OK) != 0 })
        #expect(access("\(path)/0.sock", F_OK) == 0)
        mesh.stop()
        #expect(access("\(path)/0.sock", F_OK) != 0)
    }

    @Test func aPathTooLongForAnAddressWorks() throws {
        let long = folder.file(String(repeating: "d", count: 150))
        mkdir(long, 0o700)
        let meshes = try (0..<2).map { _ in try InstanceMesh(directory: long + "/instances") }
        #expect(eventually { meshes[0].peers == [1] && meshes[1].peers == [0] })
        for mesh in meshes { mesh.stop() }
    }

    @Test func messagesReachAllInOrder() throws {
        let meshes = try linked(3)
        let inboxes = meshes.map { mesh in
            let inbox = Inbox<String>()
            mesh.onMessage { channel, payload in
                inbox.take("\(channel) \(String(decoding: payload, as: UTF8.self))")
            }
            return inbox
        }
        for number in 0..<1000 { meshes[1].publish("c", Array("\(number)".utf8)) }
        let expected = (0..<1000).map { "c \($0)" }
        for inbox in inboxes {
            #expect(eventually { inbox.all.count == 1000 })
            #expect(inbox.all == expected)
        }
        for mesh in meshes { mesh.stop() }
    }

    @Test func aRequestGoesOverWithItsConnection() throws {
        let meshes = try linked(2)
        let inbox = Inbox<PassedRequest>()
        meshes[1].onConnection { descriptor, request in
            inbox.take(request)
            _ = send(descriptor, "answer", 6, 0)
            close(descriptor)
        }
        let (server, client) = pair()
        let large = [UInt8](repeating: 7, count: 2_000_000)
        let request = PassedRequest(loop: 1, address: "192.0.2.1", bytes: large)
        #expect(meshes[0].pass(server, request, to: 1) { Issue.record("given back") })
        #expect(text(from: client) == "answer")
        #expect(inbox.all == [request])
        // Both processes' descriptors are closed: the client sees the end.
        #expect(text(from: client) == "")
        close(client)
        for mesh in meshes { mesh.stop() }
    }

    @Test func manyRequestsKeepTheirConnections() throws {
        let meshes = try linked(2)
        meshes[1].onConnection { descriptor, request in
            _ = send(descriptor, request.bytes, request.bytes.count, 0)
            close(descriptor)
        }
        let count = 200
        let pairs = (0..<count).map { _ in pair() }
        for (number, pair) in pairs.enumerated() {
            let request = PassedRequest(
                loop: 0, address: "a", bytes: Array("answer \(number)".utf8))
            let isTaken = eventually {
                meshes[0].pass(pair.server, request, to: 1) { Issue.record("given back") }
            }
            #expect(isTaken)
        }
        for (number, pair) in pairs.enumerated() {
            #expect(text(from: pair.client) == "answer \(number)")
            close(pair.client)
        }
        for mesh in meshes { mesh.stop() }
    }

    @Test func nobodyToPassToIsSaidAtOnce() throws {
        let mesh = try InstanceMesh(directory: path)
        let (server, client) = pair()
        let request = PassedRequest(loop: 0, address: "a", bytes: [])
        #expect(!mesh.pass(server, request, to: 7) {})
        #expect(isOpen(server))
        close(server)
        close(client)
        mesh.stop()
    }

    @Test func aPeerThatHangsGetsNothingAndWhatItHasNotTakenComesBack() throws {
        let mesh = try InstanceMesh(directory: path)
        // A peer that listens, and called once, and then says nothing and reads nothing.
        let silent = try InstanceDirectory(path: path)
        #expect(eventually { mesh.peers == [silent.number] })
        let returned = Atomic(0)
        let (server, client) = pair()
        defer {
            close(server)
            close(client)
        }
        let request = PassedRequest(
            loop: 0, address: "a", bytes: [UInt8](repeating: 1, count: 1 << 20))
        var accepted = 0
        for _ in 0..<4 {
            let isTaken = mesh.pass(dup(server), request, to: silent.number) {
                returned.add(1, ordering: .relaxed)
            }
            if isTaken { accepted += 1 }
        }
        #expect(accepted == 4)
        #expect(eventually { mesh.peers.isEmpty })
        #expect(!mesh.pass(server, request, to: silent.number) {})
        // The first has begun to leave and hangs with the peer; the others come back.
        #expect(eventually { returned.load(ordering: .relaxed) >= 3 })
        mesh.stop()
        let count = returned.load(ordering: .relaxed)
        #expect(count == 4)
    }

    @Test func aSuccessorGetsTheListeners() throws {
        let meshes = try linked(2)
        let isOver = Atomic(false)
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        meshes[0].onTakeOver(
            listeners: { host, port in
                host == "127.0.0.1" && port == 80 ? [dup(listener), dup(listener)] : []
            },
            takenOver: { isOver.store(true, ordering: .relaxed) })
        #expect(TakeOver.ask(in: meshes[1], host: "127.0.0.1", port: 81) == nil)
        let takeOver = try #require(TakeOver.ask(in: meshes[1], host: "127.0.0.1", port: 80))
        #expect(takeOver.listeners.count == 2)
        #expect(takeOver.listeners.allSatisfy { isOpen($0) && $0 != listener })
        let wasOver = isOver.load(ordering: .relaxed)
        #expect(!wasOver)
        takeOver.confirm()
        #expect(eventually { isOver.load(ordering: .relaxed) })
        for descriptor in takeOver.listeners + [listener] { close(descriptor) }
        for mesh in meshes { mesh.stop() }
    }
}
