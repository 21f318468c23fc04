// SPDX-License-Identifier: MIT
internal import Glibc
package import Metrics

/// What the kernel says of this process, under the names that Prometheus client libraries share.
package enum ProcessMetrics {
    /// Registers the values; they are read from /proc when the page is asked for.
    package static func register(in metrics: MetricsRegistry) {
        metrics.counter(
            "process_cpu_seconds_total", help: "User and system CPU time spent, in seconds."
        ) {
            var usage = rusage()
            guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return .nan }
            return seconds(usage.ru_utime) + seconds(usage.ru_stime)
        }
        metrics.gauge("process_resident_memory_bytes", help: "Resident memory, in bytes.") {
            // The second word of statm is the resident set in pages (proc(5)).
            let words = ProcFile.text("/proc/self/statm").split(separator: " ")
            guard words.count > 1, let pages = Double(words[1]) else { return .nan }
            return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
        }
        metrics.gauge("process_open_fds", help: "Open file descriptors.") {
            guard let directory = opendir("/proc/self/fd") else { return .nan }
            defer { closedir(directory) }
            var count = 0
            while readdir(directory) != nil { count += 1 }
            // Not counted: ".", ".." and the descriptor that reads the directory.
            return Double(count - 3)
        }
        metrics.gauge("process_max_fds", help: "The most file descriptors it may open.") {
            var limit = rlimit()
            guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
                return .nan
            }
            return Double(limit.rlim_cur)
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let started = Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
        metrics.gauge(
            "process_start_time_seconds", help: "When it started, in seconds since 1970."
        ) { started }
        metrics.gauge(
            "chat_build_info", help: "Always 1; the version is a label.",
            labels: ["version": Build.version]
        ) { 1 }
    }

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1e6
    }
}

/// Small files of /proc.
enum ProcFile {
    /// The first 4 KiB as text; empty when the file cannot be read.
    static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }
}
