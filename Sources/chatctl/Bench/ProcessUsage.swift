// SPDX-License-Identifier: MIT
internal import Glibc
internal import ServiceRuntime

/// What a process has used of the machine, by the kernel's account (proc(5)).
struct ProcessUsage: Hashable, Sendable {
    /// Seconds of CPU.
    var user = 0.0
    var system = 0.0
    /// Resident memory in bytes.
    var residentBytes = 0
    /// Seconds of CPU of all threads by the scheduler's account, which is exact where `user` and `system`
    /// of another process count ticks of the clock; 0 when not known.
    var scheduled = 0.0
    /// Seconds of CPU of each event loop, both kinds, by its thread's name; the rest is the writer's and
    /// other threads'.
    var loops: [String: Double] = [:]

    /// Of a process of this machine; nil when there is none of that number.
    static func of(_ pid: pid_t) -> ProcessUsage? {
        guard let stat = try? PrivateFile.read("/proc/\(pid)/stat"),
            let statm = try? PrivateFile.read("/proc/\(pid)/statm")
        else { return nil }
        var usage = ProcessUsage(
            stat: stat, statm: statm, ticks: Double(sysconf(Int32(_SC_CLK_TCK))),
            pageBytes: sysconf(Int32(_SC_PAGESIZE)))
        for (name, seconds) in threads(of: pid) {
            usage?.scheduled += seconds
            if name.hasPrefix("loop-") { usage?.loops[name, default: 0] += seconds }
        }
        return usage
    }

    /// The first number of a thread's `schedstat` is its time on a CPU in nanoseconds.
    private static func threads(of pid: pid_t) -> [(name: String, seconds: Double)] {
        var threads: [(String, Double)] = []
        guard let directory = opendir("/proc/\(pid)/task") else { return threads }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let thread = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let path = "/proc/\(pid)/task/\(thread)"
            guard let line = try? PrivateFile.read(path + "/comm"),
                let account = try? PrivateFile.read(path + "/schedstat"),
                let nanoseconds = account.split(separator: " ").first.flatMap({ Double($0) })
            else { continue }
            threads.append((String(line.prefix { $0 != "\n" }), nanoseconds / 1e9))
        }
        return threads
    }

    /// Reads the two files' text. The name in `stat` may hold blanks and parentheses, so fields are
    /// counted from the last `)`: utime is the 12th behind it, stime the 13th.
    init?(stat: String, statm: String, ticks: Double, pageBytes: Int) {
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        let pages = statm.split(separator: " ")
        guard fields.count > 12, let utime = Double(fields[11]), let stime = Double(fields[12]),
            pages.count > 1, let resident = Int(pages[1])
        else { return nil }
        user = utime / ticks
        system = stime / ticks
        residentBytes = resident * pageBytes
    }

    init(user: Double = 0, system: Double = 0, residentBytes: Int = 0) {
        self.user = user
        self.system = system
        self.residentBytes = residentBytes
    }

    /// Of the calling thread; resident memory is left 0.
    static func ofThisThread() -> ProcessUsage {
        // RUSAGE_THREAD (getrusage(2)) is behind a macro that Swift does not define.
        of(who: 1)
    }

    /// Of this process; resident memory is left 0.
    static func ofThisProcess() -> ProcessUsage {
        of(who: __rusage_who_t(RUSAGE_SELF.rawValue))
    }

    private static func of(who: __rusage_who_t) -> ProcessUsage {
        var usage = rusage()
        getrusage(who, &usage)
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        return ProcessUsage(user: seconds(usage.ru_utime), system: seconds(usage.ru_stime))
    }

    /// Seconds of CPU, both kinds.
    var total: Double { scheduled > 0 ? scheduled : user + system }

    /// Seconds of CPU of all event loops.
    var loopTotal: Double { loops.values.reduce(0, +) }

    /// What two stretches used; memory is the later's.
    static func + (earlier: ProcessUsage, later: ProcessUsage) -> ProcessUsage {
        var sum = ProcessUsage(
            user: earlier.user + later.user, system: earlier.system + later.system,
            residentBytes: later.residentBytes)
        sum.scheduled = earlier.scheduled + later.scheduled
        sum.loops = earlier.loops.merging(later.loops, uniquingKeysWith: +)
        return sum
    }

    /// What was used between two looks; memory is the later look's.
    static func - (later: ProcessUsage, earlier: ProcessUsage) -> ProcessUsage {
        var difference = ProcessUsage(
            user: later.user - earlier.user, system: later.system - earlier.system,
            residentBytes: later.residentBytes)
        difference.scheduled = later.scheduled - earlier.scheduled
        difference.loops = later.loops.merging(earlier.loops, uniquingKeysWith: -)
        return difference
    }
}
