// SPDX-License-Identifier: MIT
import ArgumentParser
import ChatCore
import Glibc
import Store
import Synchronization
import TestSupport
import Testing

@testable import chatctl

@Suite struct MaintenanceTests {
    let folder: TemporaryDirectory
    var data: String { folder.file("data") }
    var log: String { data + "/chat/chat.db" }

    init() throws { folder = try TemporaryDirectory() }

    /// Counts outcomes.
    private final class Observer: CommitObserver {
        let count = Atomic(0)
        func committed(_ items: [CommitItem]) {
            if case .outcome? = items.last { count.add(1, ordering: .relaxed) }
        }
    }

    private func makeLog(_ count: Int = 100) throws -> (ChatStore, Observer) {
        try DataDirectory.prepare(data + "/chat")
        let observer = Observer()
        let store = try ChatStore(path: log, observer: observer)
        let actor = Actor(id: "u_ada", name: "ada")
        let before = store.head
        for index in 0..<count {
            let command = Command.send(
                room: .lobby, text: "\(index)", clientID: nil, replyTo: nil)
            #expect(store.submit(command, actor: actor, ticket: Ticket(loop: 0, token: 0)))
        }
        #expect(eventually { store.head >= before + Int64(count) })
        return (store, observer)
    }

    /// Runs a command and gives its exit code.
    private func run(_ arguments: [String]) throws -> Int32 {
        do {
            var command = try Chatctl.parseAsRoot(arguments)
            try command.run()
            return 0
        } catch {
            return Chatctl.exitCode(for: error).rawValue
        }
    }

    @Test func backsUpARunningSuiteAndChecksTheCopy() throws {
        let (store, observer) = try makeLog()
        try DataDirectory.prepare(data + "/auth")
        try SQLiteDatabase(path: data + "/auth/auth.db").execute(
            "CREATE TABLE account (id TEXT PRIMARY KEY)")
        let target = folder.file("backup")
        #expect(try run(["backup", target, "--data-dir", data]) == 0)
        for name in ["chat.db", "auth.db", "backup.json"] {
            #expect(DataDirectory.exists("\(target)/\(name)"))
        }
        // One file each: nothing beside them is needed.
        #expect(!DataDirectory.exists("\(target)/chat.db-wal"))
        #expect(!DataDirectory.exists(target + ".partial"))
        #expect(try run(["check", "--data-dir", target]) == 0)
        #expect(try ChatLogCheck.run(path: target + "/chat.db").entries == 101)
        // One that exists is never touched.
        #expect(try run(["backup", target, "--data-dir", data]) == 64)
        #expect(try run(["backup", folder.file("other"), "--data-dir", folder.file("none")]) == 66)
        store.stop()
        _ = observer
    }

    /// What the operations page says about restoring.
    @Test func aRestoredBackupGoesOnInAnotherEpoch() throws {
        let (store, _) = try makeLog()
        let epoch = store.epoch.id
        let target = folder.file("backup")
        #expect(try run(["backup", target, "--data-dir", data]) == 0)
        store.stop()
        for end in ["-wal", "-shm"] { unlink(log + end) }
        #expect(rename(target + "/chat.db", log) == 0)
        let (restored, _) = try makeLog(3)
        #expect(restored.epoch.id != epoch)
        #expect(restored.epoch.base == 101)
        restored.stop()
        #expect(try run(["check", "--data-dir", data]) == 0)
    }

    @Test func exitCodesSayWhatIsWrong() throws {
        let (store, _) = try makeLog()
        // In use.
        #expect(try run(["repair", "--data-dir", data]) == 75)
        store.stop()
        #expect(try run(["check", "--data-dir", data]) == 0)
        #expect(try run(["check", "--data-dir", folder.file("none")]) == 66)
        #expect(try run(["check", folder.file("none.db")]) == 66)
        let database = try SQLiteDatabase(path: log)
        try database.execute("DELETE FROM room_index; DELETE FROM member")
        #expect(try run(["check", "--data-dir", data]) == 1)
        #expect(try run(["repair", "--data-dir", data]) == 0)
        #expect(try run(["check", "--data-dir", data]) == 0)
        try database.execute("DELETE FROM log WHERE seq IN (50, 51)")
        #expect(try run(["check", log]) == 2)
        #expect(try run(["repair", log]) == 2)
        let salvaged = folder.file("salvaged.db")
        #expect(try run(["repair", log, "--salvage", salvaged]) == 2)
        #expect(try ChatLogCheck.run(path: salvaged).entries == 99)
        // Whatever is no database of ours.
        try SQLiteDatabase(path: folder.file("other.db")).execute("CREATE TABLE x (y)")
        #expect(try run(["check", folder.file("other.db")]) == 2)
        #expect(try run(["repair", "--data-dir", folder.file("none")]) == 66)
    }
}
