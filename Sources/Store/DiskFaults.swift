// SPDX-License-Identifier: MIT
#if DEBUG
    internal import CSQLite
    internal import Locks

    /// A disk that fails as a test wants it to, at the seam between SQLite and the operating system.
    /// Debug builds only: release builds contain no way to make a write fail.
    ///
    /// SQLite calls the system through a table of functions that each open file carries. `install`
    /// puts a copy of the table, with writing and syncing replaced, into the two files of a connection:
    /// the database and its write-ahead log.
    package final class DiskFaults: Sendable {
        /// What SQLite asks of a file.
        package enum Operation: Hashable, Sendable {
            /// `bytes` of the file at the end of whose path stands `-wal`, or of the database.
            case write(isLog: Bool, bytes: Int)
            case sync(isLog: Bool)
        }

        /// What becomes of it.
        package enum Verdict: Hashable, Sendable {
            case pass
            /// Nothing is done, and `code` is the answer.
            case fail(Int32)
            /// The first half is written, and `code` is the answer.
            case tear(Int32)
            /// All is done, and `code` is the answer all the same.
            case lie(Int32)
        }

        /// `SQLITE_FULL`, `SQLITE_IOERR_WRITE`, `SQLITE_IOERR_FSYNC`, for tests, which do not import
        /// SQLite.
        package static let full: Int32 = 13
        package static let writeError: Int32 = 10 | 3 << 8
        package static let syncError: Int32 = 10 | 4 << 8

        private typealias Decision = @Sendable (Operation) -> Verdict
        private let decision = Locked<Decision?>(nil)

        private init() {}

        /// The disk under the database at `path`, as every store of this process opened from now on
        /// sees it.
        package static func under(_ path: String) -> DiskFaults {
            registry.withLock { registry in
                if let known = registry.disks[path] { return known }
                let disk = DiskFaults()
                registry.disks[path] = disk
                return disk
            }
        }

        /// What happens to each operation from now on; nil: what ought to.
        package func set(_ decide: (@Sendable (Operation) -> Verdict)?) {
            decision.withLock { $0 = decide }
        }

        // MARK: The seam

        private struct Seam {
            let disk: DiskFaults
            let isLog: Bool
            /// SQLite's own table of functions, which is never freed.
            let original: UInt
            /// Our copy of it, which the file has instead until it is closed.
            let copy: UInt

            var methods: UnsafePointer<sqlite3_io_methods> {
                guard let methods = UnsafePointer<sqlite3_io_methods>(bitPattern: original) else {
                    preconditionFailure("a table of functions has an address")
                }
                return methods
            }
        }

        private struct Registry {
            var disks: [String: DiskFaults] = [:]
            /// By the address of SQLite's file object.
            var seams: [UInt: Seam] = [:]
        }

        private static let registry = Locked(Registry())

        /// Puts the seam into a connection, if its database is one that a test has asked for.
        static func install(on database: SQLiteDatabase) {
            let disk = registry.withLock { $0.disks[database.path] }
            guard let disk else { return }
            // The log's file object is there once it has been read.
            _ = try? database.first("SELECT count(*) FROM sqlite_schema") { $0.int(0) }
            for (isLog, code) in [
                (false, SQLITE_FCNTL_FILE_POINTER), (true, SQLITE_FCNTL_JOURNAL_POINTER),
            ] {
                var file: UnsafeMutablePointer<sqlite3_file>?
                let answer = sqlite3_file_control(database.handle, "main", code, &file)
                guard answer == SQLITE_OK, let file, let original = file.pointee.pMethods else {
                    preconditionFailure("the connection has no such file")
                }
                // SAFETY: freed by `close`, behind which SQLite does not touch the file again.
                let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
                methods.initialize(to: original.pointee)
                methods.pointee.xWrite = { DiskFaults.write($0, $1, $2, $3) }
                methods.pointee.xSync = { DiskFaults.sync($0, $1) }
                methods.pointee.xClose = { DiskFaults.close($0) }
                let seam = Seam(
                    disk: disk, isLog: isLog, original: UInt(bitPattern: original),
                    copy: UInt(bitPattern: methods))
                let place = UInt(bitPattern: file)
                registry.withLock { $0.seams[place] = seam }
                file.pointee.pMethods = UnsafePointer(methods)
            }
        }

        private static func seam(
            _ file: UnsafeMutablePointer<sqlite3_file>?
        ) -> (seam: Seam, decide: Decision?) {
            let place = UInt(bitPattern: file)
            let seam = registry.withLock { $0.seams[place] }
            guard let seam else { preconditionFailure("a file without a seam") }
            return (seam, seam.disk.decision.withLock { $0 })
        }

        private static func write(
            _ file: UnsafeMutablePointer<sqlite3_file>?, _ bytes: UnsafeRawPointer?,
            _ count: Int32, _ offset: sqlite3_int64
        ) -> Int32 {
            let (seam, decide) = seam(file)
            let verdict = decide?(.write(isLog: seam.isLog, bytes: Int(count))) ?? .pass
            func write(_ count: Int32) -> Int32 {
                seam.methods.pointee.xWrite(file, bytes, count, offset)
            }
            switch verdict {
            case .pass: return write(count)
            case .fail(let code): return code
            case .tear(let code):
                _ = write(count / 2)
                return code
            case .lie(let code):
                _ = write(count)
                return code
            }
        }

        private static func sync(
            _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32
        ) -> Int32 {
            let (seam, decide) = seam(file)
            switch decide?(.sync(isLog: seam.isLog)) ?? .pass {
            case .pass: return seam.methods.pointee.xSync(file, flags)
            case .fail(let code), .tear(let code): return code
            case .lie(let code):
                _ = seam.methods.pointee.xSync(file, flags)
                return code
            }
        }

        private static func close(_ file: UnsafeMutablePointer<sqlite3_file>?) -> Int32 {
            let (seam, _) = seam(file)
            let place = UInt(bitPattern: file)
            registry.withLock { _ = $0.seams.removeValue(forKey: place) }
            file?.pointee.pMethods = seam.methods
            UnsafeMutablePointer<sqlite3_io_methods>(bitPattern: seam.copy)?.deallocate()
            return seam.methods.pointee.xClose(file)
        }
    }
#endif
