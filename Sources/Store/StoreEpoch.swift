// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Glibc
internal import Locks

/// Which history the numbers of a log belong to.
///
/// Commit numbers are given again when a log is restored from a backup: number 500 was one message
/// before and is another afterwards. So a log has an epoch, a random name that changes with every
/// restore, and whoever kept a number must name the epoch it is from. It lies in `<log>-epoch` beside
/// the log, with what a restore cannot bring along:
///
/// ```
/// v1 <epoch: 32 hex digits> <inode of the log's file> <head when the epoch began> <head reached>
/// ```
///
/// A new epoch begins when a process opens the log alone and
/// - there is no such file: the log is new, or was put into another folder;
/// - the log's file is another (its inode): it was copied, or the folder was;
/// - the log ends before the head reached: it was put back.
///
/// What nothing on the disk can tell is the disk itself put back (a snapshot of the virtual machine):
/// then remove the file before the start.
///
/// The object holds a shared lock on the file while it lives, so that nobody repairs or restores a log
/// in use, and the second of two processes keeps what the first has found.
package final class StoreEpoch: Sendable {
    /// Why the epoch is what it is.
    package enum Origin: Hashable, Sendable {
        /// The same as the last time.
        case kept
        /// There was no note of an epoch.
        case created
        /// The log's file is not the one that the note speaks of.
        case copied
        /// The log ends at `found`, but had reached `reached`.
        case wentBack(reached: Int64, found: Int64)
        /// The note cannot be written (a read-only disk): for this run only.
        case transient
    }

    /// The name: 32 hexadecimal digits.
    package let id: String
    /// The log's head when the epoch began: entries up to there are the same in the epoch before.
    package let base: Int64
    package let origin: Origin
    /// The log's file as it was when this was opened.
    let inode: UInt64
    private let state: Locked<State>

    private struct State {
        /// Negative when the note cannot be opened, or has been let go.
        var descriptor: Int32
        var reached: Int64
    }

    /// Finds or begins the epoch of the log at `path`, which is made when it is missing.
    /// - Throws: `busy` when somebody works on the log alone (`chatctl repair`); `cannotOpen` with
    ///   `-ESTALE` when a running process still has another file open as this log; what opening the
    ///   log meets.
    package convenience init(log path: String) throws(StoreError) {
        let log = try ChatLog(path: path, mode: .readWrite)
        try self.init(path: path, head: try log.head())
    }

    init(path: String, head: Int64) throws(StoreError) {
        guard let inode = StoreEpoch.inode(of: path) else { throw .cannotOpen(code: -errno) }
        self.inode = inode
        let name = path + "-epoch"
        var descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0 { descriptor = open(name, O_RDONLY | O_CLOEXEC) }
        let isAlone = try StoreEpoch.lock(descriptor)
        let note = Note.read(descriptor)
        if let note, note.inode == inode, note.reached <= head || !isAlone {
            (id, base, origin) = (note.epoch, note.base, .kept)
            state = Locked(State(descriptor: descriptor, reached: note.reached))
        } else {
            guard isAlone || descriptor < 0 else {
                Glibc.close(descriptor)
                throw .cannotOpen(code: -ESTALE)
            }
            id = Hex.string(SecureRandom.bytes(16))
            base = head
            let fresh = Note(epoch: id, inode: inode, base: head, reached: head)
            let isWritten = fresh.write(descriptor, isDurable: true)
            origin =
                if !isWritten {
                    .transient
                } else if let note {
                    note.inode == inode
                        ? .wentBack(reached: note.reached, found: head) : .copied
                } else {
                    .created
                }
            state = Locked(State(descriptor: descriptor, reached: head))
        }
        // The file's name has to survive a power cut too.
        if origin == .created { StoreEpoch.syncFolder(of: name) }
        flock(descriptor, LOCK_SH)
    }

    deinit { close() }

    /// Lets the log go: it may be repaired or replaced now. Notes nothing more.
    package func close() {
        state.withLock { state in
            if state.descriptor >= 0 { Glibc.close(state.descriptor) }
            state.descriptor = -1
        }
    }

    /// Notes how far the log has come. Not synced: a note that is behind only makes a restore harder
    /// to see, and the page cache survives everything but a power cut.
    package func note(head: Int64) {
        state.withLock { state in
            guard head > state.reached, state.descriptor >= 0 else { return }
            state.reached = head
            // Another instance may have been further already.
            if let note = Note.read(state.descriptor), note.epoch == id, note.reached < head {
                _ = Note(epoch: id, inode: inode, base: base, reached: head)
                    .write(state.descriptor, isDurable: false)
            }
        }
    }

    /// Whether the file at the log's path is still the one this was opened for.
    func isSameFile(_ path: String) -> Bool { StoreEpoch.inode(of: path) == inode }

    /// A lock that keeps every process from opening the log, for repairs; let go by `close`.
    /// - Throws: `busy` while a process has the log open.
    package static func lockOut(log path: String) throws(StoreError) -> Int32 {
        let descriptor = open(path + "-epoch", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .cannotOpen(code: -errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            Glibc.close(descriptor)
            throw .busy
        }
        return descriptor
    }

    /// True when no other process has the log open, false when one has.
    private static func lock(_ descriptor: Int32) throws(StoreError) -> Bool {
        guard descriptor >= 0 else { return true }
        // Two that start together: one of them is alone for as long as it takes to write the note.
        for _ in 0..<500 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            if flock(descriptor, LOCK_SH | LOCK_NB) == 0, Note.read(descriptor) != nil {
                return false
            }
            usleep(10_000)
        }
        Glibc.close(descriptor)
        throw .busy
    }

    private static func inode(of path: String) -> UInt64? {
        var info = stat()
        return stat(path, &info) == 0 ? UInt64(info.st_ino) : nil
    }

    private static func syncFolder(of path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        Glibc.close(descriptor)
    }

    /// The file's one line. Of fixed length, so that writing it anew needs no space.
    struct Note: Hashable {
        var epoch: String
        var inode: UInt64
        var base: Int64
        var reached: Int64

        private static let length = 3 + 33 + 21 + 21 + 21

        static func read(_ descriptor: Int32) -> Note? {
            var bytes = [UInt8](repeating: 0, count: length + 1)
            guard descriptor >= 0, pread(descriptor, &bytes, bytes.count, 0) == length else {
                return nil
            }
            let text = String(decoding: bytes[..<(length - 1)], as: UTF8.self)
            let fields = text.split(separator: " ")
            guard fields.count == 5, fields[0] == "v1", fields[1].utf8.count == 32,
                let inode = UInt64(fields[2]), let base = Int64(fields[3]),
                let reached = Int64(fields[4])
            else { return nil }
            return Note(epoch: String(fields[1]), inode: inode, base: base, reached: reached)
        }

        func write(_ descriptor: Int32, isDurable: Bool) -> Bool {
            let numbers = [inode, UInt64(max(0, base)), UInt64(max(0, reached))].map { number in
                let digits = String(number)
                return String(repeating: "0", count: 20 - digits.utf8.count) + digits
            }
            let line = Array("v1 \(epoch) \(numbers.joined(separator: " "))\n".utf8)
            guard descriptor >= 0, pwrite(descriptor, line, line.count, 0) == line.count else {
                return false
            }
            return !isDurable || fsync(descriptor) == 0
        }
    }
}
