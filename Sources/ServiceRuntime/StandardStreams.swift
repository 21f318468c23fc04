// SPDX-License-Identifier: MIT
internal import Glibc

/// Standard output and error by descriptor, unbuffered: C's `stdout` and `stderr` are globals that
/// any thread may replace, and a buffered line is a line that a crash loses.
package enum StandardStreams {
    /// Writes a text to standard output in one `write` where the kernel takes it whole.
    package static func output(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes a text to standard error, likewise.
    package static func error(_ text: String) { write(text, to: STDERR_FILENO) }

    /// A full pipe or a closed descriptor loses the rest: nobody stops over a line of text.
    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
