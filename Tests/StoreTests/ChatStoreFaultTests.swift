// SPDX-License-Identifier: MIT
import ChatCore
import Glibc
import Synchronization
import TestSupport
import Testing
import Timing

@testable import Store

// The seam that makes a disk fail is not in release builds.
#if DEBUG
    @Suite struct ChatStoreFaultTests {
        let folder: TemporaryDirectory
        let recorder = Recorder()
        var path: String { folder.file("chat.db") }

        init() throws { folder = try TemporaryDirectory() }

        private func open() throws -> ChatStore {
            try ChatStore(path: path, observer: recorder)
        }

        /// What each fault does to a commit, and what heals it: the disk as it was.
        static let faults: [(String, @Sendable (DiskFaults.Operation) -> DiskFaults.Verdict)] = [
            ("a full disk", { if case .write = $0 { .fail(DiskFaults.full) } else { .pass } }),
            (
                "writes that fail",
                { if case .write = $0 { .fail(DiskFaults.writeError) } else { .pass } }
            ),
            (
                "writes that end half way",
                { if case .write = $0 { .tear(DiskFaults.writeError) } else { .pass } }
            ),
            (
                "a sync that fails",
                { if case .sync(isLog: true) = $0 { .fail(DiskFaults.syncError) } else { .pass } }
            ),
            (
                "a sync that does its work and fails all the same",
                { if case .sync(isLog: true) = $0 { .lie(DiskFaults.syncError) } else { .pass } }
            ),
        ]

        @Test(arguments: 0..<5) func refusesWhileTheDiskFailsAndHeals(_ index: Int) throws {
            let disk = DiskFaults.under(path)
            let store = try open()
            let first = try recorder.send("ada", "one", "k1", on: store)
            _ = try recorder.act(
                "ada", .createRoom(name: "den", visibility: .public, topic: ""), on: store)
            let head = store.head
            disk.set(Self.faults[index].1)
            for _ in 0..<3 {
                #expect(throws: TestSupportError.self) {
                    try recorder.send("ada", "two", "k2", on: store)
                }
                #expect(
                    try recorder.act(
                        "ada", .createRoom(name: "lost", visibility: .public, topic: ""), on: store)
                        == .refused(.storageUnavailable))
            }
            #expect(!store.isAvailable)
            guard case .failed = store.trouble?.trouble else {
                throw TestSupportError("\(String(describing: store.trouble))")
            }
            #expect(store.head == head)
            // Readers go on.
            guard case .ok(.session(let session)) = try recorder.act("ada", .openSession, on: store)
            else { throw TestSupportError("no session") }
            #expect(session.seq == head)
            #expect(session.rooms.map(\.name) == ["lobby", "den"])
            guard case .ok(.rooms) = try recorder.act("ada", .listRooms, on: store) else {
                throw TestSupportError("no rooms")
            }

            disk.set(nil)
            #expect(eventually { store.isAvailable })
            #expect(store.trouble == nil)
            let second = try recorder.send("ada", "two", "k2", on: store)
            #expect(second.seq == head + 1)
            #expect(try recorder.send("ada", "two", "k2", on: store) == second)
            #expect(try recorder.send("ada", "one", "k1", on: store) == first)
            store.stop()
            #expect(recorder.entries == (try soundEntries(of: path)))
            #expect(try ChatLogCheck.run(path: path).isSound)
        }

        /// A disk that fails now and then under load, at any of its operations. Whoever was answered
        /// finds the message there, at the place they were told; whoever was refused sends again and
        /// is there once; and the observer has heard of exactly what is stored, in order.
        @Test(arguments: 0..<6) func noAckIsEverALie(_ run: UInt64) throws {
            let seed = testSeed() &+ run
            var random = SeededGenerator(seed: seed)
            let disk = DiskFaults.under(path)
            let store = try open()
            _ = try recorder.act("ada", .openSession, on: store)
            let kinds = Self.faults.map(\.1)
            var open = Set(0..<400)
            var acked: [Int: Sent] = [:]
            var refusals = 0
            let deadline = SystemClock.now() + .seconds(40)
            while !open.isEmpty, SystemClock.now() < deadline {
                // Until one has been refused, at the first operation: chance may spare all commits.
                let isSure = refusals == 0
                let countdown = Atomic(isSure ? 0 : Int.random(in: 0...12, using: &random))
                let kind = kinds.randomElement(using: &random) ?? { _ in .pass }
                let box = CountdownBox(countdown)
                if isSure || Int.random(in: 0..<3, using: &random) > 0 {
                    disk.set { box.spend() ? kind($0) : .pass }
                }
                var tickets: [UInt64: Int] = [:]
                for number in open.shuffled(using: &random).prefix(40) {
                    let ticket = recorder.ticket()
                    let isTaken = store.submit(
                        .send(
                            room: .lobby, text: "\(number)", clientID: "k\(number)", replyTo: nil),
                        actor: actor("ada"), ticket: ticket)
                    #expect(isTaken)
                    tickets[ticket.token] = number
                }
                #expect(eventually { tickets.keys.allSatisfy { recorder.outcomes[$0] != nil } })
                let outcomes = recorder.outcomes
                for (token, number) in tickets {
                    switch outcomes[token] {
                    case .ok(.sent(let sent)):
                        #expect(acked[number] == nil, "seed \(seed)")
                        acked[number] = sent
                        open.remove(number)
                    case .refused(.storageUnavailable): refusals += 1
                    default: Issue.record("\(String(describing: outcomes[token])), seed \(seed)")
                    }
                }
                disk.set(nil)
                #expect(eventually { store.isAvailable }, "seed \(seed)")
            }
            #expect(open.isEmpty, "seed \(seed)")
            #expect(refusals > 0, "seed \(seed)")
            store.stop()
            let entries = try soundEntries(of: path)
            #expect(recorder.entries == entries, "seed \(seed)")
            #expect(entries.count == 401, "seed \(seed)")
            for (number, sent) in acked {
                #expect(entries[Int(sent.seq) - 1].clientID == "k\(number)", "seed \(seed)")
            }
            #expect(try ChatLogCheck.run(path: path).isSound, "seed \(seed)")
        }

        private final class CountdownBox: Sendable {
            let value: Atomic<Int>
            init(_ value: consuming Atomic<Int>) { self.value = value }
            /// True once the count has been used up.
            func spend() -> Bool {
                value.subtract(1, ordering: .relaxed).oldValue <= 0
            }
        }

        /// The commit's pages are whole in the log when its sync fails, and the process dies before
        /// anything is written over them. Recovery takes them for committed; so the answer must have
        /// been a refusal, and a repetition must find the message it made.
        @Test func aCommitWhoseSyncFailedMayReturnButWasNeverAcked() throws {
            let disk = DiskFaults.under(path)
            let store = try open()
            let first = try recorder.send("ada", "one", "k1", on: store)
            disk.set {
                if case .sync(isLog: true) = $0 { .lie(DiskFaults.syncError) } else { .pass }
            }
            #expect(
                try recorder.act(
                    "ada", .send(room: .lobby, text: "two", clientID: "k2", replyTo: nil), on: store
                )
                    == .refused(.storageUnavailable))
            // As after kill -9: the files as they are.
            for end in ["", "-wal"] { try duplicate(path + end, folder.file("dead.db") + end) }
            disk.set(nil)
            store.stop()

            let heir = Recorder()
            let next = try ChatStore(path: folder.file("dead.db"), observer: heir)
            #expect(next.head >= first.seq)
            let second = try heir.send("ada", "two", "k2", on: next)
            #expect(second.seq == first.seq + 1)
            #expect(try heir.send("ada", "two", "k2", on: next) == second)
            next.stop()
            #expect(try soundEntries(of: folder.file("dead.db")).count == 3)
        }

        private func duplicate(_ source: String, _ target: String) throws {
            let input = Glibc.open(source, O_RDONLY)
            let output = Glibc.open(target, O_WRONLY | O_CREAT, 0o600)
            guard input >= 0, output >= 0 else {
                throw TestSupportError("\(source) cannot be read")
            }
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            while case let count = read(input, &bytes, bytes.count), count > 0 {
                guard write(output, bytes, count) == count else {
                    throw TestSupportError("\(target) cannot be written")
                }
            }
            close(input)
            close(output)
        }

        /// A checkpoint that fails stops nobody, and nothing is lost by it.
        @Test func aFailingCheckpointIsOnlyCounted() throws {
            let disk = DiskFaults.under(path)
            let store = try open()
            disk.set { operation in
                switch operation {
                case .write(isLog: false, _), .sync(isLog: false): .fail(DiskFaults.writeError)
                default: .pass
                }
            }
            let text = String(repeating: "x", count: 4000)
            for index in 0..<600 { _ = try recorder.send("ada", text, "k\(index)", on: store) }
            usleep(700_000)
            #expect(store.isAvailable)
            disk.set(nil)
            _ = try recorder.send("ada", "on", on: store)
            store.stop()
            #expect(try ChatLogCheck.run(path: path).isSound)
        }
    }
#endif

/// Disks that are really full, or really read-only: tmpfs in a mount namespace of its own, in which
/// this very program runs the tests below.
@Suite struct RealDiskTests {
    /// Where the disk is, in the process that has one.
    static var disk: String? { getenv("TEST_DISK").map { String(cString: $0) } }

    /// Runs a command line and tells how it ended and what it said.
    private static func shell(_ command: String) throws -> (status: Int32, output: String) {
        guard let pipe = popen(command, "re") else { throw TestSupportError("no shell") }
        var output = ""
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, Int32(line.count), pipe) != nil {
            output += line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        }
        return (pclose(pipe) >> 8, output)
    }

    @Test(.enabled(if: RealDiskTests.disk == nil)) func onADiskOfItsOwn() throws {
        let folder = try TemporaryDirectory()
        let program = try #require(CommandLine.arguments.first)
        let script = """
            mount -t tmpfs -o size=6m none '\(folder.path)' || exit 99
            export TEST_DISK='\(folder.path)'
            exec '\(program)' --testing-library swift-testing --filter RealDiskTests
            """
        let (status, output) = try Self.shell("unshare -m sh -c \"\(script)\" 2>&1")
        #expect(
            status == 0,
            """
            status \(status) (99 or 1: no tmpfs could be mounted in a namespace of its own, which \
            needs root; the same faults at SQLite's seam are in ChatStoreFaultTests): \(output)
            """)
        let hasRun = output.contains("fullAndFreed")
        #expect(status != 0 || hasRun)
    }

    @Test(.enabled(if: RealDiskTests.disk != nil)) func fullAndFreed() throws {
        let disk = try #require(RealDiskTests.disk)
        let path = disk + "/full/chat.db"
        try DataDirectory.prepare(disk + "/full")
        let recorder = Recorder()
        let store = try ChatStore(path: path, observer: recorder)
        let reader = ChatReader(path: path, store: store)
        for index in 0..<20 { _ = try recorder.send("ada", "\(index)", "k\(index)", on: store) }
        // Something else takes all the space.
        let filler = disk + "/filler"
        let descriptor = open(filler, O_WRONLY | O_CREAT, 0o600)
        let block = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, block, block.count) > 0 {}
        close(descriptor)

        var sent = 20
        var refusal: Outcome?
        while refusal == nil, sent < 2000 {
            let text = String(repeating: "x", count: 4000)
            let outcome = try recorder.act(
                "ada", .send(room: .lobby, text: text, clientID: "k\(sent)", replyTo: nil),
                on: store)
            if case .ok = outcome { sent += 1 } else { refusal = outcome }
        }
        #expect(refusal == .refused(.storageUnavailable))
        #expect(store.trouble?.trouble == .failed(.full))
        guard case .ok(.session) = try recorder.act("ada", .openSession, on: store) else {
            throw TestSupportError("no session on a full disk")
        }
        #expect(try reader.entries(after: 0, limit: 10_000).count == sent + 1)

        unlink(filler)
        #expect(eventually { store.isAvailable })
        let next = try recorder.send("ada", "again", "k\(sent)", on: store)
        #expect(next.roomSeq == Int64(sent + 1))
        reader.stop()
        store.stop()
        #expect(recorder.entries == (try soundEntries(of: path)))
        #expect(try ChatLogCheck.run(path: path).isSound)
    }

    // It takes the seam to make a write fail that a process began before its disk became read-only:
    // the kernel refuses to remount while a file is open for writing.
    #if DEBUG
        @Test(.enabled(if: RealDiskTests.disk != nil)) func readOnlyAndBack() throws {
            let folder = try #require(RealDiskTests.disk) + "/remounted"
            try DataDirectory.prepare(folder)
            let path = folder + "/chat.db"
            let disk = DiskFaults.under(path)
            let recorder = Recorder()
            let store = try ChatStore(path: path, observer: recorder)
            _ = try recorder.send("ada", "one", "k1", on: store)
            // Whatever is opened from here on is on a read-only disk.
            let mount =
                "mount --bind '\(folder)' '\(folder)' && mount -o remount,bind,ro '\(folder)'"
            #expect(try Self.shell(mount).status == 0)
            disk.set { if case .write = $0 { .fail(DiskFaults.writeError) } else { .pass } }
            let command = Command.send(room: .lobby, text: "two", clientID: "k2", replyTo: nil)
            #expect(try recorder.act("ada", command, on: store) == .refused(.storageUnavailable))
            disk.set(nil)
            usleep(700_000)
            #expect(!store.isAvailable)
            #expect(try recorder.act("ada", command, on: store) == .refused(.storageUnavailable))
            guard case .ok(.session) = try recorder.act("ada", .openSession, on: store) else {
                throw TestSupportError("no session on a read-only disk")
            }
            // Lazily: SQLite keeps a file open that it opened in vain while others have locks on it.
            #expect(try Self.shell("umount -l '\(folder)'").status == 0)
            #expect(eventually { store.isAvailable })
            #expect(try recorder.send("ada", "two", "k2", on: store).roomSeq == 2)
            store.stop()
            #expect(recorder.entries == (try soundEntries(of: path)))
            #expect(try ChatLogCheck.run(path: path).isSound)
        }
    #endif
}
