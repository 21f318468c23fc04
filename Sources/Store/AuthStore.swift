// SPDX-License-Identifier: MIT
internal import Glibc
package import OAuth
internal import Locks
internal import Synchronization

/// `auth.db` behind the port of `OAuth`.
///
/// Writers take turns on one connection and share commits: whoever finds others waiting leaves its changes
/// in the open transaction for the next to commit, so sixteen writers at once cost one fsync, and one
/// alone waits for nobody.
///
/// ```
/// idle ──(first writer: BEGIN)──► open ──(changes within a savepoint)──► open ──(nobody waits, or 64)──► COMMIT ──► idle
/// ```
///
/// Readers have connections of their own and never wait for a writer (WAL).
package final class SQLiteAuthStore: AuthStore {
    /// Most writers that share one commit: bounds what a failing disk takes along.
    private static let maxGroup = 64

    /// The writers of one commit. Guarded by `lock`.
    private final class Group {
        var members = 0
        var entries: [AuthLogEntry] = []
        var isDone = false
        var failure: AuthStoreFailure?
    }

    // SAFETY: `lock` guards `writer`, `group` and `handlers`: they are touched between lock and unlock
    // only. The two POSIX objects are initialised before and destroyed after all use.
    private nonisolated(unsafe) let lock: UnsafeMutablePointer<pthread_mutex_t>
    private nonisolated(unsafe) let committed: UnsafeMutablePointer<pthread_cond_t>
    private nonisolated(unsafe) let writer: SQLiteDatabase
    private nonisolated(unsafe) var group: Group?
    private nonisolated(unsafe) var handlers: [@Sendable ([AuthLogEntry]) -> Void] = []
    /// Writers that wait for the lock: each will go through the open transaction.
    private let waiting = Atomic<Int>(0)

    private let readers: [ReaderSlot]
    private let nextReader = Atomic<Int>(0)

    private final class ReaderSlot: Sendable {
        // SAFETY: touched by whoever holds `lock` only.
        nonisolated(unsafe) let database: SQLiteDatabase
        let lock = Locked(())
        init(_ database: SQLiteDatabase) { self.database = database }
    }

    /// Opens the database, making or migrating it.
    /// - Parameters:
    ///   - path: the file; its folder must exist.
    ///   - readers: how many threads can read at once.
    package init(path: String, readers count: Int = 4) throws(StoreError) {
        writer = try SQLiteDatabase(path: path)
        try writer.migrate(AuthSchema.steps)
        var readers: [ReaderSlot] = []
        for _ in 0..<count {
            readers.append(ReaderSlot(try SQLiteDatabase(path: path, mode: .readOnly)))
        }
        self.readers = readers
        lock = .allocate(capacity: 1)
        committed = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        pthread_cond_init(committed, nil)
    }

    deinit {
        pthread_cond_destroy(committed)
        pthread_mutex_destroy(lock)
        committed.deallocate()
        lock.deallocate()
    }

    package func read<Result>(
        _ body: (any AuthReader) throws(AuthStoreFailure) -> Result
    ) throws(AuthStoreFailure) -> Result {
        let turn = nextReader.wrappingAdd(1, ordering: .relaxed).oldValue
        let slot = readers[Int(UInt(bitPattern: turn) % UInt(readers.count))]
        // SAFETY: `withLock` runs its closure at once and on this thread; the two variables only carry
        // body and result past its `Sendable` checks.
        nonisolated(unsafe) var outcome: Swift.Result<Result, AuthStoreFailure>?
        withoutActuallyEscaping(body) { body in
            nonisolated(unsafe) let body = body
            slot.lock.withLock { _ in
                outcome = SQLiteAuthStore.snapshot(slot.database, body)
            }
        }
        guard let outcome else { preconditionFailure("the lock runs its body") }
        return try outcome.get()
    }

    private static func snapshot<Result>(
        _ database: SQLiteDatabase,
        _ body: (any AuthReader) throws(AuthStoreFailure) -> Result
    ) -> Swift.Result<Result, AuthStoreFailure> {
        do throws(StoreError) {
            return try database.transaction(.deferred) { () throws(StoreError) in
                let rows = AuthRows(database: database, appended: .init())
                do throws(AuthStoreFailure) {
                    return .success(try body(rows))
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            return .failure(AuthStoreFailure(error))
        }
    }

    package func write<Result>(
        _ body: (any AuthWriter) throws(AuthStoreFailure) -> Result
    ) throws(AuthStoreFailure) -> Result {
        waiting.wrappingAdd(1, ordering: .relaxed)
        pthread_mutex_lock(lock)
        waiting.wrappingSubtract(1, ordering: .relaxed)
        defer { pthread_mutex_unlock(lock) }
        let group = try openGroup()
        let outcome = change(in: group, body)
        group.members += 1
        if waiting.load(ordering: .relaxed) == 0 || group.members >= SQLiteAuthStore.maxGroup {
            commit(group)
        } else {
            while !group.isDone { pthread_cond_wait(committed, lock) }
        }
        let result = try outcome.get()
        if let failure = group.failure { throw failure }
        return result
    }

    package func onCommit(_ handler: @escaping @Sendable ([AuthLogEntry]) -> Void) {
        pthread_mutex_lock(lock)
        handlers.append(handler)
        pthread_mutex_unlock(lock)
    }

    /// Copies what the log holds into the database file; for a tidy shutdown.
    package func close() {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        _ = try? writer.checkpoint(.truncate)
    }

    private func openGroup() throws(AuthStoreFailure) -> Group {
        if let group { return group }
        do throws(StoreError) {
            try writer.run("BEGIN IMMEDIATE")
        } catch {
            throw AuthStoreFailure(error)
        }
        let group = Group()
        self.group = group
        return group
    }

    /// Runs one writer's changes inside the group's transaction; when they fail, they alone are undone.
    private func change<Result>(
        in group: Group, _ body: (any AuthWriter) throws(AuthStoreFailure) -> Result
    ) -> Swift.Result<Result, AuthStoreFailure> {
        let rows = AuthRows(database: writer, appended: .init())
        do throws(AuthStoreFailure) {
            try run("SAVEPOINT change")
            let result = try body(rows)
            try run("RELEASE change")
            group.entries += rows.appended.entries
            return .success(result)
        } catch {
            // On a full disk SQLite has rolled back the whole transaction by itself; then COMMIT will
            // say so to all members.
            _ = try? run("ROLLBACK TO change")
            _ = try? run("RELEASE change")
            return .failure(error)
        }
    }

    private func commit(_ group: Group) {
        do throws(AuthStoreFailure) {
            try run("COMMIT")
        } catch {
            group.failure = error
            _ = try? run("ROLLBACK")
        }
        group.isDone = true
        self.group = nil
        if group.failure == nil, !group.entries.isEmpty {
            for handler in handlers { handler(group.entries) }
        }
        pthread_cond_broadcast(committed)
    }

    private func run(_ sql: String) throws(AuthStoreFailure) {
        do throws(StoreError) {
            try writer.run(sql)
        } catch {
            throw AuthStoreFailure(error)
        }
    }
}
