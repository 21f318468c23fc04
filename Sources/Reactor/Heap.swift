// SPDX-License-Identifier: MIT
internal import CLinux

/// The heap of a process whose tables grow with its clients.
package enum Heap {
    /// glibc's own threshold, at start.
    private static let largeBytes: Int32 = 128 * 1024

    /// Has large blocks given back when they are freed. By itself glibc takes each large block that is
    /// freed for a sign that more will come, and keeps the next in the heap: a table that has doubled
    /// leaves holes there in which nothing of its size fits again. Measured with 18,000 clients: 145 to
    /// 250 bytes of 1,751 a client. To be called before there is a second thread.
    package static func givesBackLargeBlocks() { clinux_large_blocks(largeBytes) }
}
