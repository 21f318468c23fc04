// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import TestSupport
import Testing

@testable import Store

@Suite struct ChatLogCheckTests {
    let folder: TemporaryDirectory
    let recorder = Recorder()
    var path: String { folder.file("chat.db") }

    init() throws {
        folder = try TemporaryDirectory()
        let store = try ChatStore(path: folder.file("chat.db"), observer: recorder)
        _ = try recorder.act(
            "ada", .createRoom(name: "den", visibility: .public, topic: ""), on: store)
        for index in 0..<150 { _ = try recorder.send("ada", "\(index)", on: store) }
        _ = try recorder.send("ada", "x", to: "r2", on: store)
        store.stop()
    }

    @Test func aSoundLogPasses() throws {
        let report = try ChatLogCheck.run(path: path)
        #expect(report == ChatLogCheck.Report(entries: 154, rooms: 2, head: 154))
        #expect(report.isSound)
    }

    @Test(arguments: [
        "DELETE FROM log WHERE seq = 77",
        "UPDATE log SET room_seq = room_seq + 1 WHERE seq = 154",
        "UPDATE log SET prev = prev - 1 WHERE seq = 100",
        "UPDATE log SET payload = x'7b' WHERE seq = 100",
        "UPDATE log SET room_seq = 1 WHERE seq = 1",
    ])
    func damageIsFound(_ damage: String) throws {
        try SQLiteDatabase(path: path).execute(damage)
        #expect(try !ChatLogCheck.run(path: path).damage.isEmpty)
    }

    @Test(arguments: [
        "DELETE FROM room_index WHERE room_seq = 64",
        "UPDATE room_index SET seq = seq + 1 WHERE room_seq = 128",
        "INSERT INTO room_index VALUES ('lobby', 65, 70)",
        "UPDATE room SET head = head - 1 WHERE id = 'lobby'",
        "UPDATE room SET topic = 'other' WHERE id = 'r2'",
        "UPDATE room SET others = x'01' WHERE id = 'r2'",
        "DELETE FROM room WHERE id = 'r2'", "UPDATE watermark SET seq = 155",
        "UPDATE watermark SET seq = 150", "UPDATE user SET name = 'eve'",
        "UPDATE member SET mark = 3 WHERE room = 'lobby'", "DELETE FROM member",
    ])
    func whatIsDerivedIsFoundWrongAndMadeAnew(_ damage: String) throws {
        try SQLiteDatabase(path: path).execute(damage)
        let report = try ChatLogCheck.run(path: path)
        #expect(!report.stale.isEmpty)
        #expect(report.damage.isEmpty)
        #expect(try ChatLogRepair.rebuild(path: path) == 154)
        #expect(try ChatLogCheck.run(path: path).isSound)
        let store = try ChatStore(path: path, observer: recorder)
        #expect(try recorder.send("ada", "on", on: store).roomSeq == 151)
        store.stop()
    }

    @Test func damagedRowsAreLeftOutAndNamed() throws {
        let database = try SQLiteDatabase(path: path)
        try database.execute("DELETE FROM log WHERE seq IN (40, 41, 42, 99, 154)")
        let target = folder.file("salvaged.db")
        let result = try ChatLogRepair.salvage(path: path, to: target)
        #expect(result.saved == 149)
        // The index and the room's record still tell that there was a 154.
        #expect(result.lost == [40...42, 99...99, 154...154])
        #expect(result.head == 153)
        #expect(throws: StoreError.cannotOpen(code: -17)) {
            try ChatLogRepair.salvage(path: path, to: target)
        }
        let report = try ChatLogCheck.run(path: target)
        #expect(report.stale.isEmpty)
        #expect(report.damage.allSatisfy { $0.contains("missing") || $0.contains("roomSeq") })
        // History reads on behind the holes.
        let store = try ChatStore(path: target, observer: recorder)
        let log = try ChatLog(path: target, mode: .readOnly)
        let head = try #require(store.board.head(of: .lobby))
        #expect(
            try log.messages(in: .lobby, before: .max, limit: 1000, maxBytes: .max, from: head)
                .messages.count == 146)
        store.stop()
    }

    /// Pages of the file overwritten: SQLite itself cannot read them.
    @Test func rowsOfABrokenPageAreLeftOutAndNamed() throws {
        let store = try ChatStore(path: path, observer: recorder)
        let text = String(repeating: "x", count: 900)
        for _ in 0..<300 { _ = try recorder.send("ada", text, on: store) }
        store.stop()
        let database = try SQLiteDatabase(path: path)
        try database.execute("PRAGMA journal_mode=DELETE")
        let leaf = try #require(
            try database.first(
                "SELECT pageno FROM dbstat WHERE name='log' AND pagetype='leaf' LIMIT 1 OFFSET 40"
            ) { $0.int(0) })
        let descriptor = open(path, O_WRONLY)
        let noise = [UInt8](repeating: 0xA5, count: 4096)
        #expect(pwrite(descriptor, noise, 4096, (leaf - 1) * 4096) == 4096)
        close(descriptor)
        let report = try #require(try? ChatLogCheck.run(path: path), "the check itself failed")
        #expect(!report.damage.isEmpty)
        let target = folder.file("salvaged.db")
        let result = try ChatLogRepair.salvage(path: path, to: target)
        #expect(result.lost.count == 1)
        let lost = try #require(result.lost.first)
        #expect(lost.count > 1 && lost.count < 10)
        #expect(result.saved == 454 - lost.count)
        #expect(result.head == 454)
    }

    @Test func aCopyIsSound() throws {
        let store = try ChatStore(path: path, observer: recorder)
        let database = try SQLiteDatabase(path: path, mode: .readOnly)
        try database.backUp(to: folder.file("vacuumed.db"))
        var steps = 0
        try database.copy(to: folder.file("copy.db")) { done, total in
            steps += 1
            #expect(done <= total)
        }
        #expect(steps > 0)
        #expect(throws: StoreError.cannotOpen(code: -EEXIST)) {
            try database.copy(to: folder.file("copy.db")) { _, _ in }
        }
        store.stop()
        for name in ["vacuumed.db", "copy.db"] {
            #expect(try ChatLogCheck.run(path: folder.file(name)).isSound)
        }
    }

    /// Written to all the while, the copy is of one moment and its end comes.
    @Test func aCopyUnderWritesIsOfOneMoment() throws {
        let store = try ChatStore(path: path, observer: recorder)
        let text = String(repeating: "x", count: 3000)
        for _ in 0..<2000 {
            _ = store.submit(
                .send(room: .lobby, text: text, clientID: nil, replyTo: nil), actor: actor("ada"),
                ticket: recorder.ticket())
        }
        #expect(eventually { store.head > 1000 })
        let before = store.head
        let database = try SQLiteDatabase(path: path, mode: .readOnly)
        var written = 0
        try database.copy(to: folder.file("copy.db")) { _, _ in
            _ = store.submit(
                .send(room: .lobby, text: text, clientID: nil, replyTo: nil), actor: actor("ada"),
                ticket: recorder.ticket())
            written += 1
            _ = eventually { store.head > before + Int64(written) }
        }
        #expect(written > 0)
        store.stop()
        let report = try ChatLogCheck.run(path: folder.file("copy.db"))
        #expect(report.isSound)
        #expect(report.head >= before)
    }
}
