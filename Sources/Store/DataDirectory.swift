// SPDX-License-Identifier: MIT
internal import Glibc

/// Folders that hold databases and secrets.
package enum DataDirectory {
    /// Makes `path` and what is missing above it, each for our user only (mode 0700). One that is
    /// there already is left as it is.
    /// - Throws: `StoreError.cannotOpen` with a negative errno.
    package static func prepare(_ path: String) throws(StoreError) {
        var partial = path.utf8.first == UInt8(ascii: "/") ? "/" : ""
        for name in path.split(separator: "/") {
            partial += name + "/"
            guard mkdir(partial, 0o700) == 0 || errno == EEXIST else {
                throw .cannotOpen(code: -errno)
            }
        }
    }

    /// Whether there is anything at `path`.
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
