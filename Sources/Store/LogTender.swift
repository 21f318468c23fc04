// SPDX-License-Identifier: MIT
internal import Glibc
internal import Metrics
internal import Timing

/// The thread beside the writer: copies the write-ahead log into the file so that no commit has to,
/// and watches over what goes wrong slowly.
///
/// A passive checkpoint copies what is committed without stopping anybody; the log's file starts over
/// at its beginning once a commit finds all of it copied. Under load that moment never comes by itself:
/// something is always newer than the last pass. So when the file has grown past `restartBytes` a
/// second pass takes the little that is left with the write lock held, after a first has done the work
/// (and the fsync) without it. Nobody is waited for: where a reader is in the way, the next tick tries
/// again. When nothing has been committed for a while the file is cut to nothing.
final class LogTender {
    private let path: String
    private let instruments: ChatStoreInstruments
    private let board: ChatBoard
    private let epoch: StoreEpoch
    private var database: SQLiteDatabase?
    private var lastHead: Int64 = 0
    private var lastChange = SystemClock.now()

    /// Below this a log is left alone under load.
    private static let passiveBytes = 1 << 20
    /// From here on it is made to start over.
    private static let restartBytes = 16 << 20
    /// How long nothing must have happened before the file is cut.
    private static let idleTime: Duration = .seconds(5)

    init(
        path: String, instruments: ChatStoreInstruments, board: ChatBoard, epoch: StoreEpoch
    ) {
        self.path = path
        self.instruments = instruments
        self.board = board
        self.epoch = epoch
    }

    /// One tick.
    func tend() {
        let now = SystemClock.now()
        let head = board.head
        if head != lastHead {
            lastHead = head
            lastChange = now
            epoch.note(head: head)
        }
        let bytes = walBytes
        instruments.walBytes.set(bytes)
        guard board.isAvailable else {
            // A connection that has met an I/O error may hold on to it.
            database = nil
            return
        }
        guard epoch.isSameFile(path) else { return board.set(.replaced, now: now) }
        do throws(StoreError) {
            if now - lastChange > LogTender.idleTime {
                if bytes > 0 { try checkpoint(.truncate, instruments.blockingCheckpointTime) }
            } else if bytes > LogTender.passiveBytes {
                try checkpoint(.passive, instruments.checkpointTime)
                if bytes > LogTender.restartBytes {
                    // What came during the first pass, which took longest.
                    try checkpoint(.passive, instruments.checkpointTime)
                    try checkpoint(.restart, instruments.blockingCheckpointTime)
                }
            }
        } catch {
            // Busy, or the disk is in trouble, which the writer reports; a new try comes anyway.
            instruments.checkpointFailures.increment()
            if error != .busy { database = nil }
        }
    }

    private func checkpoint(
        _ mode: SQLiteDatabase.CheckpointMode, _ time: Histogram
    ) throws(StoreError) {
        let connection: SQLiteDatabase
        if let database {
            connection = database
        } else {
            // The patience for readers in a blocking pass, during which commits wait.
            connection = try SQLiteDatabase(path: path, busyTimeout: .milliseconds(20))
            #if DEBUG
                DiskFaults.install(on: connection)
            #endif
            database = connection
        }
        let start = SystemClock.now()
        let (frames, done) = try connection.checkpoint(mode)
        time.observe(SystemClock.now() - start)
        instruments.walFramesLeft.set(max(0, frames - done))
    }

    private var walBytes: Int {
        var info = stat()
        return stat(path + "-wal", &info) == 0 ? Int(info.st_size) : 0
    }
}
