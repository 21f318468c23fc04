// SPDX-License-Identifier: MIT

/// Finds lines ended by CRLF. Remembers how far it looked, so a peer that sends a line byte by byte
/// costs one look at each byte and not the square of them.
///
/// Invariant: the caller drops the bytes before the line's start and nothing else between calls.
struct LineScanner: Sendable {
    enum Step {
        /// The line's end is not here yet.
        case needMore
        /// The line without its CRLF, and where the next one starts.
        case line(Range<Int>, next: Int)
        /// The line has more bytes than the limit.
        case tooLong
    }

    /// Bytes from the line's start that hold no line feed.
    private var scanned = 0

    /// Looks for the end of the line that starts at `start` and may hold `limit` bytes.
    /// - Throws: `bareLineFeed` (RFC 9112 §2.2 lets a recipient take LF alone; we do not, since a
    ///   proxy in front may not have).
    mutating func next(
        in bytes: Span<UInt8>, from start: Int, limit: Int
    ) throws(HTTPError) -> Step {
        let available = bytes.count - start
        let reach = available > limit + 1 ? limit + 2 : available
        var index = start + scanned
        let end = start + reach
        while index < end, bytes[index] != HTTPCharacter.lineFeed { index += 1 }
        guard index < end else {
            if available > limit + 1 { return .tooLong }
            scanned = reach
            return .needMore
        }
        guard index > start, bytes[index - 1] == HTTPCharacter.carriageReturn else {
            throw .bareLineFeed
        }
        scanned = 0
        return .line(start..<index - 1, next: index + 1)
    }
}
