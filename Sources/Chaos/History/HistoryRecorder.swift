// SPDX-License-Identifier: MIT
internal import Glibc
internal import JSON

/// Writes one client's history down while it is made: in memory are the last 64 KiB at most, the rest is
/// in a file of the client's own. So the length of a run is bounded by the disk.
final class HistoryRecorder {
    private let client: Int
    private let user: String
    private let path: String
    private var buffer: [UInt8] = []
    private var failure: HistoryFile.Failure?

    private static let pieceBytes = 64 << 10

    /// - Parameter folder: where the file is made; it exists.
    init(client: Int, user: String, folder: String) {
        self.client = client
        self.user = user
        path = "\(folder)/\(client).jsonl"
        buffer = HistoryFile.head(client: client, user: user).bytes + [UInt8(ascii: "\n")]
    }

    func append(_ step: HistoryStep) {
        buffer += HistoryFile.encode(step).bytes
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= HistoryRecorder.pieceBytes { spill() }
    }

    /// The whole history, read back.
    /// - Throws: when it could not be written, or cannot be read.
    func read() throws -> ClientHistory {
        spill()
        if let failure { throw failure }
        var history: ClientHistory?
        try HistoryFile.forEach(path) { history = $0 }
        guard let history else { throw HistoryFile.Failure("\(path): no history") }
        return history
    }

    /// Appends the history to a file that holds several.
    func copy(to descriptor: Int32) throws {
        spill()
        if let failure { throw failure }
        let source = open(path, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw HistoryFile.Failure(path: path) }
        defer { close(source) }
        var piece = [UInt8](repeating: 0, count: HistoryRecorder.pieceBytes)
        while true {
            let count = Glibc.read(source, &piece, piece.count)
            guard count > 0 else { return }
            guard write(descriptor, piece, count) == count else {
                throw HistoryFile.Failure(path: path)
            }
        }
    }

    private func spill() {
        guard !buffer.isEmpty, failure == nil else { return }
        // Opened each time: clients are many, and descriptors are what the connections need.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            failure = HistoryFile.Failure(path: path)
            return
        }
        defer { close(descriptor) }
        if write(descriptor, buffer, buffer.count) != buffer.count {
            failure = HistoryFile.Failure(path: path)
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
