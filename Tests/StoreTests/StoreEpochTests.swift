// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import TestSupport
import Testing

@testable import Store

@Suite struct StoreEpochTests {
    let folder: TemporaryDirectory
    let recorder = Recorder()
    var path: String { folder.file("chat.db") }

    init() throws { folder = try TemporaryDirectory() }

    /// Runs a store that sends so many messages, and tells what its epoch was.
    private func run(_ count: Int) throws -> StoreEpoch.Origin {
        let store = try ChatStore(path: path, observer: recorder)
        for _ in 0..<count { _ = try recorder.send("ada", "x", on: store) }
        let origin = store.epoch.origin
        store.stop()
        return origin
    }

    private func copy(_ source: String, _ target: String) throws {
        try SQLiteDatabase(path: source, mode: .readOnly).copy(to: target) { _, _ in }
    }

    private func replace() throws {
        for end in ["", "-wal", "-shm"] { unlink(path + end) }
        #expect(rename(folder.file("backup"), path) == 0)
    }

    @Test func staysOverRestartsAndAmongInstances() throws {
        #expect(try run(3) == .created)
        let first = try StoreEpoch(log: path)
        #expect(first.origin == .kept)
        let store = try ChatStore(path: path, observer: recorder)
        #expect(store.epoch.id == first.id)
        #expect(store.epoch.base == 0)
        store.stop()
    }

    @Test func anOlderFileInTheSamePlaceBeginsAnother() throws {
        #expect(try run(3) == .created)
        let first = try StoreEpoch(log: path).id
        try copy(path, folder.file("backup"))
        _ = try run(5)
        try replace()
        let second = try StoreEpoch(log: path)
        #expect(second.origin == .copied)
        #expect(second.base == 4)
        #expect(second.id != first)
    }

    /// `cp backup chat.db` keeps the file's inode.
    @Test func anOlderFileWrittenOverBeginsAnother() throws {
        _ = try run(3)
        try copy(path, folder.file("backup"))
        _ = try run(5)
        let bytes = try #require(contents(folder.file("backup")))
        let descriptor = open(path, O_WRONLY | O_TRUNC)
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
        #expect(try StoreEpoch(log: path).origin == .wentBack(reached: 9, found: 4))
        #expect(try StoreEpoch(log: path).origin == .kept)
    }

    @Test func theSameBackupTwiceIsTwoEpochs() throws {
        _ = try run(3)
        try copy(path, folder.file("saved"))
        var seen: Set<String> = []
        for _ in 0..<3 {
            try copy(folder.file("saved"), folder.file("backup"))
            try replace()
            _ = try run(2)
            seen.insert(try StoreEpoch(log: path).id)
        }
        #expect(seen.count == 3)
    }

    @Test func anUnreadableNoteBeginsAnother() throws {
        _ = try run(1)
        for text in ["", "v1 x", "v2" + String(repeating: " 0", count: 48)] {
            let descriptor = open(path + "-epoch", O_WRONLY | O_TRUNC)
            #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
            close(descriptor)
            #expect(try StoreEpoch(log: path).origin == .created)
        }
    }

    @Test func aLogInUseIsNotRepaired() throws {
        let store = try ChatStore(path: path, observer: recorder)
        #expect(throws: StoreError.busy) { try StoreEpoch.lockOut(log: path) }
        store.stop()
    }

    @Test func aReplacedFileIsNotWrittenOn() throws {
        let store = try ChatStore(path: path, observer: recorder)
        _ = try recorder.send("ada", "x", on: store)
        try copy(path, folder.file("backup"))
        try replace()
        #expect(eventually { store.trouble?.trouble == .replaced })
        let outcome = try recorder.act(
            "ada", .send(room: .lobby, text: "y", clientID: nil, replyTo: nil), on: store)
        #expect(outcome == .refused(.storageUnavailable))
        store.stop()
        #expect(try soundEntries(of: path).count == 2)
    }

    private func contents(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 22)
        let count = read(descriptor, &bytes, bytes.count)
        return count < 0 ? nil : Array(bytes[..<count])
    }
}
