// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import JSON
internal import ServiceRuntime
internal import Store
internal import Timing

/// `chatctl backup`.
struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy the databases while the services run, and check the copies.",
        discussion: """
            Each copy is of one moment, stands alone in one file, and is checked as `chatctl check` \
            does. The directory appears under its name when all of it is there and on disk; one that \
            exists is never touched. Keys (master.key, secrets.key, recovery.key) are not copied: \
            keep them apart. \(Finding.help)
            """)

    @Argument(help: "The directory to make.")
    var directory: String

    @Option(help: "The suite's data directory, or a service's.")
    var dataDir = "./data"

    func run() throws {
        let sources = DatabaseKind.find(in: dataDir)
        guard !sources.isEmpty else {
            StandardStreams.output("\(dataDir): no database here\n")
            return try Finding.missing.end()
        }
        guard !DataDirectory.exists(directory) else {
            throw ValidationError("\(directory) exists.")
        }
        let draft = directory + ".partial"
        guard mkdir(draft, 0o700) == 0 else {
            let cause = String(cString: strerror(errno))
            throw ValidationError("\(draft) cannot be made: \(cause).")
        }
        var files: [JSONValue] = []
        var finding = Finding.sound
        do throws(StoreError) {
            for source in sources {
                let name = source.split(separator: "/").last.map(String.init) ?? source
                try copy(source, to: "\(draft)/\(name)", named: name)
                finding = max(finding, Finding.tell("\(draft)/\(name)", quietly: true))
                files.append(["name": .string(name), "bytes": .int(size("\(draft)/\(name)"))])
            }
        } catch {
            remove(draft, sources)
            StandardStreams.output("\(directory): \(error); nothing was kept\n")
            return try Finding(error).end()
        }
        guard finding == .sound else {
            StandardStreams.output("The copies are in \(draft), under that name since not sound.\n")
            return try finding.end()
        }
        let record: JSONValue = [
            "at": .string(SystemClock.timestamp().rfc3339), "version": .string(Build.version),
            "files": .array(files),
        ]
        try PrivateFile.create("\(draft)/backup.json") { record.text + "\n" }
        guard sync(draft), rename(draft, directory) == 0, sync(parent(of: directory)) else {
            let cause = String(cString: strerror(errno))
            StandardStreams.output("\(directory): \(cause); the copies are in \(draft)\n")
            return try Finding.missing.end()
        }
        for file in files {
            let megabytes = ((file["bytes"]?.int ?? 0) + 1_048_575) >> 20
            StandardStreams.output(
                "\(directory)/\(file["name"]?.string ?? ""): \(megabytes) MiB, checked\n")
        }
    }

    /// Copies one database; tells a terminal how far it is.
    private func copy(_ source: String, to target: String, named name: String) throws(StoreError) {
        let isTerminal = isatty(STDERR_FILENO) == 1
        let database = try SQLiteDatabase(path: source, mode: .readOnly)
        var last = -1
        try database.copy(to: target) { done, total in
            let percent = total > 0 ? done * 100 / total : 100
            guard isTerminal, percent != last else { return }
            last = percent
            StandardStreams.error("\r\(name): \(percent) %\(done == total ? "\n" : "")")
        }
    }

    private func size(_ path: String) -> Int64 {
        var info = stat()
        return stat(path, &info) == 0 ? Int64(info.st_size) : 0
    }

    private func sync(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return fsync(descriptor) == 0
    }

    private func parent(of path: String) -> String {
        var path = path[...]
        while path.last == "/" { path.removeLast() }
        return path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    }

    private func remove(_ draft: String, _ sources: [String]) {
        for source in sources {
            unlink("\(draft)/\(source.split(separator: "/").last ?? "")")
        }
        rmdir(draft)
    }
}
