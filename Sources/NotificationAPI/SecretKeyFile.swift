// SPDX-License-Identifier: MIT
internal import Crypto
internal import Glibc

/// The key that endpoint secrets are sealed under: 32 bytes in a file of mode 0600. Without it the
/// secrets in the database are lost, so it belongs in the backup, but not in the same one.
package enum SecretKeyFile {
    package enum Failure: Error, Hashable {
        /// The file cannot be read or made; the errno.
        case unusable(Int32)
        /// The file is not 32 bytes long.
        case wrongSize
    }

    /// Reads the key, or makes one where there is none.
    package static func load(_ path: String) throws(Failure) -> [UInt8] {
        let made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if made >= 0 {
            defer { close(made) }
            let key = SecureRandom.bytes(AESGCM.keyByteCount)
            guard write(made, key, key.count) == key.count, fsync(made) == 0 else {
                let code = errno
                unlink(path)
                throw .unusable(code)
            }
            return key
        }
        guard errno == EEXIST else { throw .unusable(errno) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unusable(errno) }
        defer { close(descriptor) }
        var key = [UInt8](repeating: 0, count: AESGCM.keyByteCount + 1)
        let count = read(descriptor, &key, key.count)
        guard count >= 0 else { throw .unusable(errno) }
        guard count == AESGCM.keyByteCount else { throw .wrongSize }
        return Array(key[..<count])
    }
}
