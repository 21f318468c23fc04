// SPDX-License-Identifier: MIT

/// Cuts a stream of bytes into lines. A line longer than the limit is handed out in pieces, so that
/// a service which prints without end costs no memory.
struct LineSplitter {
    static let maxLineBytes = 16_384

    private var partial: [UInt8] = []

    /// Takes the next bytes; gives the lines they complete, without line ends.
    mutating func take(_ bytes: some Sequence<UInt8>) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                lines.append(flush())
            } else {
                partial.append(byte)
                if partial.count == LineSplitter.maxLineBytes { lines.append(flush()) }
            }
        }
        return lines
    }

    /// The unfinished line at the end of the stream; nil when there is none.
    mutating func finish() -> String? { partial.isEmpty ? nil : flush() }

    private mutating func flush() -> String {
        if partial.last == UInt8(ascii: "\r") { partial.removeLast() }
        defer { partial.removeAll(keepingCapacity: true) }
        return String(decoding: partial, as: UTF8.self)
    }
}
