// SPDX-License-Identifier: MIT
internal import Glibc

/// Files that only our user may read.
enum PrivateFile {
    struct Failure: Error, CustomStringConvertible {
        let path: String
        let errno: Int32
        var description: String { "\(path): \(String(cString: strerror(errno)))" }
    }

    /// Creates a file with mode 0600 and that text, unless one is there already. It is written aside
    /// and linked into place, so that nobody ever reads half a secret.
    /// - Returns: whether it was created.
    @discardableResult
    static func create(_ path: String, text: () -> String) throws(Failure) -> Bool {
        if access(path, F_OK) == 0 { return false }
        let aside = try writeAside(path, text())
        defer { unlink(aside) }
        if link(aside, path) == 0 { return true }
        guard errno == EEXIST else { throw Failure(path: path, errno: errno) }
        return false
    }

    /// Writes a file with mode 0600, in the place of one that is there.
    static func replace(_ path: String, text: String) throws(Failure) {
        let aside = try writeAside(path, text)
        guard rename(aside, path) == 0 else {
            let code = errno
            unlink(aside)
            throw Failure(path: path, errno: code)
        }
    }

    /// - Returns: the path of a new file with that text, synced, next to where it shall be.
    private static func writeAside(_ path: String, _ text: String) throws(Failure) -> String {
        let aside = "\(path).\(getpid()).new"
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Failure(path: aside, errno: errno) }
        var text = text
        let isWritten = text.withUTF8 { bytes in
            write(descriptor, bytes.baseAddress, bytes.count) == bytes.count
                && fsync(descriptor) == 0
        }
        let code = errno
        close(descriptor)
        guard isWritten else {
            unlink(aside)
            throw Failure(path: aside, errno: code)
        }
        return aside
    }

    /// The text of a file of at most 64 KiB.
    static func read(_ path: String) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(path: path, errno: errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = bytes.withUnsafeMutableBytes {
            Glibc.read(descriptor, $0.baseAddress, $0.count)
        }
        guard count >= 0 else { throw Failure(path: path, errno: errno) }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Takes an exclusive lock on a file and holds it until this process ends.
    /// - Returns: false when another process holds it.
    static func lock(_ path: String) throws(Failure) -> Bool {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(path: path, errno: errno) }
        // Not closed on purpose: the lock lives as long as its descriptor.
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        close(descriptor)
        return false
    }
}
