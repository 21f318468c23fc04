// SPDX-License-Identifier: MIT
#if PLANTED_BUGS
    internal import Glibc

    /// A defect that the checker has to find, in builds made for that alone: `PLANTED_BUG` in the
    /// environment chooses it. What is checked by never failing is not known to be checked.
    package enum PlantedBug: String, Sendable {
        /// Clients hear of entries before they are committed.
        case announceBeforeCommit = "announce-before-commit"
        /// Senders are answered before the commit, and so before its fsync.
        case ackBeforeCommit = "ack-before-commit"
        /// A repeated `clientId` is a new message.
        case dedupeDropped = "dedupe-dropped"
        /// Of several entries of another instance only the latest is applied.
        case gapIgnored = "gap-ignored"

        /// The one that is planted; nil for none.
        package static let active = getenv("PLANTED_BUG").flatMap {
            PlantedBug(rawValue: String(cString: $0))
        }
    }
#endif
