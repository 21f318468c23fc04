// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc

/// Why a process cannot take its place among the instances of a data directory.
package enum InstanceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The directory cannot be used; `code` is the errno.
    case directory(path: String, code: Int32)
    /// As many instances as there are numbers run already.
    case full

    package var description: String {
        switch self {
        case .directory(let path, let code):
            "cannot use \(path): \(String(cString: strerror(code)))"
        case .full: "\(InstanceDirectory.capacity) instances share this data directory already"
        }
    }
}

/// The folder in which the instances of one data directory find each other, for this user only:
///
///     N.lock   held (flock) by the process that is instance N, for as long as it lives
///     N.sock   where it listens
///
/// The lock decides: the kernel lets go of it when its holder ends, however that happens, so who has
/// it may do away with the socket a dead process left. Lock files stay; removing one would let two
/// processes hold locks of one number.
final class InstanceDirectory: Sendable {
    /// Numbers are one byte in session ids.
    static let capacity = 256

    let path: String
    /// This process's number.
    let number: Int
    let listener: Int32
    private let lock: Int32
    private let folder: Int32

    /// Takes the lowest free number and listens.
    init(path: String) throws(InstanceError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .directory(path: path, code: errno)
        }
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw .directory(path: path, code: errno) }
        // One made by hand, or of another umask: descriptors pass through here.
        guard fchmod(folder, 0o700) == 0 else {
            let code = errno
            close(folder)
            throw .directory(path: path, code: code)
        }
        for number in 0..<InstanceDirectory.capacity {
            let lock = InstanceDirectory.claim(number, in: folder)
            if lock == -EWOULDBLOCK { continue }
            guard lock >= 0 else {
                close(folder)
                throw .directory(path: path, code: -lock)
            }
            unlinkat(folder, "\(number).sock", 0)
            let listener = InstanceDirectory.atAddress(of: number, path, folder) {
                clinux_local_listen($0, 64)
            }
            guard listener >= 0 else {
                close(lock)
                close(folder)
                throw .directory(path: path, code: -listener)
            }
            self.path = path
            self.number = number
            self.listener = listener
            self.lock = lock
            self.folder = folder
            return
        }
        close(folder)
        throw .full
    }

    deinit {
        close(listener)
        close(lock)
        close(folder)
    }

    /// Removes this process's socket: nobody new comes from here on.
    func leave() { unlinkat(folder, "\(number).sock", 0) }

    /// Numbers of the others that have a socket here, alive or not.
    func others() -> [Int] {
        // A descriptor of its own: readdir's position belongs to it.
        let own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0, let stream = fdopendir(own) else { return [] }
        defer { closedir(stream) }
        var numbers: [Int] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasSuffix(".sock"), let other = Int(name.dropLast(5)), other != number,
                (0..<InstanceDirectory.capacity).contains(other)
            else { continue }
            numbers.append(other)
        }
        return numbers.sorted()
    }

    /// A non-blocking connection to another instance; nil when there is none. What a dead one has left
    /// is removed.
    func connect(to other: Int) -> Int32? {
        let descriptor = InstanceDirectory.atAddress(of: other, path, folder) {
            clinux_local_connect($0)
        }
        if descriptor == -ECONNREFUSED {
            // Nobody listens. Only while its lock is ours can no new owner be about to.
            let lock = InstanceDirectory.claim(other, in: folder)
            if lock >= 0 {
                unlinkat(folder, "\(other).sock", 0)
                close(lock)
            }
        }
        guard descriptor >= 0 else { return nil }
        guard InstanceDirectory.isOurUser(descriptor) else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// Whether the other end runs as the same user.
    static func isOurUser(_ descriptor: Int32) -> Bool {
        clinux_local_peer_user(descriptor) == Int64(geteuid())
    }

    /// The lock of a number, or the negative errno: EWOULDBLOCK when somebody has it.
    private static func claim(_ number: Int, in folder: Int32) -> Int32 {
        let lock = openat(folder, "\(number).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { return -errno }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(lock)
            return -code
        }
        return lock
    }

    /// Calls `body` with the address of a number's socket. A path that is too long for an address goes
    /// by way of the open folder.
    private static func atAddress(
        of number: Int, _ path: String, _ folder: Int32, _ body: (String) -> Int32
    ) -> Int32 {
        let result = body("\(path)/\(number).sock")
        guard result == -ENAMETOOLONG else { return result }
        return body("/proc/self/fd/\(folder)/\(number).sock")
    }
}
