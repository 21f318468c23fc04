// SPDX-License-Identifier: MIT
internal import Glibc

/// Resident memory of a process (proc(5), `status`), in bytes.
struct ProcessMemory: Hashable, Sendable {
    /// All that is resident: program, files, heap.
    var resident = 0
    /// What no file stands behind: heap and stacks.
    var anonymous = 0

    /// Of a server whose process is not known.
    static let unknown = ProcessMemory()

    private init() {}

    /// Of a process of this machine; nil when there is none of that number.
    static func of(_ pid: pid_t) -> ProcessMemory? {
        KernelFile.read("/proc/\(pid)/status").flatMap { ProcessMemory(status: $0) }
    }

    /// Reads `VmRSS` and `RssAnon`, both in kB.
    init?(status: String) {
        func kilobytes(_ name: String) -> Int? {
            let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first
                .flatMap { Int($0) }
        }
        guard let resident = kilobytes("VmRSS"), let anonymous = kilobytes("RssAnon") else {
            return nil
        }
        self.resident = resident * 1024
        self.anonymous = anonymous * 1024
    }
}

/// What the kernel keeps for TCP sockets, of all processes of the machine.
struct KernelSockets: Hashable, Sendable {
    /// Objects of sockets, their files and what epoll knows of them (/proc/slabinfo); nil when we may
    /// not read it.
    var slabBytes: Int?
    /// Pages with bytes in flight or unread (/proc/net/sockstat).
    var bufferBytes = 0

    private static let slabs: Set<Substring> = [
        "TCP", "sock_inode_cache", "filp", "eventpoll_epi", "eventpoll_pwq",
    ]

    /// As it stands now.
    static func now() -> KernelSockets {
        KernelSockets(
            slabinfo: KernelFile.read("/proc/slabinfo"),
            sockstat: KernelFile.read("/proc/net/sockstat") ?? "",
            pageBytes: sysconf(Int32(_SC_PAGESIZE)))
    }

    init(slabinfo: String?, sockstat: String, pageBytes: Int) {
        if let slabinfo, slabinfo.hasPrefix("slabinfo") {
            var bytes = 0
            for line in slabinfo.split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count > 3, KernelSockets.slabs.contains(fields[0]),
                    let objects = Int(fields[1]), let size = Int(fields[3])
                else { continue }
                bytes += objects * size
            }
            slabBytes = bytes
        }
        let tcp = sockstat.split(separator: "\n").first { $0.hasPrefix("TCP:") }
        let fields = tcp?.split(separator: " ") ?? []
        if let place = fields.firstIndex(of: "mem"), place + 1 < fields.count {
            bufferBytes = (Int(fields[place + 1]) ?? 0) * pageBytes
        }
    }
}

/// Files that the kernel makes up as they are read.
enum KernelFile {
    /// The whole text, in as many pieces as the kernel gives; nil when it cannot be read.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = piece.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            guard count > 0 else {
                return count == 0 ? String(decoding: text, as: UTF8.self) : nil
            }
            text.append(contentsOf: piece[..<count])
        }
    }
}
