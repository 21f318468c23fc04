// SPDX-License-Identifier: MIT
internal import Bytes

/// A place in the log as clients keep it: the recovery offset, and the cursor an application passes in
/// `auth`.
///
/// Shape: `<seq>-<mark>`, as in `1042-9f3ac01b`: a commit number in decimal, and the first eight digits
/// of the log's epoch (`StoreEpoch.id`), for the same number is another entry after a restore. To
/// clients it is one opaque string.
struct LogCursor: Hashable, Sendable {
    let seq: Int64
    /// Which history the number is of; nil where the client does not say.
    let mark: String?

    /// Reads one; nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let digits = parts.first, digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let seq = Int64(digits)
        else { return nil }
        self.seq = seq
        mark = parts.count > 1 ? String(parts[1]) : nil
    }

    /// The part of an epoch's name that cursors carry: two epochs of one log share it once in four
    /// thousand million restores.
    static func mark(of epoch: String) -> String { String(epoch.prefix(8)) }

    /// What follows the number in every offset of an epoch.
    static func suffix(of epoch: String) -> [UInt8] { Array("-\(mark(of: epoch))".utf8) }
}
