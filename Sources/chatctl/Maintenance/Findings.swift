// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import ServiceRuntime
internal import Store

/// How a look at the databases ended: what the command's exit code says.
enum Finding: Int32, Comparable {
    /// All is well.
    case sound = 0
    /// Something derived is wrong; `chatctl repair` makes it anew.
    case stale = 1
    /// Rows or the file itself are damaged.
    case damaged = 2
    /// There is nothing to look at, or it cannot be opened (EX_NOINPUT).
    case missing = 66
    /// Somebody has it in use (EX_TEMPFAIL).
    case busy = 75

    static func < (a: Finding, b: Finding) -> Bool { a.rawValue < b.rawValue }

    static let help = """
        Exit codes: 0 all is well; 1 something derived is wrong, which `chatctl repair` makes anew; \
        2 rows or the file are damaged; 66 there is no database, or it cannot be opened; 75 it is in \
        use.
        """

    /// What to exit with after an error.
    init(_ error: StoreError) {
        switch error {
        case .busy: self = .busy
        case .corrupt, .io: self = .damaged
        default: self = .missing
        }
    }

    /// Ends the command, unless all is well.
    func end() throws {
        if self != .sound { throw ExitCode(rawValue) }
    }

    /// Prints what a check of the file at `path` found.
    static func tell(_ path: String, quietly: Bool = false) -> Finding {
        do throws(StoreError) {
            let report = try DatabaseCheck.run(path: path)
            if !quietly || !report.isSound {
                let verdict = report.isSound ? "sound" : "NOT SOUND"
                StandardStreams.output("\(path): \(verdict); \(report.summary)\n")
            }
            for line in report.damage { StandardStreams.output("  damaged: \(line)\n") }
            for line in report.stale { StandardStreams.output("  stale: \(line)\n") }
            return report.damage.isEmpty ? (report.stale.isEmpty ? .sound : .stale) : .damaged
        } catch {
            StandardStreams.output("\(path): \(error)\n")
            return Finding(error)
        }
    }
}
