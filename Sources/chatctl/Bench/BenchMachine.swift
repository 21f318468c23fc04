// SPDX-License-Identifier: MIT
internal import Glibc
internal import ServiceRuntime

/// The machine that a run's figures are of.
enum BenchMachine {
    /// Processors, kernel, and the file system below the working directory, which is what an fsync there
    /// costs.
    static var text: String {
        "\(sysconf(Int32(_SC_NPROCESSORS_ONLN))) × \(processor ?? "processor"), Linux "
            + "\(release), \(fileSystem)"
    }

    private static var processor: String? {
        guard let text = try? PrivateFile.read("/proc/cpuinfo") else { return nil }
        return text.split(separator: "\n").first { $0.hasPrefix("model name") }?
            .split(separator: ":").last.map { String($0.drop { $0 == " " }) }
    }

    private static var release: String {
        ((try? PrivateFile.read("/proc/sys/kernel/osrelease")) ?? "")
            .split(separator: "\n").first.map(String.init) ?? "?"
    }

    /// The type of the file system of the working directory (proc(5), `mounts`: device, place, type).
    private static var fileSystem: String {
        var buffer = [CChar](repeating: 0, count: 4097)
        guard getcwd(&buffer, buffer.count) != nil,
            let mounts = try? PrivateFile.read("/proc/self/mounts")
        else { return "unknown file system" }
        let directory = String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return fileSystem(of: directory, mounts: mounts)
    }

    /// The type of the mount that holds a directory: the last one of the longest path.
    static func fileSystem(of directory: String, mounts: String) -> String {
        var best = (length: 0, type: "unknown file system")
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let place = fields[1] == "/" ? "/" : fields[1] + "/"
            if (directory + "/").hasPrefix(place), place.count >= best.length {
                best = (place.count, String(fields[2]))
            }
        }
        return best.type
    }
}
