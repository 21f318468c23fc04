// SPDX-License-Identifier: MIT
internal import Glibc

/// Where the executables read time. The layers take it as an argument instead.
package enum SystemClock {
    /// CLOCK_MONOTONIC now.
    package static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Blocks the calling thread for at least `duration`.
    package static func sleep(_ duration: Duration) {
        var left = timespec(
            tv_sec: Int(duration.nanoseconds / 1_000_000_000),
            tv_nsec: Int(duration.nanoseconds % 1_000_000_000))
        var rest = timespec()
        while nanosleep(&left, &rest) != 0 { left = rest }
    }

    /// CLOCK_REALTIME now.
    package static func timestamp() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
