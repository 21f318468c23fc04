// SPDX-License-Identifier: MIT
internal import HTTPServer

/// Whether a client keeps a recovery offset. The protocol has no word for it: the official JavaScript
/// client does, silently; python-socketio hands the offset to the application as one argument too
/// many, which its handlers refuse. Clients say so with `auth.recovery`; for those that say nothing,
/// the request tells them apart.
enum OffsetSupport {
    /// The official client writes `EIO` before `transport` in its query; python-engineio writes it
    /// behind, always.
    static func isLikely(query: String) -> Bool {
        for pair in FormURLEncoded.pairs(query) {
            if pair.name == "EIO" { return true }
            if pair.name == "transport" { return false }
        }
        return false
    }
}
