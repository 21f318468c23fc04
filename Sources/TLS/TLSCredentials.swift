// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks

/// What a TLS server proves itself with: certificates that can be changed while it runs, and the keys
/// of its session tickets. One for all event loops of a process.
package final class TLSCredentials: Sendable {
    /// The pairs of files; the first is what clients get that name no server.
    package let files: [CertificateFiles]
    private let tickets = TicketKeys()
    private let state: Locked<State>

    private struct State {
        var set: CertificateSet
        /// What the files looked like when they were last read, whatever came of it.
        var stamps: [Stamp]
    }

    /// Tells one state of a file from another, also when it is replaced within a second.
    private struct Stamp: Hashable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var size: Int64 = 0
        var seconds = 0
        var nanoseconds = 0
    }

    /// Reads the files; blocks on the disk.
    /// - Throws: `CertificateProblem`. A certificate that is not valid today is taken: whoever starts a
    ///   server has more to serve than that; see `notValidNow`.
    package init(_ files: [CertificateFiles]) throws(CertificateProblem) {
        self.files = files
        let stamps = TLSCredentials.stamps(files)
        state = Locked(State(set: try CertificateSet(files, tickets: tickets), stamps: stamps))
    }

    /// Reads the files again and puts what they hold in force for sessions that begin from now on;
    /// those that are under way stay as they are. Blocks on the disk.
    /// - Throws: `CertificateProblem`; what was in force stays in force. A certificate that is not valid
    ///   today does not replace one that is.
    package func reload() throws(CertificateProblem) {
        let stamps = TLSCredentials.stamps(files)
        state.withLock { $0.stamps = stamps }
        let fresh = try CertificateSet(files, tickets: tickets)
        if let path = fresh.notValidNow.first, notValidNow.isEmpty {
            throw .notValidNow(path: path)
        }
        state.withLock { $0.set = fresh }
    }

    /// Whether a file has changed since it was last read.
    package var filesHaveChanged: Bool {
        let stamps = TLSCredentials.stamps(files)
        return state.withLock { $0.stamps != stamps }
    }

    /// Seals session tickets with a new key; to be called hourly.
    package func rotateTicketKeys() { tickets.rotate() }

    /// When the first of the certificates in force ends, in seconds since 1970.
    package var notAfter: Int64 { state.withLock { $0.set.notAfter } }

    /// Certificates in force whose time is over or has not come.
    package var notValidNow: [String] { state.withLock { $0.set.notValidNow } }

    /// A session for a connection just accepted, with the certificates now in force.
    /// - Parameter wire: of the loop the connection lives on.
    /// - Returns: nil when memory is short.
    package func makeSession(on wire: TLSWire) -> TLSSession? {
        TLSSession(state.withLock { $0.set }, on: wire)
    }

    private static func stamps(_ files: [CertificateFiles]) -> [Stamp] {
        files.flatMap { [$0.certificate, $0.key] }.map { path in
            var status = stat()
            guard stat(path, &status) == 0 else { return Stamp() }
            return Stamp(
                device: UInt64(status.st_dev), inode: UInt64(status.st_ino),
                size: Int64(status.st_size), seconds: status.st_mtim.tv_sec,
                nanoseconds: status.st_mtim.tv_nsec)
        }
    }
}
