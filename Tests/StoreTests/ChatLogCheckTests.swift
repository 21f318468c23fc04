// SPDX-License-Identifier: MIT
import ChatCore
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
        #expect(report == ChatLogCheck.Report(entries: 154, rooms: 2, head: 154, complaints: []))
    }

    @Test(arguments: [
        "DELETE FROM log WHERE seq = 77",
        "UPDATE log SET room_seq = room_seq + 1 WHERE seq = 154",
        "UPDATE log SET prev = prev - 1 WHERE seq = 100",
        "DELETE FROM room_index WHERE room_seq = 64",
        "UPDATE room_index SET seq = seq + 1 WHERE room_seq = 128",
        "UPDATE room SET head = head - 1 WHERE id = 'lobby'",
        "DELETE FROM room WHERE id = 'r2'",
        "UPDATE watermark SET seq = 155",
    ])
    func damageIsFound(_ damage: String) throws {
        try SQLiteDatabase(path: path).execute(damage)
        let report = try ChatLogCheck.run(path: path)
        #expect(!report.complaints.isEmpty)
    }

    @Test func aCopyIsSound() throws {
        let store = try ChatStore(path: path, observer: recorder)
        try SQLiteDatabase(path: path, mode: .readOnly).backUp(to: folder.file("copy.db"))
        store.stop()
        #expect(try ChatLogCheck.run(path: folder.file("copy.db")).complaints == [])
    }
}
