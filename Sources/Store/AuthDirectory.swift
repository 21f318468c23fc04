// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Glibc
package import OAuth
package import Timing

/// Why the folder of AuthService cannot be used. Says what to do; carries no secret.
package enum AuthDirectoryError: Error, Sendable, CustomStringConvertible {
    case store(StoreError)
    /// The keys could not be read or made.
    case maintenance(AuthStoreFailure)
    /// The file with the master key cannot be read or made: errno.
    case unreadable(path: String, errno: Int32)
    /// The file holds something else than 32 bytes in base64url (43 characters) or hexadecimal (64).
    case malformedKey(path: String)
    /// A service secret is shorter than 32 characters.
    case weakSecret(path: String)

    package var description: String {
        switch self {
        case .store(let error): "\(error)"
        case .maintenance(let error): "signing keys: \(error)"
        case .unreadable(let path, let code): "\(path): \(String(cString: strerror(code)))"
        case .malformedKey(let path):
            "\(path): no master key (32 random bytes as 43 characters of base64url or 64 of hex)"
        case .weakSecret(let path): "\(path): a service secret needs at least 32 characters"
        }
    }
}

/// The files of AuthService: `auth.db` and the master key, opened together.
package enum AuthDirectory {
    /// Opens the store and the keys; makes what is missing.
    /// - Parameters:
    ///   - path: the data directory, made with mode 0700.
    ///   - masterKeyFile: nil means `master.key` in the directory; made with mode 0600 when missing.
    package static func open(
        _ path: String, masterKeyFile: String? = nil, issuer: String,
        lifetimes: AuthLifetimes = AuthLifetimes(), isThrottled: Bool = true, now: Timestamp
    ) throws(AuthDirectoryError) -> (server: AuthorizationServer, store: SQLiteAuthStore) {
        let store: SQLiteAuthStore
        do throws(StoreError) {
            try DataDirectory.prepare(path)
            store = try SQLiteAuthStore(path: path + "/auth.db")
        } catch {
            throw .store(error)
        }
        let master = try masterKey(at: masterKeyFile ?? path + "/master.key")
        let server = AuthorizationServer(
            store: store, master: master, issuer: issuer, lifetimes: lifetimes,
            isThrottled: isThrottled)
        do throws(AuthStoreFailure) {
            try server.maintain(now: now)
        } catch {
            throw .maintenance(error)
        }
        return (server, store)
    }

    /// The secret of a service client: read from `directory/name`, or made there with mode 0600.
    package static func serviceSecret(
        _ name: String, in directory: String
    ) throws(AuthDirectoryError) -> String {
        do throws(StoreError) {
            try DataDirectory.prepare(directory)
        } catch {
            throw .store(error)
        }
        let path = directory + "/" + name
        let secret = try readOrCreate(path) { SecureRandom.token() }
        guard secret.utf8.count >= 32 else { throw .weakSecret(path: path) }
        return secret
    }

    private static func masterKey(at path: String) throws(AuthDirectoryError) -> [UInt8] {
        let text = try readOrCreate(path) { SecureRandom.token(bytes: 32) }
        let bytes = Array(text.utf8)
        if bytes.count == 43, let key = Base64.decode(bytes, alphabet: .url), isPlausible(key) {
            return key
        }
        if bytes.count == 64 {
            var key: [UInt8] = []
            for index in stride(from: 0, to: 64, by: 2) {
                guard let high = Hex.value(of: bytes[index]),
                    let low = Hex.value(of: bytes[index + 1])
                else { throw .malformedKey(path: path) }
                key.append(high << 4 | low)
            }
            if isPlausible(key) { return key }
        }
        throw .malformedKey(path: path)
    }

    /// 32 random bytes with fewer than 12 different values do not happen; `AAAA…` does.
    private static func isPlausible(_ key: [UInt8]) -> Bool {
        key.count == 32 && Set(key).count >= 12
    }

    /// The text of a small file, white space at its end dropped; a missing file is made with what `fresh`
    /// gives. Two processes that start at once agree: the file is written aside and linked into place.
    private static func readOrCreate(
        _ path: String, _ fresh: () -> String
    ) throws(AuthDirectoryError) -> String {
        if let text = try read(path) { return text }
        let temporary = path + ".\(getpid()).\(SecureRandom.token(bytes: 6))"
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unreadable(path: path, errno: errno) }
        defer { unlink(temporary) }
        let text = Array((fresh() + "\n").utf8)
        let written = Glibc.write(descriptor, text, text.count)
        let isSafe = written == text.count && fsync(descriptor) == 0
        let code = errno
        close(descriptor)
        guard isSafe else { throw .unreadable(path: path, errno: code) }
        guard link(temporary, path) == 0 || errno == EEXIST else {
            throw .unreadable(path: path, errno: errno)
        }
        guard let text = try read(path) else { throw .unreadable(path: path, errno: ENOENT) }
        return text
    }

    private static func read(_ path: String) throws(AuthDirectoryError) -> String? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw .unreadable(path: path, errno: errno)
        }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw .unreadable(path: path, errno: errno) }
        var text = buffer.prefix(count)
        while let last = text.last, last <= 0x20 { text.removeLast() }
        return String(decoding: text, as: UTF8.self)
    }
}

extension AccountProvisioner {
    /// A provisioner on the data directory of AuthService, whether or not the service runs.
    /// - Parameters:
    ///   - issuer: must be the service's own, or no verifier takes the tokens.
    package init(
        dataDirectory: String, masterKeyFile: String? = nil, issuer: String, now: Timestamp
    ) throws(AuthDirectoryError) {
        let (server, _) = try AuthDirectory.open(
            dataDirectory, masterKeyFile: masterKeyFile, issuer: issuer, now: now)
        self.init(server: server)
    }
}
