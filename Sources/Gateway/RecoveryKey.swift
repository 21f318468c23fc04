// SPDX-License-Identifier: MIT
internal import Crypto
internal import Glibc

/// The key behind `RecoveryToken`, kept in `recovery.key` beside the store so that every instance of
/// that store has it and a restart changes nothing.
package enum RecoveryKey {
    /// The key file cannot be read or written; `code` is the errno, 0 for a wrong size.
    package struct Unusable: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        package var description: String {
            "\(path): " + (code == 0 ? "is not a key of 32 bytes" : String(cString: strerror(code)))
        }
    }

    /// The key for one epoch of the log: a private id from before a restore, whose offset may name
    /// another message by now, proves nothing any more.
    /// - Parameter epoch: `StoreEpoch.id`.
    package static func load(from directory: String, epoch: String) throws(Unusable) -> [UInt8] {
        HMACSHA256.sign(Array("recovery \(epoch)".utf8), key: try load(from: directory))
    }

    /// Reads the key, making it first where there is none. Two instances that start at once agree:
    /// the file is made whole under another name, and only one link wins.
    package static func load(from directory: String) throws(Unusable) -> [UInt8] {
        let path = "\(directory)/recovery.key"
        for _ in 0..<2 {
            if let key = try read(path) { return key }
            let draft = "\(path).\(getpid())"
            let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Unusable(path: draft, code: errno) }
            let key = SecureRandom.bytes(32)
            let written = key.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            let isDurable = written == 32 && fsync(descriptor) == 0
            let code = errno
            close(descriptor)
            defer { unlink(draft) }
            guard isDurable else { throw Unusable(path: draft, code: code) }
            if link(draft, path) != 0, errno != EEXIST { throw Unusable(path: path, code: errno) }
        }
        throw Unusable(path: path, code: 0)
    }

    private static func read(_ path: String) throws(Unusable) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw Unusable(path: path, code: errno)
        }
        defer { close(descriptor) }
        var key = [UInt8](repeating: 0, count: 33)
        let count = Glibc.read(descriptor, &key, key.count)
        guard count >= 0 else { throw Unusable(path: path, code: errno) }
        guard count == 32 else { throw Unusable(path: path, code: 0) }
        return Array(key[..<32])
    }
}
