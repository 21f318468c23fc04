// SPDX-License-Identifier: MIT
internal import Glibc

/// Why the chat log takes no writes just now.
package enum ChatStoreTrouble: Hashable, Sendable {
    /// Another process holds the write lock and does not let go of it: it was stopped in the middle of
    /// a commit, or its disk hangs. `holder` is its process id, where the system tells it. Commands
    /// are refused with `busy`; ends when it lets go, goes on or is killed.
    case locked(holder: Int32?)
    /// The disk is full, read-only or failing. Commands are refused with `storage_unavailable`; ends
    /// by itself when a probe can write again.
    case failed(StoreError)
    /// Another file has taken the log's place, or the log has become shorter than it was. What this
    /// process knows is not what is stored, so it writes nothing more. Ends with a restart.
    case replaced
}

extension ChatStoreTrouble: CustomStringConvertible {
    package var description: String {
        switch self {
        case .locked(let holder):
            "the log's write lock is held by "
                + (holder.map { "process \($0)" } ?? "another process")
        case .failed(let error): "the log cannot be written: \(error)"
        case .replaced: "the log's file was replaced under the running service: restart it"
        }
    }
}

/// Who holds SQLite's write lock.
enum LockHolder {
    /// Where in the shared-memory file SQLite's write lock lies (sqlite.org/walformat.html §2.3.2:
    /// locks begin at byte 120, `WAL_WRITE_LOCK` is the first).
    private static let writeLockByte = 120

    /// The process that holds the write lock of the database at `path`; nil when nobody does, or the
    /// kernel does not say. Reads `/proc/locks`: asking with `fcntl` would need the file opened, and
    /// closing it would drop the locks this process has on it.
    static func find(path: String) -> Int32? {
        var info = stat()
        guard stat(path + "-shm", &info) == 0, let file = fopen("/proc/locks", "re") else {
            return nil
        }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            if let process = holder(in: text, inode: UInt64(info.st_ino)) { return process }
        }
        return nil
    }

    /// Reads one line: `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120`.
    static func holder(in line: String, inode: UInt64) -> Int32? {
        let fields = line.split(whereSeparator: \.isWhitespace)
        guard fields.count == 8, fields[1] == "POSIX", fields[3] == "WRITE",
            let process = Int32(fields[4]), process > 0,
            fields[5].split(separator: ":").last.flatMap({ UInt64($0) }) == inode,
            let first = Int(fields[6]), first <= writeLockByte,
            (Int(fields[7]) ?? .max) >= writeLockByte
        else { return nil }
        return process
    }
}
