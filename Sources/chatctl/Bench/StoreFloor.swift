// SPDX-License-Identifier: MIT
internal import Store
internal import Timing

/// What the disk and SQLite can do by themselves: rows of the size of the log's, appended with the same
/// durability (write-ahead log, an fsync a commit).
enum StoreFloor {
    struct Figures: Hashable, Sendable {
        var rowsPerCommit = 1
        var commits = 0
        var elapsed = Duration.zero
        var latency = LatencyHistogram()

        var commitsPerSecond: Double {
            elapsed > .zero ? Double(commits) / BenchFormat.seconds(elapsed) : 0
        }
        var rowsPerSecond: Double { commitsPerSecond * Double(rowsPerCommit) }
    }

    /// Commits groups of each size for a second.
    /// - Parameters:
    ///   - path: of a new database, on the disk that is to be measured.
    ///   - bytes: of a message's text.
    static func run(path: String, bytes: Int, groups: [Int] = [1, 10, 100, 1000]) throws(StoreError)
        -> [Figures]
    {
        let database = try SQLiteDatabase(path: path)
        try database.execute(
            """
            CREATE TABLE log (
                seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL,
                room TEXT NOT NULL, room_seq INTEGER NOT NULL, prev INTEGER NOT NULL,
                actor TEXT NOT NULL, actor_name TEXT NOT NULL, client_id TEXT,
                payload BLOB NOT NULL) STRICT
            """)
        let insert = try database.prepare("INSERT INTO log VALUES (?,?,?,?,?,?,?,?,?,?)")
        // {"text":"…"} around the text.
        let payload = [UInt8](repeating: UInt8(ascii: "x"), count: bytes + 11)
        var seq: Int64 = 0
        var all: [Figures] = []
        for group in groups {
            var figures = Figures(rowsPerCommit: group)
            let start = SystemClock.now()
            while SystemClock.now() - start < .seconds(1) {
                let began = SystemClock.now()
                try database.transaction { () throws(StoreError) in
                    for _ in 0..<group {
                        seq += 1
                        insert.bind(0, seq)
                        insert.bind(1, 1_700_000_000_000 + seq)
                        insert.bind(2, Int64(1))
                        insert.bind(3, "r_0123456789abcdef")
                        insert.bind(4, seq)
                        insert.bind(5, seq - 1)
                        insert.bind(6, "u_0123456789abcdef")
                        insert.bind(7, "bench100")
                        insert.bind(8, "b01234567-1000")
                        insert.bind(9, payload.span)
                        try insert.run()
                    }
                }
                figures.latency.record(SystemClock.now() - began)
                figures.commits += 1
            }
            figures.elapsed = SystemClock.now() - start
            all.append(figures)
        }
        return all
    }
}
